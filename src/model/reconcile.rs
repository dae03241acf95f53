//! What changes when `jobs.yaml` does: new jobs become pending, changed ones are changed and pending again, removed
//! ones leave, everything else is left alone. A running job is never touched.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::{Definition, Event, Filed, Job, JobId, Mode, Phase, Plan, QueueId, QueuePlan, Removal, Settings, View};

/// The distance between the positions of neighbours, so that a job fits between two others.
pub(super) const STRIDE: i64 = 1 << 20;

/// The events that make the site as `plan` says. While a job that should change is running, the plan is not yet
/// recorded as being in force, so that the next reading of the file finishes the work.
pub(super) fn events<V: View>(view: &V, plan: &Plan, now: DateTime<Utc>) -> Result<Vec<Event>, V::Error> {
    if view.stamp()?.as_deref() == Some(&plan.stamp) {
        return Ok(Vec::new());
    }
    let mut changes = Changes { view, now, next: view.next_job()?, events: Vec::new(), deferred: false };
    for queue in view.queues()? {
        if queue.settings.declared && !plan.queues.iter().any(|planned| planned.id == queue.id) {
            let settings = Settings { declared: false, order: u32::MAX, ..queue.settings };
            changes.queue(&QueuePlan { id: queue.id, settings, jobs: Vec::new() })?;
        }
    }
    for queue in &plan.queues {
        changes.queue(queue)?;
    }
    if !changes.deferred {
        changes.events.push(Event::FileRead { stamp: plan.stamp.clone() });
    }
    Ok(changes.events)
}

struct Changes<'a, V> {
    view: &'a V,
    now: DateTime<Utc>,
    next: JobId,
    events: Vec<Event>,
    deferred: bool,
}

impl<V: View> Changes<'_, V> {
    fn queue(&mut self, plan: &QueuePlan) -> Result<(), V::Error> {
        let present = self.view.queue(&plan.id)?;
        if present.as_ref().is_none_or(|queue| queue.settings != plan.settings) {
            self.events.push(Event::QueueDefined { queue: plan.id.clone(), settings: plan.settings.clone() });
        }
        let filed = self.view.filed(&plan.id)?;
        let left = self.gone(plan, &filed);
        let known: HashMap<&str, &Filed> =
            filed.iter().filter_map(|filed| Some((filed.definition.name.as_deref()?, filed))).collect();
        let places = places(plan, &known, self.view.last_position(&plan.id)?);
        for (definition, place) in plan.jobs.iter().zip(places) {
            match definition.name.as_deref().and_then(|name| known.get(name)) {
                Some(filed) => self.revise(filed, definition, place)?,
                None => self.add(&plan.id, definition, place),
            }
        }
        if left && present.is_some_and(|queue| queue.mode == Mode::Processing) {
            self.drained(plan)?;
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
        if filed.phase == Phase::Running {
            self.deferred |= filed.definition != *definition;
            return Ok(());
        }
        match filed.removed {
            Some(Removal::Hand) if !rewritten => return Ok(()),
            Some(_) => {
                let job = self.view.removed(filed.id)?;
                self.events.extend(job.map(|job| Event::Restored { job: Box::new(job) }));
            }
            None => {}
        }
        if filed.definition != *definition {
            let pending = rewritten && filed.phase == Phase::Finished;
            self.events.push(Event::Redefined { job: filed.id, definition: Arc::clone(definition), pending });
        }
        if filed.position != position {
            self.events.push(Event::Moved { job: filed.id, position });
        }
        Ok(())
    }

    /// A queue that processes falls idle when the file has taken its last open jobs away.
    fn drained(&mut self, plan: &QueuePlan) -> Result<(), V::Error> {
        let mut open: HashSet<JobId> = self.view.in_phase(&plan.id, Phase::Pending)?.into_iter().collect();
        open.extend(self.view.in_phase(&plan.id, Phase::Running)?);
        for event in &self.events {
            match event {
                Event::Removed { job, .. } => {
                    open.remove(job);
                }
                Event::Added { job } | Event::Restored { job } if job.queue == plan.id => {
                    open.insert(job.id);
                }
                Event::Redefined { job, pending: true, .. } => {
                    open.insert(*job);
                }
                _ => {}
            }
        }
        if open.is_empty() {
            self.events.push(Event::ModeChanged { queue: plan.id.clone(), mode: Mode::Idle });
        }
        Ok(())
    }
}

/// A position for every planned job: kept where the queue's order agrees with the file's, between its neighbours for
/// a new one, behind `end` where there is no room.
fn places(plan: &QueuePlan, known: &HashMap<&str, &Filed>, mut end: i64) -> Vec<i64> {
    let kept: Vec<Option<i64>> = plan.jobs.iter().map(|job| Some(known.get(job.name.as_deref()?)?.position)).collect();
    let mut places = Vec::with_capacity(kept.len());
    let mut last = 0;
    while places.len() < kept.len() {
        let rest = &kept[places.len()..];
        let fresh = rest.iter().take_while(|position| position.is_none_or(|kept| kept <= last)).count();
        let room = rest.get(fresh).copied().flatten();
        let count = i64::try_from(fresh).unwrap_or(i64::MAX);
        match room {
            Some(next) if fresh == 0 => {
                places.push(next);
                last = next;
            }
            Some(next) if (next - last) / (count + 1) > 0 => {
                let step = (next - last) / (count + 1);
                places.extend((1..=count).map(|nth| last + nth * step));
                last += count * step;
            }
            _ => {
                places.extend((1..=count.max(1)).map(|nth| end + nth * STRIDE));
                end += count.max(1) * STRIDE;
                last = end;
            }
        }
    }
    places
}
