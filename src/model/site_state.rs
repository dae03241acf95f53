//! The state of a site in memory: its queues with their jobs in order. Every follower of a site keeps a copy.

mod expectations;
mod loading;
mod queries;
mod schedules;

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::expected_times::ExpectedTimes;
use super::id_hasher::IdHasherBuilder;
use super::job_table::JobTable;
use super::need_index::NeedIndex;
use super::queue_index::{QueueIndex, rank};
use super::{
    DueRecord, EnvironmentId, Event, EventRecord, ExpectationState, Job, JobId, JobState, NeededState, Outcome, Phase,
    PoolSizes, QueueId, QueueMode, QueueSettings, Readiness, RemovalReason, RequestInputs, ScheduleState,
    ScheduleTarget, WorkerId, WorkerInfo,
};

/// How many pending jobs are checked at most for whether a job is next to start.
const MAX_JOBS_CHECKED: usize = 1_000;

/// The state of a site as plain data. It changes only through events; equal events lead to equal states.
#[derive(Clone, Debug, Default)]
pub struct SiteState {
    queues: BTreeMap<QueueId, QueueState>,
    jobs: JobTable,
    removed: HashMap<JobId, (Job, RemovalReason), IdHasherBuilder>,
    indexes: BTreeMap<QueueId, QueueIndex>,
    /// The jobs that need other jobs.
    needs: NeedIndex,
    workers: BTreeMap<WorkerId, WorkerInfo>,
    schedules: BTreeMap<ScheduleTarget, ScheduleState>,
    /// The schedules of each queue and its jobs.
    scheduled_queues: BTreeMap<QueueId, BTreeSet<ScheduleTarget>>,
    /// The recorded due times of each schedule, also of those that have ended. A copy has none.
    due_records: BTreeMap<ScheduleTarget, BTreeMap<DateTime<Utc>, DueRecord>>,
    /// Whether it is a copy of a stored site.
    is_copy: bool,
    pools: PoolSizes,
    expectations: BTreeMap<ScheduleTarget, ExpectationState>,
    expected: ExpectedTimes,
    file_version: Option<String>,
    counters: Counters,
}

/// The last assigned ids and the last sequence number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// The sequence number of the last applied event.
    pub seq: u64,
    /// The highest job id.
    pub job: u64,
    /// The highest run id.
    pub run: u64,
    /// The highest worker id.
    pub worker: u64,
}

/// One queue: its settings and mode, and the ids of its jobs in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct QueueState {
    /// Its settings.
    pub settings: QueueSettings,
    /// Its mode.
    pub mode: QueueMode,
    /// The environment of the user who has requested that it is processed.
    pub environment: Option<EnvironmentId>,
    /// What the user has given to its jobs: values for its inputs, and a snapshot.
    pub inputs: Option<Arc<RequestInputs>>,
    /// Pending jobs, by priority and position.
    pub pending: VecDeque<JobId>,
    /// Running jobs, by start.
    pub running: VecDeque<JobId>,
    /// Finished jobs, by end; the latest is last.
    pub finished: VecDeque<JobId>,
    /// The number of finished jobs that failed or were interrupted.
    pub failed: usize,
}

impl SiteState {
    /// A queue.
    pub fn queue(&self, id: &QueueId) -> Option<&QueueState> {
        self.queues.get(id)
    }

    /// All queues, in the order of the file, then by name.
    pub fn queues(&self) -> Vec<(&QueueId, &QueueState)> {
        let mut queues: Vec<_> = self.queues.iter().collect();
        queues.sort_by_key(|(_, queue)| queue.settings.order);
        queues
    }

    /// A job that is in a queue.
    pub fn job(&self, id: JobId) -> Option<&Job> {
        self.jobs.get(id)
    }

    /// The job of that name in that queue. Searches all jobs of the queue, which is fine for lookups by users.
    pub fn job_named(&self, queue: &QueueId, name: &str) -> Option<&Job> {
        let QueueState { pending, running, finished, .. } = self.queues.get(queue)?;
        let mut jobs = pending.iter().chain(running).chain(finished).filter_map(|id| self.jobs.get(*id));
        jobs.find(|job| job.name() == Some(name))
    }

    /// The index of a job in the list of its phase. Takes logarithmic time.
    pub fn list_index(&self, id: JobId) -> Option<usize> {
        let job = self.jobs.get(id)?;
        Some(index_in_list(self.queues.get(&job.queue)?.jobs_in(job.phase()), job, &self.jobs))
    }

