//! Selects the next job to start.

use chrono::{DateTime, Utc};

use super::label_set::LabelSet;
use super::pool_turns::{PoolTurns, uses_pools};
use super::worker_match::{Match, WorkerMatch};
use super::{Job, JobId, QueueId, QueueInfo, QueueMode, Readiness, StateReader, WorkerId};

/// The next job of these queues, or of all, that the worker may start now: queues in their order; in each queue explicitly
/// requested jobs first, which start in any mode, then by priority, then in queue order. `None` if every queue is full,
/// blocked or empty, or the worker is.
///
/// If the next job of a queue needs more slots than are free, later jobs of the queue wait too, so that they can't delay
/// it for ever. If it waits for units of a pool, or another worker is free for it, it keeps a slot, and later jobs may use
/// the others. A job that no worker could start now, because of its labels, keeps none.
pub fn next_ready_job<R: StateReader>(
    reader: &R,
    queues: Option<&[QueueId]>,
    worker: WorkerId,
) -> Result<Option<Job>, R::Error> {
    let mut turns: Option<PoolTurns> = None;
    let mut workers = WorkerMatch::load(reader, worker)?;
    if workers.is_claimant_full()? {
        return Ok(None);
    }
    for queue in served_queues(reader, queues)? {
        let used = reader.used_slots(&queue.id)?;
        let slots = queue.settings.max_parallel();
        if used >= slots {
            continue;
        }
        let next = next_of_queue(reader, &queue, slots - used, &mut workers)?;
        if next.as_ref().is_some_and(uses_pools) {
            let turns = match &mut turns {
                Some(turns) => turns,
                none => none.insert(PoolTurns::decide(reader, queues)?),
            };
            if let Some(job) = turns.next_of(reader, &queue, &mut workers)? {
                return Ok(Some(job));
            }
        } else if next.is_some() {
            return Ok(next);
        }
    }
    Ok(None)
}

/// The next job of a queue that the worker may start, if `free` slots are enough for it and for those before it.
fn next_of_queue<R: StateReader>(
    reader: &R,
    queue: &QueueInfo,
    mut free: u32,
    workers: &mut WorkerMatch<'_, R>,
) -> Result<Option<Job>, R::Error> {
    let slots = queue.settings.max_parallel();
    let (mut for_others, mut excluded): (Vec<JobId>, Vec<LabelSet>) = (Vec::new(), Vec::new());
    let is_processing = queue.mode == QueueMode::Processing;
    for readiness in [Some(Readiness::Requested), is_processing.then_some(Readiness::Ready)].into_iter().flatten() {
        loop {
            let next = reader.next_jobs(&queue.id, readiness, for_others.len() + 1, &excluded)?;
            let Some(job) = next.into_iter().find(|job| !for_others.contains(&job.id)) else { break };
            let weight = job.definition.scheduling.weight;
            let fits = weight <= free || free == slots;
            match workers.find(&job)? {
                // Whether it fits beside others that use pools, its turn says.
                Match::Claimant => return Ok((fits || uses_pools(&job)).then_some(job)),
                Match::ClaimantLater => return Ok(None),
                Match::NotNow => excluded.push(job.definition.scheduling.runs_on.clone()),
                Match::Other if weight >= free => return Ok(None),
                Match::Other => {
                    free -= weight;
                    for_others.push(job.id);
                }
            }
        }
    }
    Ok(None)
}

/// The earliest due time of the scheduled jobs that will start on their own.
pub(super) fn next_due_time<R: StateReader>(
    reader: &R,
    queues: Option<&[QueueId]>,
) -> Result<Option<DateTime<Utc>>, R::Error> {
    let mut earliest = None;
    for queue in served_queues(reader, queues)? {
        let due = reader.next_due_time(&queue.id, queue.mode != QueueMode::Processing)?;
        earliest = earliest.into_iter().chain(due).min();
    }
    Ok(earliest)
}

/// These queues, or all.
fn served_queues<R: StateReader>(reader: &R, queues: Option<&[QueueId]>) -> Result<Vec<QueueInfo>, R::Error> {
    let mut served = reader.queues()?;
    served.retain(|queue| queues.is_none_or(|wanted| wanted.contains(&queue.id)));
    Ok(served)
}
