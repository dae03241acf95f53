//! All that is known of one site, in memory: queues with their jobs in order. Every follower of a site keeps one.

mod fill;

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::convert::Infallible;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::index::{Index, rank};
use super::neighbours::Neighbours;
use super::{
    Event, Filed, Job, JobId, Mode, Outcome, Phase, QueueId, QueueView, Recorded, Removal, RunId, Settings, State,
    Target, Turn, View, Worker, WorkerId,
};

/// The state of a site as plain data. Events change it, nothing else does; equal events make equal ledgers.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    queues: BTreeMap<QueueId, QueueRecord>,
    jobs: Jobs,
    removed: HashMap<JobId, (Job, Removal), Neighbours>,
    indexes: BTreeMap<QueueId, Index>,
    /// Who needs a job, for jobs that are needed.
    dependants: HashMap<JobId, BTreeSet<JobId>, Neighbours>,
    workers: BTreeMap<WorkerId, Worker>,
    stamp: Option<String>,
    counters: Counters,
}

/// Jobs by number. A table that has grown is half empty: what is missing there should be small.
type Jobs = HashMap<JobId, Box<Job>, Neighbours>;

/// The numbers given so far, and the place in the order of events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// The last event applied.
    pub seq: u64,
    /// The highest job number.
    pub job: u64,
    /// The highest run number.
    pub run: u64,
    /// The highest worker number.
    pub worker: u64,
}

/// One queue: how it goes about its jobs, and their numbers in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct QueueRecord {
    /// As the file says.
    pub settings: Settings,
    /// What it is doing.
    pub mode: Mode,
    /// By position.
    pub pending: VecDeque<JobId>,
    /// By start.
    pub running: VecDeque<JobId>,
    /// By when they finished, latest last.
    pub finished: VecDeque<JobId>,
    /// How many of the finished have failed or were interrupted.
    pub failed: usize,
}

impl Ledger {
    /// A queue's record.
    pub fn queue(&self, id: &QueueId) -> Option<&QueueRecord> {
        self.queues.get(id)
    }

    /// All queues in their order: as in the file, then by name.
    pub fn queues(&self) -> Vec<(&QueueId, &QueueRecord)> {
        let mut queues: Vec<_> = self.queues.iter().collect();
        queues.sort_by_key(|(_, queue)| queue.settings.order);
        queues
    }

    /// A job that is in a queue.
    pub fn job(&self, id: JobId) -> Option<&Job> {
        self.jobs.get(&id).map(Box::as_ref)
    }

    /// The job of that name in that queue. Looks at all of its jobs: names are for people, who ask seldom.
    pub fn named(&self, queue: &QueueId, name: &str) -> Option<&Job> {
        let QueueRecord { pending, running, finished, .. } = self.queues.get(queue)?;
        let jobs = pending.iter().chain(running).chain(finished).filter_map(|id| self.jobs.get(id));
        jobs.map(Box::as_ref).find(|job| job.name() == Some(name))
    }

    /// Where a job stands in the list of its phase, counted from 0. As fast with many jobs as with few.
    pub fn place(&self, id: JobId) -> Option<usize> {
        let job = self.jobs.get(&id)?;
        Some(place_in(self.queues.get(&job.queue)?.list(job.phase()), job, &self.jobs))
    }

    /// The jobs that need this one.
    pub fn dependants_of(&self, id: JobId) -> impl Iterator<Item = &Job> {
        self.dependants.get(&id).into_iter().flatten().filter_map(|id| self.job(*id))
    }

    /// All jobs that are in queues, in no order.
    pub fn jobs(&self) -> impl Iterator<Item = &Job> {
        self.jobs.values().map(Box::as_ref)
    }

    /// The pending jobs of a queue that ask a person first, in their order.
    pub fn asking(&self, queue: &QueueId) -> impl Iterator<Item = &Job> {
        let asking = self.indexes.get(queue).map(|index| &index.asking).into_iter().flatten();
        asking.filter_map(|(_, id)| self.job(*id))
    }

