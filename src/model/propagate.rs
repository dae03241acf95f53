//! Propagates the effects of events: jobs become unblocked or are skipped, and finished queues become idle.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::active_queues::active_queues;
use super::needs::{NeedsStatus, needs_status};
use super::{AfterRun, Command, Event, JobId, JobState, Outcome, QueueId, QueueMode, StateReader, WaitConditions};

/// The changes to jobs whose needs may have changed through `events`.
pub(super) fn needs_changes<R: StateReader>(
    reader: &R,
    cause: &Command,
    events: &[Event],
    now: DateTime<Utc>,
) -> Result<Vec<Event>, R::Error> {
    let mut affected = BTreeSet::new();
    let mut last_queue: Option<(&QueueId, bool)> = None;
    for event in events {
        match event {
            // Only jobs that are new or redefined themselves can need a new job.
            Event::Added { job } => {
                let JobState::Pending { wait, .. } = &job.state else { continue };
                if !job.needs.is_empty() {
                    let processing = match last_queue {
                        Some((queue, processing)) if *queue == job.queue => processing,
                        _ => reader.queue(&job.queue)?.is_some_and(|queue| queue.is_processing()),
                    };
                    last_queue = Some((&job.queue, processing));
                    // A job that already waits for its needs keeps waiting, unless it has to be skipped.
                    affected.extend((processing || !wait.needs).then_some(job.id));
                }
            }
            Event::Restored { job } => {
                affected.extend((!job.needs.is_empty()).then_some(job.id));
                affected.extend(reader.dependents(job.id)?);
            }
            // It may have run although its needs were not met, or they may have changed since.
            Event::Redefined { job, .. }
            | Event::Ended { job, after_run: AfterRun::StayPending | AfterRun::Retry { .. }, .. } => {
                affected.insert(*job);
            }
            Event::Requeued { job, .. } => {
                affected.insert(*job);
                affected.extend(reader.dependents(*job)?);
            }
            Event::Ended { job, after_run: AfterRun::Finish, .. }
            | Event::Cancelled { job }
            | Event::Skipped { job, .. }
            | Event::Removed { job, .. } => affected.extend(reader.dependents(*job)?),
            Event::ModeChanged { queue, mode: QueueMode::Processing } => affected.extend(reader.blocked_jobs(queue)?),
            _ => {}
        }
    }
    let recheck = |job| recheck_job(reader, cause, job, now).transpose();
    affected.into_iter().filter_map(recheck).collect()
}

/// The change to a job that follows from the status of its needs, if any.
fn recheck_job<R: StateReader>(
    reader: &R,
    cause: &Command,
    id: JobId,
    now: DateTime<Utc>,
) -> Result<Option<Event>, R::Error> {
    let Some(job) = reader.job(id)? else { return Ok(None) };
    let processing = |queue| Ok::<_, R::Error>(reader.queue(queue)?.is_some_and(|queue| queue.is_processing()));
    Ok(match (&job.state, needs_status(reader, &job)?) {
        // An explicit request overrides needs.
        (JobState::Pending { requested: true, .. }, _) => None,
        (JobState::Pending { .. }, NeedsStatus::Failed(reason)) if processing(&job.queue)? => {
            Some(Event::Skipped { job: id, reason })
        }
        (JobState::Pending { wait, .. }, status) => {
            let needs = status != NeedsStatus::Met;
            (wait.needs != needs).then_some(Event::WaitChanged { job: id, wait: WaitConditions { needs, ..*wait } })
        }
        (JobState::Finished { outcome: Outcome::Skipped { .. }, .. }, NeedsStatus::Met) => {
            // It was skipped while its queue was processing, so it runs now; but reconciliation starts nothing.
            let requested = !matches!(cause, Command::Reconcile(_)) && !processing(&job.queue)?;
            let wait = WaitConditions { until: None, ..WaitConditions::initial(&job.definition.scheduling, now) };
            Some(Event::Requeued { job: id, requested, wait })
        }
        _ => None,
    })
}

/// Makes processing queues idle that are no longer active.
pub(super) fn finished_queues<R: StateReader>(reader: &R) -> Result<Vec<Event>, R::Error> {
    let mut queues = reader.queues()?;
    let active = active_queues(reader, &queues)?;
    queues.retain(|queue| queue.is_processing() && !active.contains(&queue.id));
    Ok(queues.into_iter().map(|queue| Event::ModeChanged { queue: queue.id, mode: QueueMode::Idle }).collect())
}

/// Whether a queue may be finished after this event.
pub(super) fn can_end_queue(event: &Event) -> bool {
    match event {
        Event::ModeChanged { .. }
        | Event::Redefined { .. }
        | Event::Requeued { .. }
        | Event::WaitChanged { .. }
        | Event::Ended { .. }
        | Event::Cancelled { .. }
        | Event::Skipped { .. }
        | Event::Removed { .. } => true,
        Event::QueueDefined { .. }
        | Event::Added { .. }
        | Event::Restored { .. }
        | Event::Moved { .. }
        | Event::Started { .. }
        | Event::StopRequested { .. }
        | Event::WorkerJoined { .. }
        | Event::Reserved { .. }
        | Event::WorkerLeft { .. }
        | Event::FileApplied { .. } => false,
    }
}
