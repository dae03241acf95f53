//! Who gets the units of pools: which are free, and whose turn it is.
//!
//! A job gets all units that it uses at once, when it starts. One that has to wait for them keeps its turn: no job after
//! it gets units of any pool that it uses, so that a job that uses several units, or several pools, starts too. Its turn
//! is decided over all queues that are being processed: requested jobs first, then by priority, then by the time at which
//! the job became pending, but never before a job that is ahead of it in its own queue. It also keeps a slot of its queue;
//! jobs behind it may use the other slots.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use super::input::values_of_run;
use super::label_set::LabelSet;
use super::worker_match::{Match, WorkerMatch, has_worker};
use super::{
    Job, JobId, Phase, PoolHold, PoolSizes, PoolUse, QueueId, QueueInfo, QueueMode, Readiness, RequestInputs,
    SiteState, StateReader,
};

/// More free slots of a queue are not considered at once: more of its jobs start when these have started.
const MAX_SLOTS_CONSIDERED: u32 = 256;

/// The units of the pools of a site.
struct Units {
    sizes: PoolSizes,
    /// The units that running jobs hold.
    held: BTreeMap<Arc<str>, BTreeSet<u32>>,
}

/// Which of the waiting jobs may start.
pub(super) struct PoolTurns {
    granted: HashSet<JobId>,
    /// The first job that waits for each pool.
    first_waiting: HashMap<Arc<str>, JobId>,
}

impl Units {
    fn load<R: StateReader>(reader: &R) -> Result<Self, R::Error> {
        Ok(Self::new(reader.pools()?, &reader.pool_holders()?))
    }

    fn new<'j>(sizes: PoolSizes, holders: impl IntoIterator<Item = &'j Job>) -> Self {
        let mut held: BTreeMap<Arc<str>, BTreeSet<u32>> = BTreeMap::new();
        for PoolHold { pool, units } in holders.into_iter().flat_map(Job::held_pools) {
            held.entry(Arc::clone(pool)).or_default().extend(units);
        }
        Self { sizes, held }
    }

    /// The free units that a job gets, the lowest first; `None` if there are too few.
    ///
    /// A pool that has become smaller while its units are held gives none until enough of them are released. A job that
    /// uses more units than there are, which the file no longer has, gets all of them.
    fn assign(&self, wanted: &PoolUse) -> Option<PoolHold> {
        let size = wanted.pool_size(&self.sizes);
        let count = usize::try_from(wanted.count.clamp(1, size)).unwrap_or(usize::MAX);
        let held = self.held.get(&wanted.pool);
        let held_count = held.map_or(0, BTreeSet::len);
        let free = (0..size).filter(|unit| held.is_none_or(|held| !held.contains(unit)));
        let units: Vec<u32> = free.take(count).collect();
        let fits = held_count.saturating_add(count) <= usize::try_from(size).unwrap_or(usize::MAX);
        (fits && units.len() == count).then(|| PoolHold { pool: Arc::clone(&wanted.pool), units })
    }

    /// The units of all pools that a job gets; `None` if there are too few of any.
    fn assign_all(&self, uses: &[PoolUse]) -> Option<Vec<PoolHold>> {
        uses.iter().map(|wanted| self.assign(wanted)).collect()
    }

    fn hold(&mut self, holds: Vec<PoolHold>) {
        for PoolHold { pool, units } in holds {
            self.held.entry(pool).or_default().extend(units);
        }
    }
}

/// The units that a job gets if it starts now; `None` if there are too few.
pub(super) fn assign_units<R: StateReader>(reader: &R, job: &Job) -> Result<Option<Vec<PoolHold>>, R::Error> {
    if uses_pools(job) { Ok(Units::load(reader)?.assign_all(&uses_of(reader, job)?)) } else { Ok(Some(Vec::new())) }
}

/// What a job uses, with the keys that its inputs have.
fn uses_of<'j, R: StateReader>(reader: &R, job: &'j Job) -> Result<Cow<'j, [PoolUse]>, R::Error> {
    let uses = &job.definition.scheduling.uses;
    if uses.iter().all(|wanted| wanted.key_input().is_none()) {
        return Ok(Cow::Borrowed(uses));
    }
    let values = reader.queue(&job.queue)?.map(|queue| {
        let given = RequestInputs::of_job_or_queue(job.inputs.as_ref(), queue.inputs.as_ref());
        values_of_run(&queue.settings.inputs, given.as_deref().map(|given| &given.values)).unwrap_or_default()
    });
    let values = values.unwrap_or_default();
    Ok(Cow::Owned(uses.iter().map(|wanted| wanted.with_inputs(&values)).collect()))
}

