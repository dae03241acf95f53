//! Commands: requests to change a site.

use std::fmt;
use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{
    Definition, EnvironmentId, InputError, JobId, JobRef, OnFailure, Phase, PoolSizes, QueueId, QueueSettings,
    RequestInputs, RunId, RunReport, Snapshot, StopSignal, WorkerId, WorkerOptions,
};
use crate::stable_hash::stable_hash;

/// A request to change a site, decided once inside a transaction of the store.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the doc of each variant describes its fields")]
pub enum Command {
    /// Bring the site in line with its `jobs.yaml`.
    Reconcile(Box<DesiredState>),
    /// The same if this version of the file is in force: refused if another machine has published one meanwhile.
    ReplaceFile { in_force: Option<String>, plan: Box<DesiredState> },
    /// Create the queue unless it exists.
    EnsureQueue { queue: QueueId },
    /// Append jobs to a queue, which is created if missing. Names and digests are dropped: only jobs from `jobs.yaml`
    /// have them.
    Add { queue: QueueId, jobs: Vec<Arc<Definition>> },
    /// Execute a command on behalf of a user: the jobs that it requests run with this environment and these inputs.
    /// Refused if the inputs of their queue don't take these values. A job that is run again keeps those of its last run
    /// that are not given.
    Request { environment: EnvironmentId, inputs: Option<Arc<RequestInputs>>, command: Box<Command> },
    /// Execute a command only if these are still the values of these jobs.
    WithValues { values: Vec<ValueRead>, command: Box<Command> },
    /// Process a queue: attempt its pending jobs. A paused or stopped queue without pending jobs becomes idle.
    Process { queue: QueueId },
    /// Pause a queue: start no more jobs. Requests made before are withdrawn; a later request runs its job.
    Pause { queue: QueueId },
    /// Undo [`Command::Process`]: the queue becomes idle, and jobs that run may finish.
    StopProcessing { queue: QueueId },
    /// Run this job now, or again, whatever the mode and order of its queue. It still waits for its needs and for
    /// approval, unless `force` overrides these.
    Run { job: JobId, force: bool },
    /// Same for a job that has failed. Refused if it has not: another command may have retried it meanwhile.
    RunFailed { job: JobId, force: bool },
    /// Approve pending jobs that need approval before they run.
    Approve { jobs: Vec<JobId>, by: String },
    /// Refuse pending jobs that need approval: they are cancelled.
    Refuse { jobs: Vec<JobId>, by: String },
    /// Make a finished job pending again without requesting a run.
    Reset { job: JobId },
    /// Cancel a pending job, or stop a running one.
    Cancel { job: JobId, stop: StopSignal },
    /// Remove jobs from their queue. Their records are kept, so that [`Command::Restore`] can put them back.
    Remove { jobs: Vec<JobId> },
    /// Remove all jobs in one phase from a queue.
    Clear { queue: QueueId, phase: Phase },
    /// Remove finished jobs that are not in `jobs.yaml` and are older than their queue's retention.
    PruneFinished,
    /// Same for those of these jobs to which it applies, so that very many can be removed in several transactions.
    PruneJobs { jobs: Vec<JobId> },
    /// Move pending jobs directly before or after another job of the same queue and priority, in this order.
    Move { jobs: Vec<JobId>, placement: Placement },
    /// Move jobs that are not in `jobs.yaml` to the end of another queue, with their runs.
    Transfer { jobs: Vec<JobId>, queue: QueueId },
    /// Link a job that is not in `jobs.yaml` to the entry with this digest that is about to be written there, so that
    /// the next reconciliation matches the entry with this job instead of adding a new one.
    AdoptEntry { job: JobId, digest: i64 },
    /// Set how many jobs of a queue run at once, until the next change of `jobs.yaml` sets it again.
    SetParallel { queue: QueueId, parallel: NonZero<u32> },
    /// Set how many jobs of a queue run at once until this worker leaves or is reaped, or until [`Command::SetParallel`].
    OverrideParallel { worker: WorkerId, queue: QueueId, parallel: NonZero<u32> },
    /// Restore removed jobs as they were.
    Restore { jobs: Vec<JobId> },
    /// Register a worker process for these queues, or for all.
    Join { host: String, pid: u32, queues: Option<Vec<QueueId>>, options: WorkerOptions },
    /// Tell a worker to start no more jobs, and to leave when those that it runs have ended.
    Drain { worker: WorkerId },
    /// Promote jobs whose time has come, start what schedules have due, and decide what is overdue.
    PromoteDue,
    /// Shorten waits that are longer than the delay that caused them, because the clock was set back since.
    ShortenWaits,
    /// Start the next ready job of these queues, or of all.
    Claim { worker: WorkerId, queues: Option<Vec<QueueId>> },
    /// Start this job, whatever the mode of its queue and however many of its jobs run: the caller chooses the order.
    Start { worker: WorkerId, job: JobId },
    /// Reserve the next jobs of these queues for a worker, up to the given number per queue. The worker may start a
    /// reserved job in the slot of a run of its own that has ended, before that end is recorded.
    Reserve { worker: WorkerId, queues: Vec<(QueueId, usize)> },
    /// Record that a worker has started a job reserved for it.
    StartReserved { worker: WorkerId, job: JobId, run: RunId },
    /// Release all reservations of a worker.
    Release { worker: WorkerId },
    /// Record that a run has printed nothing since this time, for longer than it may; without a time, that it prints again.
    RecordStall { job: JobId, run: RunId, since: Option<DateTime<Utc>> },
    /// Record the files that this run of a job, or its next one if none is named, and its retries run on.
    RecordSnapshot { job: JobId, run: Option<RunId>, snapshot: Arc<Snapshot> },
    /// Record the end of a run. `on_failure` overrides the queue's setting.
    EndRun { job: JobId, run: RunId, report: RunReport, on_failure: Option<OnFailure> },
    /// Reap a dead worker: its runs end as interrupted, and so do the reserved jobs that it had started
    /// (`started_runs`). Its other reservations are released.
    ReapWorker { worker: WorkerId, started_runs: Vec<RunId>, unreachable_host: Option<String> },
    /// Unregister a worker. Refused while it runs jobs, or while one of these queues (or any) has a job that it could
    /// start, or is processing, unless all that is left waits for approval. So a request for work or an approval
    /// either keeps a worker or finds that none is left. A worker that is draining is only kept by what it runs.
    Leave { worker: WorkerId, queues: Option<Vec<QueueId>> },
}

