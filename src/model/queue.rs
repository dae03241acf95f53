//! A queue as people and threads hold it: a handle on a site's ledger.

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::{Command, Event, IntoJob, Job, JobId, Ledger, Phase, QueueId, QueueRecord, Refusal, Removal, Site};

/// A queue of a site. Cheap to clone; every clone is the same queue, and all of them may be used by many threads.
///
/// `Queue::process` stands beside the workers, in [`crate::worker`].
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

    /// Appends a [`Job`], or anything that a job can call, to the pending jobs; returns the job's number.
    pub fn append<Kind>(&self, job: impl IntoJob<Kind>) -> JobId {
        let job = job.into_job();
        let command = Command::Add { queue: self.id.clone(), jobs: vec![Arc::clone(&job.definition)] };
        let with_its_past = |event| match event {
            Event::Added { job: added } => {
                let Job { id, queue, position, enqueued, .. } = *added;
                Event::Added { job: Box::new(Job { id, queue, position, enqueued, ..job.clone() }) }
            }
            other => other,
        };
        let events = self.site.submit_with(&command, Utc::now(), with_its_past).unwrap_or_default();
        events
            .iter()
            .find_map(|event| if let Event::Added { job } = event { Some(job.id) } else { None })
            .unwrap_or_default()
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

    /// Looks at the queue in place, without copying its jobs.
    pub fn read<T>(&self, look: impl FnOnce(&QueueRecord, &Ledger) -> T) -> T {
        self.site.read(|ledger| match ledger.queue(&self.id) {
            Some(record) => look(record, ledger),
            None => look(&QueueRecord::default(), ledger),
        })
    }

    /// Takes all pending jobs out; tells how many.
    pub fn clear_pending(&self) -> usize {
        self.clear(Phase::Pending)
    }

    /// Takes all finished jobs out; tells how many.
    pub fn clear_finished(&self) -> usize {
        self.clear(Phase::Finished)
    }

    /// Asks for a change of the site that owns the queue.
    pub fn submit(&self, command: &Command, now: DateTime<Utc>) -> Result<Vec<Event>, Refusal> {
        self.site.submit(command, now)
    }

    fn jobs(&self, phase: Phase) -> Vec<Job> {
        self.read(|record, ledger| record.list(phase).iter().filter_map(|id| ledger.job(*id)).cloned().collect())
    }

    fn clear(&self, phase: Phase) -> usize {
        let events = self.submit(&Command::Clear { queue: self.id.clone(), phase }, Utc::now()).unwrap_or_default();
        events.iter().filter(|event| matches!(event, Event::Removed { by: Removal::Hand, .. })).count()
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
