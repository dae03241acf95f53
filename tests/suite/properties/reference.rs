//! A simple second implementation of a site, as the reference for property tests.
//!
//! It keeps jobs in a vector and scans all of them for every question. Derived facts are not stored but computed each
//! time: whose needs are met, which job is next, which queue is finished.

mod commands;
mod reconcile;
mod reorder;
mod reservation;
mod scheduling;

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use setlist::Command;
use setlist::model::{
    Definition, JobId, JobRef, JobState, Need, NotBefore, OnFailure, Outcome, OutcomeCondition, Phase, QueueId,
    QueueMode, RemovalReason, RunReport, StopSignal, Value, WaitConditions, WorkerId,
};

use super::QUEUES;

/// The reference implementation.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Reference {
    pub(super) queues: Vec<ReferenceQueue>,
    pub(super) jobs: Vec<ReferenceJob>,
    pub(super) runs: u64,
    pub(super) workers: u64,
    pub(super) present: BTreeSet<u64>,
    pub(super) reserved: Vec<ReferenceReservation>,
    /// The version of the file that was applied last; empty for none.
    pub(super) file_version: String,
}

/// A job reserved for a worker, with the id of its run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ReferenceReservation {
    pub(super) worker: u64,
    pub(super) job: u64,
    pub(super) run: u64,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct ReferenceQueue {
    pub(super) name: &'static str,
    pub(super) mode: QueueMode,
    pub(super) parallel: u32,
    /// The worker for which another limit is set, and that limit.
    pub(super) limit: Option<(u64, u32)>,
    pub(super) stop: bool,
    /// Its place among the queues of the file.
    pub(super) order: u32,
    /// How many seconds a finished job that is not in the file is kept.
    pub(super) keep: u64,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct ReferenceJob {
    pub(super) id: u64,
    pub(super) queue: &'static str,
    pub(super) definition: Arc<Definition>,
    /// The jobs that it needs, by id.
    pub(super) needs: Vec<(u64, OutcomeCondition)>,
    /// Lower runs first among jobs of equal priority.
    pub(super) place: i64,
    pub(super) removed: Option<RemovalReason>,
    pub(super) stage: ReferenceState,
    /// How often it has started since its last reset.
    pub(super) tries: u32,
    pub(super) attempts: u32,
    pub(super) run: Option<u64>,
    pub(super) started: Option<DateTime<Utc>>,
    pub(super) worker: u64,
    pub(super) failed: bool,
    pub(super) value: Option<Value>,
    pub(super) executed: Option<DateTime<Utc>>,
    pub(super) enqueued: DateTime<Utc>,
}

/// The state of a job. Whether it waits for other jobs is computed when needed.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum ReferenceState {
    Pending { requested: bool, until: Option<DateTime<Utc>>, confirm: bool, forced: bool },
    Running { requested: bool, forced: bool, stop: Option<StopSignal> },
    Finished { outcome: Outcome, at: DateTime<Utc> },
}

/// Why the reference refuses a command, as in [`super::refusal_code`].
pub(super) type RefusalCode = String;

fn refuse<T>(why: &str) -> Result<T, RefusalCode> {
    Err(why.to_owned())
}

impl Reference {
    /// Executes a command and propagates its effects. The reference must not be used after a refusal.
    pub(super) fn apply(&mut self, command: &Command, now: DateTime<Utc>) -> Result<(), RefusalCode> {
        self.execute(command, now)?;
        self.propagate(matches!(command, Command::Reconcile(_)), now);
        Ok(())
    }

