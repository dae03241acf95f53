//! The exit status of a command.

/// How a command ended, as an exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ExitStatus {
    /// Everything succeeded.
    Success,
    /// A job did not succeed, nothing matches, something needs attention, or the output can't be written.
    JobFailed,
    /// The arguments or the file are invalid.
    Usage,
    /// The store can't be used.
    Store,
    /// The command was interrupted by a signal.
    Interrupted,
    /// The exit code of the job that the command ran.
    OfJob(u8),
}

impl ExitStatus {
    /// The number that the process exits with.
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::JobFailed => 1,
            Self::Usage => 2,
            Self::Store => 3,
            Self::Interrupted => 130,
            Self::OfJob(code) => code,
        }
    }
}