    /// The jobs that need this one.
    pub fn dependents_of(&self, id: JobId) -> impl Iterator<Item = &Job> {
        self.needs.dependents_of(id).filter_map(|id| self.job(id))
    }

    /// All jobs that are in queues, in arbitrary order.
    pub fn jobs(&self) -> impl Iterator<Item = &Job> {
        self.jobs.iter()
    }

    /// The pending jobs of a queue that need approval before they run, in order.
    pub fn awaiting_approval(&self, queue: &QueueId) -> impl Iterator<Item = &Job> {
        let unconfirmed = self.indexes.get(queue).map(|index| &index.unconfirmed).into_iter().flatten();
        unconfirmed.filter_map(|(_, id)| self.job(*id))
    }

    /// The pending jobs of a queue that failed when they ran last, and were not requested or scheduled since.
    pub(super) fn failed_pending(&self, queue: &QueueId) -> impl Iterator<Item = &Job> {
        let failed = self.indexes.get(queue).map(|index| &index.failed).into_iter().flatten();
        failed.filter_map(|(_, id)| self.job(*id))
    }

    /// The pending jobs of a queue that are next to start and wait only for approval, in order.
    pub fn approvals_due(&self, queue: &QueueId) -> impl Iterator<Item = &Job> {
        self.awaiting_approval(queue).filter(move |job| self.is_approval_due(job))
    }

    /// Whether a pending job is next to start and waits only for approval: it was requested, or its queue is being
    /// processed and no job ahead of it will start without it or uses the slots that it needs.
    pub fn is_approval_due(&self, job: &Job) -> bool {
        let Some(queue) = self.queue(&job.queue).filter(|_| job.awaits_approval()) else { return false };
        if job.is_requested() {
            return true;
        }
        let is_ahead = |other: &&Job| rank(other) < rank(job);
        let running = || queue.running.iter().filter_map(|id| self.job(*id));
        let mut ahead = queue.pending.iter().take(MAX_JOBS_CHECKED).filter_map(|id| self.job(*id)).take_while(is_ahead);
        queue.mode == QueueMode::Processing
            && (self.has_free_slots(job) || !running().any(|other| is_ahead(&other)))
            && ahead.all(|other| other.readiness() == Some(Readiness::Blocked))
    }

    /// Whether the queue of a job has free slots for it; a job that is heavier than its queue runs alone.
    pub(super) fn has_free_slots(&self, job: &Job) -> bool {
        let Some(queue) = self.queue(&job.queue) else { return false };
        let weight = |job: &Job| job.definition.scheduling.weight;
        let running = queue.running.iter().filter_map(|id| self.job(*id));
        let used = running.map(weight).fold(0, u32::saturating_add);
        used == 0 || used.saturating_add(weight(job)) <= queue.settings.max_parallel()
    }

    /// Whether a queue is processing but no worker serves it, although not all that is left waits for approval or for labels
    /// that no worker has.
    pub fn lacks_worker(&self, queue: &QueueId) -> bool {
        let processing = self.queues.get(queue).is_some_and(|queue| queue.mode == QueueMode::Processing);
        processing
            && !self.workers.values().any(|worker| worker.serves(queue))
            && !self.waits_for_approval(queue)
            && self.waits_for_labels(queue).is_none()
    }

    /// The first pending job of a queue that is not blocked, if no worker has the labels of any of them.
    pub(super) fn first_without_worker(&self, id: &QueueId) -> Option<JobId> {
        let index = self.indexes.get(id).filter(|index| index.unlabelled == 0)?;
        let has_worker = |labels| self.workers.values().any(|worker| worker.serves(id) && worker.has_labels(labels));
        let mut sets = index.labelled.iter();
        if sets.any(|(labels, _)| has_worker(labels)) {
            return None;
        }
        index.labelled.values().filter_map(BTreeSet::first).min().map(|(_, job)| *job)
    }

    /// Whether a queue is processing and nothing in it runs or will start without an approval.
    pub fn waits_for_approval(&self, id: &QueueId) -> bool {
        let Some(queue) = self.queues.get(id).filter(|queue| queue.mode == QueueMode::Processing) else { return false };
        let is_blocked = |id: &JobId| self.job(*id).is_none_or(|job| job.readiness() == Some(Readiness::Blocked));
        let mut awaiting = self.awaiting_approval(id).filter(|job| job.awaits_approval());
        queue.running.is_empty() && awaiting.next().is_some() && queue.pending.iter().all(is_blocked)
    }