    fn execute(&mut self, command: &Command, now: DateTime<Utc>) -> Result<(), RefusalCode> {
        match command {
            Command::Reconcile(plan) => self.read(plan, now),
            Command::EnsureQueue { queue } => self.open(name(queue)),
            Command::Add { queue, jobs } => self.add(name(queue), jobs, now)?,
            Command::Request { command, .. } | Command::WithValues { command, .. } => self.execute(command, now)?,
            Command::Process { queue } => self.process(queue, now)?,
            Command::Pause { queue } => match &mut self.ref_queue(queue)?.mode {
                QueueMode::Paused => return refuse("already"),
                mode => {
                    *mode = QueueMode::Paused;
                    self.withdraw_requests(queue);
                }
            },
            Command::StopProcessing { queue } => match &mut self.ref_queue(queue)?.mode {
                mode @ QueueMode::Processing => *mode = QueueMode::Idle,
                _ => return refuse("already"),
            },
            Command::Run { job, force } => self.run(*job, *force, now)?,
            Command::Approve { jobs, .. } => self.approve(jobs)?,
            Command::Refuse { jobs, .. } => self.refuse(jobs, now)?,
            Command::Reset { job } => {
                let ref_job = self.ref_job(*job)?;
                let ReferenceState::Finished { .. } = ref_job.stage else { return refuse("state") };
                ref_job.make_pending(ref_job.fresh(now), now);
            }
            Command::Cancel { job, stop } => self.cancel(*job, *stop, now)?,
            Command::Remove { jobs } => self.remove(jobs)?,
            Command::Clear { queue, phase } => self.clear(queue, *phase)?,
            Command::Restore { jobs } => self.restore(jobs)?,
            // Not part of the random commands: only the screen announces an entry, only a clock that was set back shortens a
            // wait, and the same as `Run` happens to a failed job.
            Command::AdoptEntry { .. }
            | Command::PruneJobs { .. }
            | Command::ShortenWaits
            | Command::RunFailed { .. }
            | Command::ReplaceFile { .. }
            | Command::Drain { .. }
            | Command::RecordStall { .. }
            | Command::RecordSnapshot { .. } => {}
            Command::Transfer { jobs, queue } => self.transfer(jobs, queue)?,
            Command::Move { jobs, placement } => self.move_jobs(jobs, *placement)?,
            Command::SetParallel { queue, parallel } => {
                let ref_queue = self.ref_queue(queue)?;
                (ref_queue.parallel, ref_queue.limit) = (parallel.get(), None);
            }
            Command::OverrideParallel { worker, queue, parallel } => {
                if !self.present.contains(&worker.0) {
                    return refuse("worker");
                }
                self.ref_queue(queue)?.limit = Some((worker.0, parallel.get()));
            }
            Command::PromoteDue => self.promote_due(now)?,
            Command::PruneFinished => self.prune_finished(now)?,
            Command::Join { .. } => {
                self.workers += 1;
                self.present.insert(self.workers);
            }
            Command::Claim { worker, queues } => match self.next(queues.as_deref()) {
                Some(id) => self.start(id, *worker, now)?,
                None => return Err(format!("nothing until {:?}", self.next_time(queues.as_deref()))),
            },
            Command::Start { worker, job } => {
                let ReferenceState::Pending { .. } = self.unreserved_job(*job)?.stage else { return refuse("state") };
                self.start(job.0, *worker, now)?;
            }
            Command::Reserve { worker, queues } => self.reserve(*worker, queues)?,
            Command::StartReserved { worker, job, run } => self.begin(*worker, *job, *run, now)?,
            Command::Release { worker } => self.release(*worker)?,
            Command::EndRun { job, run, report, on_failure } => self.end_run(*job, *run, report, *on_failure, now)?,
            Command::ReapWorker { worker, started_runs, unreachable_host: _ } => {
                self.reap_worker(*worker, started_runs, now)?;
            }
            Command::Leave { worker, queues } => self.leave(*worker, queues.as_deref())?,
        }
        Ok(())
    }

    fn add(&mut self, queue: &'static str, jobs: &[Arc<Definition>], now: DateTime<Utc>) -> Result<(), RefusalCode> {
        self.open(queue);
        let mut needs = Vec::new();
        for definition in jobs {
            needs.push(self.found(&definition.scheduling.needs).ok_or("need")?);
        }
        for (definition, needs) in jobs.iter().zip(needs) {
            let places = self.jobs.iter().filter(|ref_job| ref_job.queue == queue).map(|ref_job| ref_job.place);
            let place = places.max().unwrap_or_default() + 1;
            // Only jobs of the file have a name.
            let definition = Definition { name: None, digest: None, ..(**definition).clone() };
            let id = self.jobs.len() as u64 + 1;
            self.jobs.push(ReferenceJob { needs, place, ..ReferenceJob::new(id, queue, definition, now) });
        }
        Ok(())
    }

    fn process(&mut self, queue: &QueueId, now: DateTime<Utc>) -> Result<(), RefusalCode> {
        let open = self.count_unfinished(name(queue));
        let ref_queue = self.ref_queue(queue)?;
        ref_queue.mode = match ref_queue.mode {
            QueueMode::Processing => return refuse("already"),
            QueueMode::Idle if open == 0 => return refuse("nothing"),
            _ => QueueMode::Processing,
        };
        // Refused if no job would start or be skipped.
        let mut tried = self.clone();
        tried.propagate(false, now);
        let idle = tried.ref_queue(queue)?.mode == QueueMode::Idle;
        if open > 0 && idle && tried.jobs == self.jobs { refuse("held") } else { Ok(()) }
    }

    /// Requests made before a pause don't start jobs during it.
    fn withdraw_requests(&mut self, queue: &QueueId) {
        for ref_job in self.jobs.iter_mut().filter(|ref_job| ref_job.queue == name(queue)) {
            if let ReferenceState::Pending { requested, .. } | ReferenceState::Running { requested, .. } =
                &mut ref_job.stage
            {
                *requested = false;
            }
        }
    }

