//! Jobs of files that have arrived (`for_each: {watch: …}`): a worker that stays runs them at once, also in a queue that is
//! not being processed, but not in one that is paused or was stopped by a failure.

use super::EventLoop;
use crate::model::{Command, Event, Job, JobState, QueueInfo, QueueMode};
use crate::store::{Store, StoreError};

/// Whether the job of a file waits until its queue is processed.
fn awaits_processing(job: &Job) -> bool {
    let has_arrived = job.definition.matrix.as_ref().is_some_and(|values| values.version.is_some());
    has_arrived && matches!(job.state, JobState::Pending { requested: false, .. })
}

impl EventLoop {
    /// Notes the jobs of files that had arrived before this worker joined.
    pub(super) fn find_arrived(&mut self, store: &mut dyn Store) -> Result<(), StoreError> {
        if self.stays_when_idle && self.reload.watches_arrivals() {
            self.arrived.extend(store.load()?.jobs().filter(|job| awaits_processing(job)).map(|job| job.id));
        }
        Ok(())
    }

    /// Notes the job of a file that has arrived, or has arrived again.
    pub(super) fn note_arrival(&mut self, event: &Event) {
        let (job, definition) = match event {
            Event::Added { job } | Event::Restored { job } => (job.id, &job.definition),
            Event::Redefined { job, definition, .. } => (*job, definition),
            _ => return,
        };
        if self.stays_when_idle && definition.matrix.as_ref().is_some_and(|values| values.version.is_some()) {
            self.arrived.push(job);
        }
    }

    /// Requests the jobs of files that have arrived.
    pub(super) fn run_arrived(&mut self, store: &mut dyn Store) -> Result<(), StoreError> {
        if self.arrived.is_empty() {
            return Ok(());
        }
        let idle = |info: &QueueInfo| info.mode == QueueMode::Idle;
        let served = |info: &QueueInfo| self.queues.as_ref().is_none_or(|of| of.contains(&info.id));
        let queues: Vec<_> = store.queues()?.into_iter().filter(|info| idle(info) && served(info)).collect();
        let mut requests = Vec::new();
        for id in &self.arrived {
            if let Some(job) = store.job(*id)?
                && awaits_processing(&job)
                && queues.iter().any(|info| info.id == job.queue)
            {
                requests.push(Command::Run { job: *id, force: false });
            }
        }
        if !requests.is_empty() {
            // A job may have been changed meanwhile; then the request is refused.
            store.execute(&requests, self.clock.now())?;
            self.may_have_unread_events = true;
        }
        // Not before: they are requested again if the store fails.
        self.arrived.clear();
        Ok(())
    }
}
