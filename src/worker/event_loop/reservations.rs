//! Jobs that are reserved for a worker, so that each can start the moment another one ends, before that end is committed.
//!
//! This is all of it on the worker's side: which reservations a batch requests or releases
//! ([`EventLoop::reservation_commands`]), what its results change ([`EventLoop::apply_reservations`]), and the start of a
//! reserved job in a freed slot ([`EventLoop::fill_freed_slots`]). `model/reservation.rs` decides which jobs can be
//! reserved, and `store/reservation_lock.rs` keeps other writers out meanwhile.

use std::collections::VecDeque;
use std::mem;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use super::launch::log_limit;
use super::{ActiveRun, EventLoop};
use crate::crash;
use crate::model::{Command, Event, Job, JobId, QueueId, Reservation, Run, RunId, StopSignal, WorkerId};
use crate::runner::PtyOptions;
use crate::store::log::LogWriter;
use crate::store::{CommandResult, ReservationLock, Store};
use crate::worker::commit_latency::CommitLatency;

/// How many jobs are reserved for each running job, because several may end during one commit.
const RESERVED_PER_RUN: usize = 4;
/// How long jobs stay reserved after a commit.
const LEASE: Duration = Duration::from_millis(100);
/// How long the worker may rely on its last check of the lock. Far shorter than the time after which others take the lock
/// from a worker that does not release it, so a worker that was suspended starts no job that others have taken.
const LOCK_CHECK_VALIDITY: Duration = Duration::from_millis(500);

/// The reservations of a worker, and the lock that keeps other writers out meanwhile.
pub(super) struct Reservations {
    /// None if the store has no such lock; then nothing is ever reserved.
    lock: Option<ReservationLock>,
    is_held: bool,
    /// Another writer waits or the lease has ended: no reserved job may start.
    must_release: bool,
    /// The jobs that can start, in order.
    startable: VecDeque<ReservedJob>,
    lease_end: Instant,
    /// Until then no other writer can have taken the lock.
    lock_checked_until: Instant,
    /// Runs that have been started and are not recorded as running yet.
    unrecorded_starts: Vec<RunId>,
    /// The recorded reservations, started or not.
    recorded: Vec<Reservation>,
}

/// A reserved job, and the log of its run.
struct ReservedJob {
    job: Job,
    run: RunId,
    log: LogWriter,
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
            lease_end: now,
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
        let left = self.lease_end.saturating_duration_since(Instant::now());
        self.is_held.then_some(if self.must_release { Duration::ZERO } else { left })
    }

    /// Whether the reservations have to be released.
    fn is_expired(&self) -> bool {
        self.time_left() == Some(Duration::ZERO)
    }

    /// Takes the lock, or checks that it is still held; returns whether more jobs may be reserved. Only short jobs gain from
    /// reservations.
    fn try_extend(&mut self, commit_latency: &CommitLatency) -> bool {
        let Some(lock) = &self.lock else { return false };
        if !commit_latency.runs_are_short() {
            return false;
        }
        let now = Instant::now();
        if self.is_held {
            self.must_release |= self.lock_checked_until <= now || lock.has_waiters();
        } else {
            self.is_held = lock.try_hold();
            self.lease_end = now + LEASE;
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
    fn take_next(&mut self, queue: &QueueId) -> Option<ReservedJob> {
        let at = self.startable.iter().position(|ready| ready.job.queue == *queue)?;
        self.must_release |= self.lease_end.min(self.lock_checked_until) <= Instant::now()
            || self.lock.as_ref().is_none_or(ReservationLock::has_waiters);
        if self.must_release { None } else { self.startable.remove(at) }
    }

    /// Adds a run to those that have been started and are not recorded yet; returns all of these.
    fn mark_started(&mut self, run: RunId) -> &[RunId] {
        self.unrecorded_starts.push(run);
        &self.unrecorded_starts
    }

    /// Removes a run that was not started after all, or no longer belongs to this worker.
    fn forget_start(&mut self, run: RunId) {
        self.unrecorded_starts.retain(|started| *started != run);
    }

    /// Whether the run has been started and is not recorded as running yet.
    pub(super) fn is_start_unrecorded(&self, run: RunId) -> bool {
        self.unrecorded_starts.contains(&run)
    }

    /// Applies the events of a transaction of `worker`, which is this one. `log` opens the log of a run. Begins a new lease.
    fn apply_events<'e>(
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
        self.lease_end = Instant::now() + LEASE;
        if self.recorded.is_empty() && self.unrecorded_starts.is_empty() && self.is_held {
            self.stop_starting();
            self.lock.iter().for_each(ReservationLock::release);
            (self.is_held, self.must_release) = (false, false);
        }
    }
}

