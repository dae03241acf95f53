//! The jobs that are reserved for this worker: each may start the moment another one ends.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::pace::Pace;
use crate::model::{Event, Job, JobId, QueueId, Reservation, RunId, WorkerId};
use crate::store::Gate;
use crate::store::log::LogWriter;

/// How many jobs are reserved for each that runs: while one is recorded, others come to their end.
pub(super) const AHEAD: usize = 4;
/// How long what is reserved may lie unused.
const LEASE: Duration = Duration::from_millis(100);
/// For how long nobody can have passed the gate since the worker last looked at it. Far less than others wait for one that
/// doesn't answer: whatever has kept it from looking, it starts nothing that somebody else has found reserved.
const TRUST: Duration = Duration::from_millis(500);

/// What a worker has reserved, and what keeps others out meanwhile.
pub(super) struct Stock {
    /// None where nobody can be kept out: then nothing is ever reserved.
    gate: Option<Gate>,
    shut: bool,
    /// Somebody wants to pass, or it has lain for too long: nothing more is started.
    yields: bool,
    /// What can be started, in order.
    ready: VecDeque<Ready>,
    until: Instant,
    /// Until then nobody can have passed the gate.
    trusted: Instant,
    /// What has been started, and is not on record as running.
    begun: Vec<RunId>,
    /// What is reserved on record, started or not.
    listed: Vec<Reservation>,
}

/// A job that is reserved, and where its output goes.
pub(super) struct Ready {
    pub(super) job: Job,
    pub(super) run: RunId,
    pub(super) log: LogWriter,
}

impl Stock {
    /// Nothing is reserved.
    pub(super) fn new(gate: Option<Gate>) -> Self {
        let (ready, begun, listed) = (VecDeque::new(), Vec::new(), Vec::new());
        let now = Instant::now();
        Self { gate, shut: false, yields: false, ready, until: now, trusted: now, begun, listed }
    }

    /// Whether nothing is reserved, and nobody is kept out.
    pub(super) fn is_empty(&self) -> bool {
        !self.shut
    }

    /// Whether something could be started now.
    pub(super) fn is_ready(&self) -> bool {
        !self.ready.is_empty() && !self.yields
    }

    /// How long until it has to be given back; none where there is nothing.
    pub(super) fn left(&self) -> Option<Duration> {
        let left = self.until.saturating_duration_since(Instant::now());
        self.shut.then_some(if self.yields { Duration::ZERO } else { left })
    }

    /// Whether it has to be given back.
    pub(super) fn is_stale(&self) -> bool {
        self.left() == Some(Duration::ZERO)
    }

    /// Whether more may be reserved, which keeps others out from now on. Only for jobs as short as these: others gain
    /// nothing.
    pub(super) fn may_grow(&mut self, pace: &Pace) -> bool {
        let Some(gate) = &self.gate else { return false };
        if !pace.is_short() {
            return false;
        }
        let now = Instant::now();
        if self.shut {
            self.yields |= self.trusted <= now || gate.is_wanted();
        } else {
            self.shut = gate.shut();
            self.until = now + LEASE;
        }
        self.trusted = now + TRUST;
        self.shut && !self.yields
    }

    /// Nothing more is started of what is reserved.
    pub(super) fn give_up(&mut self) {
        self.ready.clear();
        self.yields = self.shut;
    }

    /// Takes out the next job of this queue, to be started at once.
    pub(super) fn take(&mut self, queue: &QueueId) -> Option<Ready> {
        let at = self.ready.iter().position(|ready| ready.job.queue == *queue)?;
        self.yields |= self.until.min(self.trusted) <= Instant::now() || self.gate.as_ref().is_none_or(Gate::is_wanted);
        if self.yields { None } else { self.ready.remove(at) }
    }

    /// What has begun without being on record as running, this run too.
    pub(super) fn begin(&mut self, run: RunId) -> &[RunId] {
        self.begun.push(run);
        &self.begun
    }

    /// The run has not begun after all, or is none of ours.
    pub(super) fn disown(&mut self, run: RunId) {
        self.begun.retain(|begun| *begun != run);
    }

    /// Whether the run has begun, and is not on record as running.
    pub(super) fn has_begun(&self, run: RunId) -> bool {
        self.begun.contains(&run)
    }

    /// Takes note of what was recorded of `worker`, which is this one; `log` makes the log of a run. What comes of the
    /// last transaction may be started until the lease is over.
    pub(super) fn recorded<'e>(
        &mut self,
        worker: WorkerId,
        events: impl Iterator<Item = &'e Event>,
        jobs: &[Job],
        log: impl Fn(&Job, RunId) -> LogWriter,
    ) {
        for event in events {
            match event {
                Event::Reserved { worker: of, jobs: reserved } if *of == worker => {
                    let is_new = |reservation: &&Reservation| !self.listed.contains(reservation);
                    let find = |id: JobId| jobs.iter().find(|job| job.id == id).cloned();
                    let new = reserved.iter().filter(is_new).filter_map(|Reservation { job, run }| {
                        let job = find(*job)?;
                        Some(Ready { log: log(&job, *run), job, run: *run })
                    });
                    self.ready.extend(new);
                    self.listed.clone_from(reserved);
                }
                Event::Started { job, run } if run.worker == worker => {
                    self.listed.retain(|reservation| reservation.job != *job);
                    self.begun.retain(|begun| *begun != run.id);
                }
                _ => {}
            }
        }
        self.until = Instant::now() + LEASE;
        if self.listed.is_empty() && self.begun.is_empty() && self.shut {
            self.give_up();
            self.gate.iter().for_each(Gate::open);
            (self.shut, self.yields) = (false, false);
        }
    }
}
