//! Pending jobs that change places: what a person's hand puts before or behind another job.

use std::collections::BTreeSet;

use super::decide::{Decision, existing, found, refuse, unreserved, wrong};
use super::place::{STRIDE, between};
use super::{Beside, Event, Job, JobId, Phase, QueueId, Refusal, Removal, View};

/// The events that put jobs right before or behind another one, in the order in which they are named.
///
/// Only places among the jobs of the same priority are given: others stand before or behind all of these.
pub(super) fn events<V: View>(view: &V, ids: &[JobId], beside: Beside) -> Decision<V> {
    let anchor = pending(view, beside.job())?;
    let mut moving = Vec::with_capacity(ids.len());
    let mut named = BTreeSet::new();
    for id in ids.iter().filter(|id| named.insert(**id)) {
        let job = unreserved(view, pending(view, *id)?)?;
        if let Some(why) = objection(&job, &anchor) {
            return refuse(Refusal::CantStand { job: *id, beside: anchor.id, why });
        }
        moving.push(*id);
    }
    let known = view.places(&anchor.queue, anchor.definition.terms.priority)?;
    let resting: Vec<(i64, JobId)> = known.iter().filter(|(_, id)| !named.contains(id)).copied().collect();
    let at = resting.iter().position(|(_, id)| *id == anchor.id).unwrap_or_default();
    let at = at + usize::from(matches!(beside, Beside::After(_)));
    let before = at.checked_sub(1).map_or(0, |before| resting[before].0);
    let behind = resting.get(at).map(|(position, _)| *position);
    let moved = |job, position| Event::Moved { job, position };
    if let Some(places) = between(before, behind, moving.len()) {
        return Ok(moving.into_iter().zip(places).map(|(job, position)| moved(job, position)).collect());
    }
    // There is no room between the two: the jobs share the places that they have, in the new order.
    let order = resting[..at].iter().map(|(_, id)| *id).chain(moving).chain(resting[at..].iter().map(|(_, id)| *id));
    let changed = order.zip(&known).filter(|(job, (_, before))| job != before);
    Ok(changed.map(|(job, (position, _))| moved(job, *position)).collect())
}

/// The events that put jobs behind all others of another queue, in the order in which they are named: each leaves the
/// one and is put back into the other.
pub(super) fn transfer<V: View>(view: &V, ids: &[JobId], queue: &QueueId) -> Decision<V> {
    existing(view, queue)?;
    let last = view.last_position(queue)?;
    let mut named = BTreeSet::new();
    let mut events = Vec::with_capacity(2 * ids.len());
    for (nth, id) in (1..).zip(ids.iter().filter(|id| named.insert(**id))) {
        let mut job = unreserved(view, found(view, *id)?)?;
        match () {
            () if job.phase() == Phase::Running => return wrong(&job, "it can be moved when it has finished"),
            () if job.queue == *queue => return wrong(&job, "it is in that queue already"),
            () if job.definition.name.is_some() => return wrong(&job, "it stands in jobs.yaml; move it there"),
            () => {}
        }
        job.queue = queue.clone();
        job.position = last + nth * STRIDE;
        events.push(Event::Removed { job: *id, by: Removal::Hand });
        events.push(Event::Restored { job: Box::new(job) });
    }
    Ok(events)
}

fn pending<V: View>(view: &V, id: JobId) -> Result<Job, super::Undecided<V::Error>> {
    let job = found(view, id)?;
    if job.phase() == Phase::Pending { Ok(job) } else { wrong(&job, "only a pending job has a place to move to") }
}

fn objection(job: &Job, anchor: &Job) -> Option<&'static str> {
    match () {
        () if job.id == anchor.id => Some("it is the same job"),
        () if job.queue != anchor.queue => Some("it is in another queue"),
        () if job.definition.terms.priority != anchor.definition.terms.priority => {
            Some("it has another priority, which decides first")
        }
        () => None,
    }
}
