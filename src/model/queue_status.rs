//! The status of a queue as shown to users: its mode, or what the mode alone doesn't say.

use super::{Job, JobCounts, QueueId, QueueMode, SiteState};

/// The status of a queue in one word or two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueStatus {
    /// Nothing runs, and nothing will start by itself.
    Idle,
    /// It is not being processed, but requested jobs run.
    Running,
    /// Its pending jobs are attempted.
    Processing,
    /// A job that needs approval is next to start.
    NeedsApproval,
    /// No more jobs start.
    Paused,
    /// A failed job stopped it.
    Stopped,
}

impl SiteState {
    /// The status of a queue; idle if there is no such queue.
    pub fn queue_status(&self, id: &QueueId) -> QueueStatus {
        let Some(queue) = self.queue(id) else { return QueueStatus::Idle };
        match queue.mode {
            QueueMode::Paused => QueueStatus::Paused,
            QueueMode::Stopped => QueueStatus::Stopped,
            QueueMode::Idle | QueueMode::Processing if self.approvals_due(id).next().is_some() => {
                QueueStatus::NeedsApproval
            }
            QueueMode::Processing => QueueStatus::Processing,
            QueueMode::Idle if !queue.running.is_empty() => QueueStatus::Running,
            QueueMode::Idle => QueueStatus::Idle,
        }
    }

    /// The number of jobs of a queue that failed or were interrupted. If the queue was stopped, this includes the failed
    /// jobs that are pending again because of that.
    pub fn failed_count(&self, id: &QueueId) -> usize {
        self.failed_count_of(id, self.job_counts(id))
    }

    /// Same where only an overview is loaded, which has these counts of the queue.
    pub fn failed_count_of(&self, id: &QueueId, counts: JobCounts) -> usize {
        counts.failed + self.stopped_by(id).count()
    }

    /// The failed jobs because of which a queue was stopped, in order. They are pending again.
    pub fn stopped_by(&self, id: &QueueId) -> impl Iterator<Item = &Job> {
        let is_stopped = self.queue(id).is_some_and(|queue| queue.mode == QueueMode::Stopped);
        self.failed_pending(id).filter(move |_| is_stopped)
    }

    /// Which jobs stopped a queue: `stopped by build/lint`, `stopped by build/lint and 2 more`.
    pub fn stop_reason(&self, id: &QueueId) -> String {
        let mut jobs = self.stopped_by(id);
        match (jobs.next(), jobs.count()) {
            (None, _) => "stopped by a failed job".to_owned(),
            (Some(job), 0) => format!("stopped by {}", job.path()),
            (Some(job), more) => format!("stopped by {} and {more} more", job.path()),
        }
    }
}

impl QueueStatus {
    /// The status as printed, shown and written in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Running => "running",
            Self::Processing => "processing",
            Self::NeedsApproval => "needs approval",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        }
    }
}
