//! Methods of [`Queue`] that take the current time from the system clock. The model itself gets the time as an argument.

use crate::clock;
use crate::model::{IntoJob, JobId, Phase, Queue};

impl Queue {
    /// Appends a [`Job`](crate::model::Job), or anything that a job can call, to the pending jobs; returns the job's
    /// number.
    pub fn append<Kind>(&self, job: impl IntoJob<Kind>) -> JobId {
        self.append_at(job, clock::now())
    }

    /// Removes all pending jobs; returns how many.
    pub fn clear_pending(&self) -> usize {
        self.clear_at(Phase::Pending, clock::now())
    }

    /// Removes all finished jobs; returns how many.
    pub fn clear_finished(&self) -> usize {
        self.clear_at(Phase::Finished, clock::now())
    }
}