impl EventLoop {
    /// Starts reserved jobs in place of runs that have ended.
    pub(super) fn fill_freed_slots(&mut self) {
        if self.must_release_reservations() || !self.deferred.is_empty() {
            return;
        }
        for queue in mem::take(&mut self.freed_slots) {
            match self.reservations.take_next(&queue) {
                Some(reserved) => self.start_reserved(reserved),
                None => self.freed_slots.push(queue),
            }
        }
    }

    /// Starts a reserved job in place of one that has just ended.
    fn start_reserved(&mut self, reserved: ReservedJob) {
        let ReservedJob { mut job, run, log } = reserved;
        crash::point("reserved");
        if let Err(error) = self.lock.record_started(self.reservations.mark_started(run)) {
            // The job is still reserved. If the worker dies now, its reaper may take the job for a started one.
            tracing::error!(%error, "can't record the start of a reserved job");
            self.reservations.forget_start(run);
            self.reservations.stop_starting();
            self.freed_slots.push(job.queue);
            return;
        }
        job.start_run(Run { id: run, attempt: job.attempts + 1, worker: self.id, started: self.now, end: None });
        self.pending_commands.push((Command::StartReserved { worker: self.id, job: job.id, run }, self.now));
        self.launch(job, log, PtyOptions::default());
        crash::point("reserved-started");
    }

    /// The commands that release the reservations, or request more of them.
    pub(super) fn reservation_commands(&mut self) -> (Option<Command>, Option<Command>) {
        let queues = if self.is_release_due() { Vec::new() } else { self.reservations_wanted() };
        if !queues.is_empty() {
            return (None, Some(Command::Reserve { worker: self.id, queues }));
        }
        if self.reservations.is_empty() {
            return (None, None);
        }
        self.reservations.stop_starting();
        (Some(Command::Release { worker: self.id }), None)
    }

    /// Whether the reservations have to be released.
    pub(super) fn is_release_due(&self) -> bool {
        self.reservations.is_expired() || (self.must_release_reservations() && !self.reservations.is_empty())
    }

    /// Applies the results of a transaction.
    pub(super) fn apply_reservations(
        &mut self,
        store: &dyn Store,
        commands: &[(Command, DateTime<Utc>)],
        answers: &[CommandResult],
        claimed_jobs: &[Job],
    ) {
        for ((command, _), answer) in commands.iter().zip(answers) {
            if let (Command::StartReserved { run, .. }, Err(_)) = (command, answer) {
                // Another process has taken this worker for dead, and the job no longer belongs to it.
                self.runner.stop(*run, StopSignal::Kill);
                self.running.remove(run);
                self.reservations.forget_start(*run);
            }
        }
        let events = answers.iter().flatten().flatten();
        let log = |job: &Job, run| store.log_writer(run, log_limit(job));
        self.reservations.apply_events(self.id, events, claimed_jobs, log);
    }

    /// How many jobs of each queue to reserve.
    fn reservations_wanted(&mut self) -> Vec<(QueueId, usize)> {
        if self.running.is_empty()
            || self.must_release_reservations()
            || !self.reservations.try_extend(&self.commit_latency)
        {
            return Vec::new();
        }
        let mut wanted: Vec<(QueueId, usize)> = Vec::new();
        for ActiveRun { job, is_ended, .. } in self.running.values() {
            let at = wanted.iter().position(|(queue, _)| *queue == job.queue).unwrap_or_else(|| {
                wanted.push((job.queue.clone(), 0));
                wanted.len() - 1
            });
            wanted[at].1 += usize::from(!is_ended);
        }
        for (_, running) in &mut wanted {
            *running = RESERVED_PER_RUN * (*running).max(1);
        }
        wanted
    }

    /// Whether there is something to do that requires giving up the reservations first.
    fn must_release_reservations(&self) -> bool {
        let is_job_due = self.next_due.is_some_and(|due| due <= self.now);
        self.shutdown.is_some()
            || is_job_due
            || self.clock_set_back
            || self.peer_check_due.is_some()
            || self.suspend_requested
            || self.reload.is_pending()
    }
}