    /// Whether a queue is being processed and no worker is there to do it.
    pub fn is_unattended(&self, queue: &QueueId) -> bool {
        let processing = self.queues.get(queue).is_some_and(|record| record.mode == Mode::Processing);
        processing && !self.workers.values().any(|worker| worker.serves(queue))
    }

    /// The earliest time for which a job of a queue waits and for nothing else.
    pub fn next_time(&self, queue: &QueueId) -> Option<DateTime<Utc>> {
        self.indexes.get(queue)?.timed.first().map(|(until, _)| *until)
    }

    /// The workers that have joined and not left.
    pub fn workers(&self) -> impl Iterator<Item = &Worker> {
        self.workers.values()
    }

    /// Which version of `jobs.yaml` is in force.
    pub fn stamp(&self) -> Option<&str> {
        self.stamp.as_deref()
    }

    /// The numbers given so far.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// The number of the last event applied; 0 before the first.
    pub fn seq(&self) -> u64 {
        self.counters.seq
    }

    /// Makes the change that `recorded` tells of.
    pub fn apply(&mut self, recorded: &Recorded) {
        let Recorded { seq, at, event } = recorded;
        self.counters.seq = *seq;
        match event {
            Event::QueueDefined { queue, settings } => {
                entry(&mut self.queues, queue).settings = settings.clone();
            }
            Event::ModeChanged { queue, mode } => entry(&mut self.queues, queue).mode = *mode,
            Event::Added { job } | Event::Restored { job } => self.insert((**job).clone()),
            Event::Removed { job, by } => {
                if let Some(job) = self.take(*job) {
                    self.removed.insert(job.id, (job, *by));
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
            Event::WorkerLeft { worker } => {
                self.workers.remove(worker);
            }
            Event::FileRead { stamp } => self.stamp = Some(stamp.clone()),
            about_a_job => {
                if let Event::Started { job, run } = about_a_job
                    && let Some(worker) = self.workers.get_mut(&run.worker)
                {
                    worker.redeem(*job);
                }
                self.change(about_a_job, *at);
            }
        }
    }

    /// Puts a job where its state says, in place of what was known of it; part of loading a site.
    pub fn insert(&mut self, job: Job) {
        let id = job.id;
        if let Some(known) = self.take(id).or_else(|| self.removed.remove(&id).map(|(known, _)| known)) {
            self.displace(&known);
        }
        self.note(&job);
        let index = entry(&mut self.indexes, &job.queue);
        index.add(&job);
        index.places.insert((job.position, id));
        self.jobs.insert(id, job.into());
        self.list(id);
    }

    /// Makes room for the jobs that are about to be added.
    pub(super) fn make_room<'e>(&mut self, events: impl IntoIterator<Item = &'e Event>) {
        self.jobs.reserve(events.into_iter().filter(|event| matches!(event, Event::Added { .. })).count());
    }

    fn change(&mut self, event: &Event, at: DateTime<Utc>) {
        let Some(id) = event.job() else { return };
        if let Event::Waits { .. } = event {
            self.change_wait(id, event, at);
            return;
        }
        let Some(mut job) = self.take(id) else { return };
        if let Event::Moved { .. } = event {
            self.displace(&job);
        }
        job.apply(event, at);
        self.insert(job);
    }

    /// What a job waits for changes neither its place nor who needs whom: thousands may do so at once.
    fn change_wait(&mut self, id: JobId, event: &Event, at: DateTime<Utc>) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let index = entry(&mut self.indexes, &job.queue);
        index.remove(job);
        job.apply(event, at);
        index.add(job);
    }

    fn displace(&mut self, job: &Job) {
        if let Some(index) = self.indexes.get_mut(&job.queue) {
            index.places.remove(&(job.position, job.id));
        }
    }

    /// Takes a job out of everything but the places of its queue, which a removed job keeps.
    fn take(&mut self, id: JobId) -> Option<Job> {
        self.unlist(id);
        let job = *self.jobs.remove(&id)?;
        for need in &job.needs {
            if let Some(dependants) = self.dependants.get_mut(&need.job) {
                dependants.remove(&id);
            }
        }
        Some(job)
    }

