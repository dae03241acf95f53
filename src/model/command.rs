//! What can be asked of a site.

use std::fmt;
use std::num::NonZero;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::{Definition, JobId, OnFailure, Phase, QueueId, Report, RunId, Settings, Stop, Target, WorkerId};

/// A request to change a site. It is decided once, inside a transaction of the store.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "the sentence on each variant tells what its fields are")]
pub enum Command {
    /// Make the site as its `jobs.yaml` says.
    Reconcile(Box<Plan>),
    /// Make sure that a queue exists.
    Open { queue: QueueId },
    /// Append jobs to a queue, which is created if it isn't there. Only `jobs.yaml` names jobs, so a name or digest
    /// is dropped.
    Add { queue: QueueId, jobs: Vec<Arc<Definition>> },
    /// Attempt the pending jobs of a queue. A paused or stopped queue without any is idle again.
    Process { queue: QueueId },
    /// Start nothing new in a queue.
    Pause { queue: QueueId },
    /// Start nothing more of what was asked for by [`Command::Process`]; the queue falls idle.
    Halt { queue: QueueId },
    /// Run this job now or again, whatever its queue does.
    Run { job: JobId },
    /// Let pending jobs run that ask a person first.
    Confirm { jobs: Vec<JobId> },
    /// Make a finished job pending again, without asking for it to run.
    Reset { job: JobId },
    /// Cancel a pending job, or stop a running one.
    Cancel { job: JobId, stop: Stop },
    /// Take jobs out of their queue. Their record is kept, and [`Command::Restore`] puts them back.
    Remove { jobs: Vec<JobId> },
    /// Take all jobs in one phase out of a queue.
    Clear { queue: QueueId, phase: Phase },
    /// Take finished jobs out of their queues that aren't in `jobs.yaml` and finished longer ago than is kept.
    Retire,
    /// Put pending jobs right before or behind another one of their queue and priority, in this order.
    Move { jobs: Vec<JobId>, beside: Beside },
    /// Put jobs that stand in no `jobs.yaml` into another queue, behind its others; their runs go with them.
    Transfer { jobs: Vec<JobId>, queue: QueueId },
    /// An entry with this fingerprint is about to be written into `jobs.yaml` for a job that stands in none. Whoever reads
    /// the file then takes the entry for this job, instead of a new one.
    Announce { job: JobId, digest: i64 },
    /// Let so many jobs of a queue run at once, until `jobs.yaml` is changed and says otherwise.
    Parallel { queue: QueueId, parallel: NonZero<u32> },
    /// Put removed jobs back as they were.
    Restore { jobs: Vec<JobId> },
    /// A process begins to run jobs, of these queues or of all.
    Join { host: String, pid: u32, queues: Option<Vec<QueueId>> },
    /// Time has passed: pending jobs whose time has come wait no longer.
    Ripen,
    /// Start the job that is next, of these queues or of all.
    Claim { worker: WorkerId, queues: Option<Vec<QueueId>> },
    /// Start this very job, whatever its queue does and however many of its jobs run: an attempt in the order that
    /// the caller chose.
    Start { worker: WorkerId, job: JobId },
    /// Set aside the next jobs of these queues for a worker, so that it has as many of each as is said here: each may
    /// take the place of one of its runs as soon as that ends, before the end is recorded.
    Reserve { worker: WorkerId, queues: Vec<(QueueId, usize)> },
    /// A worker has started a job that is reserved for it.
    Begin { worker: WorkerId, job: JobId, run: RunId },
    /// Nothing is reserved for a worker any more.
    Release { worker: WorkerId },
    /// A run has ended. `on_failure` overrides what the queue says.
    Report { job: JobId, run: RunId, report: Report, on_failure: Option<OnFailure> },
    /// A worker has died: its runs are interrupted. So are those of its reserved jobs that have `begun` all the same; the
    /// others are free again.
    Bury { worker: WorkerId, begun: Vec<RunId> },
    /// A worker leaves; refused while it runs jobs, or while one of these queues (or any) is being processed or has
    /// a job that it could start. So whoever asks for work after it has left knows that nobody is there.
    Leave { worker: WorkerId, queues: Option<Vec<QueueId>> },
}

