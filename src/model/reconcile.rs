//! What changes when `jobs.yaml` does: new jobs become pending, changed ones are changed and pending again, removed
//! ones leave, everything else is left alone. A running job is never touched.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::place::places;
use super::{
    Definition, Event, Filed, Job, JobId, Mode, Phase, Plan, QueueId, QueuePlan, Removal, Settings, State, View,
};

/// The events that make the site as `plan` says.
///
/// While a job that should change is running, no version of the file is recorded as being in force, so that the next
/// reading finishes the work, whichever version it finds.
pub(super) fn events<V: View>(view: &V, plan: &Plan, now: DateTime<Utc>) -> Result<Vec<Event>, V::Error> {
    let present = view.stamp()?.unwrap_or_default();
    if present == plan.stamp {
        return Ok(Vec::new());
    }
    let mut changes = Changes { view, now, next: view.next_job()?, events: Vec::new(), deferred: false };
    let planned: HashSet<_> = plan.queues.iter().map(|queue| &queue.id).collect();
    for queue in view.queues()?.into_iter().filter(|queue| !planned.contains(&queue.id)) {
        let settings = Settings { declared: false, order: u32::MAX, ..queue.settings };
        changes.queue(&QueuePlan { id: queue.id, settings, jobs: Vec::new() })?;
    }
    for queue in &plan.queues {
        changes.queue(queue)?;
    }
    let stamp = if changes.deferred { String::new() } else { plan.stamp.clone() };
    if stamp != present {
        changes.events.push(Event::FileRead { stamp });
    }
    Ok(changes.events)
}

struct Changes<'a, V> {
    view: &'a V,
    now: DateTime<Utc>,
    next: JobId,
    events: Vec<Event>,
    /// A running job is in the way of a change.
    deferred: bool,
}

impl<V: View> Changes<'_, V> {
    fn queue(&mut self, plan: &QueuePlan) -> Result<(), V::Error> {
        let present = self.view.queue(&plan.id)?;
        if present.as_ref().is_none_or(|queue| queue.settings != plan.settings) {
            self.events.push(Event::QueueDefined { queue: plan.id.clone(), settings: plan.settings.clone() });
        }
        let before = self.events.len();
        let filed = self.view.filed(&plan.id)?;
        let left = self.gone(plan, &filed);
        let known: HashMap<&str, &Filed> =
            filed.iter().filter_map(|filed| Some((filed.definition.name.as_deref()?, filed))).collect();
        let known: Vec<Option<&Filed>> = plan.jobs.iter().map(|job| known.get(job.name.as_deref()?).copied()).collect();
        let positions: Vec<_> = known.iter().map(|filed| filed.map(|filed| filed.position)).collect();
        let places = places(&positions, self.view.last_position(&plan.id)?);
        for ((definition, known), place) in plan.jobs.iter().zip(known).zip(places) {
            match known {
                Some(filed) => self.revise(filed, definition, place)?,
                None => self.add(&plan.id, definition, place),
            }
        }
        if left && present.is_some_and(|queue| queue.mode == Mode::Processing) {
            self.drained(&plan.id, before)?;
        }
        Ok(())
    }

    /// Takes out the pending jobs that the file no longer has; tells whether there were any.
    fn gone(&mut self, plan: &QueuePlan, filed: &[Filed]) -> bool {
        let planned: HashSet<_> = plan.jobs.iter().map(|definition| &definition.name).collect();
        let before = self.events.len();
        for job in filed.iter().filter(|job| job.removed.is_none() && !planned.contains(&job.definition.name)) {
            match job.phase {
                Phase::Pending => self.events.push(Event::Removed { job: job.id, by: Removal::File }),
                Phase::Running => self.deferred = true,
                Phase::Finished => {}
            }
        }
        self.events.len() > before
    }

    fn add(&mut self, queue: &QueueId, definition: &Arc<Definition>, position: i64) {
        let mut job = Job::of(Arc::clone(definition));
        job.id = self.next;
        job.queue = queue.clone();
        job.position = position;
        job.enqueued = self.now;
        self.next.0 += 1;
        self.events.push(Event::Added { job: Box::new(job) });
    }

    fn revise(&mut self, filed: &Filed, definition: &Arc<Definition>, position: i64) -> Result<(), V::Error> {
        let rewritten = filed.definition.digest != definition.digest;
        let redefined = filed.definition != *definition;
        if filed.phase == Phase::Running {
            self.deferred |= redefined || filed.position != position;
            return Ok(());
        }
        match filed.removed {
            Some(Removal::Hand) if !rewritten => return Ok(()),
            Some(_) => self.bring_back(filed.id)?,
            None => {}
        }
        if redefined {
            let pending = rewritten && filed.phase == Phase::Finished;
            self.events.push(Event::Redefined { job: filed.id, definition: Arc::clone(definition), pending });
        }
        if filed.position != position {
            self.events.push(Event::Moved { job: filed.id, position });
        }
        Ok(())
    }

    /// Puts a job back. That somebody asked for it before it left is forgotten: reading a file starts nothing.
    fn bring_back(&mut self, id: JobId) -> Result<(), V::Error> {
        let Some(job) = self.view.removed(id)? else { return Ok(()) };
        let asked = job.state == State::Pending { asked: true };
        self.events.push(Event::Restored { job: Box::new(job) });
        if asked {
            self.events.push(Event::Reopened { job: id, asked: false });
        }
        Ok(())
    }

    /// A queue that processes falls idle when the file has taken its last open jobs away; `before` is where the events
    /// about its jobs begin.
    fn drained(&mut self, queue: &QueueId, before: usize) -> Result<(), V::Error> {
        let mut open: HashSet<JobId> = self.view.in_phase(queue, Phase::Pending)?.into_iter().collect();
        open.extend(self.view.in_phase(queue, Phase::Running)?);
        for event in &self.events[before..] {
            match event {
                Event::Removed { job, .. } => _ = open.remove(job),
                Event::Added { job } | Event::Restored { job } if job.phase() == Phase::Pending => {
                    open.insert(job.id);
                }
                Event::Redefined { job, pending: true, .. } => _ = open.insert(*job),
                _ => {}
            }
        }
        if open.is_empty() {
            self.events.push(Event::ModeChanged { queue: queue.clone(), mode: Mode::Idle });
        }
        Ok(())
    }
}