/// Whether a job of these queues was requested and waits for units of a pool. It starts when they are free, even if its
/// queue is not processing.
pub(super) fn has_requested_waiter<'q, R: StateReader>(
    reader: &R,
    queues: impl IntoIterator<Item = &'q QueueInfo>,
) -> Result<bool, R::Error> {
    for queue in queues {
        for job in reader.next_jobs(&queue.id, Readiness::Requested, 1, &[])? {
            if uses_pools(&job) && has_worker(reader, &job)? {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Whether a job uses units of pools.
pub(super) fn uses_pools(job: &Job) -> bool {
    !job.definition.scheduling.uses.is_empty()
}

impl PoolTurns {
    /// Decides the turns of all waiting jobs. Only queues count that a worker serves, or that `claimed` names: a job that
    /// no worker would start must not keep others waiting.
    pub(super) fn decide<R: StateReader>(reader: &R, claimed: Option<&[QueueId]>) -> Result<Self, R::Error> {
        let workers = reader.workers()?;
        let mut waiting = Vec::new();
        for queue in reader.queues()? {
            let is_served = claimed.is_none_or(|claimed| claimed.contains(&queue.id))
                || workers.iter().any(|worker| worker.serves(&queue.id));
            if is_served {
                let next: VecDeque<Job> = startable(reader, &queue)?.into_iter().filter(uses_pools).collect();
                waiting.push(next);
            }
        }
        let mut turns = Self { granted: HashSet::new(), first_waiting: HashMap::new() };
        let mut units = Units::load(reader)?;
        while let Some(job) = take_first(&mut waiting) {
            let uses = uses_of(reader, &job)?;
            let is_taken = uses.iter().any(|wanted| turns.first_waiting.contains_key(&wanted.pool));
            match units.assign_all(&uses).filter(|_| !is_taken) {
                Some(holds) => {
                    units.hold(holds);
                    turns.granted.insert(job.id);
                }
                None => {
                    for PoolUse { pool, .. } in &*uses {
                        turns.first_waiting.entry(Arc::clone(pool)).or_insert(job.id);
                    }
                }
            }
        }
        Ok(turns)
    }

    /// The next job of a queue that the worker may start now.
    pub(super) fn next_of<R: StateReader>(
        &self,
        reader: &R,
        queue: &QueueInfo,
        workers: &mut WorkerMatch<'_, R>,
    ) -> Result<Option<Job>, R::Error> {
        for job in startable(reader, queue)? {
            if (!uses_pools(&job) || self.granted.contains(&job.id)) && workers.find(&job)? == Match::Claimant {
                return Ok(Some(job));
            }
        }
        Ok(None)
    }
}

/// The next jobs of a queue for which it has slots, in their order, whether their pools have free units or not.
fn startable<R: StateReader>(reader: &R, queue: &QueueInfo) -> Result<Vec<Job>, R::Error> {
    let slots = queue.settings.max_parallel();
    let mut free = slots.saturating_sub(reader.used_slots(&queue.id)?);
    let mut jobs = next_for_slots(reader, queue, free)?;
    let has_slots = |job: &Job| {
        let weight = job.definition.scheduling.weight;
        let fits = weight <= free || free == slots;
        free = free.saturating_sub(weight);
        fits
    };
    // A job that needs more slots than are free keeps later ones of its queue waiting.
    let count = jobs.iter().map(has_slots).take_while(|fits| *fits).count();
    jobs.truncate(count);
    Ok(jobs)
}

/// As many of the next jobs of a queue as it has free slots, whatever their weight.
fn next_for_slots<R: StateReader>(reader: &R, queue: &QueueInfo, free: u32) -> Result<Vec<Job>, R::Error> {
    let most = usize::try_from(free.min(MAX_SLOTS_CONSIDERED)).unwrap_or(usize::MAX);
    if most == 0 {
        return Ok(Vec::new());
    }
    let mut jobs = next_runnable(reader, queue, Readiness::Requested, most)?;
    if queue.mode == QueueMode::Processing && jobs.len() < most {
        jobs.extend(next_runnable(reader, queue, Readiness::Ready, most - jobs.len())?);
    }
    Ok(jobs)
}

/// The jobs of a site that may get units of pools or slots of workers before others: those that run or are reserved, and
/// the next of each queue. With these, a part of a site knows what any of its jobs waits for.
pub fn jobs_ahead<R: StateReader>(reader: &R) -> Result<Vec<Job>, R::Error> {
    let mut ids = reader.reserved_jobs()?;
    let mut jobs = Vec::new();
    for queue in reader.queues()? {
        ids.extend(reader.jobs_in_phase(&queue.id, Phase::Running)?);
        let free = queue.settings.max_parallel().saturating_sub(reader.used_slots(&queue.id)?);
        jobs.extend(next_for_slots(reader, &queue, free)?);
    }
    for id in ids {
        jobs.extend(reader.job(id)?);
    }
    Ok(jobs)
}

/// The next jobs of a queue, without those that no worker has the labels for: they must not keep others waiting.
fn next_runnable<R: StateReader>(
    reader: &R,
    queue: &QueueInfo,
    readiness: Readiness,
    most: usize,
) -> Result<Vec<Job>, R::Error> {
    let mut excluded: Vec<LabelSet> = Vec::new();
    loop {
        let jobs = reader.next_jobs(&queue.id, readiness, most, &excluded)?;
        let before = excluded.len();
        for job in &jobs {
            let labels = &job.definition.scheduling.runs_on;
            if !labels.is_empty() && !excluded.contains(labels) && !has_worker(reader, job)? {
                excluded.push(labels.clone());
            }
        }
        if excluded.len() == before {
            return Ok(jobs);
        }
    }
}

/// Takes the job whose turn it is: each list is in order, and so are its first jobs among each other.
fn take_first(waiting: &mut [VecDeque<Job>]) -> Option<Job> {
    let turn = |job: &Job| {
        let priority = job.definition.scheduling.priority;
        (Reverse(job.is_requested()), Reverse(priority), job.enqueued, job.id)
    };
    let firsts = waiting.iter().enumerate().filter_map(|(nth, jobs)| Some((turn(jobs.front()?), nth)));
    let (_, nth) = firsts.min()?;
    waiting[nth].pop_front()
}

impl SiteState {
    /// The running jobs whose runs hold units of pools.
    pub fn runs_with_pools(&self) -> impl Iterator<Item = &Job> {
        let running = self.queues().into_iter().flat_map(|(_, queue)| &queue.running);
        running.filter_map(|id| self.job(*id)).filter(|job| !job.held_pools().is_empty())
    }

    /// The first pool that has too few free units for a job, and the running jobs that hold the others, oldest first.
    pub(super) fn missing_pool(&self, job: &Job) -> Option<(Arc<str>, Vec<&Job>)> {
        if !uses_pools(job) {
            return None;
        }
        let Ok(uses) = uses_of(self, job);
        let units = Units::new(self.pool_sizes().clone(), self.runs_with_pools());
        let missing = uses.iter().find(|wanted| units.assign(wanted).is_none())?;
        let holds = |job: &&Job| job.held_pools().iter().any(|hold| hold.pool == missing.pool);
        let mut holders: Vec<&Job> = self.runs_with_pools().filter(holds).collect();
        holders.sort_by_key(|job| job.last_run.as_ref().map(|run| (run.started, run.id)));
        Some((Arc::clone(&missing.pool), holders))
    }

    /// The jobs that get free slots of the queue of this job before it, though they wait for pools or labels, in order.
    pub(super) fn jobs_with_slots_before(&self, job: &Job) -> Vec<Job> {
        let Ok(queues) = StateReader::queues(self);
        let Some(queue) = queues.iter().find(|queue| queue.id == job.queue) else { return Vec::new() };
        let Ok(used) = self.used_slots(&queue.id);
        let Ok(mut jobs) = next_for_slots(self, queue, queue.settings.max_parallel().saturating_sub(used));
        if let Some(turn) = jobs.iter().position(|next| next.id == job.id) {
            jobs.truncate(turn);
        }
        jobs
    }

    /// A pool of which another job gets units first, and that job: it waits for more of them, or for another pool as well.
    pub(super) fn pool_turn_before(&self, job: &Job) -> Option<(Arc<str>, &Job)> {
        // A job only waits for units that others hold.
        if !uses_pools(job) || self.runs_with_pools().next().is_none() {
            return None;
        }
        let queues: Vec<QueueId> = self.queues().into_iter().map(|(id, _)| id.clone()).collect();
        let Ok(turns) = PoolTurns::decide(self, Some(&queues));
        if turns.granted.contains(&job.id) {
            return None;
        }
        let Ok(uses) = uses_of(self, job);
        let pools = uses.iter().map(|wanted| &wanted.pool);
        let before = |pool: &Arc<str>| {
            let first = turns.first_waiting.get(pool).filter(|first| **first != job.id)?;
            Some((Arc::clone(pool), self.job(*first)?))
        };
        pools.into_iter().find_map(before)
    }
}