/// A place in a queue, said by the job that stands there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beside {
    /// Right before this job.
    Before(JobId),
    /// Right behind it.
    After(JobId),
}

/// What a `jobs.yaml` says, read and checked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// Which version of the file this is, never empty; the same stamp again changes nothing.
    pub stamp: String,
    /// Its queues, in the file's order.
    pub queues: Vec<QueuePlan>,
}

/// What the file says of one queue.
#[derive(Clone, Debug, PartialEq)]
pub struct QueuePlan {
    /// Its name.
    pub id: QueueId,
    /// How it goes about its jobs.
    pub settings: Settings,
    /// Its jobs, in the file's order; every one has a name and a digest.
    pub jobs: Vec<Arc<Definition>>,
}

/// Why a command was refused. A refused command changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such job.
    #[error("there is no job {0}")]
    NoJob(JobId),
    /// There is no such queue.
    #[error("there is no queue {0:?}")]
    NoQueue(String),
    /// The job is in a state in which this can't be done.
    #[error("{job} is {phase}: {hint}", phase = .phase.word())]
    WrongState {
        /// Which job.
        job: JobId,
        /// The state it is in.
        phase: Phase,
        /// What can be done instead.
        hint: &'static str,
    },
    /// The queue does that already.
    #[error("{queue} is {state} already")]
    Already {
        /// Which queue.
        queue: QueueId,
        /// What it does.
        state: &'static str,
    },
    /// There is nothing to do it to.
    #[error("{0}")]
    Nothing(NothingTo),
    /// There is no such job that another one could need.
    #[error("it needs {0}, and there is no such job")]
    NoNeed(Target),
    /// The job can't be put beside that other one.
    #[error("{job} can't be put beside {beside}: {why}")]
    CantStand {
        /// Which job.
        job: JobId,
        /// The other one.
        beside: JobId,
        /// Why not.
        why: &'static str,
    },
    /// Jobs are pending in the queue, but none of them can start.
    #[error("nothing in {queue} can start: {why}")]
    Held {
        /// Which queue.
        queue: QueueId,
        /// What the first of its jobs waits for.
        why: String,
    },
    /// The report is about a run that is not the job's present one.
    #[error("run {run} of {job} is over; its report is refused")]
    StaleRun {
        /// Which job.
        job: JobId,
        /// The run that was reported.
        run: RunId,
    },
    /// There is no such worker.
    #[error("there is no worker {0}")]
    NoWorker(WorkerId),
    /// The worker is still needed.
    #[error("worker {0} has work to do")]
    Busy(WorkerId),
}

/// What there is nothing of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NothingTo {
    /// Nothing is ready to start; the next job is, at that time, if one waits for a time.
    Start {
        /// When to ask again.
        until: Option<DateTime<Utc>>,
    },
    /// No job's time has come.
    Ripen,
    /// None of the jobs asks anything.
    Confirm,
    /// Nothing is pending in the queue.
    Process(QueueId),
    /// Nothing of the kind is in the queue.
    Clear(QueueId, Phase),
    /// No finished job is too old.
    Retire,
    /// None of the jobs was removed.
    Restore,
}

impl Command {
    /// Whether it is part of a worker's daily round: it finds jobs that others have reserved as they are. Whoever else
    /// changes a site first lets what is reserved be released.
    pub fn is_routine(&self) -> bool {
        matches!(
            self,
            Self::Join { .. }
                | Self::Claim { .. }
                | Self::Reserve { .. }
                | Self::Begin { .. }
                | Self::Release { .. }
                | Self::Report { .. }
        )
    }
}

impl Beside {
    /// The job that stands there.
    pub fn job(self) -> JobId {
        let (Self::Before(job) | Self::After(job)) = self;
        job
    }
}

impl fmt::Display for NothingTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start { .. } => f.write_str("nothing is ready to start"),
            Self::Ripen => f.write_str("no job's time has come"),
            Self::Confirm => f.write_str("there is nothing to confirm"),
            Self::Process(queue) => write!(f, "nothing is pending in {queue}"),
            Self::Clear(queue, phase) => write!(f, "nothing is {} in {queue}", phase.word()),
            Self::Retire => f.write_str("no finished job is too old to be kept"),
            Self::Restore => f.write_str("nothing to restore"),
        }
    }
}
