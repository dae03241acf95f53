//! What people name to wait for it or to follow it: queues and jobs.

use crate::model::{Job, JobId, JobState, Phase, QueueId, QueueMode, SiteState, WaitReason};
use crate::store::{Store, StoreError};
use crate::text;

/// A queue with all of its jobs, or a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Queue(QueueId),
    Job(JobId),
}

impl Target {
    /// Whether a job is meant by it.
    pub(super) fn means(&self, job: &Job) -> bool {
        match self {
            Self::Queue(queue) => job.queue == *queue,
            Self::Job(id) => job.id == *id,
        }
    }

    /// Whether nothing is to be waited for any more: the job has finished, or nothing runs in the queue and nothing
    /// will. A queue that is paused goes on some time.
    pub(super) fn rests(&self, site_state: &SiteState) -> bool {
        match self {
            Self::Job(id) => site_state.job(*id).is_none_or(|job| job.phase() == Phase::Finished),
            Self::Queue(id) => site_state.queue(id).is_none_or(|queue| {
                let mut pending = queue.pending.iter().filter_map(|id| site_state.job(*id));
                match queue.mode {
                    QueueMode::Processing => false,
                    QueueMode::Paused => queue.running.is_empty() && queue.pending.is_empty(),
                    QueueMode::Idle | QueueMode::Stopped => queue.running.is_empty() && !pending.any(was_asked_for),
                }
            }),
        }
    }

    /// Why it may take for ever, and what would help.
    pub(super) fn hindrance(&self, site_state: &SiteState) -> Option<String> {
        let (queue, job) = match self {
            Self::Queue(queue) => (queue, None),
            Self::Job(id) => site_state.job(*id).map(|job| (&job.queue, Some(job)))?,
        };
        let name = text::plain_line(queue.as_str());
        let path = job.map_or_else(|| name.clone(), |job| text::plain_line(&job.path()));
        match (site_state.queue(queue)?.mode, job.and_then(|job| site_state.wait_reason(job))) {
            _ if job.is_some_and(was_asked_for) => None,
            (QueueMode::Paused, _) => {
                Some(format!("{path} waits, since {name} is paused; `setlist resume {name}` goes on"))
            }
            (_, Some(WaitReason::Confirm)) => {
                Some(format!("{path} needs confirmation; `setlist retry {path}` runs it"))
            }
            (QueueMode::Idle | QueueMode::Stopped, Some(_)) => {
                Some(format!("{path} waits, and nobody processes {name}; `setlist retry {path}` runs it"))
            }
            _ => None,
        }
    }
}

/// Brings a copy of the site up to date.
pub(super) fn catch_up(site_state: &mut SiteState, store: &mut dyn Store) -> Result<(), StoreError> {
    match store.events_after(site_state.seq())? {
        Some(news) => news.iter().for_each(|recorded| site_state.apply(recorded)),
        None => *site_state = store.load()?,
    }
    Ok(())
}

fn was_asked_for(job: &Job) -> bool {
    matches!(job.state, JobState::Pending { requested: true, .. })
}
