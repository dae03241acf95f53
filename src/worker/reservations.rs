//! The jobs that are reserved for a worker, and the lock that keeps other writers out meanwhile.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::commit_latency::CommitLatency;
use crate::model::{Event, Job, JobId, QueueId, Reservation, RunId, WorkerId};
use crate::store::ReservationLock;
use crate::store::log::LogWriter;

/// How long jobs stay reserved after a commit.
const RESERVED_FOR: Duration = Duration::from_millis(100);
/// How long the worker may rely on its last check of the lock. Far shorter than the time after which others take the lock
/// from a worker that does not release it, so a worker that was suspended starts no job that others have taken.
const LOCK_CHECK_VALIDITY: Duration = Duration::from_millis(500);

/// The reservations of a worker, and the lock that keeps other writers out meanwhile.
pub(super) struct Reservations {
    /// None if the store has no such lock; then nothing is ever reserved.
    lock: Option<ReservationLock>,
    is_held: bool,
    /// Another writer waits or the time has passed: no reserved job may start.
    must_release: bool,
    /// The jobs that can start, in order.
    startable: VecDeque<ReservedJob>,
    reserved_until: Instant,
    /// Until then no other writer can have taken the lock.
    lock_checked_until: Instant,
    /// Runs that have been started and are not recorded as running yet.
    unrecorded_starts: Vec<RunId>,
    /// The recorded reservations, started or not.
    recorded: Vec<Reservation>,
}

/// A reserved job, and the log of its run.
pub(super) struct ReservedJob {
    pub(super) job: Job,
    pub(super) run: RunId,
    pub(super) log: LogWriter,
}

impl Reservations {
    pub(super) fn new(lock: Option<ReservationLock>) -> Self {
        let (startable, unrecorded_starts, recorded) = (VecDeque::new(), Vec::new(), Vec::new());
        let now = Instant::now();
        Self {
            lock,
            is_held: false,
            must_release: false,
            startable,
            reserved_until: now,
            lock_checked_until: now,
            unrecorded_starts,
            recorded,
        }
    }

    /// Whether nothing is reserved and the lock is free.
    pub(super) fn is_empty(&self) -> bool {
        !self.is_held
    }

    /// Whether a job can start now.
    pub(super) fn has_startable(&self) -> bool {
        !self.startable.is_empty() && !self.must_release
    }

    /// How long until the reservations have to be released; none if there are none.
    pub(super) fn time_left(&self) -> Option<Duration> {
        let left = self.reserved_until.saturating_duration_since(Instant::now());
        self.is_held.then_some(if self.must_release { Duration::ZERO } else { left })
    }

    /// Whether the reservations have to be released.
    pub(super) fn is_expired(&self) -> bool {
        self.time_left() == Some(Duration::ZERO)
    }

    /// Takes the lock, or checks that it is still held; returns whether more jobs may be reserved. Only short jobs gain from
    /// reservations.
    pub(super) fn try_extend(&mut self, commit_latency: &CommitLatency) -> bool {
        let Some(lock) = &self.lock else { return false };
        if !commit_latency.runs_are_short() {
            return false;
        }
        let now = Instant::now();
        if self.is_held {
            self.must_release |= self.lock_checked_until <= now || lock.has_waiters();
        } else {
            self.is_held = lock.try_hold();
            self.reserved_until = now + RESERVED_FOR;
        }
        self.lock_checked_until = now + LOCK_CHECK_VALIDITY;
        self.is_held && !self.must_release
    }

    /// Starts no more of the reserved jobs.
    pub(super) fn stop_starting(&mut self) {
        self.startable.clear();
        self.must_release = self.is_held;
    }

    /// The next reserved job of this queue, which must be started at once.
    pub(super) fn take_next(&mut self, queue: &QueueId) -> Option<ReservedJob> {
        let at = self.startable.iter().position(|ready| ready.job.queue == *queue)?;
        self.must_release |= self.reserved_until.min(self.lock_checked_until) <= Instant::now()
            || self.lock.as_ref().is_none_or(ReservationLock::has_waiters);
        if self.must_release { None } else { self.startable.remove(at) }
    }

    /// Adds a run to those that have been started and are not recorded yet; returns all of these.
    pub(super) fn mark_started(&mut self, run: RunId) -> &[RunId] {
        self.unrecorded_starts.push(run);
        &self.unrecorded_starts
    }

    /// Removes a run that was not started after all, or no longer belongs to this worker.
    pub(super) fn forget_start(&mut self, run: RunId) {
        self.unrecorded_starts.retain(|started| *started != run);
    }

    /// Whether the run has been started and is not recorded as running yet.
    pub(super) fn is_start_unrecorded(&self, run: RunId) -> bool {
        self.unrecorded_starts.contains(&run)
    }

    /// Applies the events of a transaction of `worker`, which is this one. `log` opens the log of a run. Jobs stay
    /// reserved for the full time again.
    pub(super) fn apply_events<'e>(
        &mut self,
        worker: WorkerId,
        events: impl Iterator<Item = &'e Event>,
        jobs: &[Job],
        log: impl Fn(&Job, RunId) -> LogWriter,
    ) {
        for event in events {
            match event {
                Event::Reserved { worker: of, jobs: reserved } if *of == worker => {
                    let is_new = |reservation: &&Reservation| !self.recorded.contains(reservation);
                    let find = |id: JobId| jobs.iter().find(|job| job.id == id).cloned();
                    let new = reserved.iter().filter(is_new).filter_map(|Reservation { job, run }| {
                        let job = find(*job)?;
                        Some(ReservedJob { log: log(&job, *run), job, run: *run })
                    });
                    self.startable.extend(new);
                    self.recorded.clone_from(reserved);
                }
                Event::Started { job, run } if run.worker == worker => {
                    self.recorded.retain(|reservation| reservation.job != *job);
                    self.unrecorded_starts.retain(|started| *started != run.id);
                }
                _ => {}
            }
        }
        self.reserved_until = Instant::now() + RESERVED_FOR;
        if self.recorded.is_empty() && self.unrecorded_starts.is_empty() && self.is_held {
            self.stop_starting();
            self.lock.iter().for_each(ReservationLock::release);
            (self.is_held, self.must_release) = (false, false);
        }
    }
}
