//! Spawning a process, and saying why it could not be spawned.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::Launch;
use super::invocation::{Invocation, ScriptFile, invocation, not_started};
use super::programs::Programs;
use super::terminal::{self, Terminal, Tty};
use super::variables::variables;
use crate::model::{Call, Failure, Script};

/// A process that has been started.
pub(super) struct Spawned<'a> {
    /// Its handle; its pipes have not been taken yet.
    pub(super) child: Child,
    /// Our end of its terminal, where it has one.
    pub(super) tty: Option<Tty>,
    /// What it runs.
    pub(super) script: &'a Script,
    /// The script's text, where that is in a file.
    pub(super) file: Option<ScriptFile>,
}

/// Starts the process in a group of its own, its outputs connected to pipes, or in the terminal that it wants. In a
/// `sole` process nobody else starts any, so it can be marked from its first moment.
pub(super) fn spawn<'l>(
    launch: &'l Launch,
    terminal: Terminal,
    programs: &mut Programs,
    sole: bool,
) -> Result<Spawned<'l>, Failure> {
    let Call::Script(script) = &launch.definition.call else {
        return Err(not_started("a function can't be run as a process".to_owned()));
    };
    let Invocation { program, arguments, file } = invocation(script, &launch.definition.arguments)?;
    let cwd = script.setup.cwd.as_ref().map_or_else(|| launch.folder.clone(), |cwd| launch.folder.join(cwd));
    let variables = variables(&script.setup, &launch.folder)?;
    let mut command = Command::new(programs.find(&program, &variables, &cwd).as_deref().unwrap_or(Path::new(&program)));
    command.arg0(&program).args(arguments).current_dir(&cwd);
    if script.setup.pty {
        terminal::describe(&mut command);
    }
    // Where this process tells a service manager how it is: a job is no service.
    command.env_remove("NOTIFY_SOCKET");
    for (name, value) in &*variables {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.envs(launch.env.iter().map(|(name, value)| (name, value)));
    let text = script.setup.stdin.as_deref().unwrap_or_default();
    let start = || {
        if script.setup.pty {
            return terminal::spawn(command, terminal, text).map(|(child, tty)| (child, Some(tty)));
        }
        let stdin = if text.is_empty() { Stdio::null() } else { Stdio::piped() };
        // Nothing here may set `pre_exec`: without it std uses `posix_spawn`, which is fast.
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        command.spawn().map(|child| (child, None))
    };
    let spawned = match &launch.mark {
        Some(mark) if sole => mark.put_on(start),
        _ => start(),
    };
    let (child, tty) = spawned.map_err(|error| not_started(reason(&error, &program, &cwd)))?;
    Ok(Spawned { child, tty, script, file })
}

/// Says what the operating system refused, in its words: it has only one error for a program, its interpreter and
/// the working directory that are missing.
fn reason(error: &io::Error, program: &str, cwd: &Path) -> String {
    if let Err(error) = std::fs::read_dir(cwd)
        && matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
    {
        return format!("{}: {} (the working directory)", words(&error), cwd.display());
    }
    let path = cwd.join(program);
    let file = if program.contains('/') { path.metadata().ok() } else { None };
    let hint = match (error.kind(), file) {
        (io::ErrorKind::NotFound, _) if !program.contains('/') => " (not in PATH)",
        (io::ErrorKind::NotFound, Some(_)) => " is there, but the interpreter that its first line names is not",
        (io::ErrorKind::PermissionDenied, Some(file)) if file.is_dir() => " is a folder",
        (io::ErrorKind::PermissionDenied, Some(file)) if file.permissions().mode() & 0o111 == 0 => " is not executable",
        _ if error.raw_os_error() == Some(rustix::io::Errno::NOEXEC.raw_os_error()) => {
            " (a script needs a first line like #!/bin/sh)"
        }
        _ => "",
    };
    format!("{}: {program}{hint}", words(error))
}

/// The operating system's reason as part of a sentence: `no such file or directory`.
pub(super) fn words(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_lowercase().chain(chars).collect())
}