    fn approve(&mut self, jobs: &[JobId]) -> Result<(), RefusalCode> {
        let mut approved = 0;
        for job in jobs {
            if let ReferenceState::Pending { confirm: confirm @ true, .. } = &mut self.ref_job(*job)?.stage {
                *confirm = false;
                approved += 1;
            }
        }
        if approved == 0 { refuse("nothing") } else { Ok(()) }
    }

    fn refuse(&mut self, jobs: &[JobId], now: DateTime<Utc>) -> Result<(), RefusalCode> {
        let mut refused = 0;
        for job in jobs {
            let stage = &mut self.ref_job(*job)?.stage;
            if let ReferenceState::Pending { confirm: true, .. } = stage {
                *stage = ReferenceState::Finished { outcome: Outcome::Cancelled, at: now };
                refused += 1;
            }
        }
        if refused == 0 { refuse("nothing") } else { Ok(()) }
    }

    fn start(&mut self, id: u64, worker: WorkerId, now: DateTime<Utc>) -> Result<(), RefusalCode> {
        if !self.present.contains(&worker.0) {
            return refuse("worker");
        }
        self.runs += 1;
        self.start_as(id, worker, self.runs, now);
        Ok(())
    }

    fn start_as(&mut self, id: u64, worker: WorkerId, run: u64, now: DateTime<Utc>) {
        let ref_job = self.at(id);
        ref_job.stage =
            ReferenceState::Running { requested: ref_job.requested(), forced: ref_job.forced(), stop: None };
        ref_job.attempts += 1;
        ref_job.tries += 1;
        ref_job.run = Some(run);
        ref_job.started = Some(now);
        ref_job.worker = worker.0;
        ref_job.failed = false;
    }

    /// Ends a run: its job finishes, is retried, or stays pending and stops its queue.
    fn end(&mut self, id: u64, report: &RunReport, on_failure: Option<OnFailure>, now: DateTime<Utc>) {
        let again = scheduling::retry_time(self.at(id), report, now);
        let ref_job = self.at(id);
        let failed = matches!(report.outcome, Outcome::Failed(_));
        let (requested, forced) = (ref_job.requested(), ref_job.forced());
        ref_job.failed = failed;
        if report.outcome == Outcome::Succeeded {
            ref_job.value.clone_from(&report.value);
        }
        let queue = ref_job.queue;
        let ref_queue = self.queues.iter_mut().find(|ref_queue| ref_queue.name == queue).unwrap();
        let stops = failed && on_failure.map_or(ref_queue.stop, |on_failure| on_failure == OnFailure::Stop);
        if again.is_none() && stops && ref_queue.mode == QueueMode::Processing {
            ref_queue.mode = QueueMode::Stopped;
        }
        let ref_job = self.at(id);
        if let Some(at) = again {
            ref_job.stage = ReferenceState::Pending { requested, until: Some(at), confirm: false, forced };
        } else if stops {
            let confirm = ref_job.definition.scheduling.confirm.is_some();
            let stage = ReferenceState::Pending { requested: false, until: None, confirm, forced: false };
            ref_job.make_pending(stage, now);
        } else {
            ref_job.stage = ReferenceState::Finished { outcome: report.outcome.clone(), at: now };
            ref_job.executed = Some(now);
        }
        if let Some(definition) = self.at(id).definition.replacement.clone() {
            let needs = self.found(&definition.scheduling.needs).unwrap();
            let ref_job = self.at(id);
            let before = std::mem::replace(&mut ref_job.definition, definition);
            ref_job.needs = needs;
            if ref_job.phase() == Phase::Finished && reconcile::runs_differently(&before, &ref_job.definition) {
                let state = if requested {
                    let confirm = ref_job.definition.scheduling.confirm.is_some();
                    ReferenceState::Pending { requested, until: None, confirm, forced: false }
                } else {
                    ref_job.fresh(now)
                };
                ref_job.make_pending(state, now);
            }
        }
    }

    fn open(&mut self, name: &'static str) {
        if self.queues.iter().all(|ref_queue| ref_queue.name != name) {
            let keep = 90 * 24 * 60 * 60;
            self.queues.push(ReferenceQueue {
                name,
                mode: QueueMode::Idle,
                parallel: 1,
                limit: None,
                stop: false,
                order: u32::MAX,
                keep,
            });
        }
        self.queues.sort_by_key(|ref_queue| (ref_queue.order, ref_queue.name));
    }

