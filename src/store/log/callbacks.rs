//! Callbacks of readers and writers of logs, for stores that keep output elsewhere too.

use std::fmt::{self, Debug, Formatter};
use std::sync::Arc;

/// What has happened to a log that is being written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum LogProgress {
    /// Output was written.
    Grown,
    /// The log is finished.
    Finished,
}

/// Called by the writer of a log.
pub(in crate::store) struct ProgressFn(Box<dyn Fn(LogProgress) + Send + Sync>);

impl ProgressFn {
    pub(in crate::store) fn new(callback: impl Fn(LogProgress) + Send + Sync + 'static) -> Self {
        Self(Box::new(callback))
    }

    pub(super) fn call(&self, progress: LogProgress) {
        (self.0)(progress);
    }
}

impl Debug for ProgressFn {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("ProgressFn")
    }
}

/// What a reader of a log needs of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Fetch {
    /// What there is; more of it is fetched while it is read.
    Start,
    /// Everything until now, because the run has ended.
    Rest,
    /// The result of its hook.
    HookResult,
}

/// Called by a reader of a log before it reads, so that the log is fetched. Cheap after the first call.
#[derive(Clone)]
pub(in crate::store) struct FetchFn(Arc<dyn Fn(Fetch) + Send + Sync>);

impl FetchFn {
    pub(in crate::store) fn new(callback: impl Fn(Fetch) + Send + Sync + 'static) -> Self {
        Self(Arc::new(callback))
    }

    pub(super) fn call(&self, wanted: Fetch) {
        (self.0)(wanted);
    }
}

impl Debug for FetchFn {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("FetchFn")
    }
}
