//! Registered workers and their reservations.

use std::num::NonZero;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Job, JobId, QueueId, RunId, WorkerId};

/// A registered worker process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerInfo {
    /// Its number.
    pub id: WorkerId,
    /// The host that it runs on.
    pub host: String,
    /// Its process id there.
    pub pid: u32,
    /// The queues that it serves; `None` for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queues: Option<Vec<QueueId>>,
    /// How many slots its jobs may use at once, and its labels.
    #[serde(flatten)]
    pub options: WorkerOptions,
    /// Whether it starts no more jobs and leaves when those that it runs have ended.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub draining: bool,
    /// The pending jobs reserved for it, in the order in which it starts them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reserved: Vec<Reservation>,
}

/// What a worker may run, as it was started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WorkerOptions {
    /// How many slots its jobs may use at once; `None` for as many as their queues have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slots: Option<NonZero<u32>>,
    /// Its labels: jobs name those that they need in `runs_on`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<Arc<str>>,
}

/// A pending job that a worker may start at any time without a further transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// The job.
    pub job: JobId,
    /// The id of its run once it starts.
    pub run: RunId,
}

impl WorkerInfo {
    /// Whether it serves this queue. One that is draining serves none.
    pub fn serves(&self, queue: &QueueId) -> bool {
        !self.draining && self.queues.as_ref().is_none_or(|queues| queues.contains(queue))
    }

    /// Whether it serves the queue of this job and has the labels that the job needs.
    pub fn could_run(&self, job: &Job) -> bool {
        self.serves(&job.queue) && self.has_labels(&job.definition.scheduling.runs_on)
    }

    /// Whether it has all of these labels.
    pub fn has_labels(&self, labels: &[Arc<str>]) -> bool {
        labels.iter().all(|label| self.options.labels.contains(label))
    }

    /// Whether this job is reserved for it.
    pub fn has_reserved(&self, job: JobId) -> bool {
        self.reserved.iter().any(|reservation| reservation.job == job)
    }

    /// Removes the reservation of a job that has started. Returns whether there was one.
    pub(crate) fn take_reservation(&mut self, job: JobId) -> bool {
        let before = self.reserved.len();
        self.reserved.retain(|reservation| reservation.job != job);
        self.reserved.len() < before
    }
}
