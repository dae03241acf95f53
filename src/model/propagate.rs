//! Propagates the effects of events: jobs become unblocked or are skipped, and finished queues become idle.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::active_queues::{Approvals, active_queues};
use super::needs::{failed_reason, needs_status};
use super::{
    AfterRun, Approval, Command, Event, JobId, JobState, NeedStatus, Phase, QueueId, QueueMode, SkipKind, StateReader,
    WaitConditions,
};

/// The changes to jobs whose needs may have changed through `events`.
pub(super) fn needs_changes<R: StateReader>(
    reader: &R,
    cause: &Command,
    events: &[Event],
    now: DateTime<Utc>,
) -> Result<Vec<Event>, R::Error> {
    let mut affected = BTreeSet::new();
    let mut processing = ProcessingQueues { reader, last: None };
    for event in events {
        match event {
            // Only jobs that are new or redefined themselves can need a new job.
            Event::Added { job } => {
                let JobState::Pending { wait, .. } = &job.state else { continue };
                // A job that already waits for its needs keeps waiting, unless it has to be skipped.
                if !job.needs.is_empty() && (!wait.needs || processing.contains(&job.queue)?) {
                    affected.insert(job.id);
                }
            }
            Event::Restored { job } => {
                affected.extend((!job.needs.is_empty()).then_some(job.id));
                add_dependents(&mut affected, &mut processing, job.id)?;
            }
            // It may have run although its needs were not met, or they may have changed since.
            Event::Redefined { job, .. }
            | Event::Ended { job, after_run: AfterRun::StayPending | AfterRun::Retry { .. }, .. } => {
                affected.insert(*job);
            }
            Event::Requeued { job, .. } => {
                affected.insert(*job);
                add_dependents(&mut affected, &mut processing, *job)?;
            }
            Event::Ended { job, after_run: AfterRun::Finish, .. }
            | Event::Approved { job, approval: Approval { granted: false, .. } }
            | Event::Cancelled { job }
            | Event::Skipped { job, .. }
            | Event::Removed { job, .. } => add_dependents(&mut affected, &mut processing, *job)?,
            Event::ModeChanged { queue, mode: QueueMode::Processing } => {
                affected.extend(reader.blocked_by_failure(queue)?);
            }
            _ => {}
        }
    }
    let recheck = |job| recheck_job(reader, cause, job, now).transpose();
    let mut changes: Vec<Event> = affected.into_iter().filter_map(recheck).collect::<Result<_, _>>()?;
    let mut requests = Vec::new();
    for event in &changes {
        if let Event::Requeued { job, requested: true, .. } = event {
            requests.extend(request_of_needs(reader, *job)?);
        }
    }
    changes.append(&mut requests);
    Ok(changes)
}

/// Finds out which queues are processing. Consecutive questions are usually about the same queue.
struct ProcessingQueues<'a, R> {
    reader: &'a R,
    last: Option<(QueueId, bool)>,
}

impl<R: StateReader> ProcessingQueues<'_, R> {
    fn contains(&mut self, queue: &QueueId) -> Result<bool, R::Error> {
        match &self.last {
            Some((last, is_processing)) if last == queue => Ok(*is_processing),
            _ => {
                let is_processing = self.reader.queue(queue)?.is_some_and(|queue| queue.is_processing());
                self.last = Some((queue.clone(), is_processing));
                Ok(is_processing)
            }
        }
    }
}

/// Adds the jobs that need a job which has changed and may change themselves. Most only wait for one job less.
fn add_dependents<R: StateReader>(
    affected: &mut BTreeSet<JobId>,
    processing: &mut ProcessingQueues<'_, R>,
    changed: JobId,
) -> Result<(), R::Error> {
    for dependent in processing.reader.dependents(changed)? {
        let status = dependent.counts.status();
        let may_change = match dependent.phase {
            Phase::Running => false,
            // If it was skipped.
            Phase::Finished => status == NeedStatus::Met,
            Phase::Pending if dependent.is_forced => false,
            Phase::Pending => {
                let must_wait = status != NeedStatus::Met;
                dependent.waits_for_needs != must_wait
                    || (status == NeedStatus::Failed
                        && (dependent.is_requested || processing.contains(&dependent.queue)?))
            }
        };
        affected.extend(may_change.then_some(dependent.job));
    }
    Ok(())
}

