//! Queues: handles to the queues of a site. [`get_queue`] finds a queue or creates it.

use std::fmt;
use std::sync::{Arc, LazyLock};

use chrono::{DateTime, Utc};

use super::{Command, Event, IntoJob, Job, JobId, Phase, QueueId, QueueState, Refusal, Site, SiteState};

/// The queue of that name in this process's default site, created if missing. Any string is a valid name.
pub fn get_queue(id: impl Into<QueueId>) -> Queue {
    static SITE: LazyLock<Site> = LazyLock::new(Site::new);
    SITE.get_queue(id)
}

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

impl Site {
    /// The queue of that name in the nearest site that has it, or else a new one in this site.
    /// [`Queue::site`] returns the owner.
    pub fn get_queue(&self, id: impl Into<QueueId>) -> Queue {
        let id = id.into();
        let mut site = Some(self);
        while let Some(current) = site {
            if current.read(|state| state.queue(&id).is_some()) {
                return Queue { site: current.clone(), id };
            }
            site = current.parent();
        }
        // Two threads may get here at once, but creating an existing queue changes nothing. The time is not recorded.
        let created = self.submit(&Command::EnsureQueue { queue: id.clone() }, DateTime::UNIX_EPOCH);
        debug_assert!(created.is_ok(), "creating a queue is never refused");
        Queue { site: self.clone(), id }
    }
}