/// A place in a queue, relative to another job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// Directly before this job.
    Before(JobId),
    /// Directly after this job.
    After(JobId),
}

/// The content of a `jobs.yaml`, parsed and checked: the state that reconciliation brings about.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DesiredState {
    /// The version of the file, never empty. Reconciling the same version again changes nothing.
    pub version: String,
    /// The queues, in the file's order.
    pub queues: Vec<DesiredQueue>,
    /// The pools and their sizes.
    pub pools: PoolSizes,
    /// The values of jobs that it was made of. Refused if one of them has changed since.
    pub values: Vec<ValueRead>,
    /// The files that become jobs when they arrive.
    pub arrivals: Vec<ArrivalRule>,
}

/// Which files become jobs when they arrive.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ArrivalRule {
    /// The patterns, relative to the folder of `jobs.yaml`.
    pub patterns: Vec<String>,
    /// How long a file must be unchanged.
    pub settle: Duration,
}

/// The value of a job of which jobs were made, as it was when `jobs.yaml` was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueRead {
    /// The job.
    pub job: JobRef,
    /// A hash of its value; none if it had none.
    pub hash: Option<u64>,
}

/// A queue in `jobs.yaml`.
#[derive(Clone, Debug, PartialEq)]
pub struct DesiredQueue {
    /// Its name.
    pub id: QueueId,
    /// Its settings.
    pub settings: QueueSettings,
    /// Its jobs, in the file's order; each has a name and a digest.
    pub jobs: Vec<Arc<Definition>>,
}