    /// Resolves needs, including removed jobs; `None` if a job never existed.
    fn found(&self, needs: &[Need]) -> Option<Vec<(u64, OutcomeCondition)>> {
        let find = |need: &Need| {
            let is_entry_of = |ref_job: &&ReferenceJob| match &need.job {
                JobRef::Number(JobId(id)) => ref_job.id == *id,
                JobRef::Named(queue, name) => {
                    ref_job.queue == queue.as_str() && ref_job.definition.name.as_ref() == Some(name)
                }
            };
            Some((self.jobs.iter().find(is_entry_of)?.id, need.on))
        };
        needs.iter().map(find).collect()
    }

    pub(super) fn ref_queue(&mut self, queue: &QueueId) -> Result<&mut ReferenceQueue, RefusalCode> {
        self.queues.iter_mut().find(|ref_queue| ref_queue.name == queue.as_str()).ok_or("no queue".to_owned())
    }

    fn ref_job(&mut self, job: JobId) -> Result<&mut ReferenceJob, RefusalCode> {
        self.jobs.iter_mut().find(|ref_job| ref_job.id == job.0 && ref_job.removed.is_none()).ok_or("no job".to_owned())
    }

    fn at(&mut self, id: u64) -> &mut ReferenceJob {
        self.jobs.iter_mut().find(|ref_job| ref_job.id == id).unwrap()
    }

    fn run_by(&self, worker: WorkerId) -> Vec<u64> {
        let runs = |ref_job: &&ReferenceJob| ref_job.phase() == Phase::Running && ref_job.worker == worker.0;
        self.jobs.iter().filter(runs).map(|ref_job| ref_job.id).collect()
    }
}

impl ReferenceJob {
    fn new(id: u64, queue: &'static str, definition: impl Into<Arc<Definition>>, now: DateTime<Utc>) -> Self {
        let mut ref_job = Self {
            id,
            queue,
            definition: definition.into(),
            needs: Vec::new(),
            place: 0,
            removed: None,
            stage: ReferenceState::Pending { requested: false, until: None, confirm: false, forced: false },
            tries: 0,
            attempts: 0,
            run: None,
            started: None,
            worker: 0,
            failed: false,
            value: None,
            executed: None,
            enqueued: now,
        };
        ref_job.stage = ref_job.fresh(now);
        ref_job
    }

    /// The state of a job that becomes pending: it waits for its earliest start and for approval, if required.
    fn fresh(&self, now: DateTime<Utc>) -> ReferenceState {
        let until = match self.definition.scheduling.after {
            Some(NotBefore::Delay(delay)) => Some(now + delay),
            Some(NotBefore::Time(time)) => Some(time),
            None => None,
        };
        let confirm = self.definition.scheduling.confirm.is_some();
        ReferenceState::Pending { requested: false, until: until.filter(|until| *until > now), confirm, forced: false }
    }

    /// Makes the job pending, and restarts the count of attempts.
    fn make_pending(&mut self, stage: ReferenceState, now: DateTime<Utc>) {
        if self.phase() == Phase::Finished {
            self.enqueued = now;
        }
        self.tries = 0;
        self.stage = stage;
    }

    fn requested(&self) -> bool {
        matches!(
            self.stage,
            ReferenceState::Pending { requested: true, .. } | ReferenceState::Running { requested: true, .. }
        )
    }

    pub(super) fn forced(&self) -> bool {
        matches!(
            self.stage,
            ReferenceState::Pending { forced: true, .. } | ReferenceState::Running { forced: true, .. }
        )
    }

    pub(super) fn phase(&self) -> Phase {
        match self.stage {
            ReferenceState::Pending { .. } => Phase::Pending,
            ReferenceState::Running { .. } => Phase::Running,
            ReferenceState::Finished { .. } => Phase::Finished,
        }
    }

    /// Its path: `queue/name` or `queue/#7`.
    fn path(&self) -> String {
        match &self.definition.name {
            Some(name) => format!("{}/{name}", self.queue),
            None => format!("{}/#{}", self.queue, self.id),
        }
    }
}

impl Reference {
    /// The state of a job as in the model.
    pub(super) fn state(&self, ref_job: &ReferenceJob) -> JobState {
        match ref_job.stage.clone() {
            ReferenceState::Pending { requested, until, confirm, forced } => JobState::Pending {
                requested,
                wait: WaitConditions { needs: self.has_unmet_needs(ref_job), until, confirm, forced },
            },
            ReferenceState::Running { requested, forced, stop } => JobState::Running { requested, forced, stop },
            ReferenceState::Finished { outcome, at } => JobState::Finished { outcome, at },
        }
    }
}

pub(super) fn name(queue: &QueueId) -> &'static str {
    QUEUES.into_iter().find(|name| *name == queue.as_str()).unwrap()
}

impl ReferenceQueue {
    /// How many of its jobs may run at once.
    pub(super) fn slots(&self) -> u32 {
        self.limit.map_or(self.parallel, |(_, slots)| slots)
    }
}
