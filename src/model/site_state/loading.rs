//! Builds the state of a site from its stored jobs, many at once.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::{Counters, QueueState, SiteState, compare_in_list, counts_as_failed};
use crate::model::job_table::JobTable;
use crate::model::need_index::NeedIndex;
use crate::model::queue_index::QueueIndex;
use crate::model::{
    DueRecord, Job, JobId, NeededState, Phase, PoolSizes, QueueId, QueueInfo, RemovalReason, ScheduleTarget, WorkerInfo,
};

impl SiteState {
    /// Builds the state from all jobs of a site; `count` is an estimate of their number. Fastest if the jobs of each queue
    /// come in order.
    pub fn from_jobs<E>(count: usize, jobs: impl IntoIterator<Item = Result<Box<Job>, E>>) -> Result<Self, E> {
        let mut state = Self::default();
        state.jobs.reserve(count);
        let mut queues: BTreeMap<QueueId, QueueLoader> = BTreeMap::new();
        let mut with_needs = Vec::new();
        let mut jobs = jobs.into_iter();
        let mut next = jobs.next().transpose()?;
        while let Some(first) = next {
            let id = first.queue.clone();
            let queue = queues.entry(id.clone()).or_default();
            let mut job = first;
            // Consecutive jobs usually belong to the same queue.
            next = loop {
                state.count_ids(&job);
                with_needs.extend((!job.needs.is_empty()).then_some(job.id));
                queue.add(&job, &state.jobs);
                state.jobs.insert(job);
                match jobs.next().transpose()? {
                    Some(next) if next.queue == id => job = next,
                    other => break other,
                }
            };
        }
        for (id, queue) in queues {
            let (queue, index) = queue.finish(&state.jobs);
            state.queues.insert(id.clone(), queue);
            state.indexes.insert(id, index);
        }
        // A job may need one that comes later.
        let Self { needs, jobs, .. } = &mut state;
        for job in with_needs.iter().filter_map(|id| jobs.get(*id)) {
            needs.register(job, |id| {
                jobs.get(id).map_or(NeededState::Missing, |job| NeededState::of(&job.state, false))
            });
        }
        Ok(state)
    }

    /// Sets everything but the jobs, while a site is loaded.
    pub fn set_site_info(
        &mut self,
        queues: impl IntoIterator<Item = QueueInfo>,
        workers: impl IntoIterator<Item = WorkerInfo>,
        (file_version, pools): (Option<String>, PoolSizes),
        counters: Counters,
    ) {
        for QueueInfo { id, settings, mode, environment, inputs } in queues {
            let queue = self.queues.entry(id).or_default();
            queue.settings = settings;
            queue.mode = mode;
            queue.environment = environment;
            queue.inputs = inputs;
        }
        self.workers = workers.into_iter().map(|worker| (worker.id, worker)).collect();
        self.file_version = file_version;
        self.pools = pools;
        self.counters = counters;
    }

    /// Sets a list of a queue of which only some jobs are loaded, and how many of the queue's finished jobs have failed.
    pub fn set_list(&mut self, queue: &QueueId, phase: Phase, jobs: Vec<JobId>, failed: usize) {
        let queue = self.queues.entry(queue.clone()).or_default();
        *queue.jobs_in_mut(phase) = jobs.into();
        queue.failed = failed;
    }

    /// Removes jobs from their queues that were removed before the site was loaded.
    pub fn set_removed_jobs(&mut self, removed: impl IntoIterator<Item = (JobId, RemovalReason)>) {
        for (id, reason) in removed {
            if let Some(job) = self.detach_with_needs(id) {
                self.removed.insert(id, (job, reason));
            }
        }
    }

    /// Sets the records of due times. The state then decides commands like a site in memory, and is not a mere copy.
    pub fn set_due_records(&mut self, records: impl IntoIterator<Item = (ScheduleTarget, DueRecord)>) {
        self.due_records.clear();
        for (target, record) in records {
            self.due_records.entry(target).or_default().insert(record.due, record);
        }
        self.is_copy = false;
    }

    /// Adds records of due times to those that are known.
    pub fn add_due_records(&mut self, target: &ScheduleTarget, records: impl IntoIterator<Item = DueRecord>) {
        let known = self.due_records.entry(target.clone()).or_default();
        known.extend(records.into_iter().map(|record| (record.due, record)));
        self.is_copy = false;
    }

    /// Removes all jobs and records of due times; what else is known of the site stays.
    pub fn clear_jobs(&mut self) {
        for queue in self.queues.values_mut() {
            let lists = [&mut queue.pending, &mut queue.running, &mut queue.finished];
            lists.into_iter().for_each(VecDeque::clear);
            queue.failed = 0;
        }
        self.jobs = JobTable::default();
        self.removed = HashMap::default();
        self.indexes.clear();
        self.needs = NeedIndex::default();
        self.due_records.clear();
    }

    /// The highest position in a queue, including removed jobs; `None` if it has none.
    pub fn highest_position(&self, queue: &QueueId) -> Option<i64> {
        self.positions(queue)?.last().map(|(position, _)| *position)
    }

    /// A job that was removed from its queue, with the reason.
    pub fn removed_with_reason(&self, id: JobId) -> Option<(&Job, RemovalReason)> {
        self.removed.get(&id).map(|(job, reason)| (job, *reason))
    }

    /// The jobs of a queue, including removed ones, that were requested explicitly.
    pub fn requested_jobs(&self, id: &QueueId) -> Vec<JobId> {
        let queue = self.queues.get(id);
        let unfinished = queue.into_iter().flat_map(|queue| queue.pending.iter().chain(&queue.running));
        let unfinished = unfinished.filter_map(|job| self.job(*job));
        let removed = self.removed.values().map(|(job, _)| job).filter(|job| job.queue == *id);
        unfinished.chain(removed).filter(|job| job.is_requested()).map(|job| job.id).collect()
    }
}

/// A queue that is being loaded.
#[derive(Default)]
struct QueueLoader {
    queue: QueueState,
    index: QueueIndex,
    /// Whether some jobs did not come in order.
    out_of_order: bool,
}

impl QueueLoader {
    /// Appends a job to its list; `jobs` holds the jobs added before.
    fn add(&mut self, job: &Job, jobs: &JobTable) {
        self.index.add(job);
        self.queue.failed += usize::from(counts_as_failed(job));
        let list = self.queue.jobs_in_mut(job.phase());
        let previous = list.back().and_then(|id| jobs.get(*id));
        self.out_of_order |= previous.is_some_and(|previous| compare_in_list(previous, job).is_gt());
        list.push_back(job.id);
    }

    /// The loaded queue, with its lists sorted.
    fn finish(self, jobs: &JobTable) -> (QueueState, QueueIndex) {
        let Self { mut queue, index, out_of_order } = self;
        let QueueState { pending, running, finished, .. } = &mut queue;
        for list in [pending, running, finished].into_iter().filter(|_| out_of_order) {
            list.make_contiguous().sort_by(|a, b| match (jobs.get(*a), jobs.get(*b)) {
                (Some(a), Some(b)) => compare_in_list(a, b),
                _ => a.cmp(b),
            });
        }
        (queue, index)
    }
}
