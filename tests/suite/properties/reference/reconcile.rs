//! Reconciliation in the reference.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use setlist::model::{Definition, DesiredState, OnFailure, Phase, RemovalReason, SiteState};

use super::{NotBefore, Reference, ReferenceJob, ReferenceState, name};

impl Reference {
    pub(super) fn read(&mut self, plan: &DesiredState, now: DateTime<Utc>) {
        if plan.version == self.file_version {
            return;
        }
        self.queues.iter_mut().for_each(|ref_queue| ref_queue.order = u32::MAX);
        for planned in &plan.queues {
            self.open(name(&planned.id));
            if let Ok(ref_queue) = self.ref_queue(&planned.id) {
                ref_queue.parallel = planned.settings.parallel;
                ref_queue.stop = planned.settings.on_failure == OnFailure::Stop;
                ref_queue.order = planned.settings.order;
                ref_queue.keep = planned.settings.retention.max_age_seconds.unwrap();
            }
        }
        self.queues.sort_by_key(|ref_queue| (ref_queue.order, ref_queue.name));
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
        let reserved = |ref_job: &ReferenceJob| reserved.contains(&ref_job.id);
        let running = |ref_job: &ReferenceJob| ref_job.phase() == Phase::Running || reserved(ref_job);
        for ref_job in self.jobs.iter_mut().filter(|ref_job| ref_job.definition.digest.is_some()) {
            if planned.iter().any(|(queue, definition)| is_entry_of(ref_job, queue, definition)) {
                continue;
            }
            deferred |= running(ref_job);
            if ref_job.phase() == Phase::Pending && ref_job.removed.is_none() && !running(ref_job) {
                ref_job.removed = Some(RemovalReason::NotInFile);
            }
            if ref_job.phase() == Phase::Finished && ref_job.removed.is_none() && !running(ref_job) {
                let definition = (*ref_job.definition).clone();
                ref_job.definition = Arc::new(Definition { is_removed_from_file: true, ..definition });
            }
        }
        for (queue, definition) in &planned {
            let id = self.filed(queue, definition).unwrap();
            let is_new = usize::try_from(id).unwrap() > before;
            let needs = self.found(&definition.scheduling.needs).unwrap();
            let ref_job = self.at(id);
            if is_new {
                ref_job.needs = needs;
            } else if reserved(ref_job) {
                deferred |= ref_job.definition != **definition;
            } else if ref_job.phase() == Phase::Running {
                let current = Definition { replacement: None, ..(*ref_job.definition).clone() };
                let replacement = (current != ***definition).then(|| Arc::clone(definition));
                ref_job.definition = Arc::new(Definition { replacement, ..current });
            } else if ref_job.removed != Some(RemovalReason::User) || ref_job.definition.digest != definition.digest {
                ref_job.update(definition, needs, now);
            }
        }
        self.file_version = if deferred { String::new() } else { plan.version.clone() };
    }

    /// The job of an entry in the file.
    fn filed(&self, queue: &str, definition: &Definition) -> Option<u64> {
        self.jobs.iter().find(|ref_job| is_entry_of(ref_job, queue, definition)).map(|ref_job| ref_job.id)
    }

    /// Checks the order of the jobs after a reconciliation, then adopts their positions: jobs of the file are in the
    /// file's order, other jobs keep their order. See also `suite/reconcile.rs`.
    pub(in super::super) fn adopt_reconciled_positions(&mut self, plan: &DesiredState, site: &SiteState) {
        let places = self.places(site);
        for queue in &plan.queues {
            let in_file = queue.jobs.iter().filter_map(|definition| {
                let ref_job = self.jobs.iter().find(|ref_job| is_entry_of(ref_job, name(&queue.id), definition))?;
                let touched = ref_job.removed.is_none() && !self.is_reserved(ref_job.id);
                touched.then(|| places[usize::try_from(ref_job.id).unwrap() - 1])
            });
            assert!(in_file.is_sorted_by(|a, b| a < b), "the file's order in {}", queue.id);
        }
        let mut others: Vec<&ReferenceJob> =
            self.jobs.iter().filter(|ref_job| ref_job.definition.digest.is_none()).collect();
        others.sort_by_key(|ref_job| (ref_job.queue, ref_job.place, ref_job.id));
        let in_order = |a: &&ReferenceJob, b: &&ReferenceJob| {
            // A job that was moved may have the position of one that had finished.
            let place = |ref_job: &ReferenceJob| (places[usize::try_from(ref_job.id).unwrap() - 1], ref_job.id);
            a.queue != b.queue || place(a) < place(b)
        };
        assert!(others.is_sorted_by(in_order), "jobs that are not in the file keep their order");
        self.jobs.iter_mut().zip(places).for_each(|(ref_job, place)| ref_job.place = place);
        // A reserved job may also prevent the file's order.
        let reserved = |ref_job: &ReferenceJob| ref_job.definition.digest.is_some() && self.is_reserved(ref_job.id);
        if site.file_version() == Some("") && self.jobs.iter().any(reserved) {
            self.file_version.clear();
        }
    }
}

impl ReferenceJob {
    fn update(&mut self, definition: &Arc<Definition>, needs: Vec<(u64, super::OutcomeCondition)>, now: DateTime<Utc>) {
        // A request made before its removal is dropped: reconciliation starts nothing.
        let reopen = self.removed.take().is_some() && self.phase() == Phase::Pending && self.requested();
        let before = std::mem::replace(&mut self.definition, Arc::clone(definition));
        if before != *definition {
            self.needs = needs;
        }
        if reopen || (self.phase() == Phase::Finished && runs_differently(&before, definition)) {
            return self.make_pending(self.fresh(now), now);
        }
        let (enqueued, tried) = (self.enqueued, self.tries > 0);
        if let ReferenceState::Pending { requested, until, confirm, forced: false } = &mut self.stage {
            if before.scheduling.after != definition.scheduling.after && !*requested {
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

/// The program is all that differs between the entries of the tests and decides what runs.
pub(super) fn runs_differently(before: &Definition, after: &Definition) -> bool {
    before.call != after.call
}

fn is_entry_of(ref_job: &ReferenceJob, queue: &str, definition: &Definition) -> bool {
    ref_job.queue == queue && ref_job.definition.digest.is_some() && ref_job.definition.name == definition.name
}
