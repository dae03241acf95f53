//! A queue or a job that a command names, and when there is nothing more to wait for.

use crate::model::{Job, JobId, Phase, QueueId, QueueMode, SiteState, WaitReason};
use crate::store::{Store, StoreError};
use crate::text;

/// A queue with all of its jobs, or a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum QueueOrJob {
    Queue(QueueId),
    Job(JobId),
}

impl QueueOrJob {
    /// Whether it includes a job.
    pub(super) fn includes(&self, job: &Job) -> bool {
        match self {
            Self::Queue(queue) => job.queue == *queue,
            Self::Job(id) => job.id == *id,
        }
    }

    /// Whether there is nothing to wait for: the job has finished, or no job of the queue runs or will run. A paused queue
    /// with jobs is not settled, because it may be resumed.
    pub(super) fn is_settled(&self, site_state: &SiteState) -> bool {
        match self {
            Self::Job(id) => site_state.job(*id).is_none_or(|job| job.phase() == Phase::Finished),
            Self::Queue(id) => site_state.queue(id).is_none_or(|queue| {
                let mut pending = queue.pending.iter().filter_map(|id| site_state.job(*id));
                match queue.mode {
                    QueueMode::Processing => false,
                    QueueMode::Paused => queue.running.is_empty() && queue.pending.is_empty(),
                    QueueMode::Idle | QueueMode::Stopped => queue.running.is_empty() && !pending.any(Job::is_requested),
                }
            }),
        }
    }

    /// Why it may never settle, and what to do about it.
    pub(super) fn stall_hint(&self, site_state: &SiteState) -> Option<String> {
        let (queue, job) = match self {
            Self::Queue(queue) => (queue, None),
            Self::Job(id) => site_state.job(*id).map(|job| (&job.queue, Some(job)))?,
        };
        let name = text::sanitize_line(queue.as_str());
        let path = job.map_or_else(|| name.clone(), |job| text::sanitize_line(&job.path()));
        match (site_state.queue(queue)?.mode, job.and_then(|job| site_state.wait_reason(job))) {
            (_, Some(WaitReason::Confirm)) => {
                Some(format!("{path} needs approval; `setlist approve {path}` approves it"))
            }
            (_, None) if job.is_none() && site_state.waits_for_approval(queue) => {
                let job = text::sanitize_line(&site_state.approvals_due(queue).next()?.path());
                Some(format!("{job} needs approval; `setlist approve {job}` approves it"))
            }
            _ if job.is_some_and(Job::is_requested) => None,
            (QueueMode::Paused, _) => {
                Some(format!("{path} waits because {name} is paused; `setlist resume {name}` resumes it"))
            }
            (QueueMode::Idle | QueueMode::Stopped, Some(_)) => {
                Some(format!("{path} waits, and {name} is not being processed; `setlist retry {path}` runs it"))
            }
            _ => None,
        }
    }
}

/// Applies the new events of a site to a copy.
pub(super) fn sync_state(site_state: &mut SiteState, store: &mut dyn Store) -> Result<(), StoreError> {
    match store.events_after(site_state.seq())? {
        Some(events) => events.iter().for_each(|recorded| site_state.apply(recorded)),
        None => *site_state = store.load()?,
    }
    Ok(())
}
