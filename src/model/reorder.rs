//! Reordering: moves pending jobs within their queue, and jobs to other queues.

use std::collections::BTreeSet;

use super::checks::{DecideError, Decision, existing_job, existing_queue, refuse, wrong_state};
use super::position::{POSITION_STRIDE, positions_between};
use super::reservation::not_reserved;
use super::{Event, Job, JobId, Phase, Placement, QueueId, Refusal, RemovalReason, StateReader};

/// Moves jobs directly before or after another one, in the given order.
///
/// Only positions among jobs of the same priority matter: jobs of other priorities come before or after all of these.
pub(super) fn move_jobs<R: StateReader>(reader: &R, ids: &[JobId], placement: Placement) -> Decision<R> {
    let anchor = pending(reader, placement.job())?;
    let mut moving = Vec::with_capacity(ids.len());
    let mut seen = BTreeSet::new();
    for id in ids.iter().filter(|id| seen.insert(**id)) {
        let job = not_reserved(reader, pending(reader, *id)?)?;
        if let Some(reason) = cannot_move_reason(&job, &anchor) {
            return refuse(Refusal::CannotMove { job: *id, anchor: anchor.id, reason });
        }
        moving.push(*id);
    }
    let is_before = matches!(placement, Placement::Before(_));
    let beyond = reader.adjacent_position(&anchor, is_before, &seen)?;
    let (before, after) =
        if is_before { (beyond.unwrap_or(0), Some(anchor.position)) } else { (anchor.position, beyond) };
    let moved = |job, position| Event::Moved { job, position };
    if let Some(positions) = positions_between(before, after, moving.len()) {
        return Ok(moving.into_iter().zip(positions).map(|(job, position)| moved(job, position)).collect());
    }
    let known = reader.pending_positions(&anchor.queue, anchor.definition.scheduling.priority)?;
    let others: Vec<(i64, JobId)> = known.iter().filter(|(_, id)| !seen.contains(id)).copied().collect();
    let at = others.iter().position(|(_, id)| *id == anchor.id).unwrap_or_default() + usize::from(!is_before);
    // No gap between the neighbours: the jobs of this priority take over their present positions in the new order.
    let order = others[..at].iter().map(|(_, id)| *id).chain(moving).chain(others[at..].iter().map(|(_, id)| *id));
    let changed = order.zip(&known).filter(|(job, (_, before))| job != before);
    Ok(changed.map(|(job, (position, _))| moved(job, *position)).collect())
}

/// Moves jobs to the end of another queue, in the given order: each is removed from its queue and restored in the other.
pub(super) fn transfer<R: StateReader>(reader: &R, ids: &[JobId], queue: &QueueId) -> Decision<R> {
    existing_queue(reader, queue)?;
    let last = reader.last_position(queue)?;
    let mut seen = BTreeSet::new();
    let mut events = Vec::with_capacity(2 * ids.len());
    for (nth, id) in (1..).zip(ids.iter().filter(|id| seen.insert(**id))) {
        let mut job = not_reserved(reader, existing_job(reader, *id)?)?;
        match () {
            () if job.phase() == Phase::Running => return wrong_state(&job, "it can be moved when it has finished"),
            () if job.queue == *queue => return wrong_state(&job, "it is already in that queue"),
            () if job.definition.name.is_some() => return wrong_state(&job, "it is in jobs.yaml; move it there"),
            () => {}
        }
        job.queue = queue.clone();
        job.position = last + nth * POSITION_STRIDE;
        events.push(Event::Removed { job: *id, reason: RemovalReason::User });
        events.push(Event::Restored { job: Box::new(job) });
    }
    Ok(events)
}

fn pending<R: StateReader>(reader: &R, id: JobId) -> Result<Job, DecideError<R::Error>> {
    let job = existing_job(reader, id)?;
    if job.phase() == Phase::Pending { Ok(job) } else { wrong_state(&job, "only pending jobs can be moved") }
}

fn cannot_move_reason(job: &Job, anchor: &Job) -> Option<&'static str> {
    match () {
        () if job.id == anchor.id => Some("it is the same job"),
        () if job.queue != anchor.queue => Some("it is in another queue"),
        () if job.definition.scheduling.priority != anchor.definition.scheduling.priority => {
            Some("it has a different priority, which takes precedence")
        }
        () => None,
    }
}
