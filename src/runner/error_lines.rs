//! Reads the cause of a failure from the last lines that a program printed to standard error.
//!
//! Only the last line that says something counts: what a program printed earlier, it may have dealt with. Lines that
//! follow a message as part of a report, such as a stack trace or the summary of `make`, are skipped. The patterns are
//! those of the C library, of shells and of the runtimes of common languages, and match at fixed places in the line.

use crate::model::CauseKind;

/// What the last lines say.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ErrorMessage<'l> {
    /// The kind of cause, if the line says it.
    pub(super) kind: Option<CauseKind>,
    /// The line.
    pub(super) line: &'l str,
}

/// How many lines are skipped at most.
const MAX_SKIPPED_LINES: usize = 60;

/// Lines that end a report and don't say what happened.
const REPORT_ENDS: [&str; 18] = [
    "make: *** ",
    "make: Leaving directory",
    "make[",
    "gmake: *** ",
    "ninja: build stopped",
    "error: Recipe `",
    "npm ERR!",
    "npm error",
    "tar: Error is not recoverable",
    "tar: Exiting with failure status",
    "rsync error: ",
    "rsync: connection unexpectedly closed",
    "fatal: Could not read from remote repository.",
    "Please make sure you have the correct access rights",
    "and the repository exists.",
    "note: run with `RUST_BACKTRACE=1`",
    "Node.js v",
    "collect2: error: ",
];

/// Reports that end a program wherever they stand, because much follows them.
const FATAL_REPORTS: [(&str, &str, CauseKind); 5] = [
    ("FATAL ERROR: ", "JavaScript heap out of memory", CauseKind::OutOfMemory),
    ("fatal error: runtime: out of memory", "", CauseKind::OutOfMemory),
    ("fatal error: runtime: cannot allocate memory", "", CauseKind::OutOfMemory),
    ("runtime: failed to create new OS thread", "", CauseKind::ProcessLimit),
    ("# There is insufficient memory for the Java Runtime Environment to continue.", "", CauseKind::OutOfMemory),
];

/// An error of the system, as programs print it.
struct SystemError {
    /// The text of the C library, with which the line ends.
    text: &'static str,
    /// Its number and name.
    number: u32,
    name: &'static str,
    kind: CauseKind,
}

const SYSTEM_ERRORS: [SystemError; 9] = [
    SystemError::new("No space left on device", 28, "ENOSPC", CauseKind::DiskFull),
    SystemError::new("Disk quota exceeded", 122, "EDQUOT", CauseKind::DiskFull),
    SystemError::new("File too large", 27, "EFBIG", CauseKind::FileSizeLimit),
    SystemError::new("Too many open files", 24, "EMFILE", CauseKind::OpenFilesLimit),
    SystemError::new("Too many open files in system", 23, "ENFILE", CauseKind::OpenFilesLimit),
    SystemError::new("Cannot allocate memory", 12, "ENOMEM", CauseKind::OutOfMemory),
    SystemError::new("Permission denied", 13, "EACCES", CauseKind::PermissionDenied),
    SystemError::new("Operation not permitted", 1, "EPERM", CauseKind::PermissionDenied),
    SystemError::new("Name or service not known", u32::MAX, "ENOTFOUND", CauseKind::NameNotResolved),
];

/// How a line ends that says that the memory is used up, in lower case.
const MEMORY_ENDINGS: [&str; 6] = [
    ": memory exhausted",
    ": out of memory",
    ": virtual memory exhausted",
    "std::bad_alloc'",
    "(nomemoryerror)",
    "java.lang.outofmemoryerror: java heap space",
];

/// How a line ends that says that a name was not resolved.
const NAME_ENDINGS: [&str; 5] = [
    ": Temporary failure in name resolution",
    ": No address associated with hostname",
    ": nodename nor servname provided, or not known",
    ": no such host",
    "] Temporary failure in name resolution",
];

/// What a line contains that says that a name was not resolved, directly before the name.
const NAME_PHRASES: [&str; 9] = [
    "Could not resolve host: ",
    "ssh: Could not resolve hostname ",
    "wget: unable to resolve host address ",
    "Error: getaddrinfo ENOTFOUND ",
    "Error: getaddrinfo EAI_AGAIN ",
    "java.net.UnknownHostException: ",
    "could not translate host name ",
    "failed to lookup address information: ",
    "Temporary failure resolving ",
];

