//! What a queue's users need the time for: the model is given it, and here the clock on the wall gives it.

use chrono::Utc;

use crate::model::{IntoJob, JobId, Phase, Queue};

impl Queue {
    /// Appends a [`Job`](crate::model::Job), or anything that a job can call, to the pending jobs; returns the job's
    /// number.
    pub fn append<Kind>(&self, job: impl IntoJob<Kind>) -> JobId {
        self.append_at(job, Utc::now())
    }

    /// Takes all pending jobs out; tells how many.
    pub fn clear_pending(&self) -> usize {
        self.clear_at(Phase::Pending, Utc::now())
    }

    /// Takes all finished jobs out; tells how many.
    pub fn clear_finished(&self) -> usize {
        self.clear_at(Phase::Finished, Utc::now())
    }
}