/// Why a command was refused. A refused command changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such job.
    #[error("there is no job {0}")]
    UnknownJob(JobId),
    /// There is no such queue.
    #[error("there is no queue {0:?}")]
    UnknownQueue(String),
    /// The job's state doesn't allow this.
    #[error("{job} is {phase}: {hint}", phase = .phase.as_str())]
    WrongState {
        /// Which job.
        job: JobId,
        /// The state it is in.
        phase: Phase,
        /// What can be done instead.
        hint: &'static str,
    },
    /// The queue is already in this state.
    #[error("{queue} is already {state}")]
    AlreadyInMode {
        /// Which queue.
        queue: QueueId,
        /// Its state.
        state: &'static str,
    },
    /// The command applies to nothing.
    #[error("{0}")]
    NothingToDo(NothingToDo),
    /// Another version of the file has come into force.
    #[error("another jobs.yaml was published meanwhile")]
    FileReplaced,
    /// A job needs another one that doesn't exist.
    #[error("needs {0}, which does not exist")]
    UnknownNeed(JobRef),
    /// Another job with the same unique key is pending or running.
    #[error("{path} is already {phase} with the key {key:?}", phase = .phase.as_str())]
    NotUnique {
        /// The other job.
        job: JobId,
        /// Its path.
        path: String,
        /// Whether it is pending or running.
        phase: Phase,
        /// The key.
        key: Arc<str>,
    },
    /// The job can't be moved next to that other job.
    #[error("cannot move {job} next to {anchor}: {reason}")]
    CannotMove {
        /// Which job.
        job: JobId,
        /// The other one.
        anchor: JobId,
        /// The reason.
        reason: &'static str,
    },
    /// Jobs are pending in the queue, but none of them can start.
    #[error("nothing in {queue} can start: {reason}")]
    Blocked {
        /// Which queue.
        queue: QueueId,
        /// What its first job waits for.
        reason: String,
    },
    /// The inputs of the queue don't take the values that were given.
    #[error("{queue}: {error}")]
    Inputs {
        /// Which queue.
        queue: QueueId,
        /// What is wrong with them.
        error: InputError,
    },
    /// The files that it should run on can't be recorded.
    #[error("can't take a snapshot: {0}")]
    Snapshot(String),
    /// A needed job did not finish as required.
    #[error("{0}")]
    NeedsFailed(String),
    /// The report names a run that is not the job's current one.
    #[error("run {run} of {job} has already ended")]
    StaleRun {
        /// Which job.
        job: JobId,
        /// The reported run.
        run: RunId,
    },
    /// A job has returned another value since `jobs.yaml` was read, of which jobs are made.
    #[error("{0} has returned another list since jobs.yaml was read")]
    FileOutdated(JobRef),
    /// There is no such worker.
    #[error("there is no worker {0}")]
    UnknownWorker(WorkerId),
    /// The worker still has work.
    #[error("worker {0} still has work to do")]
    WorkerBusy(WorkerId),
}

/// Why a command has no effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NothingToDo {
    /// No job is ready to start.
    Claim {
        /// When the next job or schedule is due, if there is one.
        next_due: Option<DateTime<Utc>>,
    },
    /// No job and no schedule is due.
    PromoteDue,
    /// No job waits longer than its delay.
    ShortenWaits,
    /// None of the jobs waits for approval.
    Approve,
    /// The queue has no pending jobs.
    Process(QueueId),
    /// The queue has no jobs in this phase.
    Clear(QueueId, Phase),
    /// No finished job is past its retention.
    PruneFinished,
    /// None of the jobs was removed.
    Restore,
}

impl Command {
    /// The command itself, without the user who has requested it and its conditions.
    pub fn requested(&self) -> &Self {
        match self {
            Self::Request { command, .. } | Self::WithValues { command, .. } => command.requested(),
            command => command,
        }
    }

    /// Whether the command can run while jobs are reserved. Before any other command, workers release their
    /// reservations, so that it can act on every job.
    pub fn keeps_reservations(&self) -> bool {
        matches!(
            self,
            Self::Join { .. }
                | Self::Claim { .. }
                | Self::Reserve { .. }
                | Self::StartReserved { .. }
                | Self::Release { .. }
                | Self::RecordStall { .. }
                | Self::RecordSnapshot { .. }
                | Self::EndRun { .. }
        )
    }
}

impl ValueRead {
    /// The value of a job as it is now.
    pub fn new(job: JobRef, value: Option<&Value>) -> Self {
        Self { job, hash: value.map(|value| stable_hash(value.to_string().bytes())) }
    }
}

impl Placement {
    /// The job that the place is relative to.
    pub fn job(self) -> JobId {
        let (Self::Before(job) | Self::After(job)) = self;
        job
    }
}

impl fmt::Display for NothingToDo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Claim { .. } => f.write_str("no job is ready to start"),
            Self::PromoteDue => f.write_str("nothing is due"),
            Self::ShortenWaits => f.write_str("no job waits longer than its delay"),
            Self::Approve => f.write_str("none of the jobs waits for approval"),
            Self::Process(queue) => write!(f, "{queue} has no pending jobs"),
            Self::Clear(queue, phase) => write!(f, "{queue} has no {} jobs", phase.as_str()),
            Self::PruneFinished => f.write_str("no finished job is past its retention"),
            Self::Restore => f.write_str("nothing to restore"),
        }
    }
}