/// What a line contains that says that no process or thread could be started.
const PROCESS_PHRASES: [&str; 9] = [
    "fork: retry: Resource temporarily unavailable",
    "fork: Resource temporarily unavailable",
    "an't fork: Resource temporarily unavailable",
    "fork failed: Resource temporarily unavailable",
    "RuntimeError: can't start new thread",
    "unable to create native thread",
    "failed to spawn thread: Os { code: 11",
    "pthread_create failed: Resource temporarily unavailable",
    "Cannot fork",
];

impl SystemError {
    const fn new(text: &'static str, number: u32, name: &'static str, kind: CauseKind) -> Self {
        Self { text, number, name, kind }
    }

    /// Whether a line ends with this error, or reports it as a language's runtime does.
    fn is_in(&self, line: &str) -> bool {
        let Self { text, number, name, .. } = self;
        let ends_so = line.strip_suffix('.').unwrap_or(line).len().checked_sub(text.len()).is_some_and(|start| {
            let end = line.get(start..start + text.len());
            end.is_some_and(|end| end.eq_ignore_ascii_case(text)) && (start == 0 || line[..start].ends_with(": "))
        });
        ends_so
            || line.contains(&format!("[Errno {number}] "))
            || line.contains(&format!("(Errno::{name})"))
            || line.contains(&format!("(os error {number})"))
            || line.contains(&format!("Os {{ code: {number},"))
            || line.starts_with(&format!("Error: {name}: "))
            || line.contains(&format!(": {text} ("))
            || (line.contains(&format!(": {text} at ")) && line.contains(" line "))
    }
}

/// Finds the last line that says something, and what it says.
pub(super) fn last_message(lines: &[String]) -> Option<ErrorMessage<'_>> {
    let fatal = lines.iter().rev().find_map(|line| {
        let report = FATAL_REPORTS.iter().find(|(start, within, _)| line.starts_with(start) && line.contains(within));
        report.map(|(.., kind)| ErrorMessage { kind: Some(*kind), line })
    });
    let is_message = |line: &&String| !is_report_part(line);
    let found = || lines.iter().rev().take(MAX_SKIPPED_LINES).find(is_message).or_else(|| lines.last());
    fatal.or_else(|| found().map(|line| ErrorMessage { kind: kind_of(line), line: line.trim_start() }))
}

/// Whether a line belongs to a report whose first lines say what happened.
fn is_report_part(line: &str) -> bool {
    let is_statistic = || {
        // The counts of dd: `1+0 records in`, `512 bytes copied, 0.01 s, 51 kB/s`.
        (line.ends_with(" records in") || line.ends_with(" records out") || line.contains(" copied, "))
            && line.starts_with(|first: char| first.is_ascii_digit())
    };
    line.starts_with([' ', '}', ']'])
        || REPORT_ENDS.iter().any(|start| line.starts_with(start) && !line.contains("fork"))
        || is_statistic()
}

/// The kind of cause that a line says.
fn kind_of(line: &str) -> Option<CauseKind> {
    // Limits on watches have the same texts as a full disk and as open files, GPUs and locks have memory of their own.
    if ["inotify", "watchers", "CUDA", "mlock"].iter().any(|other| line.contains(other)) {
        return None;
    }
    if PROCESS_PHRASES.iter().any(|phrase| line.contains(phrase)) {
        return Some(CauseKind::ProcessLimit);
    }
    let lower = line.to_ascii_lowercase();
    if is_out_of_memory(line, &lower) {
        return Some(CauseKind::OutOfMemory);
    }
    let is_unresolved = NAME_PHRASES.iter().any(|phrase| line.contains(phrase))
        || NAME_ENDINGS.iter().any(|end| line.ends_with(end))
        || line.contains("socket.gaierror: [Errno -");
    if is_unresolved {
        return Some(CauseKind::NameNotResolved);
    }
    SYSTEM_ERRORS.iter().find(|error| error.is_in(line)).map(|error| error.kind)
}

fn is_out_of_memory(line: &str, lower: &str) -> bool {
    let is_allocation = || {
        let size = line.strip_prefix("memory allocation of ").and_then(|rest| rest.strip_suffix(" bytes failed"));
        size.is_some_and(|size| size.bytes().all(|digit| digit.is_ascii_digit()))
    };
    line == "MemoryError"
        || line.starts_with("MemoryError: ")
        || line.contains("MemoryError: Unable to allocate ")
        || (line.starts_with("Out of memory") && (line.ends_with('!') || line.contains(" in perl:")))
        || line.contains(": xmalloc: cannot allocate ")
        || line.contains(": xrealloc: cannot allocate ")
        || line.contains(": memory exhausted by ")
        || MEMORY_ENDINGS.iter().any(|end| lower.ends_with(end))
        || is_allocation()
}

