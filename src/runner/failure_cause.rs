//! Finds out why a run failed: from how its process ended, what it used, and what it printed last.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use signal_hook::consts::{
    SIGABRT, SIGALRM, SIGBUS, SIGFPE, SIGILL, SIGKILL, SIGPIPE, SIGPROF, SIGSEGV, SIGSYS, SIGTRAP, SIGVTALRM, SIGXCPU,
    SIGXFSZ,
};

use super::error_lines::{command_not_executed, command_not_found, is_shell_report, last_message};
use super::launch::Launch;
use super::limits::CPU_GRACE;
use super::oom_evidence::OomKill;
use super::program_cache::search_path;
use super::variables::resolve_variables;
use crate::model::{Cause, CauseKind, Exit, Failure, FailureKind, Interpreter, Program, Script, Usage};
use crate::text;

/// How much of a line becomes part of a cause, in cells.
const MAX_LINE_WIDTH: usize = 300;
/// How much of a PATH becomes part of a cause, in cells.
const MAX_PATH_WIDTH: usize = 500;
/// How much of the first line of a script is read, in bytes.
const MAX_FIRST_LINE_BYTES: u64 = 256;

/// What shells add to the number of the signal that ended a command.
const SHELL_SIGNAL_BASE: i32 = 128;

/// What is known about a run that failed.
pub(super) struct Evidence<'e> {
    pub(super) launch: &'e Launch,
    pub(super) script: &'e Script,
    pub(super) failure: &'e Failure,
    pub(super) exit: Option<Exit>,
    pub(super) usage: Option<&'e Usage>,
    /// The id that its root process had.
    pub(super) pid: i32,
    /// The last lines of standard error.
    pub(super) lines: &'e [String],
    /// Whether the kernel killed a process of the run for memory; with the id of that process, if it is known.
    pub(super) find_oom_kill: &'e dyn Fn(Option<i32>) -> Option<OomKill>,
}

/// The name of a signal, such as `SIGTERM`.
pub(super) fn signal_name(number: i32) -> String {
    signal_hook::low_level::signal_name(number).map_or_else(|| format!("signal {number}"), str::to_owned)
}

/// The cause of a stop on request, with the signal that ended the process.
pub(super) fn stop_cause(exit: Option<Exit>) -> Cause {
    let signal = if let Some(Exit::Signal(number)) = exit { signal_name(number) } else { String::new() };
    Cause::new(CauseKind::StopRequested, signal)
}