    /// The earliest due time of the scheduled jobs of a queue.
    pub fn next_scheduled_time(&self, queue: &QueueId) -> Option<DateTime<Utc>> {
        self.indexes.get(queue)?.scheduled.first().map(|(until, _)| *until)
    }

    /// The registered workers.
    pub fn workers(&self) -> impl Iterator<Item = &WorkerInfo> {
        self.workers.values()
    }

    /// The pools and their sizes.
    pub fn pool_sizes(&self) -> &PoolSizes {
        &self.pools
    }

    /// The version of `jobs.yaml` that was applied last.
    pub fn file_version(&self) -> Option<&str> {
        self.file_version.as_deref()
    }

    /// The last assigned ids.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// The sequence number of the last applied event; 0 before the first.
    pub fn seq(&self) -> u64 {
        self.counters.seq
    }

    /// Applies an event.
    pub fn apply(&mut self, record: &EventRecord) {
        let EventRecord { seq, at, event } = record;
        self.counters.seq = *seq;
        match event {
            Event::QueueDefined { queue, settings } => {
                get_or_create(&mut self.queues, queue).settings = settings.clone();
            }
            Event::ModeChanged { queue, mode } => {
                let state = get_or_create(&mut self.queues, queue);
                (state.mode, state.environment, state.inputs) = (*mode, None, None);
                if *mode == QueueMode::Paused {
                    self.withdraw_requests(queue);
                }
            }
            Event::QueueRequested { queue, environment, inputs } => {
                let state = get_or_create(&mut self.queues, queue);
                state.environment = Some(*environment);
                state.inputs.clone_from(inputs);
            }
            Event::Added { job } | Event::Restored { job } => self.insert((**job).clone()),
            Event::Removed { job, reason } => {
                if let Some(mut job) = self.detach_with_needs(*job) {
                    if *reason == RemovalReason::NotInFile {
                        job.forget_env();
                    }
                    self.removed.insert(job.id, (job, *reason));
                }
            }
            Event::WorkerJoined { worker } => {
                self.counters.worker = self.counters.worker.max(worker.id.0);
                self.workers.insert(worker.id, worker.clone());
            }
            Event::Reserved { worker, jobs } => {
                self.counters.run = jobs.iter().map(|reservation| reservation.run.0).fold(self.counters.run, u64::max);
                if let Some(worker) = self.workers.get_mut(worker) {
                    worker.reserved.clone_from(jobs);
                }
            }
            Event::WorkerDraining { worker } => {
                if let Some(worker) = self.workers.get_mut(worker) {
                    worker.draining = true;
                }
            }
            Event::WorkerLeft { worker } => {
                self.workers.remove(worker);
            }
            Event::ScheduleChanged { .. }
            | Event::ScheduleEnded { .. }
            | Event::DueRecorded { .. }
            | Event::DueWithdrawn { .. } => self.apply_to_schedules(event),
            Event::PoolsDefined { pools } => self.pools.clone_from(pools),
            Event::ExpectationChanged { .. } | Event::ExpectationEnded { .. } | Event::Overdue { .. } => {
                self.apply_to_expectations(event);
            }
            Event::FileApplied { file_version } => self.file_version = Some(file_version.clone()),
            job_event => {
                if let Event::Started { job, run } = job_event
                    && let Some(worker) = self.workers.get_mut(&run.worker)
                {
                    worker.take_reservation(*job);
                }
                self.apply_to_job(job_event, *at);
            }
        }
    }

    /// Inserts a job into the list of its phase, replacing its previous state.
    pub fn insert(&mut self, job: Job) {
        let id = job.id;
        let mut before = NeededState::Missing;
        if let Some(previous) = self.detach(id) {
            self.needs.unregister(&previous);
            before = NeededState::of(&previous.state, false);
            self.forget_position(&previous);
        } else if let Some((previous, _)) = self.removed.remove(&id) {
            before = NeededState::of(&previous.state, true);
            self.forget_position(&previous);
        }
        self.count_ids(&job);
        self.register_needs(&job);
        self.needs.change(id, before, NeededState::of(&job.state, false));
        self.attach(job);
    }

