//! Why a run failed, as far as there is evidence for it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a run failed. Found from evidence: how the process ended, the error of the operating system when it was started,
/// what it used, and the last lines that it printed to standard error. Where these don't tell, there is none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// The kind of cause.
    pub kind: CauseKind,
    /// The limit that was reached, such as `4.0 GiB`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<String>,
    /// What is known beyond the kind, on one line: usually the line that the program printed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// Declares the kinds of causes with their names and titles.
macro_rules! cause_kinds {
    ($($(#[$doc:meta])* $kind:ident $name:literal $title:literal)*) => {
        /// The kinds of causes.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum CauseKind {
            $($(#[$doc])* $kind,)*
        }

        impl CauseKind {
            /// All kinds.
            pub const ALL: &[Self] = &[$(Self::$kind),*];

            /// The kind as one word, as stored, printed in JSON and passed to hooks.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)*
                }
            }

            /// The kind in words.
            pub fn title(self) -> &'static str {
                match self {
                    $(Self::$kind => $title,)*
                }
            }
        }
    };
}

cause_kinds! {
    /// `PATH` has no such program.
    CommandNotFound "command_not_found" "command not found"
    /// A file may not be used.
    PermissionDenied "permission_denied" "permission denied"
    /// The program is a file without permission to execute it, a folder, or in no executable format.
    NotExecutable "not_executable" "not executable"
    /// The interpreter that the first line of a script names is missing.
    BadInterpreter "bad_interpreter" "interpreter not found"
    /// The working directory is missing.
    FolderMissing "folder_missing" "working directory not found"
    /// The program could not be started for another reason.
    NotStarted "not_started" "not started"
    /// It exceeded its `timeout`.
    TimedOut "timed_out" "timed out"
    /// It printed nothing for longer than its `stall`.
    Stalled "stalled" "stalled"
    /// It needed more memory than its limit, or the machine, has.
    OutOfMemory "out_of_memory" "out of memory"
    /// A file system or a quota is full.
    DiskFull "disk_full" "disk full"
    /// A file would have exceeded the limit on its size.
    FileSizeLimit "file_size_limit" "file too large"
    /// It opened more files than it may.
    OpenFilesLimit "open_files_limit" "too many open files"
    /// It started more processes or threads than it may.
    ProcessLimit "process_limit" "too many processes"
    /// It used more processor time than it may.
    CpuTimeLimit "cpu_time_limit" "processor time used up"
    /// The name of a host was not resolved.
    NameNotResolved "name_not_resolved" "network name not resolved"
    /// It ended itself by a signal that reports a fault, such as a segmentation fault.
    Crashed "crashed" "crashed"
    /// It got a signal that Setlist did not send.
    Killed "killed" "killed"
    /// It was stopped on request.
    StopRequested "stop_requested" "stopped on request"
    /// Its worker was stopped.
    WorkerStopped "worker_stopped" "its worker was stopped"
    /// It exited with a code that means failure.
    Exited "exited" "last error"
}

impl Cause {
    /// A cause without a limit.
    pub fn new(kind: CauseKind, detail: impl Into<String>) -> Self {
        Self { kind, limit: None, detail: detail.into() }
    }

    /// Adds the limit that was reached.
    #[must_use]
    pub fn with_limit(mut self, limit: Option<String>) -> Self {
        self.limit = limit;
        self
    }

    /// Whether it says anything beyond the outcome and the message of the failure.
    pub fn is_informative(&self) -> bool {
        !self.detail.is_empty() || self.is_specific()
    }

    /// What usually helps, as a sentence; none if only the job's own output can tell.
    pub fn advice(&self) -> Option<&'static str> {
        Some(match self.kind {
            CauseKind::CommandNotFound => "Install the program, or correct its name or PATH (`env`).",
            CauseKind::PermissionDenied => "Give the user of this site access to the file.",
            CauseKind::NotExecutable => {
                "Make the file executable with chmod +x, or name its interpreter in the command."
            }
            CauseKind::BadInterpreter => "Correct the first line of the script, or install its interpreter.",
            CauseKind::FolderMissing => "Create the folder, or correct `cwd`.",
            CauseKind::TimedOut => "Raise `timeout`, if the job needs longer.",
            CauseKind::Stalled => "Raise `stall`, if the job is silent for longer.",
            CauseKind::OutOfMemory if self.limit.is_some() => "Raise `limits.memory`, if the job needs more.",
            CauseKind::OutOfMemory => "Run fewer jobs at a time (`parallel`, `weight`), or give the job more memory.",
            CauseKind::DiskFull => "Free space, then run the job again.",
            CauseKind::FileSizeLimit => "Raise the limit on the size of files (ulimit -f).",
            CauseKind::OpenFilesLimit => "Raise `limits.open_files`, or ulimit -n where the job is requested.",
            CauseKind::ProcessLimit => "Raise `limits.processes`, or run fewer jobs at a time (`parallel`).",
            CauseKind::CpuTimeLimit => "Raise `limits.cpu_time`, if the job needs more.",
            CauseKind::NameNotResolved => "Check the network and the name of the host, then run the job again.",
            CauseKind::Killed | CauseKind::WorkerStopped => "Run the job again.",
            CauseKind::NotStarted | CauseKind::Crashed | CauseKind::Exited | CauseKind::StopRequested => return None,
        })
    }

    /// The field of the job in `jobs.yaml` whose change usually helps, as the names of a path; none if no field does.
    pub fn field_to_fix(&self) -> Option<&'static [&'static str]> {
        Some(match self.kind {
            CauseKind::CommandNotFound | CauseKind::NotExecutable | CauseKind::BadInterpreter => &["command"],
            CauseKind::FolderMissing => &["cwd"],
            CauseKind::TimedOut => &["timeout"],
            CauseKind::Stalled => &["stall"],
            CauseKind::OutOfMemory if self.limit.is_some() => &["limits", "memory"],
            CauseKind::FileSizeLimit if self.limit.is_some() => &["limits", "file_size"],
            CauseKind::OpenFilesLimit => &["limits", "open_files"],
            CauseKind::ProcessLimit if self.limit.is_some() => &["limits", "processes"],
            CauseKind::CpuTimeLimit if self.limit.is_some() => &["limits", "cpu_time"],
            _ => return None,
        })
    }

    /// Whether it says more about a run than the message of its failure, which names exit codes, signals and timeouts.
    pub fn is_specific(&self) -> bool {
        !matches!(
            self.kind,
            CauseKind::NotStarted | CauseKind::TimedOut | CauseKind::Crashed | CauseKind::Killed | CauseKind::Exited
        )
    }
}

impl fmt::Display for Cause {
    /// `out of memory (limit 4.0 GiB): sort: memory exhausted`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.kind == CauseKind::Exited && self.detail.is_empty() {
            return f.write_str("no error message");
        }
        f.write_str(self.kind.title())?;
        if let Some(limit) = &self.limit {
            write!(f, " (limit {limit})")?;
        }
        if !self.detail.is_empty() {
            write!(f, ": {}", self.detail)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_reads_as_a_sentence() {
        let cause = Cause::new(CauseKind::OutOfMemory, "sort: memory exhausted");
        assert_eq!(cause.to_string(), "out of memory: sort: memory exhausted");
        let cause = Cause::new(CauseKind::OutOfMemory, "").with_limit(Some("4.0 GiB".to_owned()));
        assert_eq!(cause.to_string(), "out of memory (limit 4.0 GiB)");
    }

    #[test]
    fn names_are_those_that_are_stored() {
        for kind in CauseKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
    }
}
