//! A simple second implementation of a site, as the reference for property tests.
//!
//! It keeps jobs in a vector and scans all of them for every question. Derived facts are not stored but computed each
//! time: whose needs are met, which job is next, which queue is finished.

mod reconcile;
mod reorder;
mod reservation;
mod scheduling;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use setlist::Command;
use setlist::model::{
    NotBefore, Definition, JobId, QueueMode, Need, OutcomeCondition, OnFailure, Outcome, Phase, QueueId, RemovalReason, RunReport, RunId, JobState, StopSignal,
    JobRef, Value, WaitConditions, WorkerId,
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
    Pending { requested: bool, until: Option<DateTime<Utc>>, confirm: bool },
    Running { requested: bool, stop: Option<StopSignal> },
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

    #[expect(clippy::too_many_lines, reason = "one arm per command")]
    fn execute(&mut self, command: &Command, now: DateTime<Utc>) -> Result<(), RefusalCode> {
        match command {
            Command::Reconcile(plan) => self.read(plan, now),
            Command::EnsureQueue { queue } => self.open(name(queue)),
            Command::Add { queue, jobs } => self.add(name(queue), jobs, now)?,
            Command::Process { queue } => self.process(queue, now)?,
            Command::Pause { queue } => match &mut self.line(queue)?.mode {
                QueueMode::Paused => return refuse("already"),
                mode => *mode = QueueMode::Paused,
            },
            Command::StopProcessing { queue } => match &mut self.line(queue)?.mode {
                mode @ QueueMode::Processing => *mode = QueueMode::Idle,
                _ => return refuse("already"),
            },
            Command::Run { job } => {
                let card = self.unreserved_job(*job)?;
                match card.stage {
                    ReferenceState::Running { .. } | ReferenceState::Pending { requested: true, until: None, confirm: false } => {
                        return refuse("state");
                    }
                    // An explicit request overrides all conditions.
                    _ => card.make_pending(ReferenceState::Pending { requested: true, until: None, confirm: false }, now),
                }
            }
            Command::Confirm { jobs } => self.confirm(jobs)?,
            Command::Reset { job } => {
                let card = self.card(*job)?;
                let ReferenceState::Finished { .. } = card.stage else { return refuse("state") };
                card.make_pending(card.fresh(now), now);
            }
            Command::Cancel { job, stop } => {
                let card = self.unreserved_job(*job)?;
                card.stage = match card.stage {
                    ReferenceState::Pending { .. } => ReferenceState::Finished { outcome: Outcome::Cancelled, at: now },
                    ReferenceState::Running { requested, stop: None } => ReferenceState::Running { requested, stop: Some(*stop) },
                    ReferenceState::Running { requested, stop: Some(StopSignal::Terminate) } if *stop == StopSignal::Kill => {
                        ReferenceState::Running { requested, stop: Some(StopSignal::Kill) }
                    }
                    _ => return refuse("state"),
                }
            }
            Command::Remove { jobs } => {
                // The refusal is about the first job that can't be removed.
                for job in jobs.iter().collect::<BTreeSet<_>>() {
                    if self.unreserved_job(*job)?.phase() == Phase::Running {
                        return refuse("state");
                    }
                }
                for job in jobs {
                    self.at(job.0).removed = Some(RemovalReason::User);
                }
            }
            Command::Clear { queue, phase } => {
                self.line(queue)?;
                let listed = self.list(name(queue), *phase);
                match phase {
                    _ if listed.is_empty() => return refuse("nothing"),
                    Phase::Running => return refuse("state"),
                    _ if listed.iter().any(|id| self.is_reserved(*id)) => return refuse("state"),
                    _ => listed.into_iter().for_each(|id| self.at(id).removed = Some(RemovalReason::User)),
                }
            }
            Command::Restore { jobs } => {
                let is_back = |card: &&mut ReferenceJob| card.removed.is_some() && jobs.contains(&JobId(card.id));
                let back = self.jobs.iter_mut().filter(is_back).map(|card| card.removed = None).count();
                if back == 0 {
                    return refuse("nothing");
                }
            }
            // Not part of the random commands: only the screen sends it, before it writes a file.
            Command::AdoptEntry { .. } => {}
            Command::Transfer { jobs, queue } => self.transfer(jobs, queue)?,
            Command::Move { jobs, placement } => self.move_jobs(jobs, *placement)?,
            Command::SetParallel { queue, parallel } => self.line(queue)?.parallel = parallel.get(),
            Command::PromoteDue => {
                let ripe = |card: &&ReferenceJob| self.scheduled_time(card).is_some_and(|until| until <= now);
                let ripe: Vec<u64> = self.jobs.iter().filter(ripe).map(|card| card.id).collect();
                if ripe.is_empty() {
                    return refuse("nothing");
                }
                for id in ripe {
                    if let ReferenceState::Pending { until, .. } = &mut self.at(id).stage {
                        *until = None;
                    }
                }
            }
            Command::PruneFinished => {
                let keep = |card: &ReferenceJob| self.queues.iter().find(|line| line.name == card.queue).unwrap().keep;
                let old = |card: &&ReferenceJob| match card.stage {
                    ReferenceState::Finished { at, .. } => at + Duration::from_secs(keep(card)) < now,
                    _ => false,
                };
                let filed = |card: &&ReferenceJob| card.definition.digest.is_some() || card.removed.is_some();
                let old = self.jobs.iter().filter(|card| old(card) && !filed(card));
                let old: Vec<u64> = old.map(|card| card.id).collect();
                if old.is_empty() {
                    return refuse("nothing");
                }
                for id in old {
                    self.at(id).removed = Some(RemovalReason::Expired);
                }
            }
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
            Command::EndRun { job, run, report, on_failure } => {
                let card = self.card(*job)?;
                if card.phase() != Phase::Running || card.run != Some(run.0) {
                    return refuse("stale");
                }
                self.end(job.0, report, *on_failure, now);
            }
            Command::ReapWorker { worker, started_runs } => {
                if !self.present.contains(&worker.0) {
                    return refuse("worker");
                }
                let report = RunReport { outcome: Outcome::Interrupted, exit: None, value: None };
                for id in self.run_by(*worker) {
                    self.end(id, &report, None, now);
                }
                for ReferenceReservation { job, run, .. } in self.reserved_for(*worker) {
                    if started_runs.contains(&RunId(run)) {
                        self.begin(*worker, JobId(job), RunId(run), now)?;
                        self.end(job, &report, None, now);
                    }
                }
                self.release(*worker)?;
                self.present.remove(&worker.0);
            }
            Command::Leave { worker, queues } => {
                if !self.present.contains(&worker.0) {
                    return refuse("worker");
                }
                let served = |line: &&ReferenceQueue| queues.as_ref().is_none_or(|queues| queues.contains(&line.name.into()));
                let processing = self.queues.iter().filter(served).any(|line| line.mode == QueueMode::Processing);
                let (next, time) = (self.next(queues.as_deref()), self.next_time(queues.as_deref()));
                let reserved = !self.reserved_for(*worker).is_empty();
                if processing || reserved || next.is_some() || time.is_some() || !self.run_by(*worker).is_empty() {
                    return refuse("busy");
                }
                self.present.remove(&worker.0);
            }
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
            let places = self.jobs.iter().filter(|card| card.queue == queue).map(|card| card.place);
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
        let line = self.line(queue)?;
        line.mode = match line.mode {
            QueueMode::Processing => return refuse("already"),
            QueueMode::Idle if open == 0 => return refuse("nothing"),
            _ => QueueMode::Processing,
        };
        // Refused if no job would start or be skipped.
        let mut tried = self.clone();
        tried.propagate(false, now);
        let idle = tried.line(queue)?.mode == QueueMode::Idle;
        if open > 0 && idle && tried.jobs == self.jobs { refuse("held") } else { Ok(()) }
    }

    fn confirm(&mut self, jobs: &[JobId]) -> Result<(), RefusalCode> {
        let mut confirmed = 0;
        for job in jobs {
            if let ReferenceState::Pending { confirm: confirm @ true, .. } = &mut self.card(*job)?.stage {
                *confirm = false;
                confirmed += 1;
            }
        }
        if confirmed == 0 { refuse("nothing") } else { Ok(()) }
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
        let card = self.at(id);
        card.stage = ReferenceState::Running { requested: card.requested(), stop: None };
        card.attempts += 1;
        card.tries += 1;
        card.run = Some(run);
        card.started = Some(now);
        card.worker = worker.0;
        card.failed = false;
    }

    /// Ends a run: its job finishes, is retried, or stays pending and stops its queue.
    fn end(&mut self, id: u64, report: &RunReport, on_failure: Option<OnFailure>, now: DateTime<Utc>) {
        let again = scheduling::retry_time(self.at(id), report, now);
        let card = self.at(id);
        let failed = matches!(report.outcome, Outcome::Failed(_));
        let requested = card.requested();
        card.failed = failed;
        if report.outcome == Outcome::Succeeded {
            card.value.clone_from(&report.value);
        }
        let queue = card.queue;
        let line = self.queues.iter_mut().find(|line| line.name == queue).unwrap();
        let stops = failed && on_failure.map_or(line.stop, |on_failure| on_failure == OnFailure::Stop);
        if again.is_none() && stops && line.mode == QueueMode::Processing {
            line.mode = QueueMode::Stopped;
        }
        let card = self.at(id);
        if let Some(at) = again {
            card.stage = ReferenceState::Pending { requested, until: Some(at), confirm: false };
        } else if stops {
            let confirm = card.definition.scheduling.confirm.is_some();
            card.make_pending(ReferenceState::Pending { requested: false, until: None, confirm }, now);
        } else {
            card.stage = ReferenceState::Finished { outcome: report.outcome.clone(), at: now };
            card.executed = Some(now);
        }
    }

    fn open(&mut self, name: &'static str) {
        if self.queues.iter().all(|line| line.name != name) {
            let keep = 90 * 24 * 60 * 60;
            self.queues.push(ReferenceQueue { name, mode: QueueMode::Idle, parallel: 1, stop: false, order: u32::MAX, keep });
        }
        self.queues.sort_by_key(|line| (line.order, line.name));
    }

    /// Resolves needs, including removed jobs; `None` if a job never existed.
    fn found(&self, needs: &[Need]) -> Option<Vec<(u64, OutcomeCondition)>> {
        let find = |need: &Need| {
            let is_entry_of = |card: &&ReferenceJob| match &need.job {
                JobRef::Number(JobId(id)) => card.id == *id,
                JobRef::Named(queue, name) => {
                    card.queue == queue.as_str() && card.definition.name.as_ref() == Some(name)
                }
            };
            Some((self.jobs.iter().find(is_entry_of)?.id, need.on))
        };
        needs.iter().map(find).collect()
    }

    pub(super) fn line(&mut self, queue: &QueueId) -> Result<&mut ReferenceQueue, RefusalCode> {
        self.queues.iter_mut().find(|line| line.name == queue.as_str()).ok_or("no queue".to_owned())
    }

    fn card(&mut self, job: JobId) -> Result<&mut ReferenceJob, RefusalCode> {
        self.jobs.iter_mut().find(|card| card.id == job.0 && card.removed.is_none()).ok_or("no job".to_owned())
    }

    fn at(&mut self, id: u64) -> &mut ReferenceJob {
        self.jobs.iter_mut().find(|card| card.id == id).unwrap()
    }

    fn run_by(&self, worker: WorkerId) -> Vec<u64> {
        let runs = |card: &&ReferenceJob| card.phase() == Phase::Running && card.worker == worker.0;
        self.jobs.iter().filter(runs).map(|card| card.id).collect()
    }
}

impl ReferenceJob {
    fn new(id: u64, queue: &'static str, definition: impl Into<Arc<Definition>>, now: DateTime<Utc>) -> Self {
        let mut card = Self {
            id,
            queue,
            definition: definition.into(),
            needs: Vec::new(),
            place: 0,
            removed: None,
            stage: ReferenceState::Pending { requested: false, until: None, confirm: false },
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
        card.stage = card.fresh(now);
        card
    }

    /// The state of a job that becomes pending: it waits for its earliest start and for confirmation, if required.
    fn fresh(&self, now: DateTime<Utc>) -> ReferenceState {
        let until = match self.definition.scheduling.after {
            Some(NotBefore::Delay(delay)) => Some(now + delay),
            Some(NotBefore::Time(time)) => Some(time),
            None => None,
        };
        let confirm = self.definition.scheduling.confirm.is_some();
        ReferenceState::Pending { requested: false, until: until.filter(|until| *until > now), confirm }
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
        matches!(self.stage, ReferenceState::Pending { requested: true, .. } | ReferenceState::Running { requested: true, .. })
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
    pub(super) fn state(&self, card: &ReferenceJob) -> JobState {
        match card.stage.clone() {
            ReferenceState::Pending { requested: requested, until, confirm } => {
                JobState::Pending { requested, wait: WaitConditions { needs: self.has_unmet_needs(card), until, confirm } }
            }
            ReferenceState::Running { requested: requested, stop } => JobState::Running { requested, stop },
            ReferenceState::Finished { outcome, at } => JobState::Finished { outcome, at },
        }
    }
}

pub(super) fn name(queue: &QueueId) -> &'static str {
    QUEUES.into_iter().find(|name| *name == queue.as_str()).unwrap()
}
