//! What a site should do, said a second time and plainly.
//!
//! It keeps jobs in a vector and sorts it when it is asked for a list. It says the rules in its own way: that a queue
//! falls idle, for one, is a look at every queue after every command.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use setlist::Command;
use setlist::model::{JobId, Mode, OnFailure, Outcome, Phase, QueueId, Report, State, Stop, Value, Wait, WorkerId};

use super::QUEUES;

/// The plain reference.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Reference {
    pub(super) queues: Vec<Line>,
    pub(super) jobs: Vec<Card>,
    pub(super) runs: u64,
    pub(super) workers: u64,
    pub(super) present: BTreeSet<u64>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Line {
    pub(super) name: &'static str,
    pub(super) mode: Mode,
    pub(super) parallel: usize,
    pub(super) stop: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Card {
    pub(super) id: u64,
    pub(super) queue: &'static str,
    pub(super) gone: bool,
    pub(super) state: State,
    pub(super) attempts: u32,
    pub(super) run: Option<u64>,
    pub(super) worker: u64,
    pub(super) failed: bool,
    pub(super) value: Option<Value>,
    pub(super) executed: Option<DateTime<Utc>>,
    pub(super) enqueued: DateTime<Utc>,
}

/// Why the reference refuses.
pub(super) type Refused = &'static str;

impl Reference {
    #[expect(clippy::too_many_lines, reason = "one command after the other, as one looks them up")]
    pub(super) fn apply(&mut self, command: &Command, now: DateTime<Utc>) -> Result<(), Refused> {
        match command {
            Command::Reconcile(plan) => {
                for (order, planned) in plan.queues.iter().enumerate() {
                    self.open(name(&planned.id));
                    let at = self.queues.iter().position(|line| line.name == planned.id.as_str()).unwrap();
                    self.queues[at].parallel = planned.settings.parallel as usize;
                    self.queues[at].stop = planned.settings.on_failure == OnFailure::Stop;
                    self.queues.swap(order, at);
                }
            }
            Command::Open { queue } => self.open(name(queue)),
            Command::Add { queue, jobs } => {
                self.open(name(queue));
                for _ in jobs {
                    self.jobs.push(Card {
                        id: self.jobs.len() as u64 + 1,
                        queue: name(queue),
                        gone: false,
                        state: waiting(false),
                        attempts: 0,
                        run: None,
                        worker: 0,
                        failed: false,
                        value: None,
                        executed: None,
                        enqueued: now,
                    });
                }
            }
            Command::Process { queue } => {
                let empty = self.open_jobs(name(queue)) == 0;
                let line = self.line(queue)?;
                line.mode = match line.mode {
                    Mode::Processing => return Err("already"),
                    Mode::Idle if empty => return Err("nothing"),
                    _ => Mode::Processing,
                };
            }
            Command::Pause { queue } => match &mut self.line(queue)?.mode {
                Mode::Paused => return Err("already"),
                mode => *mode = Mode::Paused,
            },
            Command::Halt { queue } => match &mut self.line(queue)?.mode {
                mode @ Mode::Processing => *mode = Mode::Idle,
                _ => return Err("already"),
            },
            Command::Run { job } => {
                let card = self.card(*job)?;
                match card.state {
                    State::Pending { asked: false, .. } => {}
                    State::Finished { .. } => card.enqueued = now,
                    _ => return Err("state"),
                }
                card.state = waiting(true);
            }
            Command::Reset { job } => {
                let card = self.card(*job)?;
                let State::Finished { .. } = card.state else { return Err("state") };
                card.state = waiting(false);
                card.enqueued = now;
            }
            Command::Cancel { job, stop } => {
                let card = self.card(*job)?;
                card.state = match card.state {
                    State::Pending { .. } => State::Finished { outcome: Outcome::Cancelled, at: now },
                    State::Running { asked, stop: None } => State::Running { asked, stop: Some(*stop) },
                    State::Running { asked, stop: Some(Stop::Terminate) } if *stop == Stop::Kill => {
                        State::Running { asked, stop: Some(*stop) }
                    }
                    _ => return Err("state"),
                }
            }
            Command::Remove { jobs } => {
                let jobs: BTreeSet<_> = jobs.iter().collect();
                for job in &jobs {
                    if matches!(self.card(**job)?.state, State::Running { .. }) {
                        return Err("state");
                    }
                }
                for job in jobs {
                    self.card(*job)?.gone = true;
                }
            }
            Command::Clear { queue, phase } => {
                self.line(queue)?;
                let listed = self.list(name(queue), *phase);
                match phase {
                    _ if listed.is_empty() => return Err("nothing"),
                    Phase::Running => return Err("state"),
                    _ => listed.into_iter().for_each(|id| self.at(id).gone = true),
                }
            }
            Command::Restore { jobs } => {
                let is_back = |card: &&mut Card| card.gone && jobs.contains(&JobId(card.id));
                let back = self.jobs.iter_mut().filter(is_back).map(|card| card.gone = false).count();
                if back == 0 {
                    return Err("nothing");
                }
            }
            Command::Ripen | Command::Confirm { .. } | Command::Retire => return Err("nothing"),
            Command::Join { .. } => {
                self.workers += 1;
                self.present.insert(self.workers);
            }
            Command::Claim { worker, queues } => {
                let id = self.next(queues.as_deref()).ok_or("nothing")?;
                self.start(id, *worker)?;
            }
            Command::Start { worker, job } => {
                let State::Pending { .. } = self.card(*job)?.state else { return Err("state") };
                self.start(job.0, *worker)?;
            }
            Command::Report { job, run, report, on_failure } => {
                let card = self.card(*job)?.clone();
                if !matches!(card.state, State::Running { .. }) || card.run != Some(run.0) {
                    return Err("stale");
                }
                let line = self.line(&card.queue.into())?;
                let stop = on_failure.map_or(line.stop, |on_failure| on_failure == OnFailure::Stop);
                let failed = matches!(report.outcome, Outcome::Failed(_));
                if stop && failed && line.mode == Mode::Processing {
                    line.mode = Mode::Stopped;
                }
                self.end(card.id, report, stop && failed, now);
            }
            Command::Bury { worker } => {
                if !self.present.remove(&worker.0) {
                    return Err("worker");
                }
                let report = Report { outcome: Outcome::Interrupted, exit: None, value: None };
                for id in self.run_by(*worker) {
                    self.end(id, &report, false, now);
                }
            }
            Command::Leave { worker, queues } => {
                if !self.present.contains(&worker.0) {
                    return Err("worker");
                }
                let served = |line: &&Line| queues.as_ref().is_none_or(|queues| queues.contains(&line.name.into()));
                let processing = self.queues.iter().filter(served).any(|line| line.mode == Mode::Processing);
                if processing || self.next(queues.as_deref()).is_some() || !self.run_by(*worker).is_empty() {
                    return Err("busy");
                }
                self.present.remove(&worker.0);
            }
        }
        let open: Vec<_> = self.queues.iter().map(|line| self.open_jobs(line.name)).collect();
        for (line, open) in self.queues.iter_mut().zip(open) {
            if open == 0 && line.mode == Mode::Processing {
                line.mode = Mode::Idle;
            }
        }
        Ok(())
    }

    fn open(&mut self, name: &'static str) {
        if self.queues.iter().all(|line| line.name != name) {
            self.queues.push(Line { name, mode: Mode::Idle, parallel: 1, stop: false });
        }
    }

    fn line(&mut self, queue: &QueueId) -> Result<&mut Line, Refused> {
        self.queues.iter_mut().find(|line| line.name == queue.as_str()).ok_or("no queue")
    }

    fn card(&mut self, job: JobId) -> Result<&mut Card, Refused> {
        self.jobs.iter_mut().find(|card| card.id == job.0 && !card.gone).ok_or("no job")
    }

    pub(super) fn list(&self, queue: &str, phase: Phase) -> Vec<u64> {
        let mut cards: Vec<_> =
            self.jobs.iter().filter(|card| card.queue == queue && !card.gone && card.phase() == phase).collect();
        match phase {
            Phase::Pending => {}
            Phase::Running => cards.sort_by_key(|card| card.run),
            Phase::Finished => cards.sort_by_key(|card| (card.finished(), card.run)),
        }
        cards.into_iter().map(|card| card.id).collect()
    }

    pub(super) fn open_jobs(&self, queue: &str) -> usize {
        self.list(queue, Phase::Pending).len() + self.list(queue, Phase::Running).len()
    }

    fn next(&self, queues: Option<&[QueueId]>) -> Option<u64> {
        let wanted = |line: &&Line| queues.is_none_or(|queues| queues.contains(&line.name.into()));
        self.queues.iter().filter(wanted).find_map(|line| {
            if line.mode == Mode::Paused || self.list(line.name, Phase::Running).len() >= line.parallel {
                return None;
            }
            let pending = self.list(line.name, Phase::Pending);
            let asked = |id: &&u64| self.jobs.iter().any(|card| card.id == **id && card.state == waiting(true));
            let any = pending.first().filter(|_| line.mode == Mode::Processing);
            pending.iter().find(asked).or(any).copied()
        })
    }

    fn at(&mut self, id: u64) -> &mut Card {
        self.jobs.iter_mut().find(|card| card.id == id).unwrap()
    }

    fn start(&mut self, id: u64, worker: WorkerId) -> Result<(), Refused> {
        if !self.present.contains(&worker.0) {
            return Err("worker");
        }
        self.runs += 1;
        let run = self.runs;
        let card = self.at(id);
        card.state = State::Running { asked: card.state == waiting(true), stop: None };
        card.attempts += 1;
        card.run = Some(run);
        card.worker = worker.0;
        card.failed = false;
        Ok(())
    }

    fn end(&mut self, id: u64, report: &Report, pending: bool, now: DateTime<Utc>) {
        let card = self.at(id);
        card.failed = matches!(report.outcome, Outcome::Failed(_));
        if report.outcome == Outcome::Succeeded {
            card.value.clone_from(&report.value);
        }
        if pending {
            card.state = waiting(false);
        } else {
            card.state = State::Finished { outcome: report.outcome.clone(), at: now };
            card.executed = Some(now);
        }
    }

    fn run_by(&self, worker: WorkerId) -> Vec<u64> {
        let runs = |card: &&Card| card.phase() == Phase::Running && card.worker == worker.0;
        self.jobs.iter().filter(runs).map(|card| card.id).collect()
    }
}

impl Card {
    pub(super) fn phase(&self) -> Phase {
        match self.state {
            State::Pending { .. } => Phase::Pending,
            State::Running { .. } => Phase::Running,
            State::Finished { .. } => Phase::Finished,
        }
    }

    fn finished(&self) -> Option<DateTime<Utc>> {
        if let State::Finished { at, .. } = self.state { Some(at) } else { None }
    }
}

/// Pending, and waiting for nothing but its turn.
fn waiting(asked: bool) -> State {
    State::Pending { asked, wait: Wait::default() }
}

pub(super) fn name(queue: &QueueId) -> &'static str {
    QUEUES.into_iter().find(|name| *name == queue.as_str()).unwrap()
}