/// The command that a shell or `env` did not find, from the last line of a program that ended with exit code 127.
pub(super) fn command_not_found(line: &str) -> Option<&str> {
    if let Some(name) = line.strip_suffix(": command not found").or_else(|| line.strip_suffix(": not found")) {
        // `sh: 1: NAME`, `bash: line 1: NAME`
        return name.rsplit(": ").next();
    }
    if let Some((_, name)) = line.split_once(": command not found: ") {
        return Some(name);
    }
    if let Some(name) = line.strip_prefix("fish: Unknown command: ") {
        return Some(name);
    }
    let program = line.strip_suffix(": No such file or directory")?;
    let (shell, name) = program.split_once(": ")?;
    let name = name.rsplit(": ").next()?;
    let is_env = shell == "env" || shell.ends_with("/env");
    is_env.then(|| name.trim_matches(['‘', '’', '\'']))
}

/// The file that a shell found but could not execute, from the last line of a program that ended with exit code 126 or 127.
pub(super) fn command_not_executed(line: &str) -> Option<&str> {
    const REASONS: [&str; 6] = [
        ": Permission denied",
        ": permission denied",
        ": Is a directory",
        ": is a directory",
        ": cannot execute: required file not found",
        ": Exec format error",
    ];
    let command = REASONS.iter().find_map(|reason| line.strip_suffix(reason)).or_else(|| {
        let bad = line.split_once(": bad interpreter: ").map(|(command, _)| command.rsplit_once(": "));
        bad.flatten().map(|(command, _)| command)
    })?;
    command.rsplit(": ").next()
}