    /// Takes note of what concerns more than its queue, of a job that is about to be in one.
    fn note(&mut self, job: &Job) {
        self.counters.job = self.counters.job.max(job.id.0);
        self.counters.run = self.counters.run.max(job.last_run.as_ref().map_or(0, |run| run.id.0));
        for need in &job.needs {
            self.dependants.entry(need.job).or_default().insert(job.id);
        }
    }

    fn list(&mut self, id: JobId) {
        let Some(job) = self.jobs.get(&id) else { return };
        let queue = entry(&mut self.queues, &job.queue);
        queue.failed += usize::from(wants_attention(job));
        let list = queue.list_mut(job.phase());
        let place = place_in(list, job, &self.jobs);
        list.insert(place, id);
    }

    fn unlist(&mut self, id: JobId) {
        let Some(job) = self.jobs.get(&id) else { return };
        if let Some(index) = self.indexes.get_mut(&job.queue) {
            index.remove(job);
        }
        let Some(queue) = self.queues.get_mut(&job.queue) else { return };
        queue.failed -= usize::from(wants_attention(job));
        let list = queue.list_mut(job.phase());
        let place = place_in(list, job, &self.jobs);
        list.remove(place);
    }

    /// The pending jobs of a queue that are as near to their start as this, in their order.
    fn in_turn(&self, queue: &QueueId, turn: Turn) -> impl Iterator<Item = JobId> {
        let pending = self.queues.get(queue).map(|queue| &queue.pending).into_iter().flatten().copied();
        pending.filter(move |id| self.job(*id).and_then(Job::turn) == Some(turn))
    }

    /// All jobs that were ever in a queue, in queue order, with who removed them.
    fn ever(&self, queue: &QueueId) -> impl Iterator<Item = (&Job, Option<Removal>)> {
        let places = self.indexes.get(queue).into_iter().flat_map(|index| &index.places);
        places.filter_map(|(_, id)| {
            let present = self.job(*id).map(|job| (job, None));
            present.or_else(|| self.removed.get(id).map(|(job, by)| (job, Some(*by))))
        })
    }
}

impl QueueRecord {
    /// The numbers of the jobs in one phase, in their order.
    pub fn list(&self, phase: Phase) -> &VecDeque<JobId> {
        match phase {
            Phase::Pending => &self.pending,
            Phase::Running => &self.running,
            Phase::Finished => &self.finished,
        }
    }

    fn list_mut(&mut self, phase: Phase) -> &mut VecDeque<JobId> {
        match phase {
            Phase::Pending => &mut self.pending,
            Phase::Running => &mut self.running,
            Phase::Finished => &mut self.finished,
        }
    }
}

/// What is kept for a queue, made if it isn't there.
fn entry<'a, T: Default>(kept: &'a mut BTreeMap<QueueId, T>, queue: &QueueId) -> &'a mut T {
    kept.entry(queue.clone()).or_default()
}

/// Whether the job is one of those that a person should look at.
fn wants_attention(job: &Job) -> bool {
    matches!(job.outcome(), Some(Outcome::Failed(_) | Outcome::Interrupted))
}

/// Where a job stands in a list, or would stand.
fn place_in(list: &VecDeque<JobId>, job: &Job, jobs: &Jobs) -> usize {
    let before = |other: &JobId| jobs.get(other).is_some_and(|other| order(other, job).is_lt());
    // Most are looked for at one of the ends.
    match list.back() {
        Some(end) if before(end) => list.len(),
        Some(end) if *end == job.id => list.len() - 1,
        _ if list.front() == Some(&job.id) => 0,
        _ => list.partition_point(before),
    }
}

