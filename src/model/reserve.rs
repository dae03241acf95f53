//! Jobs that are set aside for a worker, so that it can start the next one before the end of the last is recorded.
//!
//! A job is reserved in a transaction, with the number of its run, before it can be started: so whatever has begun is
//! on record, and nobody else starts it. It stays pending until the worker tells that it has begun, in the same
//! transaction as the end of the run whose place it has taken: so no queue ever runs more than it may. Which job is next
//! was decided when it was reserved.

use chrono::{DateTime, Utc};

use super::decide::{Decision, found, refuse};
use super::{Event, Job, JobId, Mode, OnFailure, QueueId, Refusal, Reservation, Run, RunId, Turn, View, WorkerId};

/// Reserves more jobs, so that the worker has so many of each of these queues.
pub(super) fn more<V: View>(view: &V, id: WorkerId, queues: &[(QueueId, usize)]) -> Decision<V> {
    let Some(worker) = view.worker(id)? else { return refuse(Refusal::NoWorker(id)) };
    let mut jobs = worker.reserved;
    let (before, mut run) = (jobs.len(), view.next_run()?);
    for (queue, wanted) in queues {
        let mut has = 0;
        for reservation in &jobs[..before] {
            has += usize::from(view.job(reservation.job)?.is_some_and(|job| job.queue == *queue));
        }
        for Job { id: job, .. } in free(view, queue, wanted.saturating_sub(has))? {
            // A queue may be named twice.
            if !jobs.iter().any(|reservation| reservation.job == job) {
                jobs.push(Reservation { job, run });
                run.0 += 1;
            }
        }
    }
    Ok(if jobs.len() > before { vec![Event::Reserved { worker: id, jobs }] } else { Vec::new() })
}

/// The next jobs of a queue that can be reserved: each can take the place of any other, nothing that happens meanwhile
/// keeps it from starting, and nothing has to be made ready for it.
fn free<V: View>(view: &V, queue: &QueueId, most: usize) -> Result<Vec<Job>, V::Error> {
    // Where a failure stops the queue, the next job has to wait for the outcome of the last.
    let goes_on = view
        .queue(queue)?
        .is_some_and(|queue| queue.mode == Mode::Processing && queue.settings.on_failure == OnFailure::Continue);
    if most == 0 || !goes_on || !view.first(queue, Turn::Asked, 1)?.is_empty() {
        return Ok(Vec::new());
    }
    let in_terminal = |job: &Job| job.script().is_some_and(|script| script.setup.pty);
    let plain = |job: &Job| job.definition.terms.weight == 1 && job.needs.is_empty() && !in_terminal(job);
    Ok(view.first(queue, Turn::Ready, most)?.into_iter().take_while(plain).collect())
}

/// A reserved job has started.
pub(super) fn begin<V: View>(view: &V, id: WorkerId, job: JobId, run: RunId, now: DateTime<Utc>) -> Decision<V> {
    let Some(worker) = view.worker(id)? else { return refuse(Refusal::NoWorker(id)) };
    if !worker.reserved.contains(&Reservation { job, run }) {
        return refuse(Refusal::StaleRun { job, run });
    }
    Ok(vec![started(&found(view, job)?, run, id, now)])
}

/// Nothing is reserved any more.
pub(super) fn release<V: View>(view: &V, id: WorkerId) -> Decision<V> {
    let Some(worker) = view.worker(id)? else { return refuse(Refusal::NoWorker(id)) };
    let none = Event::Reserved { worker: id, jobs: Vec::new() };
    Ok(if worker.reserved.is_empty() { Vec::new() } else { vec![none] })
}

pub(super) fn started(job: &Job, run: RunId, worker: WorkerId, now: DateTime<Utc>) -> Event {
    let run = Run { id: run, attempt: job.attempts + 1, worker, started: now, ending: None };
    Event::Started { job: job.id, run }
}