/// The signal that ended a command of a shell, as the shell says it on its last line, for exit code 128 plus that signal.
pub(super) fn is_shell_report(line: &str, signal: i32) -> bool {
    let words = match signal {
        4 => "Illegal instruction",
        6 => "Aborted",
        7 => "Bus error",
        8 => "Floating point exception",
        9 => "Killed",
        11 => "Segmentation fault",
        15 => "Terminated",
        24 => "CPU time limit exceeded",
        25 => "File size limit exceeded",
        _ => return false,
    };
    let line = line.strip_suffix(" (core dumped)").unwrap_or(line).trim_end();
    // dash prints the words alone, bash with the process and the command: `bash: line 1:  123 Killed   make`.
    line == words || line.contains(&format!(" {words} ")) || (line.ends_with(words) && line.contains(": line "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> Option<(Option<CauseKind>, String)> {
        let lines: Vec<String> = text.lines().map(str::to_owned).filter(|line| !line.is_empty()).collect();
        last_message(&lines).map(|message| (message.kind, message.line.to_owned()))
    }

    #[track_caller]
    fn check(text: &str, kind: CauseKind) {
        assert_eq!(message(text).and_then(|message| message.0), Some(kind), "{text}");
    }

    #[test]
    fn programs_say_what_they_lack() {
        for text in [
            "cp: error writing 'x': No space left on device",
            "OSError: [Errno 28] No space left on device: 'x'",
            "x.rb:1:in `initialize': No space left on device @ rb_sysopen - f (Errno::ENOSPC)\n\tfrom x.rb:1:in `<main>'"
                .replace('\t', "    ")
                .as_str(),
            "Error: ENOSPC: no space left on device, write\n    at main (x.js:1)\n}\n\nNode.js v20.1.0",
            "Can't write x: No space left on device at - line 1.",
            "java.io.IOException: No space left on device\n    at java.base/java.io.FileOutputStream",
            "Error: Os { code: 28, kind: StorageFull, message: \"No space left on device\" }",
            "dd: error writing 'x': No space left on device\n1+0 records in\n0+0 records out\n0 bytes copied, 0.1 s, 0 B/s",
            "tar: x: Cannot write: No space left on device\ntar: Error is not recoverable: exiting now",
            "cp: 'x': Disk quota exceeded\nmake: *** [Makefile:2: all] Error 1",
        ] {
            check(text, CauseKind::DiskFull);
        }
        for text in [
            "sort: memory exhausted",
            "Traceback (most recent call last):\n  File \"x\", line 1\nMemoryError",
            "numpy._core._exceptions._ArrayMemoryError: Unable to allocate 8.00 GiB for an array",
            "terminate called after throwing an instance of 'std::bad_alloc'\n  what():  std::bad_alloc",
            "memory allocation of 8589934592 bytes failed",
            "FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory\n----- Native stack trace\n1: x",
            "fatal error: runtime: out of memory\n\nruntime stack:\nruntime.throw()\nmain.main()\nexit status 2",
            "Exception in thread \"main\" java.lang.OutOfMemoryError: Java heap space\n    at X.main(X.java:1)",
            "OSError: [Errno 12] Cannot allocate memory",
            "bash: xrealloc: cannot allocate 18446744071562067968 bytes",
            "Out of memory!",
        ] {
            check(text, CauseKind::OutOfMemory);
        }
        for text in [
            "curl: (6) Could not resolve host: nowhere.invalid",
            "wget: unable to resolve host address ‘nowhere.invalid’",
            "fatal: unable to access 'https://nowhere.invalid/': Could not resolve host: nowhere.invalid",
            "ssh: Could not resolve hostname nowhere: Name or service not known\nfatal: Could not read from remote \
             repository.\n\nPlease make sure you have the correct access rights\nand the repository exists.",
            "socket.gaierror: [Errno -2] Name or service not known",
            "ping: nowhere.invalid: Name or service not known",
            "Error: getaddrinfo ENOTFOUND nowhere.invalid\n    at GetAddrInfoReqWrap\n  errno: -3008,\n}",
            "dial tcp: lookup nowhere.invalid: no such host",
        ] {
            check(text, CauseKind::NameNotResolved);
        }
        check("cat: x: Too many open files", CauseKind::OpenFilesLimit);
        check("open x: too many open files", CauseKind::OpenFilesLimit);
        check("OSError: [Errno 24] Too many open files: 'x'", CauseKind::OpenFilesLimit);
        check("bash: fork: retry: Resource temporarily unavailable", CauseKind::ProcessLimit);
        check("sh: 1: Cannot fork", CauseKind::ProcessLimit);
        check("java.lang.OutOfMemoryError: unable to create native thread: possibly", CauseKind::ProcessLimit);
        check("cat: /etc/shadow: Permission denied", CauseKind::PermissionDenied);
        check("user@host: Permission denied (publickey).", CauseKind::PermissionDenied);
        check("dd: error writing 'x': File too large\n0+0 records in", CauseKind::FileSizeLimit);
    }

    #[test]
    fn what_only_resembles_a_cause_is_a_plain_line() {
        for text in [
            "warning: Cannot allocate memory for a cache\nerror: test failed",
            "OSError: [Errno 12] Cannot allocate memory\nretrying\nassertion failed",
            "tests passed, except out of memory handling",
            "the docs say: \"No space left on device\" means a full disk, sometimes",
            "RuntimeError: CUDA out of memory. Tried to allocate 2.00 GiB",
            "Error: ENOSPC: System limit for number of file watchers reached, watch '/x'",
            "mlock: Cannot allocate memory",
            "error: out of memory budget for this test",
            "no memory leaks found",
            "BlockingIOError: [Errno 11] Resource temporarily unavailable",
            "E: Killed process 12",
        ] {
            let last = text.lines().last().unwrap();
            assert_eq!(message(text), Some((None, last.to_owned())), "{text}");
        }
    }

    #[test]
    fn the_last_line_is_the_message_if_all_lines_are_parts_of_a_report() {
        assert_eq!(message("make: *** [all] Error 2"), Some((None, "make: *** [all] Error 2".to_owned())));
        assert_eq!(message(""), None);
    }

    #[test]
    fn shells_name_the_command() {
        for (line, name) in [
            ("sh: 1: foo: not found", Some("foo")),
            ("bash: line 1: foo: command not found", Some("foo")),
            ("zsh:1: command not found: foo", Some("foo")),
            ("fish: Unknown command: foo", Some("foo")),
            ("env: ‘foo’: No such file or directory", Some("foo")),
            ("/usr/bin/env: 'foo': No such file or directory", Some("foo")),
            ("cat: foo: No such file or directory", None),
        ] {
            assert_eq!(command_not_found(line), name, "{line}");
        }
        for (line, name) in [
            ("sh: 1: ./x: Permission denied", Some("./x")),
            ("bash: line 1: ./x: cannot execute: required file not found", Some("./x")),
            ("bash: ./x: /nope: bad interpreter: No such file or directory", Some("./x")),
            ("bash: line 1: /tmp: Is a directory", Some("/tmp")),
            ("cat: x", None),
        ] {
            assert_eq!(command_not_executed(line), name, "{line}");
        }
        assert!(is_shell_report("Killed", 9) && is_shell_report("bash: line 1:  123 Killed   make", 9));
        assert!(is_shell_report("Segmentation fault (core dumped)", 11));
        assert!(!is_shell_report("Killed process", 9) && !is_shell_report("Terminated", 9));
    }
}
