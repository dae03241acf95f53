//! Spawns the process of a run, and explains why it could not be spawned.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::io::Errno;

use super::failure_cause::{bad_interpreter, not_executed, not_in_path};
use super::invocation::{Invocation, ScriptFile, build_invocation, not_started};
use super::launch::Launch;
use super::limits::{ChildLimits, with_umask};
use super::os_error::describe_os_error;
use super::program_cache::ProgramCache;
use super::pty::{self, Pty, PtyOptions};
use super::variables::resolve_variables;
use crate::crash;
use crate::model::{Call, Cause, CauseKind, Failure, Script};
use crate::text;

/// A spawned process.
pub(super) struct Spawned<'a> {
    /// Its handle, which still owns the pipes.
    pub(super) child: Child,
    /// The master side of its pseudo-terminal, if it has one.
    pub(super) pty: Option<Pty>,
    /// The script that it runs.
    pub(super) script: &'a Script,
    /// The temporary file with the script's text, if there is one.
    pub(super) file: Option<ScriptFile>,
}

/// Why a process was not spawned.
pub(super) enum SpawnError {
    /// The run has failed.
    Failed(LaunchFailure),
    /// It may succeed later. The reason is the operating system's.
    OutOfResources(String),
}

/// Why a run could not start.
pub(super) struct LaunchFailure {
    pub(super) failure: Failure,
    pub(super) cause: Cause,
}

impl From<Failure> for SpawnError {
    fn from(failure: Failure) -> Self {
        let cause = Cause::new(CauseKind::NotStarted, failure.message.clone());
        Self::Failed(LaunchFailure { failure, cause })
    }
}

/// Spawns the process in a new process group with its output connected to pipes, or in a pseudo-terminal if the script
/// asks for one. A subreaper spawns no other processes, so the run can be tagged from its first instruction.
pub(super) fn spawn<'l>(
    launch: &'l Launch,
    options: PtyOptions,
    program_cache: &mut ProgramCache,
    limits: ChildLimits,
    is_subreaper: bool,
) -> Result<Spawned<'l>, SpawnError> {
    let Call::Script(script) = &launch.definition.call else {
        return Err(not_started("a function can't be run as a process".to_owned()).into());
    };
    let Invocation { program, arguments, file } = build_invocation(script, &launch.definition.arguments)?;
    let cwd = launch.working_folder(script);
    let variables = resolve_variables(&script.exec, launch)?;
    let mut command = Command::new(
        program_cache.resolve(&program, &variables, launch, &cwd).as_deref().unwrap_or(Path::new(&program)),
    );
    command.arg0(&program).args(arguments).current_dir(&cwd);
    if launch.environment.is_some() {
        command.env_clear();
    }
    for (name, (value, _)) in &variables {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    limits.apply_to(&mut command);
    let text = script.exec.stdin.as_deref().unwrap_or_default();
    let start = || {
        if script.exec.pty {
            return pty::spawn(command, options, text).map(|(child, pty)| (child, Some(pty)));
        }
        let stdin = if text.is_empty() { Stdio::null() } else { Stdio::piped() };
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        command.spawn().map(|child| (child, None))
    };
    if crash::fails("spawn") {
        return Err(SpawnError::OutOfResources("too many open files".to_owned()));
    }
    let spawned = with_umask(launch.environment.as_deref(), || match &launch.tag {
        Some(tag) if is_subreaper => tag.tag_children(start),
        _ => start(),
    });
    let (child, pty) = spawned.map_err(|error| {
        if is_out_of_resources(&error, script.exec.pty) {
            return SpawnError::OutOfResources(describe_os_error(&error));
        }
        let message = spawn_error(&error, &program, &cwd);
        let cause = spawn_error_cause(&error, &program, launch, script);
        let cause = cause.unwrap_or_else(|| Cause::new(CauseKind::NotStarted, message.clone()));
        SpawnError::Failed(LaunchFailure { failure: not_started(message), cause })
    })?;
    Ok(Spawned { child, pty, script, file })
}

/// Whether this process or the system has too few descriptors, processes, memory or terminals, which says nothing about
/// the job.
fn is_out_of_resources(error: &io::Error, needs_terminal: bool) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(errno, Some(Errno::MFILE | Errno::NFILE | Errno::AGAIN | Errno::NOMEM))
        || (needs_terminal && errno == Some(Errno::NOSPC))
}

/// Explains why a process could not be spawned. The operating system reports a missing program, interpreter and working
/// directory all with the same error.
fn spawn_error(error: &io::Error, program: &str, cwd: &Path) -> String {
    if let Err(error) = std::fs::read_dir(cwd)
        && matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
    {
        return format!("{}: {} (the working directory)", describe_os_error(&error), cwd.display());
    }
    let path = cwd.join(program);
    let file = if program.contains('/') { path.metadata().ok() } else { None };
    let hint = match (error.kind(), file) {
        (io::ErrorKind::NotFound, _) if !program.contains('/') => " (not in PATH)",
        (io::ErrorKind::NotFound, Some(_)) => " is there, but the interpreter that its first line names is not",
        (io::ErrorKind::PermissionDenied, Some(file)) if file.is_dir() => " is a folder",
        (io::ErrorKind::PermissionDenied, Some(file)) if file.permissions().mode() & 0o111 == 0 => " is not executable",
        _ if error.raw_os_error() == Some(Errno::TOOBIG.raw_os_error()) => {
            " (with its environment; `pass_env` says which variables it gets)"
        }
        _ if error.raw_os_error() == Some(Errno::NOEXEC.raw_os_error()) => {
            " (a script needs a first line like #!/bin/sh)"
        }
        _ => "",
    };
    format!("{}: {program}{hint}", describe_os_error(error))
}

/// The cause of a failure to spawn a process; none if only the operating system's reason is known.
fn spawn_error_cause(error: &io::Error, program: &str, launch: &Launch, script: &Script) -> Option<Cause> {
    let cwd = launch.working_folder(script);
    let folder = text::sanitize_line(&cwd.to_string_lossy());
    match std::fs::read_dir(&cwd).map_err(|error| error.kind()) {
        Err(io::ErrorKind::NotFound) => return Some(Cause::new(CauseKind::FolderMissing, folder)),
        Err(io::ErrorKind::NotADirectory) => {
            return Some(Cause::new(CauseKind::FolderMissing, format!("{folder} is not a folder")));
        }
        _ => {}
    }
    let path = cwd.join(program);
    let has_path = program.contains('/');
    match error.kind() {
        io::ErrorKind::NotFound if !has_path => Some(not_in_path(program, launch, script)),
        io::ErrorKind::NotFound if path.exists() => Some(bad_interpreter(program, &path)),
        io::ErrorKind::NotFound => Some(Cause::new(CauseKind::CommandNotFound, text::sanitize_line(program))),
        io::ErrorKind::PermissionDenied if has_path && path.exists() => Some(not_executed(program, &path)),
        io::ErrorKind::PermissionDenied => {
            let place = if has_path { text::sanitize_line(program) } else { format!("{folder}, or a folder of PATH") };
            Some(Cause::new(CauseKind::PermissionDenied, place))
        }
        _ if error.raw_os_error() == Some(Errno::NOEXEC.raw_os_error()) => {
            let program = text::sanitize_line(program);
            let detail = format!("{program} (a script needs a first line like #!/bin/sh)");
            Some(Cause::new(CauseKind::NotExecutable, detail))
        }
        _ => None,
    }
}
