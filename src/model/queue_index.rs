//! Indexes over the jobs of a queue in memory, for the queries of `decide`.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use chrono::{DateTime, Utc};

use super::label_set::LabelSet;
use super::{Job, JobId, JobState, Readiness};

/// The order of a queue's pending jobs: higher priority first, then by position.
pub(super) type PendingRank = (Reverse<i32>, i64);

/// Indexes of one queue, so that a query does not take longer in a long queue.
#[derive(Clone, Debug, Default)]
pub(super) struct QueueIndex {
    /// All jobs by position, including removed ones; collected when they are first needed. A screen never needs them.
    pub(super) positions: OnceLock<BTreeSet<(i64, JobId)>>,
    /// The pending jobs that were requested explicitly.
    pub(super) requested: BTreeSet<(PendingRank, JobId)>,
    /// The pending jobs that need approval.
    pub(super) unconfirmed: BTreeSet<(PendingRank, JobId)>,
    /// The pending jobs that failed when they ran last, and were not requested or scheduled since.
    pub(super) failed: BTreeSet<(PendingRank, JobId)>,
    /// The pending jobs that wait only for a time.
    pub(super) scheduled: BTreeSet<(DateTime<Utc>, JobId)>,
    /// The pending jobs that are not blocked and need labels, by these.
    pub(super) labelled: BTreeMap<LabelSet, BTreeSet<(PendingRank, JobId)>>,
    /// How many pending jobs that are not blocked need no labels.
    pub(super) unlabelled: usize,
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
        match needed_labels(job) {
            None => {}
            Some(labels) if labels.is_empty() => self.unlabelled += 1,
            Some(labels) => _ = self.labelled.entry(labels.clone()).or_default().insert((rank(job), job.id)),
        }
    }

    /// Removes a pending job from all indexes but `positions`.
    pub(super) fn remove(&mut self, job: &Job) {
        let JobState::Pending { wait, .. } = &job.state else { return };
        self.requested.remove(&(rank(job), job.id));
        self.unconfirmed.remove(&(rank(job), job.id));
        self.failed.remove(&(rank(job), job.id));
        self.scheduled.remove(&(wait.until.unwrap_or_default(), job.id));
        match needed_labels(job) {
            None => {}
            Some(labels) if labels.is_empty() => self.unlabelled -= 1,
            Some(labels) => {
                if let Some(jobs) = self.labelled.get_mut(labels) {
                    jobs.remove(&(rank(job), job.id));
                    if jobs.is_empty() {
                        self.labelled.remove(labels);
                    }
                }
            }
        }
    }
}

/// The labels that a pending job needs; `None` if it is blocked.
fn needed_labels(job: &Job) -> Option<&LabelSet> {
    job.readiness().filter(|readiness| *readiness != Readiness::Blocked).map(|_| &job.definition.scheduling.runs_on)
}

/// The rank of a pending job in its queue.
pub(super) fn rank(job: &Job) -> PendingRank {
    (Reverse(job.definition.scheduling.priority), job.position)
}