impl Evidence<'_> {
    /// The cause, if the evidence tells.
    pub(super) fn find_cause(&self) -> Option<Cause> {
        let cause = self.find_kind()?;
        let limit = if cause.limit.is_some() { cause.limit.clone() } else { self.limit_of(&cause) };
        Some(cause.with_limit(limit))
    }

    /// The limit of the job that a process has reached.
    fn limit_of(&self, cause: &Cause) -> Option<String> {
        let limits = &self.script.exec.limits;
        let size = |bytes: u64| text::bytes(bytes).replace(".0 ", " ");
        match cause.kind {
            // A process that the kernel killed has not reached a limit of its own.
            CauseKind::OutOfMemory if !OomKill::is_description(&cause.detail) => limits.memory.map(size),
            CauseKind::CpuTimeLimit => limits.cpu_time.map(text::exact_duration),
            CauseKind::OpenFilesLimit => limits.open_files.map(|count| count.to_string()),
            CauseKind::ProcessLimit => limits.processes.map(|count| count.to_string()),
            CauseKind::FileSizeLimit => limits.file_size.map(size),
            _ => None,
        }
    }

    fn find_kind(&self) -> Option<Cause> {
        match (self.failure.kind, self.exit) {
            (FailureKind::Timeout, _) => {
                let timeout = self.script.exec.timeout.map(text::exact_duration);
                Some(Cause::new(CauseKind::TimedOut, "").with_limit(timeout))
            }
            (_, Some(Exit::Signal(number))) => self.signal_cause(number, None),
            (_, Some(Exit::Code(code))) => self.exit_cause(code),
            (_, None) => None,
        }
    }

    /// The cause of the end by a signal that Setlist did not send; `command` is the process of a shell that it ended.
    fn signal_cause(&self, number: i32, command: Option<ShellCommand>) -> Option<Cause> {
        let name = signal_name(number);
        let of_a_command = if command.is_some() { " to a command of the script" } else { "" };
        match number {
            SIGKILL => {
                let pid = command.map_or(Some(self.pid), |ShellCommand { pid }| pid);
                if let Some(kill) = (self.find_oom_kill)(pid) {
                    return Some(Cause::new(CauseKind::OutOfMemory, kill.describe()));
                }
                if self.has_used_up_cpu_time() {
                    return Some(Cause::new(CauseKind::CpuTimeLimit, ""));
                }
                Some(Cause::new(CauseKind::Killed, format!("{name}{of_a_command}, not sent by Setlist")))
            }
            SIGXCPU => Some(Cause::new(CauseKind::CpuTimeLimit, "")),
            SIGXFSZ => Some(Cause::new(CauseKind::FileSizeLimit, "")),
            SIGSEGV | SIGBUS | SIGILL | SIGFPE | SIGABRT | SIGSYS | SIGTRAP => {
                let message = last_message(self.lines).filter(|message| !is_shell_report(message.line, number));
                match message {
                    Some(message) if message.kind == Some(CauseKind::OutOfMemory) => {
                        Some(Cause::new(CauseKind::OutOfMemory, shorten(message.line)))
                    }
                    Some(message) => Some(Cause::new(CauseKind::Crashed, format!("{name}: {}", shorten(message.line)))),
                    None => Some(Cause::new(CauseKind::Crashed, name)),
                }
            }
            // A process gets these from itself or from its terminal, too.
            SIGPIPE | SIGALRM | SIGVTALRM | SIGPROF => None,
            _ => Some(Cause::new(CauseKind::Killed, format!("{name}{of_a_command}, not sent by Setlist"))),
        }
    }

    fn exit_cause(&self, code: i32) -> Option<Cause> {
        let last = self.lines.last().map(|line| line.trim_start());
        if let (126 | 127, Some(line)) = (code, last)
            && let Some(cause) = self.command_cause(code, line)
        {
            return Some(cause);
        }
        let signal = code - SHELL_SIGNAL_BASE;
        if let Some(line) = last.filter(|line| self.is_shell_script() && is_shell_report(line, signal)) {
            return self.signal_cause(signal, Some(ShellCommand::from_report(line)));
        }
        if self.is_unresolved_by_curl(code) {
            return Some(Cause::new(CauseKind::NameNotResolved, last.map(shorten).unwrap_or_default()));
        }
        let Some(message) = last_message(self.lines) else { return Some(Cause::new(CauseKind::Exited, "")) };
        Some(Cause::new(message.kind.unwrap_or(CauseKind::Exited), shorten(message.line)))
    }

    /// Why a shell could not execute a command.
    fn command_cause(&self, code: i32, line: &str) -> Option<Cause> {
        if let Some(name) = command_not_found(line).filter(|_| code == 127) {
            return Some(self.missing_command(name));
        }
        let name = command_not_executed(line)?;
        let path = self.launch.working_folder(self.script).join(name);
        if line.contains("interpreter") || line.ends_with(": cannot execute: required file not found") {
            return Some(bad_interpreter(name, &path));
        }
        Some(not_executed(name, &path))
    }

    /// The cause of a command that was not found: a script without its interpreter has the same error.
    fn missing_command(&self, name: &str) -> Cause {
        let path = self.launch.working_folder(self.script).join(name);
        if name.contains('/') {
            return if path.exists() {
                bad_interpreter(name, &path)
            } else {
                Cause::new(CauseKind::CommandNotFound, shorten(name))
            };
        }
        not_in_path(name, self.launch, self.script)
    }

    /// Whether the run has used more processor time than the hard limit, at which the kernel kills a process.
    fn has_used_up_cpu_time(&self) -> bool {
        let limit = self.script.exec.limits.cpu_time.map(|limit| limit.saturating_add(CPU_GRACE));
        self.usage.zip(limit).is_some_and(|(usage, limit)| usage.cpu() >= limit)
    }

    fn is_shell_script(&self) -> bool {
        let words = match &self.script.program {
            Program::Run { shell, .. } => shell.as_slice(),
            Program::Command(words) => words.as_slice(),
        };
        let interpreter = words.first().and_then(|program| Interpreter::from_program(program));
        matches!(interpreter, Some(Interpreter::Posix | Interpreter::Bash))
    }

    /// curl reports by its exit code that a name was not resolved, also with `--silent`.
    fn is_unresolved_by_curl(&self, code: i32) -> bool {
        const COULD_NOT_RESOLVE_HOST: i32 = 6;
        let program = match &self.script.program {
            Program::Command(words) => words.first().map(String::as_str),
            // Of a longer script, another command may have exited with this code.
            Program::Run { text, .. } if text.trim().contains(['\n', ';', '|', '&', '`', '(']) => None,
            Program::Run { text, .. } => text.split_whitespace().next().filter(|_| self.is_shell_script()),
        };
        let name = program.and_then(|program| program.rsplit('/').next());
        code == COULD_NOT_RESOLVE_HOST && name == Some("curl")
    }
}

