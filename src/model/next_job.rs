//! Selects the next job to start.

use chrono::{DateTime, Utc};

use super::pool_turns::{PoolTurns, uses_pools};
use super::{Job, QueueId, QueueInfo, QueueMode, Readiness, StateReader};

/// The next job of these queues, or of all, that may start now: queues in their order; in each queue explicitly requested
/// jobs first, which start in any mode, then by priority, then in queue order. `None` if every queue is full, blocked or empty.
///
/// If the next job of a queue needs more slots than are free, later jobs of the queue wait too, so that they can't delay
/// it for ever. If it waits for units of a pool, it keeps a slot, and later jobs may use the others.
pub fn next_ready_job<R: StateReader>(reader: &R, queues: Option<&[QueueId]>) -> Result<Option<Job>, R::Error> {
    let mut turns: Option<PoolTurns> = None;
    for queue in served_queues(reader, queues)? {
        let used = reader.used_slots(&queue.id)?;
        let slots = queue.settings.max_parallel();
        if used >= slots {
            continue;
        }
        let requested = reader.next_jobs(&queue.id, Readiness::Requested, 1)?.pop();
        let next = match requested {
            None if queue.mode == QueueMode::Processing => reader.next_jobs(&queue.id, Readiness::Ready, 1)?.pop(),
            requested => requested,
        };
        if next.as_ref().is_some_and(uses_pools) {
            let turns = match &mut turns {
                Some(turns) => turns,
                none => none.insert(PoolTurns::decide(reader, queues)?),
            };
            if let Some(job) = turns.next_of(reader, &queue)? {
                return Ok(Some(job));
            }
        } else if let Some(job) = next
            && (used == 0 || job.definition.scheduling.weight <= slots - used)
        {
            return Ok(Some(job));
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