/// The order of two jobs in the same list.
fn order(a: &Job, b: &Job) -> Ordering {
    let started = |job: &Job| job.last_run.as_ref().map(|run| (run.started, run.id));
    let run = |job: &Job| job.last_run.as_ref().map(|run| run.id);
    match (&a.state, &b.state) {
        (State::Running { .. }, State::Running { .. }) => started(a).cmp(&started(b)),
        // What finished within one tick of the clock stands in the order in which it started.
        (State::Finished { at: a_at, .. }, State::Finished { at: b_at, .. }) => {
            a_at.cmp(b_at).then_with(|| run(a).cmp(&run(b)))
        }
        _ => rank(a).cmp(&rank(b)),
    }
    .then(a.id.cmp(&b.id))
}

impl PartialEq for Ledger {
    /// Equal when the same is in the queues; what was taken out is not compared.
    fn eq(&self, other: &Self) -> bool {
        self.queues == other.queues
            && self.jobs == other.jobs
            && self.workers == other.workers
            && self.stamp == other.stamp
            && self.counters == other.counters
    }
}

impl View for Ledger {
    type Error = Infallible;

    fn stamp(&self) -> Result<Option<String>, Infallible> {
        Ok(self.stamp.clone())
    }

    fn queues(&self) -> Result<Vec<QueueView>, Infallible> {
        let view = |(id, queue): (&QueueId, &QueueRecord)| QueueView {
            id: id.clone(),
            settings: queue.settings.clone(),
            mode: queue.mode,
        };
        Ok(self.queues().into_iter().map(view).collect())
    }

    fn queue(&self, id: &QueueId) -> Result<Option<QueueView>, Infallible> {
        Ok(self.queues.get(id).map(|queue| QueueView {
            id: id.clone(),
            settings: queue.settings.clone(),
            mode: queue.mode,
        }))
    }

    fn job(&self, id: JobId) -> Result<Option<Job>, Infallible> {
        Ok(self.job(id).cloned())
    }

    fn removed(&self, id: JobId) -> Result<Option<Job>, Infallible> {
        Ok(self.removed.get(&id).map(|(job, _)| job.clone()))
    }

    fn filed(&self, queue: &QueueId) -> Result<Vec<Filed>, Infallible> {
        let filed = |(job, removed): (&Job, Option<Removal>)| Filed {
            id: job.id,
            definition: Arc::clone(&job.definition),
            position: job.position,
            phase: job.phase(),
            removed,
        };
        Ok(self.ever(queue).filter(|(job, _)| job.definition.digest.is_some()).map(filed).collect())
    }

    fn in_phase(&self, queue: &QueueId, phase: Phase) -> Result<Vec<JobId>, Infallible> {
        Ok(self.queues.get(queue).map(|queue| queue.list(phase).iter().copied().collect()).unwrap_or_default())
    }

    fn places(&self, queue: &QueueId, priority: i32) -> Result<Vec<(i64, JobId)>, Infallible> {
        let pending = self.queues.get(queue).map(|queue| &queue.pending).into_iter().flatten();
        let alike = |job: &&Job| job.definition.terms.priority == priority;
        let jobs = pending.filter_map(|id| self.job(*id)).filter(alike);
        Ok(jobs.map(|job| (job.position, job.id)).collect())
    }

    fn target(&self, target: &Target) -> Result<Option<JobId>, Infallible> {
        Ok(match target {
            Target::Number(id) => (self.jobs.contains_key(id) || self.removed.contains_key(id)).then_some(*id),
            Target::Named(queue, name) => {
                self.ever(queue).find(|(job, _)| job.name() == Some(name)).map(|(job, _)| job.id)
            }
        })
    }

    fn dependants(&self, job: JobId) -> Result<Vec<JobId>, Infallible> {
        Ok(self.dependants.get(&job).map(|jobs| jobs.iter().copied().collect()).unwrap_or_default())
    }

    fn first(&self, queue: &QueueId, turn: Turn, most: usize) -> Result<Vec<Job>, Infallible> {
        let reserved = |id: &JobId| self.workers.values().any(|worker| worker.reserves(*id));
        let first: Vec<JobId> = match turn {
            Turn::Asked => {
                let asked = self.indexes.get(queue).map(|index| &index.asked).into_iter().flatten();
                asked.map(|(_, id)| *id).filter(|id| !reserved(id)).take(most).collect()
            }
            // Those that wait for something stand among the others: memory is dearer than a look at them.
            _ => self.in_turn(queue, turn).filter(|id| !reserved(id)).take(most).collect(),
        };
        Ok(first.into_iter().filter_map(|id| self.job(id)).cloned().collect())
    }

