//! Jobs that are reserved for a worker, so that each can start the moment another one ends, before that end is committed.
//!
//! This is all that the event loop does about them: which reservations a batch requests or releases, what its results
//! change, and the start of a reserved job in a freed slot. [`Reservations`](crate::worker::reservations::Reservations)
//! is their state; `model/reservation.rs` decides which jobs can be reserved.

use std::mem;

use chrono::{DateTime, Utc};

use super::launch::log_limit;
use super::{ActiveRun, EventLoop};
use crate::crash;
use crate::model::{Command, Job, QueueId, Run, StopSignal};
use crate::runner::PtyOptions;
use crate::store::{CommandResult, Store};
use crate::worker::reservations::ReservedJob;

/// How many jobs are reserved for each running job, because several may end during one commit.
const RESERVED_PER_RUN: usize = 4;

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
            // The job is still reserved. If the worker dies now, the process that reaps it may record this job as started.
            tracing::error!(%error, "can't record the start of a reserved job");
            self.reservations.forget_start(run);
            self.reservations.stop_starting();
            self.freed_slots.push(job.queue);
            return;
        }
        let previous = job.last_run.as_deref().cloned();
        job.start_run(Run {
            id: run,
            attempt: job.attempts + 1,
            worker: self.id,
            started: self.now,
            stalled: None,
            end: None,
            approval: job.approval.clone(),
            inputs: None,
        });
        self.pending_commands.push((Command::StartReserved { worker: self.id, job: job.id, run }, self.now));
        self.folders.remove_outdated(&job, || previous);
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
                // Another process considered this worker dead, and the job no longer belongs to it.
                self.runner.stop(&[(*run, StopSignal::Kill)]);
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
            || !self.returned_items.is_empty()
            || !self.arrived.is_empty()
    }
}
