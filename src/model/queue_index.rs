//! Indexes over the jobs of a queue in memory, for the queries of `decide`.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::{Job, JobId, JobState, Readiness};

/// The order of a queue's pending jobs: higher priority first, then by position.
pub(super) type PendingRank = (Reverse<i32>, i64);

/// Indexes of one queue, so that a query does not take longer in a long queue.
#[derive(Clone, Debug, Default)]
pub(super) struct QueueIndex {
    /// All jobs by position, including removed ones.
    pub(super) positions: BTreeSet<(i64, JobId)>,
    /// The pending jobs that were requested explicitly.
    pub(super) requested: BTreeSet<(PendingRank, JobId)>,
    /// The pending jobs that need approval.
    pub(super) unconfirmed: BTreeSet<(PendingRank, JobId)>,
    /// The pending jobs that failed when they ran last, and were not requested or scheduled since.
    pub(super) failed: BTreeSet<(PendingRank, JobId)>,
    /// The pending jobs that wait only for a time.
    pub(super) scheduled: BTreeSet<(DateTime<Utc>, JobId)>,
}

impl QueueIndex {
    /// Adds a pending job to all indexes but `positions`.
    pub(super) fn add(&mut self, job: &Job) {
        let JobState::Pending { requested, wait } = &job.state else { return };
        if !requested && wait.until.is_none() && job.current_attempt() == 0 && job.failure().is_some() {
            self.failed.insert((rank(job), job.id));
        }
        if wait.confirm {
            self.unconfirmed.insert((rank(job), job.id));
        }
        match (job.readiness(), wait.until) {
            (Some(Readiness::Requested), _) => _ = self.requested.insert((rank(job), job.id)),
            (Some(Readiness::Scheduled { .. }), Some(until)) => _ = self.scheduled.insert((until, job.id)),
            _ => {}
        }
    }

    /// Removes a pending job from all indexes but `positions`.
    pub(super) fn remove(&mut self, job: &Job) {
        let JobState::Pending { wait, .. } = &job.state else { return };
        self.requested.remove(&(rank(job), job.id));
        self.unconfirmed.remove(&(rank(job), job.id));
        self.failed.remove(&(rank(job), job.id));
        self.scheduled.remove(&(wait.until.unwrap_or_default(), job.id));
    }
}

/// The rank of a pending job in its queue.
pub(super) fn rank(job: &Job) -> PendingRank {
    (Reverse(job.definition.scheduling.priority), job.position)
}
