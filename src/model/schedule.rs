//! Which job is next.

use chrono::{DateTime, Utc};

use super::{Job, Mode, QueueId, QueueView, Turn, View};

/// The job that may start now, of these queues or of all: queues in their order, in each first what somebody asked
/// for, then higher priority, then queue order. None while every queue is full, held or empty.
///
/// A job that takes more slots than are free is waited for: those behind it would keep it waiting for ever.
pub fn next_ready<V: View>(view: &V, queues: Option<&[QueueId]>) -> Result<Option<Job>, V::Error> {
    for queue in open(view, queues)? {
        let taken = view.taken(&queue.id)?;
        if taken >= queue.settings.parallel {
            continue;
        }
        let asked = view.first(&queue.id, Turn::Asked, 1)?.pop();
        let next = match asked {
            None if queue.mode == Mode::Processing => view.first(&queue.id, Turn::Ready, 1)?.pop(),
            asked => asked,
        };
        if let Some(job) = next
            && (taken == 0 || job.definition.terms.weight <= queue.settings.parallel - taken)
        {
            return Ok(Some(job));
        }
    }
    Ok(None)
}

/// The earliest time for which a job waits that starts by itself then.
pub(super) fn next_due<V: View>(view: &V, queues: Option<&[QueueId]>) -> Result<Option<DateTime<Utc>>, V::Error> {
    let mut earliest = None;
    for queue in open(view, queues)? {
        let due = view.next_due(&queue.id, queue.mode != Mode::Processing)?;
        earliest = earliest.into_iter().chain(due).min();
    }
    Ok(earliest)
}

/// The queues that start anything at all.
fn open<V: View>(view: &V, queues: Option<&[QueueId]>) -> Result<Vec<QueueView>, V::Error> {
    let mut open = view.queues()?;
    open.retain(|queue| queue.mode != Mode::Paused && queues.is_none_or(|wanted| wanted.contains(&queue.id)));
    Ok(open)
}
