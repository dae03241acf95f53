//! The questions that a decision asks of a site; the in-memory [`Ledger`](super::Ledger) and a transaction of a
//! store answer them.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::{Definition, Job, JobId, Mode, Phase, QueueId, Removal, RunId, Settings, Target, Turn, Worker, WorkerId};

/// A site as it stands before a command is decided.
pub trait View {
    /// What can go wrong while answering; nothing in memory, anything in a database.
    type Error;

    /// Which version of `jobs.yaml` is in force.
    fn stamp(&self) -> Result<Option<String>, Self::Error>;
    /// All queues, in their order.
    fn queues(&self) -> Result<Vec<QueueView>, Self::Error>;
    /// One queue.
    fn queue(&self, id: &QueueId) -> Result<Option<QueueView>, Self::Error>;
    /// A job that is in a queue.
    fn job(&self, id: JobId) -> Result<Option<Job>, Self::Error>;
    /// A job that was taken out of its queue.
    fn removed(&self, id: JobId) -> Result<Option<Job>, Self::Error>;
    /// The jobs of a queue that have a digest (they came from `jobs.yaml`), removed ones too, in queue order.
    fn filed(&self, queue: &QueueId) -> Result<Vec<Filed>, Self::Error>;
    /// The jobs of a queue in one phase, in their order.
    fn in_phase(&self, queue: &QueueId, phase: Phase) -> Result<Vec<JobId>, Self::Error>;
    /// Where the pending jobs of a queue with this priority stand, in their order.
    fn places(&self, queue: &QueueId, priority: i32) -> Result<Vec<(i64, JobId)>, Self::Error>;
    /// The number of the job that another one names, if there is one; also of one that was taken out of its queue.
    fn target(&self, target: &Target) -> Result<Option<JobId>, Self::Error>;
    /// The jobs in queues that need this one.
    fn dependants(&self, job: JobId) -> Result<Vec<JobId>, Self::Error>;
    /// The first jobs of the queue that are [`Turn::Asked`], or [`Turn::Ready`], and not reserved, at most so many: higher
    /// priority first, then queue order.
    fn first(&self, queue: &QueueId, turn: Turn, most: usize) -> Result<Vec<Job>, Self::Error>;
    /// The jobs of the queue that are [`Turn::Held`], in queue order.
    fn held(&self, queue: &QueueId) -> Result<Vec<JobId>, Self::Error>;
    /// How many slots the running jobs of the queue take.
    fn taken(&self, queue: &QueueId) -> Result<u32, Self::Error>;
    /// Whether any job of the queue runs, or is pending and not [`Turn::Held`].
    fn goes_on(&self, queue: &QueueId) -> Result<bool, Self::Error>;
    /// The jobs that waited only for a time, which has come.
    fn due(&self, now: DateTime<Utc>) -> Result<Vec<JobId>, Self::Error>;
    /// The earliest time for which a job of the queue waits; with `asked`, of those that somebody asked for.
    fn next_due(&self, queue: &QueueId, asked: bool) -> Result<Option<DateTime<Utc>>, Self::Error>;
    /// The jobs of the queue that finished before this and are not from `jobs.yaml`, oldest first.
    fn unfiled_before(&self, queue: &QueueId, before: DateTime<Utc>) -> Result<Vec<JobId>, Self::Error>;
    /// The highest position in the queue, removed jobs counted; 0 where there is none.
    fn last_position(&self, queue: &QueueId) -> Result<i64, Self::Error>;
    /// The number that the next new job gets.
    fn next_job(&self) -> Result<JobId, Self::Error>;
    /// The number that the next run gets.
    fn next_run(&self) -> Result<RunId, Self::Error>;
    /// The number that the next worker gets.
    fn next_worker(&self) -> Result<WorkerId, Self::Error>;
    /// A worker that has joined and not left.
    fn worker(&self, id: WorkerId) -> Result<Option<Worker>, Self::Error>;
    /// The jobs that are reserved for any worker; seldom more than a handful.
    fn reserved(&self) -> Result<Vec<JobId>, Self::Error>;
    /// The jobs that this worker runs.
    fn run_by(&self, worker: WorkerId) -> Result<Vec<Job>, Self::Error>;
}

/// One queue without its jobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueView {
    /// Its name.
    pub id: QueueId,
    /// How it goes about its jobs.
    pub settings: Settings,
    /// What it is doing.
    pub mode: Mode,
}

/// A job from `jobs.yaml`, as far as reconciliation needs it.
#[derive(Clone, Debug, PartialEq)]
pub struct Filed {
    /// Its number.
    pub id: JobId,
    /// Its name, digest and all else that the file said of it.
    pub definition: Arc<Definition>,
    /// Its place.
    pub position: i64,
    /// Pending, running or finished.
    pub phase: Phase,
    /// Whether it was taken out of its queue, and by whom.
    pub removed: Option<Removal>,
}
