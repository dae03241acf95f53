//! Registered workers and their reservations.

use serde::{Deserialize, Serialize};

use super::{JobId, QueueId, RunId, WorkerId};

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
    /// The pending jobs reserved for it, in the order in which it starts them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reserved: Vec<Reservation>,
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
    /// Whether it serves this queue.
    pub fn serves(&self, queue: &QueueId) -> bool {
        self.queues.as_ref().is_none_or(|queues| queues.contains(queue))
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