/// The change to a job that follows from the status of its needs, if any.
fn recheck_job<R: StateReader>(
    reader: &R,
    cause: &Command,
    id: JobId,
    now: DateTime<Utc>,
) -> Result<Option<Event>, R::Error> {
    let Some(job) = reader.job(id)? else { return Ok(None) };
    match &job.state {
        // A forced request overrides needs.
        JobState::Pending { wait: WaitConditions { forced: true, .. }, .. } | JobState::Running { .. } => {
            return Ok(None);
        }
        JobState::Finished { outcome, .. } if outcome.skip_kind() != Some(SkipKind::Needs) => return Ok(None),
        _ => {}
    }
    let status = needs_status(reader, &job)?;
    let processing = |queue| Ok::<_, R::Error>(reader.queue(queue)?.is_some_and(|queue| queue.is_processing()));
    Ok(match (&job.state, status) {
        (JobState::Pending { requested, .. }, NeedStatus::Failed) if *requested || processing(&job.queue)? => {
            Some(Event::Skipped { job: id, reason: failed_reason(reader, &job)?.unwrap_or_default() })
        }
        (JobState::Pending { wait, .. }, status) => {
            let needs = status != NeedStatus::Met;
            (wait.needs != needs).then_some(Event::WaitChanged { job: id, wait: WaitConditions { needs, ..*wait } })
        }
        (JobState::Finished { .. }, NeedStatus::Met) => {
            // It was skipped while its queue was processing, so it runs now; but reconciliation starts nothing.
            let requested =
                !matches!(cause, Command::Reconcile(_) | Command::ReplaceFile { .. }) && !processing(&job.queue)?;
            let wait = WaitConditions { until: None, ..WaitConditions::initial(&job.definition.scheduling, now) };
            Some(Event::Requeued { job: id, requested, wait })
        }
        _ => None,
    })
}

/// The request for the needed job that ran last: it made this job run, too. The inputs are those of its queue.
fn request_of_needs<R: StateReader>(reader: &R, id: JobId) -> Result<Option<Event>, R::Error> {
    let Some(job) = reader.job(id)? else { return Ok(None) };
    let (mut last, mut inputs) = (None, None);
    for need in &job.needs {
        let Some(needed) = reader.needed_job(need.job)?.filter(|needed| !needed.is_removed) else { continue };
        let needed = needed.job;
        let Some(run) = &needed.last_run else { continue };
        let request = Some((run.started, needed.environment));
        if request > last {
            last = request;
            inputs = needed.inputs.filter(|_| needed.queue == job.queue);
        }
    }
    let environment = last.and_then(|(_, environment)| environment);
    Ok(environment.map(|environment| Event::JobRequested { job: id, environment, inputs }))
}

/// Makes processing queues idle that are no longer active.
pub(super) fn finished_queues<R: StateReader>(reader: &R) -> Result<Vec<Event>, R::Error> {
    let mut queues = reader.queues()?;
    let active = active_queues(reader, &queues, Approvals::Expected)?;
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
        | Event::Approved { .. }
        | Event::Cancelled { .. }
        | Event::Skipped { .. }
        | Event::Removed { .. } => true,
        Event::QueueDefined { .. }
        | Event::JobRequested { .. }
        | Event::QueueRequested { .. }
        | Event::Added { .. }
        | Event::Restored { .. }
        | Event::Moved { .. }
        | Event::Started { .. }
        | Event::StopRequested { .. }
        | Event::WorkerJoined { .. }
        | Event::WorkerDraining { .. }
        | Event::Reserved { .. }
        | Event::WorkerLeft { .. }
        | Event::ScheduleChanged { .. }
        | Event::ScheduleEnded { .. }
        | Event::DueRecorded { .. }
        | Event::DueWithdrawn { .. }
        | Event::PoolsDefined { .. }
        | Event::ExpectationChanged { .. }
        | Event::ExpectationEnded { .. }
        | Event::Overdue { .. }
        | Event::StallChanged { .. }
        | Event::SnapshotTaken { .. }
        | Event::FileApplied { .. } => false,
    }
}