    /// Reserves capacity for the jobs that these events add.
    pub(super) fn reserve_capacity<'e>(&mut self, events: impl IntoIterator<Item = &'e Event>) {
        self.jobs.reserve(events.into_iter().filter(|event| matches!(event, Event::Added { .. })).count());
    }

    fn apply_to_job(&mut self, event: &Event, at: DateTime<Utc>) {
        let Some(id) = event.job() else { return };
        if let Event::WaitChanged { .. } = event {
            self.apply_wait_change(id, event, at);
            return;
        }
        let Some(mut job) = self.detach(id) else { return };
        let before = NeededState::of(&job.state, false);
        match event {
            Event::Moved { .. } => self.forget_position(&job),
            Event::Redefined { .. } => self.needs.unregister(&job),
            _ => {}
        }
        job.apply(event, at);
        match event {
            Event::Started { .. } => {
                if let Some(queue) = self.queues.get(&job.queue) {
                    job.take_queue_request(queue.environment, queue.inputs.as_ref());
                }
            }
            Event::Redefined { .. } => self.register_needs(&job),
            _ => {}
        }
        self.needs.change(id, before, NeededState::of(&job.state, false));
        self.count_ids(&job);
        self.attach(job);
    }

    /// Applies [`Event::WaitChanged`], which changes neither the lists nor the dependents: thousands may come at once.
    fn apply_wait_change(&mut self, id: JobId, event: &Event, at: DateTime<Utc>) {
        let Self { jobs, indexes, .. } = self;
        jobs.change(id, |job| {
            let index = get_or_create(indexes, &job.queue);
            index.remove(job);
            job.apply(event, at);
            index.add(job);
        });
    }

    /// Withdraws the explicit requests for the jobs of a queue that is paused.
    fn withdraw_requests(&mut self, id: &QueueId) {
        let Some(queue) = self.queues.get(id) else { return };
        let index = get_or_create(&mut self.indexes, id);
        for job in queue.pending.iter().chain(&queue.running) {
            if self.jobs.get(*job).is_some_and(Job::is_requested) {
                self.jobs.change(*job, |job| {
                    index.remove(job);
                    job.withdraw_request();
                    index.add(job);
                });
            }
        }
        self.removed.values_mut().filter(|(job, _)| job.queue == *id).for_each(|(job, _)| job.withdraw_request());
    }

    fn forget_position(&mut self, job: &Job) {
        if let Some(positions) = self.indexes.get_mut(&job.queue).and_then(|index| index.positions.get_mut()) {
            positions.remove(&(job.position, job.id));
        }
    }

    /// Adds a job to everything but its needs.
    fn attach(&mut self, job: Job) {
        let id = job.id;
        let index = get_or_create(&mut self.indexes, &job.queue);
        index.add(&job);
        if let Some(positions) = index.positions.get_mut() {
            positions.insert((job.position, id));
        }
        self.jobs.insert(job.into());
        self.add_to_list(id);
    }

    /// Removes a job from everything but its needs, and the positions of its queue, which include removed jobs.
    fn detach(&mut self, id: JobId) -> Option<Job> {
        self.remove_from_list(id);
        self.jobs.remove(id)
    }

    /// Removes a job from everything but the positions of its queue, which include removed jobs.
    fn detach_with_needs(&mut self, id: JobId) -> Option<Job> {
        let job = self.detach(id)?;
        self.needs.unregister(&job);
        self.needs.change(id, NeededState::of(&job.state, false), NeededState::of(&job.state, true));
        Some(job)
    }

    /// Updates the counters for a job.
    fn count_ids(&mut self, job: &Job) {
        self.counters.job = self.counters.job.max(job.id.0);
        self.counters.run = self.counters.run.max(job.last_run.as_ref().map_or(0, |run| run.id.0));
    }

    fn register_needs(&mut self, job: &Job) {
        let Self { needs, jobs, removed, .. } = self;
        needs.register(job, |id| match (jobs.get(id), removed.get(&id)) {
            (Some(job), _) => NeededState::of(&job.state, false),
            (None, Some((job, _))) => NeededState::of(&job.state, true),
            (None, None) => NeededState::Missing,
        });
    }

    fn add_to_list(&mut self, id: JobId) {
        let Some(job) = self.jobs.get(id) else { return };
        let queue = get_or_create(&mut self.queues, &job.queue);
        queue.failed += usize::from(counts_as_failed(job));
        let list = queue.jobs_in_mut(job.phase());
        let index = index_in_list(list, job, &self.jobs);
        list.insert(index, id);
    }

    fn remove_from_list(&mut self, id: JobId) {
        let Some(job) = self.jobs.get(id) else { return };
        if let Some(index) = self.indexes.get_mut(&job.queue) {
            index.remove(job);
        }
        let Some(queue) = self.queues.get_mut(&job.queue) else { return };
        queue.failed -= usize::from(counts_as_failed(job));
        let list = queue.jobs_in_mut(job.phase());
        let index = index_in_list(list, job, &self.jobs);
        list.remove(index);
    }

    /// The pending jobs of a queue with this readiness, in order.
    fn pending_with(&self, queue: &QueueId, readiness: Readiness) -> impl Iterator<Item = JobId> {
        let pending = self.queues.get(queue).map(|queue| &queue.pending).into_iter().flatten().copied();
        pending.filter(move |id| self.job(*id).and_then(Job::readiness) == Some(readiness))
    }

    /// The jobs of a queue by position, including removed ones.
    fn positions(&self, queue: &QueueId) -> Option<&BTreeSet<(i64, JobId)>> {
        Some(self.indexes.get(queue)?.positions.get_or_init(|| {
            let lists = self.queues.get(queue).map(|queue| [&queue.pending, &queue.running, &queue.finished]);
            let present = lists.into_iter().flatten().flatten().filter_map(|id| self.job(*id));
            let removed = self.removed.values().map(|(job, _)| job).filter(|job| job.queue == *queue);
            present.chain(removed).map(|job| (job.position, job.id)).collect()
        }))
    }

    /// All jobs of a queue, including removed ones with the reason, in queue order.
    fn all_jobs_of(&self, queue: &QueueId) -> impl Iterator<Item = (&Job, Option<RemovalReason>)> {
        let positions = self.positions(queue).into_iter().flatten();
        positions.filter_map(|(_, id)| {
            let present = self.job(*id).map(|job| (job, None));
            present.or_else(|| self.removed.get(id).map(|(job, reason)| (job, Some(*reason))))
        })
    }
}