/// A command of a shell script that was ended by a signal.
struct ShellCommand {
    /// Its id, if the shell printed it.
    pid: Option<i32>,
}

impl ShellCommand {
    /// Parses what bash prints: `bash: line 1:  123 Killed   make`.
    fn from_report(line: &str) -> Self {
        let after = line.split_once(": line ").and_then(|(_, rest)| rest.split_once(": "));
        Self { pid: after.and_then(|(_, rest)| rest.split_whitespace().next()?.parse().ok()) }
    }
}

/// The cause of a program that is not in the PATH of the job.
pub(super) fn not_in_path(name: &str, launch: &Launch, script: &Script) -> Cause {
    let variables = resolve_variables(&script.exec, launch);
    let path = variables.ok().and_then(|variables| search_path(&variables, launch));
    let searched = match path {
        Some(path) if !path.is_empty() => {
            let path = text::sanitize_line(&path.to_string_lossy());
            let mut known = HashSet::new();
            // A folder that is named twice is searched once.
            let folders: Vec<&str> = path.split(':').filter(|folder| known.insert(*folder)).collect();
            let path = folders.join(":");
            format!("searched {}", text::fit(&path, MAX_PATH_WIDTH, text::ELLIPSIS))
        }
        _ => "PATH is empty".to_owned(),
    };
    Cause::new(CauseKind::CommandNotFound, format!("{} ({searched})", shorten(name)))
}

/// The cause of a file that exists but could not be executed.
pub(super) fn not_executed(name: &str, path: &Path) -> Cause {
    let name = shorten(name);
    match path.metadata() {
        Ok(file) if file.is_dir() => Cause::new(CauseKind::NotExecutable, format!("{name} is a folder")),
        Ok(file) if file.permissions().mode() & 0o111 == 0 => {
            Cause::new(CauseKind::NotExecutable, format!("{name} (chmod +x makes it executable)"))
        }
        _ => Cause::new(CauseKind::PermissionDenied, name),
    }
}

/// The cause of a script whose interpreter is missing.
pub(super) fn bad_interpreter(name: &str, path: &Path) -> Cause {
    let name = shorten(name);
    Cause::new(
        CauseKind::BadInterpreter,
        match first_line(path) {
            Some(line) => format!("{} (first line of {name})", shorten(line.trim())),
            None => name,
        },
    )
}

/// The interpreter that a script names in its first line.
fn first_line(path: &Path) -> Option<String> {
    if !fs::metadata(path).ok()?.is_file() {
        return None;
    }
    let mut line = Vec::new();
    BufReader::new(File::open(path).ok()?.take(MAX_FIRST_LINE_BYTES)).read_until(b'\n', &mut line).ok()?;
    String::from_utf8_lossy(&line).strip_prefix("#!").map(str::to_owned)
}

fn shorten(line: &str) -> String {
    text::fit(&text::sanitize_line(line), MAX_LINE_WIDTH, text::ELLIPSIS).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bash_names_the_process_that_was_killed() {
        let pid = |line| ShellCommand::from_report(line).pid;
        assert_eq!(pid("bash: line 1:  123 Killed                  make"), Some(123));
        assert_eq!(pid("bash: line 12: 45 Segmentation fault      (core dumped) ./x"), Some(45));
        assert_eq!(pid("Killed"), None);
    }
}
