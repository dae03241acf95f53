//! The queries that `decide` makes on a site. [`SiteState`](super::SiteState) answers them in memory, a store answers them
//! inside a transaction.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::label_set::LabelSet;
use super::{
    Definition, Dependent, DueOutcome, EnvironmentId, ExpectationState, Job, JobId, JobRef, NeedCounts, Outcome, Phase,
    PoolSizes, QueueId, QueueMode, QueueSettings, Readiness, RemovalReason, RequestInputs, RunId, ScheduleState,
    ScheduleTarget, WorkerId, WorkerInfo,
};

/// A finished job with its outcome, and when it finished.
pub type FinishedJob = (JobId, Outcome, DateTime<Utc>);

/// Read access to the state of a site before a command is decided.
pub trait StateReader {
    /// The error of a query: none in memory, database errors in a store.
    type Error;

    /// The version of `jobs.yaml` that was applied last.
    fn file_version(&self) -> Result<Option<String>, Self::Error>;
    /// All queues, in their order.
    fn queues(&self) -> Result<Vec<QueueInfo>, Self::Error>;
    /// One queue.
    fn queue(&self, id: &QueueId) -> Result<Option<QueueInfo>, Self::Error>;
    /// A job that is in a queue.
    fn job(&self, id: JobId) -> Result<Option<Job>, Self::Error>;
    /// A job that was removed from its queue.
    fn removed_job(&self, id: JobId) -> Result<Option<Job>, Self::Error>;
    /// The jobs of a queue that came from `jobs.yaml` (those with a digest), including removed ones, in queue order.
    fn file_jobs(&self, queue: &QueueId) -> Result<Vec<FileJob>, Self::Error>;
    /// The jobs of a queue in one phase, in their order.
    fn jobs_in_phase(&self, queue: &QueueId, phase: Phase) -> Result<Vec<JobId>, Self::Error>;
    /// The positions of the pending jobs of a queue with this priority, in order.
    fn pending_positions(&self, queue: &QueueId, priority: i32) -> Result<Vec<(i64, JobId)>, Self::Error>;
    /// The position of the nearest pending job of the same queue and priority that comes before this pending one, or after
    /// it, and is not to be skipped.
    fn adjacent_position(
        &self,
        job: &Job,
        is_before: bool,
        skipped: &BTreeSet<JobId>,
    ) -> Result<Option<i64>, Self::Error> {
        let mut known = self.pending_positions(&job.queue, job.definition.scheduling.priority)?;
        known.retain(|(_, id)| !skipped.contains(id));
        let at = known.iter().position(|(_, id)| *id == job.id);
        let adjacent = at.and_then(|at| if is_before { at.checked_sub(1) } else { at.checked_add(1) });
        Ok(adjacent.and_then(|at| known.get(at)).map(|(position, _)| *position))
    }
    /// The id of the referenced job, if it exists; it may be a removed one.
    fn resolve(&self, target: &JobRef) -> Result<Option<JobId>, Self::Error>;
    /// A job that another one needs, also a removed one. Only the name of its definition is read, and not its own needs.
    fn needed_job(&self, id: JobId) -> Result<Option<NeededJob>, Self::Error>;
    /// How many needs of a job are not met.
    fn need_counts(&self, job: JobId) -> Result<NeedCounts, Self::Error>;
    /// The jobs that need this one, without removed ones. One that needs it in two ways may be there twice.
    fn dependents(&self, job: JobId) -> Result<Vec<Dependent>, Self::Error>;
    /// The first `most` jobs of the queue with this readiness ([`Readiness::Requested`] or [`Readiness::Ready`]) that are not
    /// reserved and don't need exactly one of the `excluded` sets of labels: higher priority first, then queue order.
    fn next_jobs(
        &self,
        queue: &QueueId,
        turn: Readiness,
        most: usize,
        excluded: &[LabelSet],
    ) -> Result<Vec<Job>, Self::Error>;
    /// The first `most` jobs of the queue that are [`Readiness::Blocked`], in queue order.
    fn blocked_jobs(&self, queue: &QueueId, most: usize) -> Result<Vec<JobId>, Self::Error>;
    /// The jobs of the queue that are [`Readiness::Blocked`] and of which a need has failed, in queue order.
    fn blocked_by_failure(&self, queue: &QueueId) -> Result<Vec<JobId>, Self::Error>;
    /// The number of slots that the running jobs of the queue use.
    fn used_slots(&self, queue: &QueueId) -> Result<u32, Self::Error>;
    /// Whether any job of the queue is running, or pending and not [`Readiness::Blocked`].
    fn has_unblocked_jobs(&self, queue: &QueueId) -> Result<bool, Self::Error>;
    /// The [`Readiness::Scheduled`] jobs that are due.
    fn due_jobs(&self, now: DateTime<Utc>) -> Result<Vec<JobId>, Self::Error>;
    /// The earliest due time of the scheduled jobs of the queue; with `requested_only`, of the requested ones among them.
    fn next_due_time(&self, queue: &QueueId, requested_only: bool) -> Result<Option<DateTime<Utc>>, Self::Error>;
    /// The jobs of the queue that finished before this time and are not in `jobs.yaml`, oldest first.
    fn finished_not_in_file_before(&self, queue: &QueueId, before: DateTime<Utc>) -> Result<Vec<JobId>, Self::Error>;
    /// The highest position in the queue, including removed jobs; 0 if it has none.
    fn last_position(&self, queue: &QueueId) -> Result<i64, Self::Error>;
    /// The id of the next new job.
    fn next_job_id(&self) -> Result<JobId, Self::Error>;
    /// The id of the next run.
    fn next_run_id(&self) -> Result<RunId, Self::Error>;
    /// The id of the next worker.
    fn next_worker_id(&self) -> Result<WorkerId, Self::Error>;
    /// A registered worker.
    fn worker(&self, id: WorkerId) -> Result<Option<WorkerInfo>, Self::Error>;
    /// All registered workers.
    fn workers(&self) -> Result<Vec<WorkerInfo>, Self::Error>;
    /// The jobs that are reserved for any worker; usually few.
    fn reserved_jobs(&self) -> Result<Vec<JobId>, Self::Error>;
    /// The pools of the site.
    fn pools(&self) -> Result<PoolSizes, Self::Error>;
    /// The running jobs whose runs hold units of pools.
    fn pool_holders(&self) -> Result<Vec<Job>, Self::Error>;
    /// A pending or running job with this unique key.
    fn unfinished_with_key(&self, key: &str) -> Result<Option<JobId>, Self::Error>;
    /// All schedules.
    fn schedules(&self) -> Result<Vec<ScheduleState>, Self::Error>;
    /// The schedule of a queue or a job.
    fn schedule(&self, target: &ScheduleTarget) -> Result<Option<ScheduleState>, Self::Error>;
    /// The schedules with a due time whose run has not ended.
    fn schedules_with_run(&self) -> Result<Vec<ScheduleState>, Self::Error>;
    /// The jobs of a queue that finished at this time or later and did not succeed.
    fn unsuccessful_since(
        &self,
        queue: &QueueId,
        since: DateTime<Utc>,
    ) -> Result<Vec<(JobId, DueOutcome)>, Self::Error>;
    /// The latest recorded due time of a schedule up to this time.
    fn last_due_record(
        &self,
        target: &ScheduleTarget,
        until: DateTime<Utc>,
    ) -> Result<Option<DateTime<Utc>>, Self::Error>;
    /// The due times after this one at which the jobs of a schedule were started.
    fn due_times_run_after(
        &self,
        target: &ScheduleTarget,
        after: DateTime<Utc>,
    ) -> Result<Vec<DateTime<Utc>>, Self::Error>;
    /// All expectations.
    fn expectations(&self) -> Result<Vec<ExpectationState>, Self::Error>;
    /// The finished jobs of the queue with their outcomes, and when they finished.
    fn finished_jobs(&self, queue: &QueueId) -> Result<Vec<FinishedJob>, Self::Error>;
    /// The jobs that this worker runs.
    fn jobs_run_by(&self, worker: WorkerId) -> Result<Vec<Job>, Self::Error>;
}

/// A job that another one needs.
#[derive(Clone, Debug, PartialEq)]
pub struct NeededJob {
    /// The job. Its definition may have nothing but a name, and its needs may be missing.
    pub job: Job,
    /// Whether it was removed from its queue.
    pub is_removed: bool,
}

/// One queue without its jobs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueInfo {
    /// Its name.
    pub id: QueueId,
    /// Its settings.
    pub settings: QueueSettings,
    /// Its mode.
    pub mode: QueueMode,
    /// The environment of the user who has requested that it is processed.
    pub environment: Option<EnvironmentId>,
    /// What the user has given to its jobs: values for its inputs, and a snapshot.
    pub inputs: Option<Arc<RequestInputs>>,
}

/// A job from `jobs.yaml`, as reconciliation sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct FileJob {
    /// Its id.
    pub id: JobId,
    /// Its definition, with name and digest.
    pub definition: Arc<Definition>,
    /// Its position in the queue.
    pub position: i64,
    /// Its phase.
    pub phase: Phase,
    /// Why it was removed, if it was.
    pub removed: Option<RemovalReason>,
}

impl QueueInfo {
    /// Whether the queue is processing.
    pub fn is_processing(&self) -> bool {
        self.mode == QueueMode::Processing
    }
}
