//! Events: what has happened to a site. Each is decided once, then applied to the stored rows and to every copy.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    Approval, Definition, DueRecord, EnvironmentId, ExpectationState, Job, JobId, Overdue, Phase, PoolSizes, QueueId,
    QueueMode, QueueSettings, RequestInputs, Reservation, ResolvedNeed, Run, RunId, RunReport, ScheduleState,
    ScheduleTarget, Snapshot, StopSignal, WaitConditions, WorkerId, WorkerInfo,
};

/// An event with its sequence number and time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventRecord {
    /// Its sequence number in the site: 1 for the first event, without gaps or repeats.
    pub seq: u64,
    /// When the event was decided.
    pub at: DateTime<Utc>,
    /// The event itself.
    pub event: Event,
}

/// One change to a site.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the doc of each variant describes its fields")]
pub enum Event {
    /// A queue was created, or its settings changed.
    QueueDefined { queue: QueueId, settings: QueueSettings },
    /// The mode of a queue changed.
    ModeChanged { queue: QueueId, mode: QueueMode },
    /// A job was added.
    Added { job: Box<Job> },
    /// A job's definition changed.
    Redefined { job: JobId, definition: Arc<Definition>, needs: Box<[ResolvedNeed]> },
    /// A job became pending again, or was `requested` to run now.
    #[serde(rename = "reopened")]
    Requeued {
        job: JobId,
        #[serde(rename = "asked")]
        requested: bool,
        wait: WaitConditions,
    },
    /// A user with this environment has requested a job.
    JobRequested {
        job: JobId,
        environment: EnvironmentId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        inputs: Option<Arc<RequestInputs>>,
    },
    /// A user with this environment has requested that a queue is processed.
    QueueRequested {
        queue: QueueId,
        environment: EnvironmentId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        inputs: Option<Arc<RequestInputs>>,
    },
    /// What a pending job waits for changed: a needed job finished, or it became due.
    #[serde(rename = "waits")]
    WaitChanged { job: JobId, wait: WaitConditions },
    /// A job moved within its queue.
    Moved { job: JobId, position: i64 },
    /// A run of a job started.
    Started { job: JobId, run: Run },
    /// A stop of a running job was requested.
    #[serde(rename = "stop_asked")]
    StopRequested { job: JobId, run: RunId, stop: StopSignal },
    /// A run ended; `after_run` says what happens to the job.
    Ended {
        job: JobId,
        run: RunId,
        report: RunReport,
        #[serde(rename = "then")]
        after_run: AfterRun,
    },
    /// A pending job was approved, or refused, which cancels it.
    Approved { job: JobId, approval: Approval },
    /// A pending job was cancelled.
    Cancelled { job: JobId },
    /// A pending job was skipped: a job that it needs did not finish as required.
    Skipped { job: JobId, reason: String },
    /// A job was removed from its queue; its record is kept.
    Removed {
        job: JobId,
        #[serde(rename = "by")]
        reason: RemovalReason,
    },
    /// A removed job was restored, in its queue or in another one.
    Restored { job: Box<Job> },
    /// A worker joined the site.
    WorkerJoined { worker: WorkerInfo },
    /// The reservations of a worker were replaced by these. A reservation ends when its job starts.
    Reserved { worker: WorkerId, jobs: Vec<Reservation> },
    /// A worker starts no more jobs, and leaves when those that it runs have ended.
    WorkerDraining { worker: WorkerId },
    /// A worker left, or was found dead.
    WorkerLeft { worker: WorkerId },
    /// A schedule was added or changed, or its due times were decided up to a later one.
    ScheduleChanged { state: Box<ScheduleState> },
    /// A schedule was removed. The records of its due times are kept.
    ScheduleEnded { target: ScheduleTarget },
    /// Due times were decided.
    DueRecorded { target: ScheduleTarget, records: Vec<DueRecord> },
    /// The clock was set back: the records of due times after this one are deleted, except those of runs.
    DueWithdrawn { target: ScheduleTarget, after: DateTime<Utc> },
    /// The pools of the site and their sizes were replaced by these.
    PoolsDefined { pools: PoolSizes },
    /// An expectation was added or changed, was met, or its expected times were decided up to a later one.
    ExpectationChanged { state: Box<ExpectationState> },
    /// An expectation was removed.
    ExpectationEnded { target: ScheduleTarget },
    /// An expected time has come without a success. The worker that has decided this runs the hook if `runs_hook`.
    Overdue { target: ScheduleTarget, overdue: Overdue, runs_hook: bool },
    /// A run has printed nothing since this time, for longer than it may; or, without a time, has printed again.
    StallChanged { job: JobId, run: RunId, since: Option<DateTime<Utc>> },
    /// The files that the current or else the next run of a job, and its retries, run on were recorded.
    SnapshotTaken { job: JobId, snapshot: Arc<Snapshot> },
    /// This version of `jobs.yaml` was applied. An empty version means that a running job still has to change, so that
    /// no version is fully applied.
    #[serde(rename = "file_read")]
    FileApplied {
        #[serde(rename = "stamp")]
        file_version: String,
    },
}

/// What happens to a job after its run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AfterRun {
    /// It finishes.
    Finish,
    /// It stays pending in its place, and its queue stops (`on_failure: stop`).
    #[serde(rename = "stay")]
    StayPending,
    /// It is retried, not before this time.
    Retry {
        /// When.
        at: DateTime<Utc>,
    },
}

/// Why a job was removed from its queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RemovalReason {
    /// A user removed it. It stays removed until its entry in `jobs.yaml` changes.
    #[serde(rename = "hand")]
    User,
    /// Its entry was removed from `jobs.yaml`. It returns when the entry does.
    #[serde(rename = "file")]
    NotInFile,
    /// It finished longer ago than its queue's retention.
    #[serde(rename = "age")]
    Expired,
}

impl Event {
    /// The job that it makes pending.
    pub(super) fn made_pending(&self) -> Option<JobId> {
        match self {
            Self::Added { job } | Self::Restored { job } => (job.phase() == Phase::Pending).then_some(job.id),
            Self::Requeued { job, .. } => Some(*job),
            _ => None,
        }
    }

    /// Whether it only notes that a finished job has no entry in the file any more.
    pub fn is_removal_from_file(&self) -> bool {
        matches!(self, Self::Redefined { definition, .. } if definition.is_removed_from_file)
    }

    /// The job that the event changes, if it exists already.
    pub fn job(&self) -> Option<JobId> {
        match self {
            Self::Redefined { job, .. }
            | Self::Requeued { job, .. }
            | Self::JobRequested { job, .. }
            | Self::WaitChanged { job, .. }
            | Self::Moved { job, .. }
            | Self::Started { job, .. }
            | Self::StopRequested { job, .. }
            | Self::StallChanged { job, .. }
            | Self::SnapshotTaken { job, .. }
            | Self::Ended { job, .. }
            | Self::Approved { job, .. }
            | Self::Cancelled { job }
            | Self::Skipped { job, .. }
            | Self::Removed { job, .. } => Some(*job),
            _ => None,
        }
    }
}