impl QueueState {
    /// The ids of the jobs in one phase, in order.
    pub fn jobs_in(&self, phase: Phase) -> &VecDeque<JobId> {
        match phase {
            Phase::Pending => &self.pending,
            Phase::Running => &self.running,
            Phase::Finished => &self.finished,
        }
    }

    fn jobs_in_mut(&mut self, phase: Phase) -> &mut VecDeque<JobId> {
        match phase {
            Phase::Pending => &mut self.pending,
            Phase::Running => &mut self.running,
            Phase::Finished => &mut self.finished,
        }
    }
}

/// The entry of a queue, created if missing.
fn get_or_create<'a, T: Default>(map: &'a mut BTreeMap<QueueId, T>, queue: &QueueId) -> &'a mut T {
    map.entry(queue.clone()).or_default()
}

/// Whether the job counts as failed.
fn counts_as_failed(job: &Job) -> bool {
    matches!(job.outcome(), Some(Outcome::Failed(_) | Outcome::Interrupted | Outcome::Unreachable { .. }))
}

/// The index of a job in a list, or where it belongs.
fn index_in_list(list: &VecDeque<JobId>, job: &Job, jobs: &JobTable) -> usize {
    let before = |other: &JobId| jobs.get(*other).is_some_and(|other| compare_in_list(other, job).is_lt());
    // Most lookups are at one of the ends.
    match list.back() {
        Some(end) if before(end) => list.len(),
        Some(end) if *end == job.id => list.len() - 1,
        _ if list.front() == Some(&job.id) => 0,
        _ => list.partition_point(before),
    }
}

/// Compares two jobs of the same list.
fn compare_in_list(a: &Job, b: &Job) -> Ordering {
    let started = |job: &Job| job.last_run.as_ref().map(|run| (run.started, run.id));
    let run = |job: &Job| job.last_run.as_ref().map(|run| run.id);
    match (&a.state, &b.state) {
        (JobState::Running { .. }, JobState::Running { .. }) => started(a).cmp(&started(b)),
        // Jobs that finished at the same clock tick are in the order of their start.
        (JobState::Finished { at: a_at, .. }, JobState::Finished { at: b_at, .. }) => {
            a_at.cmp(b_at).then_with(|| run(a).cmp(&run(b)))
        }
        _ => rank(a).cmp(&rank(b)),
    }
    .then(a.id.cmp(&b.id))
}

impl PartialEq for SiteState {
    /// Compares everything but removed jobs.
    fn eq(&self, other: &Self) -> bool {
        self.queues == other.queues
            && self.jobs == other.jobs
            && self.workers == other.workers
            && self.schedules == other.schedules
            && self.due_records == other.due_records
            && self.pools == other.pools
            && self.expectations == other.expectations
            && self.file_version == other.file_version
            && self.counters == other.counters
    }
}
