//! A queue as people and threads hold it: a handle on a site's ledger.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::{Command, Event, IntoJob, Job, JobId, Ledger, Phase, QueueId, QueueRecord, Refusal, Site};

/// A queue of a site. Cheap to clone; every clone is the same queue, and all of them may be used by many threads.
///
/// What needs a clock or threads (`append`, `process`, …) stands two floors up, in `crate::worker`.
#[derive(Clone)]
pub struct Queue {
    site: Site,
    id: QueueId,
}

impl Queue {
    /// An empty queue that belongs to no shared site.
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

    /// Appends a [`Job`], or anything that a job can call, to the pending jobs at the time `now`; returns the job's
    /// number. A job that was called before keeps its value, and is pending again.
    pub fn append_at<Kind>(&self, job: impl IntoJob<Kind>, now: DateTime<Utc>) -> JobId {
        let job = job.into_job();
        let command = Command::Add { queue: self.id.clone(), jobs: vec![Arc::clone(&job.definition)] };
        let with_its_past = |event| match event {
            Event::Added { job: added } => {
                let Job { attempts, last_run, value, executed, .. } = job.clone();
                Event::Added { job: Box::new(Job { attempts, last_run, value, executed, ..*added }) }
            }
            other => other,
        };
        let events = self.site.submit_with(&command, now, with_its_past).unwrap_or_default();
        let added = events.iter().find_map(|event| if let Event::Added { job } = event { Some(job.id) } else { None });
        added.unwrap_or_default()
    }

    /// The jobs that wait, in order.
    pub fn pending(&self) -> Vec<Job> {
        self.jobs(Phase::Pending)
    }

    /// The jobs that run now.
    pub fn running(&self) -> Vec<Job> {
        self.jobs(Phase::Running)
    }

    /// The jobs that have finished, in the order in which they did.
    pub fn finished(&self) -> Vec<Job> {
        self.jobs(Phase::Finished)
    }

    /// A job of this queue.
    pub fn job(&self, id: JobId) -> Option<Job> {
        self.read(|_, ledger| ledger.job(id).filter(|job| job.queue == self.id).cloned())
    }

    /// Looks at the queue in place, without copying its jobs. `look` must not change the site.
    pub fn read<T>(&self, look: impl FnOnce(&QueueRecord, &Ledger) -> T) -> T {
        self.site.read(|ledger| match ledger.queue(&self.id) {
            Some(record) => look(record, ledger),
            None => look(&QueueRecord::default(), ledger),
        })
    }

    /// Takes all jobs in one phase out at the time `now`; tells how many. Jobs that run stay.
    pub fn clear_at(&self, phase: Phase, now: DateTime<Utc>) -> usize {
        let events = self.submit(&Command::Clear { queue: self.id.clone(), phase }, now).unwrap_or_default();
        events.iter().filter(|event| matches!(event, Event::Removed { .. })).count()
    }

    /// Asks for a change of the site that owns the queue.
    pub fn submit(&self, command: &Command, now: DateTime<Utc>) -> Result<Vec<Event>, Refusal> {
        self.site.submit(command, now)
    }

    fn jobs(&self, phase: Phase) -> Vec<Job> {
        self.read(|record, ledger| record.list(phase).iter().filter_map(|id| ledger.job(*id)).cloned().collect())
    }
}

impl Default for Queue {
    fn default() -> Self {
        Self::new()
    }
}

impl PartialEq for Queue {
    /// The same queue, not one with equal jobs.
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
