//! Propagates the effects of events: jobs become unblocked or are skipped, and finished queues become idle.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::active_queues::{Approvals, active_queues};
use super::needs::{NeedsStatus, needs_status, needs_status_after};
use super::{
    AfterRun, Approval, Command, EnvironmentId, Event, JobId, JobState, QueueId, QueueMode, SkipKind, StateReader,
    WaitConditions,
};

/// The changes to jobs whose needs may have changed through `events`.
pub(super) fn needs_changes<R: StateReader>(
    reader: &R,
    cause: &Command,
    events: &[Event],
    now: DateTime<Utc>,
) -> Result<Vec<Event>, R::Error> {
    let mut affected = Affected::default();
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
                    affected.add_all((processing || !wait.needs).then_some(job.id));
                }
            }
            Event::Restored { job } => {
                affected.add_all((!job.needs.is_empty()).then_some(job.id));
                affected.add_all(reader.dependents(job.id)?);
            }
            // It may have run although its needs were not met, or they may have changed since.
            Event::Redefined { job, .. }
            | Event::Ended { job, after_run: AfterRun::StayPending | AfterRun::Retry { .. }, .. } => {
                affected.add_all([*job]);
            }
            Event::Requeued { job, .. } => {
                affected.add_all([*job]);
                affected.add_dependents(reader, *job)?;
            }
            Event::Ended { job, after_run: AfterRun::Finish, .. }
            | Event::Approved { job, approval: Approval { granted: false, .. } }
            | Event::Cancelled { job }
            | Event::Skipped { job, .. } => affected.add_dependents(reader, *job)?,
            Event::Removed { job, .. } => affected.add_all(reader.dependents(*job)?),
            Event::ModeChanged { queue, mode: QueueMode::Processing } => affected.add_all(reader.blocked_jobs(queue)?),
            _ => {}
        }
    }
    let recheck = |(job, change)| recheck_job(reader, cause, job, change, now).transpose();
    let mut changes: Vec<Event> = affected.0.into_iter().filter_map(recheck).collect::<Result<_, _>>()?;
    let mut requests = Vec::new();
    for event in &changes {
        if let Event::Requeued { job, requested: true, .. } = event {
            let environment = environment_of_needs(reader, *job)?;
            requests.extend(environment.map(|environment| Event::JobRequested { job: *job, environment }));
        }
    }
    changes.append(&mut requests);
    Ok(changes)
}

/// The jobs whose needs may have changed.
#[derive(Default)]
struct Affected(BTreeMap<JobId, NeedsChange>);

/// Which needs of a job may have changed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum NeedsChange {
    /// Any of them.
    Any,
    /// The need for this job.
    Only(JobId),
}

impl Affected {
    /// Adds jobs of which any need may have changed.
    fn add_all(&mut self, jobs: impl IntoIterator<Item = JobId>) {
        self.0.extend(jobs.into_iter().map(|job| (job, NeedsChange::Any)));
    }

    /// Adds the jobs that need a job which has changed.
    fn add_dependents<R: StateReader>(&mut self, reader: &R, changed: JobId) -> Result<(), R::Error> {
        for job in reader.dependents(changed)? {
            let change = self.0.entry(job).or_insert(NeedsChange::Only(changed));
            if *change != NeedsChange::Only(changed) {
                *change = NeedsChange::Any;
            }
        }
        Ok(())
    }
}

/// The change to a job that follows from the status of its needs, if any.
fn recheck_job<R: StateReader>(
    reader: &R,
    cause: &Command,
    id: JobId,
    change: NeedsChange,
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
    let status = match change {
        NeedsChange::Any => needs_status(reader, &job)?,
        NeedsChange::Only(changed) => needs_status_after(reader, &job, changed)?,
    };
    let processing = |queue| Ok::<_, R::Error>(reader.queue(queue)?.is_some_and(|queue| queue.is_processing()));
    Ok(match (&job.state, status) {
        (JobState::Pending { requested, .. }, NeedsStatus::Failed(reason)) if *requested || processing(&job.queue)? => {
            Some(Event::Skipped { job: id, reason })
        }
        (JobState::Pending { wait, .. }, status) => {
            let needs = status != NeedsStatus::Met;
            (wait.needs != needs).then_some(Event::WaitChanged { job: id, wait: WaitConditions { needs, ..*wait } })
        }
        (JobState::Finished { .. }, NeedsStatus::Met) => {
            // It was skipped while its queue was processing, so it runs now; but reconciliation starts nothing.
            let requested = !matches!(cause, Command::Reconcile(_)) && !processing(&job.queue)?;
            let wait = WaitConditions { until: None, ..WaitConditions::initial(&job.definition.scheduling, now) };
            Some(Event::Requeued { job: id, requested, wait })
        }
        _ => None,
    })
}

/// The environment of the needed job that ran last: the request for that job made this one run, too.
fn environment_of_needs<R: StateReader>(reader: &R, id: JobId) -> Result<Option<EnvironmentId>, R::Error> {
    let Some(job) = reader.job(id)? else { return Ok(None) };
    let mut last = None;
    for need in &job.needs {
        let needed = reader.job(need.job)?;
        let run = needed.and_then(|needed| Some((needed.last_run?.started, needed.environment)));
        last = last.max(run);
    }
    Ok(last.and_then(|(_, environment)| environment))
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
        | Event::FileApplied { .. } => false,
    }
}
