//! Queues: handles to the queues of a site.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::{Command, Event, IntoJob, Job, JobId, SiteState, Phase, QueueId, QueueState, Refusal, Site};

/// A queue of a site. Cheap to clone: all clones refer to the same queue, and any thread may use them.
///
/// Methods that need a clock or threads (`append`, `process`, …) are in `crate::worker`.
#[derive(Clone)]
pub struct Queue {
    site: Site,
    id: QueueId,
}

impl Queue {
    /// An empty queue in a site of its own.
    pub fn new() -> Self {
        Site::new().get_queue("")
    }

    pub(super) fn in_site(site: Site, id: QueueId) -> Self {
        Self { site, id }
    }

    /// Its name.
    pub fn id(&self) -> &QueueId {
        &self.id
    }

    /// The site that owns it.
    pub fn site(&self) -> &Site {
        &self.site
    }

    /// Appends a [`Job`], or anything that a job can call, to the pending jobs at the time `now`; returns the id of the
    /// job. A job that was called before keeps its value and is pending again.
    pub fn append_at<Kind>(&self, job: impl IntoJob<Kind>, now: DateTime<Utc>) -> JobId {
        let job = job.into_job();
        let command = Command::Add { queue: self.id.clone(), jobs: vec![Arc::clone(&job.definition)] };
        let keep_history = |event| match event {
            Event::Added { job: added } => {
                let Job { attempts, last_run, value, executed, .. } = job.clone();
                Event::Added { job: Box::new(Job { attempts, last_run, value, executed, ..*added }) }
            }
            other => other,
        };
        let events = self.site.submit_mapped(&command, now, keep_history).unwrap_or_default();
        let added = events.iter().find_map(|event| if let Event::Added { job } = event { Some(job.id) } else { None });
        added.unwrap_or_default()
    }

    /// The pending jobs, in order.
    pub fn pending(&self) -> Vec<Job> {
        self.jobs(Phase::Pending)
    }

    /// The running jobs.
    pub fn running(&self) -> Vec<Job> {
        self.jobs(Phase::Running)
    }

    /// The finished jobs, in the order in which they finished.
    pub fn finished(&self) -> Vec<Job> {
        self.jobs(Phase::Finished)
    }

    /// A job of this queue.
    pub fn job(&self, id: JobId) -> Option<Job> {
        self.read(|_, state| state.job(id).filter(|job| job.queue == self.id).cloned())
    }

    /// Reads the queue under a lock, without copying its jobs; `read` must not submit commands.
    pub fn read<T>(&self, read: impl FnOnce(&QueueState, &SiteState) -> T) -> T {
        self.site.read(|state| match state.queue(&self.id) {
            Some(queue) => read(queue, state),
            None => read(&QueueState::default(), state),
        })
    }

    /// Removes all jobs in one phase at the time `now`; returns how many. Running jobs are not removed.
    pub fn clear_at(&self, phase: Phase, now: DateTime<Utc>) -> usize {
        let events = self.submit(&Command::Clear { queue: self.id.clone(), phase }, now).unwrap_or_default();
        events.iter().filter(|event| matches!(event, Event::Removed { .. })).count()
    }

    /// Submits a command to the site that owns the queue.
    pub fn submit(&self, command: &Command, now: DateTime<Utc>) -> Result<Vec<Event>, Refusal> {
        self.site.submit(command, now)
    }

    fn jobs(&self, phase: Phase) -> Vec<Job> {
        self.read(|queue, state| queue.jobs_in(phase).iter().filter_map(|id| state.job(*id)).cloned().collect())
    }
}

impl Default for Queue {
    fn default() -> Self {
        Self::new()
    }
}

impl PartialEq for Queue {
    /// Compares identity, not content.
    fn eq(&self, other: &Self) -> bool {
        self.site == other.site && self.id == other.id
    }
}

impl Eq for Queue {}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("id", &self.id).finish_non_exhaustive()
    }
}
