//! The messages that other threads send to a worker.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::Sender;

use chrono::{DateTime, Utc};

use crate::definition;
use crate::model::{DesiredState, JobId, ObservedFiles, RunId, RunReport, Snapshot};
use crate::runner::{ObserveError, Waker, Worktree};

/// How urgently a worker shuts down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shutdown {
    /// Start nothing more and send TERM to the running jobs.
    Graceful,
    /// Send KILL to the running jobs.
    Immediate,
}

/// A message to a worker's event loop.
pub(super) enum WorkerMessage {
    /// The site may have changed.
    SiteChanged,
    /// `jobs.yaml` was saved and read.
    FileRead(Result<DesiredState, definition::Error>),
    /// Files have arrived, or have gone, that define jobs.
    ItemsChanged,
    /// The process of a run has ended.
    RunEnded(JobId, RunId, RunReport),
    /// A condition of a run has ended; the last line that it printed.
    ConditionEnded(JobId, RunId, RunReport, String),
    /// The sources and outputs of the job of a run were observed.
    FilesObserved(RunId, Result<ObservedFiles, ObserveError>),
    /// The snapshot of a run was checked out.
    SnapshotCheckedOut(RunId, Result<Worktree, String>),
    /// A snapshot was made for these jobs, whose time has come.
    SnapshotTaken(Vec<JobId>, Result<Snapshot, String>),
    /// A run has printed nothing since this time, for longer than it may; or, without a time, prints again.
    StallChanged(JobId, RunId, Option<DateTime<Utc>>),
    /// The hook in this slot has ended; the last line that it printed.
    HookEnded(usize, RunReport, String),
    /// Another worker of this machine has died.
    PeerDied,
    /// Shut down.
    Shutdown(Shutdown),
    /// Suspend the process (SIGTSTP).
    Suspend,
}

/// Sends messages to a worker and wakes it.
#[derive(Clone)]
pub(super) struct MessageSender {
    /// The channel alone, for callers on the worker's own thread.
    pub(super) channel: Sender<WorkerMessage>,
    pub(super) waker: Waker,
    /// This process has received SIGINT. Set by the handler, before the message can arrive.
    pub(super) interrupted: Arc<AtomicBool>,
}

impl MessageSender {
    pub(super) fn send(&self, message: WorkerMessage) {
        // Fails if the worker has already exited.
        if self.channel.send(message).is_ok() {
            self.waker.wake();
        }
    }
}
