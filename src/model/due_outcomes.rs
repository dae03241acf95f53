//! Records how the runs of due times ended.

use chrono::{DateTime, Utc};

use super::due_times::{PAUSED, is_active};
use super::{
    AfterRun, Approval, DueOutcome, DueRecord, DueResult, Event, JobId, JobState, Phase, QueueId, QueueMode,
    ScheduleState, ScheduleTarget, StateReader,
};

/// Records the outcome of the due times whose runs have ended through these events.
pub(super) fn ended_due_runs<R: StateReader>(reader: &R, events: &[Event]) -> Result<Vec<Event>, R::Error> {
    if !events.iter().any(can_end_due_run) {
        return Ok(Vec::new());
    }
    let mut changes = Vec::new();
    for state in reader.schedules_with_run()? {
        let Some(record) = state.running.clone() else { continue };
        if !is_affected(&state, events) || is_active(reader, &state)? {
            continue;
        }
        let target = state.target.clone();
        let record = match &target {
            ScheduleTarget::Queue(queue) => {
                DueRecord { outcome: Some(queue_outcome(reader, queue, record.at)?), ..record }
            }
            ScheduleTarget::Job(job) => record_of_job(reader, *job, record)?,
        };
        changes.push(Event::ScheduleChanged { state: Box::new(ScheduleState { running: None, ..state }) });
        changes.push(Event::DueRecorded { target, records: vec![record] });
    }
    Ok(changes)
}

/// Whether the run of a due time may have ended through this event.
fn can_end_due_run(event: &Event) -> bool {
    match event {
        Event::Ended { after_run, .. } => !matches!(after_run, AfterRun::Retry { .. }),
        Event::ModeChanged { mode, .. } => *mode != QueueMode::Processing,
        Event::Approved { approval: Approval { granted, .. }, .. } => !granted,
        Event::Cancelled { .. } | Event::Skipped { .. } | Event::Removed { .. } => true,
        _ => false,
    }
}

fn is_affected(state: &ScheduleState, events: &[Event]) -> bool {
    match &state.target {
        ScheduleTarget::Queue(_) => true,
        ScheduleTarget::Job(id) => events.iter().filter(|event| can_end_due_run(event)).any(|event| match event {
            Event::ModeChanged { queue, .. } => *queue == state.queue,
            event => event.job() == Some(*id),
        }),
    }
}

/// How the jobs of a queue ended since a time.
fn queue_outcome<R: StateReader>(reader: &R, queue: &QueueId, since: DateTime<Utc>) -> Result<DueOutcome, R::Error> {
    // A queue stops because a job failed.
    if reader.queue(queue)?.is_some_and(|queue| queue.mode == QueueMode::Stopped) {
        return Ok(DueOutcome::Failed);
    }
    let has_pending = !reader.jobs_in_phase(queue, Phase::Pending)?.is_empty();
    let mut worst = if has_pending { DueOutcome::Unfinished } else { DueOutcome::Succeeded };
    for (job, outcome) in reader.unsuccessful_since(queue, since)? {
        // A job with a schedule of its own is no part of the run.
        if outcome > worst && reader.schedule(&ScheduleTarget::Job(job))?.is_none() {
            worst = outcome;
        }
    }
    Ok(worst)
}

/// The record of a due time of a job that is neither running nor about to run.
fn record_of_job<R: StateReader>(reader: &R, id: JobId, record: DueRecord) -> Result<DueRecord, R::Error> {
    let Some(job) = reader.job(id)? else { return Ok(DueRecord { outcome: Some(DueOutcome::Cancelled), ..record }) };
    let last = job.last_run.as_ref().filter(|run| run.started >= record.at).and_then(|run| run.end.as_ref());
    let outcome = match (&job.state, last) {
        (JobState::Finished { outcome, .. }, _) => Some(outcome.into()),
        // It stopped its queue.
        (_, Some(end)) => Some((&end.outcome).into()),
        (_, None) => None,
    };
    Ok(match outcome {
        Some(outcome) => DueRecord { outcome: Some(outcome), ..record },
        // Pausing a queue withdraws the requests for its jobs.
        None => DueRecord { result: DueResult::Skipped { reason: PAUSED.to_owned() }, ..record },
    })
}