    fn held(&self, queue: &QueueId) -> Result<Vec<JobId>, Infallible> {
        Ok(self.in_turn(queue, Turn::Held).collect())
    }

    fn taken(&self, queue: &QueueId) -> Result<u32, Infallible> {
        let running = self.queues.get(queue).map(|queue| &queue.running).into_iter().flatten();
        let weights = running.filter_map(|id| self.jobs.get(id)).map(|job| job.definition.terms.weight);
        Ok(weights.fold(0, u32::saturating_add))
    }

    fn goes_on(&self, queue: &QueueId) -> Result<bool, Infallible> {
        let Some(record) = self.queues.get(queue) else { return Ok(false) };
        let held = |id: &JobId| self.jobs.get(id).is_none_or(|job| job.turn() == Some(Turn::Held));
        Ok(!record.running.is_empty() || record.pending.iter().any(|id| !held(id)))
    }

    fn due(&self, now: DateTime<Utc>) -> Result<Vec<JobId>, Infallible> {
        let mut due: Vec<(DateTime<Utc>, JobId)> = self
            .indexes
            .values()
            .flat_map(|index| index.timed.iter().take_while(|(until, _)| *until <= now))
            .copied()
            .collect();
        due.sort_unstable();
        Ok(due.into_iter().map(|(_, id)| id).collect())
    }

    fn next_due(&self, queue: &QueueId, asked: bool) -> Result<Option<DateTime<Utc>>, Infallible> {
        let timed = self.indexes.get(queue).map(|index| &index.timed).into_iter().flatten();
        let wanted = |id: &JobId| {
            let turn = self.job(*id).and_then(Job::turn);
            !asked || turn == Some(Turn::Timed { asked: true })
        };
        Ok(timed.filter(|(_, id)| wanted(id)).map(|(until, _)| *until).next())
    }

    fn unfiled_before(&self, queue: &QueueId, before: DateTime<Utc>) -> Result<Vec<JobId>, Infallible> {
        let finished = self.queues.get(queue).map(|queue| &queue.finished).into_iter().flatten();
        let finished = finished.filter_map(|id| self.job(*id));
        let old = |job: &&Job| matches!(job.state, State::Finished { at, .. } if at < before);
        let unfiled = finished.take_while(old).filter(|job| job.definition.digest.is_none());
        Ok(unfiled.map(|job| job.id).collect())
    }

    fn last_position(&self, queue: &QueueId) -> Result<i64, Infallible> {
        let last = self.indexes.get(queue).and_then(|index| index.places.last());
        Ok(last.map_or(0, |(position, _)| *position))
    }

    fn next_job(&self) -> Result<JobId, Infallible> {
        Ok(JobId(self.counters.job + 1))
    }

    fn next_run(&self) -> Result<RunId, Infallible> {
        Ok(RunId(self.counters.run + 1))
    }

    fn next_worker(&self) -> Result<WorkerId, Infallible> {
        Ok(WorkerId(self.counters.worker + 1))
    }

    fn worker(&self, id: WorkerId) -> Result<Option<Worker>, Infallible> {
        Ok(self.workers.get(&id).cloned())
    }

    fn reserved(&self) -> Result<Vec<JobId>, Infallible> {
        let reserved = self.workers.values().flat_map(|worker| &worker.reserved);
        Ok(reserved.map(|reservation| reservation.job).collect())
    }

    fn run_by(&self, worker: WorkerId) -> Result<Vec<Job>, Infallible> {
        let running = self.queues.values().flat_map(|queue| &queue.running);
        let jobs = running.filter_map(|id| self.job(*id));
        Ok(jobs.filter(|job| job.last_run.as_ref().is_some_and(|run| run.worker == worker)).cloned().collect())
    }
}
