//! What a decision asks of a queue in memory, kept ready.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::{Job, JobId, State, Turn};

/// The order of a queue's pending jobs: higher priority first, then by position.
pub(super) type Rank = (Reverse<i32>, i64);

/// What a decision asks of a queue, so that no answer costs more in a long queue than in a short one.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    /// Every job that was ever in the queue, removed ones too.
    pub(super) places: BTreeSet<(i64, JobId)>,
    /// The pending jobs that somebody asked for.
    pub(super) asked: BTreeSet<(Rank, JobId)>,
    /// The pending jobs that ask a person first.
    pub(super) asking: BTreeSet<(Rank, JobId)>,
    /// The pending jobs that wait for a time only.
    pub(super) timed: BTreeSet<(DateTime<Utc>, JobId)>,
}

impl Index {
    /// Takes note of a pending job: everything but its place.
    pub(super) fn add(&mut self, job: &Job) {
        let State::Pending { wait, .. } = &job.state else { return };
        if wait.confirm {
            self.asking.insert((rank(job), job.id));
        }
        match (job.turn(), wait.until) {
            (Some(Turn::Asked), _) => _ = self.asked.insert((rank(job), job.id)),
            (Some(Turn::Timed { .. }), Some(until)) => _ = self.timed.insert((until, job.id)),
            _ => {}
        }
    }

    /// Forgets a pending job, but for its place.
    pub(super) fn remove(&mut self, job: &Job) {
        let State::Pending { wait, .. } = &job.state else { return };
        self.asked.remove(&(rank(job), job.id));
        self.asking.remove(&(rank(job), job.id));
        self.timed.remove(&(wait.until.unwrap_or_default(), job.id));
    }
}

/// Where a pending job stands among the others of its queue.
pub(super) fn rank(job: &Job) -> Rank {
    (Reverse(job.definition.terms.priority), job.position)
}
