//! Which queues are still active: jobs in them will start or end without further commands.

use std::collections::HashSet;

use super::{Job, JobState, QueueId, QueueInfo, QueueMode, StateReader};

/// The active queues: paused ones, and processing ones in which a job will start or end without further commands.
///
/// Queues that only wait for each other are not active: a chain of waiting queues must end in one that progresses on
/// its own.
pub(super) fn active_queues<R: StateReader>(reader: &R, queues: &[QueueInfo]) -> Result<HashSet<QueueId>, R::Error> {
    let mut active = HashSet::new();
    let mut waiting = Vec::new();
    for queue in queues {
        // A paused queue will be resumed.
        if queue.mode == QueueMode::Paused || (queue.is_processing() && reader.has_unblocked_jobs(&queue.id)?) {
            active.insert(queue.id.clone());
        } else if queue.is_processing() {
            waiting.push(queue);
        }
    }
    loop {
        let count_before = active.len();
        let mut still_waiting = Vec::new();
        for queue in waiting {
            if has_job_that_can_progress(reader, &active, &queue.id)? {
                active.insert(queue.id.clone());
            } else {
                still_waiting.push(queue);
            }
        }
        if active.len() == count_before {
            return Ok(active);
        }
        waiting = still_waiting;
    }
}

fn has_job_that_can_progress<R: StateReader>(
    reader: &R,
    active: &HashSet<QueueId>,
    queue: &QueueId,
) -> Result<bool, R::Error> {
    for id in reader.blocked_jobs(queue)? {
        if let Some(job) = reader.job(id)?
            && can_progress(reader, active, &job)?
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a blocked job waits only for other jobs, and one of these is running or will run: an explicitly requested job,
/// or a job of another queue that is active.
///
/// Other jobs of its own queue don't count: the queue has been found to have no unblocked job.
fn can_progress<R: StateReader>(reader: &R, active: &HashSet<QueueId>, job: &Job) -> Result<bool, R::Error> {
    if matches!(job.state, JobState::Pending { wait, .. } if wait.confirm) {
        return Ok(false);
    }
    for need in &job.needs {
        let Some(needed) = reader.job(need.job)? else { continue };
        let will_run = match needed.state {
            JobState::Running { .. } => true,
            // An explicitly requested job may still need confirmation.
            JobState::Pending { requested: true, wait } if !wait.confirm => true,
            JobState::Pending { .. } => needed.queue != job.queue && active.contains(&needed.queue),
            JobState::Finished { .. } => false,
        };
        if will_run {
            return Ok(true);
        }
    }
    Ok(false)
}
