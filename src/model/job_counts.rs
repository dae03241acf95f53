//! How many jobs a queue has in each phase.

use std::collections::BTreeMap;

use super::{QueueId, SiteState};

/// How many jobs of a queue are in each phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JobCounts {
    /// The pending jobs.
    pub pending: usize,
    /// The running jobs.
    pub running: usize,
    /// The finished jobs.
    pub finished: usize,
    /// How many of the finished jobs failed or were interrupted.
    pub failed: usize,
}

impl JobCounts {
    /// Whether there are no jobs.
    pub fn is_empty(self) -> bool {
        self.pending + self.running + self.finished == 0
    }
}

impl SiteState {
    /// The counts of a queue; all are 0 if there is no such queue.
    pub fn job_counts(&self, id: &QueueId) -> JobCounts {
        self.queue(id).map_or_else(JobCounts::default, |queue| JobCounts {
            pending: queue.pending.len(),
            running: queue.running.len(),
            finished: queue.finished.len(),
            failed: queue.failed,
        })
    }

    /// The counts of all queues that have jobs.
    pub fn all_job_counts(&self) -> BTreeMap<QueueId, JobCounts> {
        let counts = self.queues().into_iter().map(|(id, _)| (id.clone(), self.job_counts(id)));
        counts.filter(|(_, counts)| !counts.is_empty()).collect()
    }
}
