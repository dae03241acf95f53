//! Which job is next.

use super::{Job, Mode, QueueId, View};

/// The job that may start now, of these queues or of all: queues in their order, in each first what somebody asked
/// for, then queue order. None while every queue is full, held or empty.
pub fn next_ready<V: View>(view: &V, queues: Option<&[QueueId]>) -> Result<Option<Job>, V::Error> {
    for queue in view.queues()? {
        if queues.is_some_and(|wanted| !wanted.contains(&queue.id)) || queue.mode == Mode::Paused {
            continue;
        }
        if view.running(&queue.id)? >= queue.settings.parallel {
            continue;
        }
        if let Some(job) = view.next_pending(&queue.id, true)? {
            return Ok(Some(job));
        }
        if queue.mode == Mode::Processing
            && let Some(job) = view.next_pending(&queue.id, false)?
        {
            return Ok(Some(job));
        }
    }
    Ok(None)
}
