//! What a site should do, said a second time and plainly.
//!
//! It keeps jobs in a vector, and looks at all of them whenever it is asked anything. What follows from something else
//! is not kept but found out anew each time: whose needs are met, what is next, which queue is at its end.

mod file;
mod moves;
mod reserve;
mod rules;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use setlist::Command;
use setlist::model::{
    After, Definition, JobId, Mode, Need, On, OnFailure, Outcome, Phase, QueueId, Removal, Report, RunId, State, Stop,
    Target, Value, Wait, WorkerId,
};

use super::QUEUES;

/// The plain reference.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Reference {
    pub(super) queues: Vec<Line>,
    pub(super) jobs: Vec<Card>,
    pub(super) runs: u64,
    pub(super) workers: u64,
    pub(super) present: BTreeSet<u64>,
    pub(super) reserved: Vec<Reserved>,
    /// The version of the file that is in force; empty for none.
    pub(super) stamp: String,
}

/// That a worker may start a job at any moment, as that run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Reserved {
    pub(super) worker: u64,
    pub(super) job: u64,
    pub(super) run: u64,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Line {
    pub(super) name: &'static str,
    pub(super) mode: Mode,
    pub(super) parallel: u32,
    pub(super) stop: bool,
    /// Its place in the file.
    pub(super) order: u32,
    /// For how many seconds a finished job is kept that isn't in the file.
    pub(super) keep: u64,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Card {
    pub(super) id: u64,
    pub(super) queue: &'static str,
    pub(super) definition: Arc<Definition>,
    /// The jobs that it needs, by number.
    pub(super) needs: Vec<(u64, On)>,
    /// Lower goes first, where priorities are equal.
    pub(super) place: i64,
    pub(super) gone: Option<Removal>,
    pub(super) stage: Stage,
    /// How often it has started since it became pending anew.
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

/// Where a job stands. That it has to wait for others is not part of it: it is found out when it matters.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Stage {
    Pending { asked: bool, until: Option<DateTime<Utc>>, confirm: bool },
    Running { asked: bool, stop: Option<Stop> },
    Finished { outcome: Outcome, at: DateTime<Utc> },
}

/// Why the reference refuses, in the words of [`super::word`].
pub(super) type Refused = String;

fn refuse<T>(why: &str) -> Result<T, Refused> {
    Err(why.to_owned())
}

impl Reference {
    /// Does what is asked, and all that follows from it. What it has become after a refusal is of no use.
    pub(super) fn apply(&mut self, command: &Command, now: DateTime<Utc>) -> Result<(), Refused> {
        self.obey(command, now)?;
        self.settle(matches!(command, Command::Reconcile(_)), now);
        Ok(())
    }

    #[expect(clippy::too_many_lines, reason = "one command after the other, as one looks them up")]
    fn obey(&mut self, command: &Command, now: DateTime<Utc>) -> Result<(), Refused> {
        match command {
            Command::Reconcile(plan) => self.read(plan, now),
            Command::Open { queue } => self.open(name(queue)),
            Command::Add { queue, jobs } => self.add(name(queue), jobs, now)?,
            Command::Process { queue } => self.process(queue, now)?,
            Command::Pause { queue } => match &mut self.line(queue)?.mode {
                Mode::Paused => return refuse("already"),
                mode => *mode = Mode::Paused,
            },
            Command::Halt { queue } => match &mut self.line(queue)?.mode {
                mode @ Mode::Processing => *mode = Mode::Idle,
                _ => return refuse("already"),
            },
            Command::Run { job } => {
                let card = self.free_card(*job)?;
                match card.stage {
                    Stage::Running { .. } | Stage::Pending { asked: true, until: None, confirm: false } => {
                        return refuse("state");
                    }
                    // Who asks for this very job waits for nothing.
                    _ => card.renew(Stage::Pending { asked: true, until: None, confirm: false }, now),
                }
            }
            Command::Confirm { jobs } => self.confirm(jobs)?,
            Command::Reset { job } => {
                let card = self.card(*job)?;
                let Stage::Finished { .. } = card.stage else { return refuse("state") };
                card.renew(card.fresh(now), now);
            }
            Command::Cancel { job, stop } => {
                let card = self.free_card(*job)?;
                card.stage = match card.stage {
                    Stage::Pending { .. } => Stage::Finished { outcome: Outcome::Cancelled, at: now },
                    Stage::Running { asked, stop: None } => Stage::Running { asked, stop: Some(*stop) },
                    Stage::Running { asked, stop: Some(Stop::Terminate) } if *stop == Stop::Kill => {
                        Stage::Running { asked, stop: Some(Stop::Kill) }
                    }
                    _ => return refuse("state"),
                }
            }
            Command::Remove { jobs } => {
                // The first objection is that to the first of them.
                for job in jobs.iter().collect::<BTreeSet<_>>() {
                    if self.free_card(*job)?.phase() == Phase::Running {
                        return refuse("state");
                    }
                }
                for job in jobs {
                    self.at(job.0).gone = Some(Removal::Hand);
                }
            }
            Command::Clear { queue, phase } => {
                self.line(queue)?;
                let listed = self.list(name(queue), *phase);
                match phase {
                    _ if listed.is_empty() => return refuse("nothing"),
                    Phase::Running => return refuse("state"),
                    _ if listed.iter().any(|id| self.is_reserved(*id)) => return refuse("state"),
                    _ => listed.into_iter().for_each(|id| self.at(id).gone = Some(Removal::Hand)),
                }
            }
            Command::Restore { jobs } => {
                let is_back = |card: &&mut Card| card.gone.is_some() && jobs.contains(&JobId(card.id));
                let back = self.jobs.iter_mut().filter(is_back).map(|card| card.gone = None).count();
                if back == 0 {
                    return refuse("nothing");
                }
            }
            // Only the screen says so, before it writes a file.
            Command::Announce { .. } => {}
            Command::Transfer { jobs, queue } => self.transfer(jobs, queue)?,
            Command::Move { jobs, beside } => self.stand(jobs, *beside)?,
            Command::Parallel { queue, parallel } => self.line(queue)?.parallel = parallel.get(),
            Command::Ripen => {
                let ripe = |card: &&Card| self.waits_for_time_only(card).is_some_and(|until| until <= now);
                let ripe: Vec<u64> = self.jobs.iter().filter(ripe).map(|card| card.id).collect();
                if ripe.is_empty() {
                    return refuse("nothing");
                }
                for id in ripe {
                    if let Stage::Pending { until, .. } = &mut self.at(id).stage {
                        *until = None;
                    }
                }
            }
            Command::Retire => {
                let keep = |card: &Card| self.queues.iter().find(|line| line.name == card.queue).unwrap().keep;
                let old = |card: &&Card| match card.stage {
                    Stage::Finished { at, .. } => at + Duration::from_secs(keep(card)) < now,
                    _ => false,
                };
                let filed = |card: &&Card| card.definition.digest.is_some() || card.gone.is_some();
                let old = self.jobs.iter().filter(|card| old(card) && !filed(card));
                let old: Vec<u64> = old.map(|card| card.id).collect();
                if old.is_empty() {
                    return refuse("nothing");
                }
                for id in old {
                    self.at(id).gone = Some(Removal::Age);
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
                let Stage::Pending { .. } = self.free_card(*job)?.stage else { return refuse("state") };
                self.start(job.0, *worker, now)?;
            }
            Command::Reserve { worker, queues } => self.reserve(*worker, queues)?,
            Command::Begin { worker, job, run } => self.begin(*worker, *job, *run, now)?,
            Command::Release { worker } => self.release(*worker)?,
            Command::Report { job, run, report, on_failure } => {
                let card = self.card(*job)?;
                if card.phase() != Phase::Running || card.run != Some(run.0) {
                    return refuse("stale");
                }
                self.end(job.0, report, *on_failure, now);
            }
            Command::Bury { worker, begun } => {
                if !self.present.contains(&worker.0) {
                    return refuse("worker");
                }
                let report = Report { outcome: Outcome::Interrupted, exit: None, value: None };
                for id in self.run_by(*worker) {
                    self.end(id, &report, None, now);
                }
                for Reserved { job, run, .. } in self.reserved_for(*worker) {
                    if begun.contains(&RunId(run)) {
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
                let served = |line: &&Line| queues.as_ref().is_none_or(|queues| queues.contains(&line.name.into()));
                let processing = self.queues.iter().filter(served).any(|line| line.mode == Mode::Processing);
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

    fn add(&mut self, queue: &'static str, jobs: &[Arc<Definition>], now: DateTime<Utc>) -> Result<(), Refused> {
        self.open(queue);
        let mut needs = Vec::new();
        for definition in jobs {
            needs.push(self.found(&definition.terms.needs).ok_or("need")?);
        }
        for (definition, needs) in jobs.iter().zip(needs) {
            let places = self.jobs.iter().filter(|card| card.queue == queue).map(|card| card.place);
            let place = places.max().unwrap_or_default() + 1;
            // Only the file names jobs.
            let definition = Definition { name: None, digest: None, ..(**definition).clone() };
            let id = self.jobs.len() as u64 + 1;
            self.jobs.push(Card { needs, place, ..Card::new(id, queue, definition, now) });
        }
        Ok(())
    }

    fn process(&mut self, queue: &QueueId, now: DateTime<Utc>) -> Result<(), Refused> {
        let open = self.open_jobs(name(queue));
        let line = self.line(queue)?;
        line.mode = match line.mode {
            Mode::Processing => return refuse("already"),
            Mode::Idle if open == 0 => return refuse("nothing"),
            _ => Mode::Processing,
        };
        // That nothing would come of it is said, rather than done.
        let mut tried = self.clone();
        tried.settle(false, now);
        let idle = tried.line(queue)?.mode == Mode::Idle;
        if open > 0 && idle && tried.jobs == self.jobs { refuse("held") } else { Ok(()) }
    }

    fn confirm(&mut self, jobs: &[JobId]) -> Result<(), Refused> {
        let mut confirmed = 0;
        for job in jobs {
            if let Stage::Pending { confirm: confirm @ true, .. } = &mut self.card(*job)?.stage {
                *confirm = false;
                confirmed += 1;
            }
        }
        if confirmed == 0 { refuse("nothing") } else { Ok(()) }
    }

    fn start(&mut self, id: u64, worker: WorkerId, now: DateTime<Utc>) -> Result<(), Refused> {
        if !self.present.contains(&worker.0) {
            return refuse("worker");
        }
        self.runs += 1;
        self.start_as(id, worker, self.runs, now);
        Ok(())
    }

    fn start_as(&mut self, id: u64, worker: WorkerId, run: u64, now: DateTime<Utc>) {
        let card = self.at(id);
        card.stage = Stage::Running { asked: card.asked(), stop: None };
        card.attempts += 1;
        card.tries += 1;
        card.run = Some(run);
        card.started = Some(now);
        card.worker = worker.0;
        card.failed = false;
    }

    /// A run ends: its job finishes, is tried again, or stays where it is and stops its queue.
    fn end(&mut self, id: u64, report: &Report, on_failure: Option<OnFailure>, now: DateTime<Utc>) {
        let again = rules::tried_again(self.at(id), report, now);
        let card = self.at(id);
        let failed = matches!(report.outcome, Outcome::Failed(_));
        let asked = card.asked();
        card.failed = failed;
        if report.outcome == Outcome::Succeeded {
            card.value.clone_from(&report.value);
        }
        let queue = card.queue;
        let line = self.queues.iter_mut().find(|line| line.name == queue).unwrap();
        let stops = failed && on_failure.map_or(line.stop, |on_failure| on_failure == OnFailure::Stop);
        if again.is_none() && stops && line.mode == Mode::Processing {
            line.mode = Mode::Stopped;
        }
        let card = self.at(id);
        if let Some(at) = again {
            card.stage = Stage::Pending { asked, until: Some(at), confirm: false };
        } else if stops {
            let confirm = card.definition.terms.confirm.is_some();
            card.renew(Stage::Pending { asked: false, until: None, confirm }, now);
        } else {
            card.stage = Stage::Finished { outcome: report.outcome.clone(), at: now };
            card.executed = Some(now);
        }
    }

    fn open(&mut self, name: &'static str) {
        if self.queues.iter().all(|line| line.name != name) {
            let keep = 90 * 24 * 60 * 60;
            self.queues.push(Line { name, mode: Mode::Idle, parallel: 1, stop: false, order: u32::MAX, keep });
        }
        self.queues.sort_by_key(|line| (line.order, line.name));
    }

    /// The jobs that are named, whether they are in their queues or not; none if one was never there.
    fn found(&self, needs: &[Need]) -> Option<Vec<(u64, On)>> {
        let find = |need: &Need| {
            let is_it = |card: &&Card| match &need.job {
                Target::Number(JobId(id)) => card.id == *id,
                Target::Named(queue, name) => {
                    card.queue == queue.as_str() && card.definition.name.as_ref() == Some(name)
                }
            };
            Some((self.jobs.iter().find(is_it)?.id, need.on))
        };
        needs.iter().map(find).collect()
    }

    pub(super) fn line(&mut self, queue: &QueueId) -> Result<&mut Line, Refused> {
        self.queues.iter_mut().find(|line| line.name == queue.as_str()).ok_or("no queue".to_owned())
    }

    fn card(&mut self, job: JobId) -> Result<&mut Card, Refused> {
        self.jobs.iter_mut().find(|card| card.id == job.0 && card.gone.is_none()).ok_or("no job".to_owned())
    }

    fn at(&mut self, id: u64) -> &mut Card {
        self.jobs.iter_mut().find(|card| card.id == id).unwrap()
    }

    fn run_by(&self, worker: WorkerId) -> Vec<u64> {
        let runs = |card: &&Card| card.phase() == Phase::Running && card.worker == worker.0;
        self.jobs.iter().filter(runs).map(|card| card.id).collect()
    }
}

impl Card {
    fn new(id: u64, queue: &'static str, definition: impl Into<Arc<Definition>>, now: DateTime<Utc>) -> Self {
        let mut card = Self {
            id,
            queue,
            definition: definition.into(),
            needs: Vec::new(),
            place: 0,
            gone: None,
            stage: Stage::Pending { asked: false, until: None, confirm: false },
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

    /// Pending as one that nobody has asked for: it waits for its time and for a person, if it says so.
    fn fresh(&self, now: DateTime<Utc>) -> Stage {
        let until = match self.definition.terms.after {
            Some(After::Delay(delay)) => Some(now + delay),
            Some(After::Time(time)) => Some(time),
            None => None,
        };
        let confirm = self.definition.terms.confirm.is_some();
        Stage::Pending { asked: false, until: until.filter(|until| *until > now), confirm }
    }

    /// It is pending anew: what it has been through no longer counts.
    fn renew(&mut self, stage: Stage, now: DateTime<Utc>) {
        if self.phase() == Phase::Finished {
            self.enqueued = now;
        }
        self.tries = 0;
        self.stage = stage;
    }

    fn asked(&self) -> bool {
        matches!(self.stage, Stage::Pending { asked: true, .. } | Stage::Running { asked: true, .. })
    }

    pub(super) fn phase(&self) -> Phase {
        match self.stage {
            Stage::Pending { .. } => Phase::Pending,
            Stage::Running { .. } => Phase::Running,
            Stage::Finished { .. } => Phase::Finished,
        }
    }

    /// How people refer to it.
    fn path(&self) -> String {
        match &self.definition.name {
            Some(name) => format!("{}/{name}", self.queue),
            None => format!("{}/#{}", self.queue, self.id),
        }
    }
}

impl Reference {
    /// The state of a job, in the words of the model.
    pub(super) fn state(&self, card: &Card) -> State {
        match card.stage.clone() {
            Stage::Pending { asked, until, confirm } => {
                State::Pending { asked, wait: Wait { needs: self.waits_for_others(card), until, confirm } }
            }
            Stage::Running { asked, stop } => State::Running { asked, stop },
            Stage::Finished { outcome, at } => State::Finished { outcome, at },
        }
    }
}

pub(super) fn name(queue: &QueueId) -> &'static str {
    QUEUES.into_iter().find(|name| *name == queue.as_str()).unwrap()
}
