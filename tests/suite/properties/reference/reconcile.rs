//! Reconciliation in the reference.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use setlist::model::{Definition, SiteState, OnFailure, Phase, DesiredState, RemovalReason};

use super::{NotBefore, ReferenceJob, Reference, ReferenceState, name};

impl Reference {
    pub(super) fn read(&mut self, plan: &DesiredState, now: DateTime<Utc>) {
        if plan.version == self.file_version {
            return;
        }
        self.queues.iter_mut().for_each(|line| line.order = u32::MAX);
        for planned in &plan.queues {
            self.open(name(&planned.id));
            if let Ok(line) = self.line(&planned.id) {
                line.parallel = planned.settings.parallel;
                line.stop = planned.settings.on_failure == OnFailure::Stop;
                line.order = planned.settings.order;
                line.keep = planned.settings.retention.max_age_seconds.unwrap();
            }
        }
        self.queues.sort_by_key(|line| (line.order, line.name));
        let planned: Vec<(&'static str, &Arc<Definition>)> =
            plan.queues.iter().flat_map(|queue| queue.jobs.iter().map(|job| (name(&queue.id), job))).collect();
        let before = self.jobs.len();
        for (queue, definition) in &planned {
            if self.filed(queue, definition).is_none() {
                let id = self.jobs.len() as u64 + 1;
                self.jobs.push(ReferenceJob::new(id, queue, Arc::clone(definition), now));
            }
        }
        let mut deferred = false;
        // Reserved jobs may already be running.
        let reserved: Vec<u64> = self.reserved.iter().map(|reserved| reserved.job).collect();
        let running = |card: &ReferenceJob| card.phase() == Phase::Running || reserved.contains(&card.id);
        for card in self.jobs.iter_mut().filter(|card| card.definition.digest.is_some()) {
            if planned.iter().any(|(queue, definition)| is_entry_of(card, queue, definition)) {
                continue;
            }
            deferred |= running(card);
            if card.phase() == Phase::Pending && card.removed.is_none() && !running(card) {
                card.removed = Some(RemovalReason::NotInFile);
            }
        }
        for (queue, definition) in &planned {
            let id = self.filed(queue, definition).unwrap();
            let is_new = usize::try_from(id).unwrap() > before;
            let needs = self.found(&definition.scheduling.needs).unwrap();
            let card = self.at(id);
            if is_new {
                card.needs = needs;
            } else if running(card) {
                deferred |= card.definition != **definition;
            } else if card.removed != Some(RemovalReason::User) || card.definition.digest != definition.digest {
                card.update(definition, needs, now);
            }
        }
        self.file_version = if deferred { String::new() } else { plan.version.clone() };
    }

    /// The job of an entry in the file.
    fn filed(&self, queue: &str, definition: &Definition) -> Option<u64> {
        self.jobs.iter().find(|card| is_entry_of(card, queue, definition)).map(|card| card.id)
    }

    /// Checks the order of the jobs after a reconciliation, then adopts their positions: jobs of the file are in the
    /// file's order, other jobs keep their order. See also `suite/reconcile.rs`.
    pub(in super::super) fn adopt_reconciled_positions(&mut self, plan: &DesiredState, site: &SiteState) {
        let places = self.places(site);
        for queue in &plan.queues {
            let in_file = queue.jobs.iter().filter_map(|definition| {
                let card = self.jobs.iter().find(|card| is_entry_of(card, name(&queue.id), definition))?;
                let touched = card.phase() != Phase::Running && card.removed.is_none() && !self.is_reserved(card.id);
                touched.then(|| places[usize::try_from(card.id).unwrap() - 1])
            });
            assert!(in_file.is_sorted_by(|a, b| a < b), "the file's order in {}", queue.id);
        }
        let mut others: Vec<&ReferenceJob> = self.jobs.iter().filter(|card| card.definition.digest.is_none()).collect();
        others.sort_by_key(|card| (card.queue, card.place, card.id));
        let in_order = |a: &&ReferenceJob, b: &&ReferenceJob| {
            // A job that was moved may have the position of one that had finished.
            let place = |card: &ReferenceJob| (places[usize::try_from(card.id).unwrap() - 1], card.id);
            a.queue != b.queue || place(a) < place(b)
        };
        assert!(others.is_sorted_by(in_order), "jobs that are not in the file keep their order");
        self.jobs.iter_mut().zip(places).for_each(|(card, place)| card.place = place);
        // A running job may also prevent the file's order.
        let running = |card: &ReferenceJob| {
            let runs = card.phase() == Phase::Running || self.is_reserved(card.id);
            card.definition.digest.is_some() && runs
        };
        if site.file_version() == Some("") && self.jobs.iter().any(running) {
            self.file_version.clear();
        }
    }
}

impl ReferenceJob {
    fn update(&mut self, definition: &Arc<Definition>, needs: Vec<(u64, super::OutcomeCondition)>, now: DateTime<Utc>) {
        // A request made before its removal is dropped: reconciliation starts nothing.
        let anew = self.removed.take().is_some() && self.phase() == Phase::Pending && self.requested();
        let digest_changed = self.definition.digest != definition.digest;
        let before = std::mem::replace(&mut self.definition, Arc::clone(definition));
        if before != *definition {
            self.needs = needs;
        }
        if anew || (self.phase() == Phase::Finished && digest_changed) {
            return self.make_pending(self.fresh(now), now);
        }
        let (enqueued, tried) = (self.enqueued, self.tries > 0);
        if let ReferenceState::Pending { requested: false, until, confirm } = &mut self.stage {
            if before.scheduling.after != definition.scheduling.after {
                let early = match definition.scheduling.after {
                    Some(NotBefore::Delay(delay)) => Some(enqueued + delay),
                    Some(NotBefore::Time(time)) => Some(time),
                    None => None,
                };
                let early = early.filter(|until| *until > now);
                // A job that waits for a retry waits for the later of the two times.
                *until = if tried { early.max(*until) } else { early };
            }
            if before.scheduling.confirm != definition.scheduling.confirm {
                *confirm = definition.scheduling.confirm.is_some();
            }
        }
    }
}

fn is_entry_of(card: &ReferenceJob, queue: &str, definition: &Definition) -> bool {
    card.queue == queue && card.definition.digest.is_some() && card.definition.name == definition.name
}
