//! Waiting for messages, and what each of them changes.

use std::mem;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use rustix::process::Signal;

use super::{EventLoop, MAX_SLEEP, PeerCheck};
use crate::model::{Cause, CauseKind, Command, Exit, HookResult, JobId, Outcome, RunId, RunReport, StopSignal};
use crate::store::Store;
use crate::worker::commit_thread::{Batch, CommitOutcome};
use crate::worker::message::{Shutdown, WorkerMessage};

impl EventLoop {
    /// Supervises the runs until a message arrives or the time is up, and handles all messages. Returns whether there
    /// were any.
    pub(super) fn wait_for_messages(&mut self, at_most: Duration) -> bool {
        let deadline = Instant::now() + at_most;
        while !self.supervise_until(deadline) {
            if Instant::now() >= deadline {
                if at_most == MAX_SLEEP {
                    self.may_have_unread_events = true;
                    self.peer_check_due.get_or_insert(PeerCheck::Routine);
                }
                return false;
            }
        }
        self.coalesce();
        true
    }

    /// Commits a batch on the commit thread, and supervises the runs meanwhile.
    pub(super) fn commit_and_supervise(
        &mut self,
        store: Box<dyn Store>,
        batch: Batch,
    ) -> (Box<dyn Store>, CommitOutcome) {
        if let Err((mut store, batch)) = self.commit_thread.submit(store, batch) {
            let outcome = batch.commit(store.as_mut());
            return (store, outcome);
        }
        loop {
            if let Some(committed) = self.commit_thread.take_result() {
                return committed;
            }
            self.supervise_until(Instant::now() + MAX_SLEEP);
        }
    }

    /// Supervises the runs until something wakes the worker or the time is up, and handles all messages. Returns whether
    /// there were any.
    fn supervise_until(&mut self, deadline: Instant) -> bool {
        let mut messages: Vec<WorkerMessage> = self.messages.try_iter().collect();
        if messages.is_empty() {
            self.runner.drive(deadline.saturating_duration_since(Instant::now()));
            messages.extend(self.messages.try_iter());
        }
        self.read_clock();
        let is_any = !messages.is_empty();
        for message in messages {
            self.handle_message(message);
        }
        is_any
    }

    fn handle_message(&mut self, message: WorkerMessage) {
        match message {
            WorkerMessage::SiteChanged => self.may_have_unread_events = true,
            WorkerMessage::FileRead(read) => self.reload.handle_read(read),
            WorkerMessage::ItemsChanged => self.reload.handle_items_changed(),
            WorkerMessage::RunEnded(job, run, report) => self.handle_run_end(job, run, report),
            WorkerMessage::ConditionEnded(job, run, report, last_line) => {
                self.handle_condition_end(job, run, report, &last_line);
            }
            WorkerMessage::FilesObserved(run, observed) => self.handle_files_observed(run, observed),
            WorkerMessage::SnapshotCheckedOut(run, worktree) => self.handle_checked_out(run, worktree),
            WorkerMessage::SnapshotTaken(jobs, snapshot) => self.handle_snapshot(&jobs, snapshot),
            WorkerMessage::StallChanged(job, run, since) => self.handle_stall(job, run, since),
            WorkerMessage::HookEnded(slot, report, last_line) => self.handle_hook_end(slot, report, last_line),
            WorkerMessage::PeerDied => self.peer_check_due = Some(PeerCheck::PeerDied),
            WorkerMessage::Shutdown(shutdown) => self.shut_down(shutdown),
            WorkerMessage::Suspend => self.suspend_requested = true,
        }
    }

    /// If a run has ended and another is about to end, waits for that one, so that one transaction records both.
    fn coalesce(&mut self) {
        if self.freed_slots.is_empty() {
            return;
        }
        let others = self.running.values().filter(|run| !run.is_ended);
        let timeout = others.filter_map(|run| self.commit_latency.coalesce_timeout(run.started.elapsed())).max();
        let Some(timeout) = timeout else { return };
        let (deadline, freed) = (Instant::now() + timeout, self.freed_slots.len());
        while self.freed_slots.len() == freed {
            if Instant::now() >= deadline {
                return;
            }
            self.supervise_until(deadline);
        }
    }

    /// A run has ended: queues its report, and starts a reserved job in its place.
    pub(super) fn handle_run_end(&mut self, job: JobId, run: RunId, mut report: RunReport) {
        if let Some(active) = self.running.get_mut(&run) {
            active.add_sources(&mut report);
        }
        self.queue_run_end(job, run, report);
        let Some(active) = self.running.get_mut(&run) else { return };
        active.is_ended = true;
        // It has freed resources.
        self.launch_retry_at = self.launch_retry_at.map(|_| Instant::now());
        self.commit_latency.record_run(active.started.elapsed());
        // A job that took several slots may make room for as many jobs, and one that used a pool for jobs of other queues.
        let scheduling = &active.job.definition.scheduling;
        self.wants_jobs |= scheduling.weight > 1 || !scheduling.uses.is_empty();
        let queue = active.job.queue.clone();
        self.freed_slots.push(queue);
        self.fill_freed_slots();
    }

    fn queue_run_end(&mut self, job: JobId, run: RunId, mut report: RunReport) {
        let is_shutting_down = self.shutdown.is_some() || self.sender.interrupted.load(Ordering::Relaxed);
        // A new process is in the process group of the worker for a moment, to which a terminal sends SIGINT on Ctrl-C.
        let is_interrupted = report.exit == Some(Exit::Signal(Signal::INT.as_raw()));
        if is_shutting_down && (report.outcome == Outcome::Cancelled || is_interrupted) {
            // The worker stopped the run because it shuts down, not because anyone cancelled the job.
            report.outcome = Outcome::Interrupted;
            report.cause = Some(Box::new(Cause::new(CauseKind::WorkerStopped, "")));
        }
        if !report.outcome.is_success() && !self.lock.is_in_place() {
            // Another process considered this worker dead. It kills what the runs left, and records their ends. A shell
            // whose program was killed first may exit with a status of its own.
            self.is_unregistered = true;
            return;
        }
        if let Some(report) = self.take_returned_items(job, run, report) {
            self.pending_commands.push((Command::EndRun { job, run, report, on_failure: None }, self.now));
        }
    }

    /// Records that a run is stalled or prints again, and runs its hook the first time that it stalls.
    fn handle_stall(&mut self, job: JobId, run: RunId, since: Option<DateTime<Utc>>) {
        let Some(active) = self.running.get_mut(&run).filter(|active| !active.is_ended) else { return };
        self.pending_commands.push((Command::RecordStall { job, run, since }, self.now));
        if let Some(since) = since.filter(|_| !mem::replace(&mut active.has_stalled, true)) {
            self.hooks.enqueue_stalled(&active.job, since, self.now);
        }
    }

    fn handle_hook_end(&mut self, slot: usize, report: RunReport, last_line: String) {
        if let Some(run) = self.hooks.handle_exit(slot, &report, &last_line) {
            self.hook_results.push((run, HookResult { at: self.now, outcome: report.outcome, last_line }));
        }
    }

    /// Stops all runs and hooks. A second call may upgrade the first.
    pub(super) fn shut_down(&mut self, shutdown: Shutdown) {
        self.shutdown = self.shutdown.max(Some(shutdown));
        let stop = if shutdown == Shutdown::Immediate { StopSignal::Kill } else { StopSignal::Terminate };
        self.requested_stops.extend(self.running.keys().map(|run| (*run, stop)));
        self.stop_requested_runs();
        self.hooks.stop(&self.runner, stop);
    }
}
