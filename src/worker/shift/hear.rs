//! What a worker hears of the site: what others have done, and what it has done itself.

use chrono::{DateTime, Utc};

use super::{Shift, Tell};
use crate::model::{Event, JobId, Recorded, RunId, State, Then};
use crate::store::{Answer, Store, StoreError};

impl Shift {
    /// Takes note of all that has happened since the last time, by whomever.
    pub(super) fn follow(&mut self, store: &mut dyn Store, tell: &mut impl Tell) -> Result<(), StoreError> {
        let Some(news) = store.events_after(self.seen)? else {
            self.seen = store.seq()?;
            self.hungry = true;
            self.vigil.look_again();
            return self.look_after_own(store);
        };
        for recorded in &news {
            self.hear(store, recorded, tell);
        }
        Ok(())
    }

    /// So much has happened that it can't be told: looks at what has become of the jobs that run here.
    pub(super) fn look_after_own(&mut self, store: &mut dyn Store) -> Result<(), StoreError> {
        let recorded = self.running.iter().filter(|(run, _)| !self.stock.has_begun(**run));
        let running: Vec<(RunId, JobId)> = recorded.map(|(run, running)| (*run, running.job.id)).collect();
        for (run, id) in running {
            match store.job(id)? {
                Some(job) if job.running() == Some(run) => {
                    if let State::Running { stop: Some(stop), .. } = job.state {
                        self.runner.stop(run, stop);
                    }
                }
                known => {
                    self.running.remove(&run);
                    self.hooks.finished_unseen(known, run);
                }
            }
        }
        Ok(())
    }

    /// Takes note of its own doing: nothing else has happened since.
    pub(super) fn note(
        &mut self,
        store: &mut dyn Store,
        before: u64,
        answers: impl Iterator<Item = (DateTime<Utc>, Answer)>,
        tell: &mut impl Tell,
    ) {
        let events = answers.flat_map(|(at, answer)| answer.into_iter().flatten().map(move |event| (at, event)));
        for (seq, (at, event)) in (before + 1..).zip(events) {
            self.hear(store, &Recorded { seq, at, event }, tell);
        }
    }

    pub(super) fn hear(&mut self, store: &mut dyn Store, recorded: &Recorded, tell: &mut impl Tell) {
        self.seen = recorded.seq;
        let mut own = None;
        match &recorded.event {
            Event::StopAsked { run, stop, .. } if self.running.contains_key(run) => self.runner.stop(*run, *stop),
            Event::Ended { run, .. } => {
                own = self.running.remove(run).map(|running| running.job);
                self.hungry |= own.is_none();
                self.reload.ended();
            }
            Event::WorkerJoined { .. } => self.vigil.look_again(),
            // What was given back can be had again.
            Event::Reserved { jobs, .. } => self.hungry |= jobs.is_empty(),
            Event::Started { .. } | Event::Removed { .. } => {}
            _ => self.hungry = true,
        }
        if let Some(job) = &mut own {
            job.apply(&recorded.event, recorded.at);
        }
        tell(store, recorded, own.as_ref());
        if let (Some(job), Event::Ended { then: Then::Finish | Then::Stay, .. }) = (own, &recorded.event) {
            self.hooks.finished(job);
        }
    }
}
