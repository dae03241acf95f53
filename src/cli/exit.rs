//! The exit status of a command.

/// How a command ended, as an exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ExitStatus {
    /// Everything succeeded.
    Success = 0,
    /// A job did not succeed, or the output can't be written.
    JobFailed = 1,
    /// The arguments or the file are invalid.
    Usage = 2,
    /// The store can't be used.
    Store = 3,
    /// The command was interrupted by a signal.
    Interrupted = 130,
}
