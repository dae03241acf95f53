//! How a worker follows the events of its site, its own and those of others.

use chrono::{DateTime, Utc};

use super::{ChangeListener, EventLoop};
use crate::model::{AfterRun, Event, EventRecord, JobId, JobState, Run, RunId, StopSignal, WorkerInfo};
use crate::site::hostname;
use crate::store::{CommandResult, Store, StoreError};

impl EventLoop {
    /// Reads and handles the events since the last one handled.
    pub(super) fn read_site_events(
        &mut self,
        store: &mut dyn Store,
        on_change: &mut impl ChangeListener,
    ) -> Result<(), StoreError> {
        let Some(events) = store.events_after(self.last_seq)? else {
            let last_seq = store.last_seq()?;
            self.is_unregistered |= last_seq < self.last_seq || !self.is_registered(store)?;
            if self.is_unregistered {
                return Ok(());
            }
            self.last_seq = last_seq;
            self.wants_jobs = true;
            let is_draining = |worker: &WorkerInfo| worker.id == self.id && worker.draining;
            if store.workers()?.iter().any(is_draining) {
                self.start_draining();
            }
            self.liveness_watch.rescan();
            self.resync_runs(store)?;
            let own = store.jobs_run_by(self.id)?.iter().map(|job| job.id).collect();
            return self.start_unanswered(store, own);
        };
        let mut unanswered = Vec::new();
        for recorded in &events {
            if let Event::Started { job, run } = &recorded.event
                && run.worker == self.id
                && !self.running.contains_key(&run.id)
            {
                unanswered.push(*job);
            }
            self.handle_event(store, recorded, on_change);
        }
        self.stop_requested_runs();
        self.start_unanswered(store, unanswered)
    }

    /// Starts jobs that this worker has claimed in a transaction whose answer was lost, so that it was not known whether it
    /// was committed.
    fn start_unanswered(&mut self, store: &mut dyn Store, jobs: Vec<JobId>) -> Result<(), StoreError> {
        for id in jobs {
            let Some(job) = store.job(id)? else { continue };
            let is_own = |run: &&Run| run.worker == self.id && job.current_run() == Some(run.id);
            if job.last_run.as_deref().filter(is_own).is_some_and(|run| !self.running.contains_key(&run.id)) {
                self.start_claimed(store, job);
            }
        }
        Ok(())
    }

    /// Whether the site has this worker, and other processes can see that it is alive.
    pub(super) fn is_registered(&self, store: &mut dyn Store) -> Result<bool, StoreError> {
        let is_self = |worker: &WorkerInfo| worker.id == self.id && worker.pid == std::process::id();
        // Fails if the whole site is gone.
        let workers = store.workers()?;
        Ok(workers.iter().any(is_self) && self.lock.is_in_place())
    }

    fn start_draining(&mut self) {
        if !self.is_draining {
            tracing::info!(running = self.running.len(), "draining: starting no more jobs");
        }
        self.is_draining = true;
    }

    /// Compares the runs of this worker with the store, after more events than it keeps.
    pub(super) fn resync_runs(&mut self, store: &mut dyn Store) -> Result<(), StoreError> {
        let recorded = self.running.iter().filter(|(run, _)| !self.reservations.is_start_unrecorded(**run));
        let running: Vec<(RunId, JobId)> = recorded.map(|(run, running)| (*run, running.job.id)).collect();
        for (run, id) in running {
            match store.job(id)? {
                Some(job) if job.current_run() == Some(run) => {
                    if let JobState::Running { stop: Some(stop), .. } = job.state {
                        self.requested_stops.push((run, stop));
                    }
                }
                known => {
                    // It has ended, or the site does not know that it has started: a standby server took over that had not received it.
                    self.requested_stops.push((run, StopSignal::Kill));
                    self.running.remove(&run);
                    if let Some(job) = &known {
                        self.folders.remove_unused(job, run, || None);
                    }
                    self.hooks.enqueue_ended(known, run);
                }
            }
        }
        self.stop_requested_runs();
        Ok(())
    }

    /// Handles the events of its own transaction, which directly follow the last one handled.
    pub(super) fn apply_own_events(
        &mut self,
        store: &mut dyn Store,
        before: u64,
        answers: impl Iterator<Item = (DateTime<Utc>, CommandResult)>,
        on_change: &mut impl ChangeListener,
    ) {
        let events = answers.flat_map(|(at, answer)| answer.into_iter().flatten().map(move |event| (at, event)));
        for (seq, (at, event)) in (before + 1..).zip(events) {
            self.handle_event(store, &EventRecord { seq, at, event }, on_change);
        }
        self.stop_requested_runs();
    }

    pub(super) fn handle_event(
        &mut self,
        store: &mut dyn Store,
        recorded: &EventRecord,
        on_change: &mut impl ChangeListener,
    ) {
        self.last_seq = recorded.seq;
        self.note_arrival(&recorded.event);
        let mut own = None;
        match &recorded.event {
            Event::StopRequested { run, stop, .. } if self.running.contains_key(run) => {
                self.requested_stops.push((*run, *stop));
            }
            Event::Ended { run, .. } => {
                own = self.running.remove(run).map(|running| running.job);
                self.wants_jobs |= own.is_none();
                self.reload.handle_run_end();
            }
            Event::WorkerDraining { worker } if *worker == self.id => self.start_draining(),
            Event::WorkerLeft { worker } if *worker == self.id => self.is_unregistered = true,
            Event::WorkerJoined { worker } => {
                // A restored backup assigns the same ids again.
                self.is_unregistered |= worker.id == self.id && worker.pid != std::process::id();
                self.liveness_watch.rescan();
            }
            // Released jobs can be claimed again.
            Event::Reserved { jobs, .. } => self.wants_jobs |= jobs.is_empty(),
            Event::Started { .. }
            | Event::Removed { .. }
            | Event::StallChanged { .. }
            | Event::SnapshotTaken { .. } => {}
            _ => self.wants_jobs = true,
        }
        if let Some(job) = &mut own {
            job.apply(&recorded.event, recorded.at);
        }
        on_change(store, recorded, own.as_ref());
        if let (Some(job), Event::Ended { run, .. }) = (&own, &recorded.event) {
            self.folders.remove_unused(job, *run, || store.job(job.id).ok().flatten());
            if let Err(error) = store.announce_artifacts(*run, &hostname()) {
                tracing::warn!(%error, %run, "other machines don't know the artifacts of a run");
            }
        }
        if let (Some(job), Event::Ended { after_run: AfterRun::Finish | AfterRun::StayPending, .. }) =
            (own, &recorded.event)
        {
            self.hooks.enqueue(job);
        }
    }
}
