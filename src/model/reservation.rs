//! Reservations: a worker reserves its next jobs, so that it can start one before the end of its last run is recorded.
//!
//! A job is reserved in a transaction, together with the id of its run, before it can start. So every job that has
//! started is on record, and no other worker starts it. The job stays pending until the worker records its start, in the
//! same transaction as the end of the run whose slot it took over, so that a queue never exceeds its limit. The order of
//! jobs is decided when they are reserved.

use chrono::{DateTime, Utc};

use super::checks::{DecideError, Decision, existing_job, refuse, wrong_state};
use super::{
    Event, Job, JobId, OnFailure, QueueId, QueueMode, Readiness, Refusal, Reservation, Run, RunId, RunInputs, Script,
    StateReader, WorkerId, WorkerInfo,
};

/// Reserves jobs until the worker has the wanted number of each of these queues.
pub(super) fn reserve_more<R: StateReader>(reader: &R, id: WorkerId, queues: &[(QueueId, usize)]) -> Decision<R> {
    let Some(worker) = reader.worker(id)? else { return refuse(Refusal::UnknownWorker(id)) };
    let mut jobs = worker.reserved.clone();
    let (before, mut run) = (jobs.len(), reader.next_run_id()?);
    for (queue, wanted) in queues {
        let mut present = 0;
        for reservation in &jobs[..before] {
            present += usize::from(reader.job(reservation.job)?.is_some_and(|job| job.queue == *queue));
        }
        for Job { id: job, .. } in reservable_jobs(reader, &worker, queue, wanted.saturating_sub(present))? {
            // The same queue may be listed twice.
            if !jobs.iter().any(|reservation| reservation.job == job) {
                jobs.push(Reservation { job, run });
                run.0 += 1;
            }
        }
    }
    Ok(if jobs.len() > before { vec![Event::Reserved { worker: id, jobs }] } else { Vec::new() })
}

/// The next jobs of a queue that can be reserved: they all have weight 1, and no event can block them, since they have
/// no needs and use no pools. Jobs in a pseudo-terminal are excluded, and those
/// that are checked before they start.
fn reservable_jobs<R: StateReader>(
    reader: &R,
    worker: &WorkerInfo,
    queue: &QueueId,
    most: usize,
) -> Result<Vec<Job>, R::Error> {
    // If a failure stops the queue, the next job must wait for the outcome of the last.
    let continues = reader
        .queue(queue)?
        // What a run gets of the inputs is decided when it starts.
        .filter(|queue| queue.settings.inputs.is_empty())
        .is_some_and(|queue| queue.mode == QueueMode::Processing && queue.settings.on_failure == OnFailure::Continue);
    if most == 0 || !continues || worker.draining || !reader.next_jobs(queue, Readiness::Requested, 1, &[])?.is_empty()
    {
        return Ok(Vec::new());
    }
    let has_checks = |job: &Job| {
        job.script().is_some_and(|Script { exec, .. }| {
            exec.pty || exec.conditions.is_some() || exec.files.is_some() || exec.snapshot.is_some()
        })
    };
    let plain = |job: &Job| {
        let scheduling = &job.definition.scheduling;
        // The limits of an attempt that grow are decided when it starts.
        let has_fixed_limits = scheduling.retry.scale.is_none();
        let is_free = scheduling.weight == 1 && scheduling.uses.is_empty() && job.needs.is_empty();
        is_free && has_fixed_limits && !has_checks(job) && worker.has_labels(&scheduling.runs_on)
    };
    Ok(reader.next_jobs(queue, Readiness::Ready, most, &[])?.into_iter().take_while(plain).collect())
}

/// The job, which must not be reserved: a worker may already have started a reserved job.
pub(super) fn not_reserved<R: StateReader>(reader: &R, job: Job) -> Result<Job, DecideError<R::Error>> {
    if reader.reserved_jobs()?.contains(&job.id) { wrong_state(&job, "it is about to start") } else { Ok(job) }
}

/// Records the start of a reserved job.
pub(super) fn start_reserved<R: StateReader>(
    reader: &R,
    id: WorkerId,
    job: JobId,
    run: RunId,
    now: DateTime<Utc>,
) -> Decision<R> {
    let Some(worker) = reader.worker(id)? else { return refuse(Refusal::UnknownWorker(id)) };
    if !worker.reserved.contains(&Reservation { job, run }) {
        return refuse(Refusal::StaleRun { job, run });
    }
    Ok(vec![started(&existing_job(reader, job)?, run, id, None, now)])
}

/// Releases all reservations of a worker.
pub(super) fn release<R: StateReader>(reader: &R, id: WorkerId) -> Decision<R> {
    let Some(worker) = reader.worker(id)? else { return refuse(Refusal::UnknownWorker(id)) };
    let none = Event::Reserved { worker: id, jobs: Vec::new() };
    Ok(if worker.reserved.is_empty() { Vec::new() } else { vec![none] })
}

/// The event that starts a run of a job.
pub(super) fn started(
    job: &Job,
    run: RunId,
    worker: WorkerId,
    inputs: Option<Box<RunInputs>>,
    now: DateTime<Utc>,
) -> Event {
    let run = Run {
        id: run,
        attempt: job.attempts + 1,
        worker,
        started: now,
        stalled: None,
        end: None,
        approval: job.approval.clone(),
        inputs,
    };
    Event::Started { job: job.id, run }
}
