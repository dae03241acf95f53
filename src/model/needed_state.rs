//! What the state of a job means for the jobs that need it, and how many needs of a job are not met.
//!
//! A job may need thousands of others, so the end of one of them must not look at all: a reader keeps the [`NeedCounts`]
//! of each job, which change with the [`NeededState`] of the jobs that it needs.

use super::{JobId, JobState, Outcome, OutcomeCondition, Phase, QueueId, SkipKind};

/// What the state of a job means for the jobs that need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NeededState {
    /// It doesn't exist, or was removed before it finished.
    Missing,
    /// It has not finished.
    Unfinished,
    /// It succeeded, or is up to date.
    Succeeded,
    /// It failed or was interrupted.
    Failed,
    /// It finished otherwise: cancelled or skipped.
    NotRun,
}

/// The status of one need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NeedStatus {
    /// The needed job finished as required.
    Met,
    /// It has not finished yet.
    Pending,
    /// It finished otherwise, or was removed.
    Failed,
}

/// How many needs of a job are not met. A need that is listed twice counts once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NeedCounts {
    /// The needed jobs that have not finished.
    pub pending: u32,
    /// The needed jobs that finished otherwise than required, or were removed.
    pub failed: u32,
}

/// A job that needs another one, as far as the end of that one concerns it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependent {
    /// The job.
    pub job: JobId,
    /// Its queue.
    pub queue: QueueId,
    /// Its phase.
    pub phase: Phase,
    /// Whether it is pending and was requested explicitly.
    pub is_requested: bool,
    /// Whether it is pending and its needs are overridden.
    pub is_forced: bool,
    /// Whether it is pending and waits for its needs.
    pub waits_for_needs: bool,
    /// How many of its needs are not met.
    pub counts: NeedCounts,
}

impl NeededState {
    /// The state of an existing job.
    pub fn of(state: &JobState, is_removed: bool) -> Self {
        match state {
            JobState::Finished { outcome, .. } => Self::from(outcome),
            _ if is_removed => Self::Missing,
            _ => Self::Unfinished,
        }
    }

    /// The status of a need for this job.
    pub fn status(self, required: OutcomeCondition) -> NeedStatus {
        match (self, required) {
            (Self::Unfinished, _) => NeedStatus::Pending,
            (Self::Missing, _) => NeedStatus::Failed,
            (_, OutcomeCondition::Finish)
            | (Self::Succeeded, OutcomeCondition::Success)
            | (Self::Failed, OutcomeCondition::Failure) => NeedStatus::Met,
            (Self::Succeeded | Self::Failed | Self::NotRun, _) => NeedStatus::Failed,
        }
    }
}

impl From<&Outcome> for NeededState {
    fn from(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Succeeded | Outcome::Skipped { by: SkipKind::UpToDate, .. } => Self::Succeeded,
            Outcome::Failed(_) | Outcome::Interrupted | Outcome::Unreachable { .. } => Self::Failed,
            Outcome::Cancelled | Outcome::Skipped { .. } => Self::NotRun,
        }
    }
}

impl NeedCounts {
    /// The status of all needs together.
    pub fn status(self) -> NeedStatus {
        match self {
            Self { pending: 0, failed: 0 } => NeedStatus::Met,
            Self { failed: 0, .. } => NeedStatus::Pending,
            _ => NeedStatus::Failed,
        }
    }

    /// Adds a need with this status.
    pub fn add(&mut self, status: NeedStatus) {
        match status {
            NeedStatus::Met => {}
            NeedStatus::Pending => self.pending += 1,
            NeedStatus::Failed => self.failed += 1,
        }
    }

    /// Removes a need with this status.
    pub fn remove(&mut self, status: NeedStatus) {
        match status {
            NeedStatus::Met => {}
            NeedStatus::Pending => self.pending = self.pending.saturating_sub(1),
            NeedStatus::Failed => self.failed = self.failed.saturating_sub(1),
        }
    }
}

impl OutcomeCondition {
    /// All conditions.
    pub const ALL: [Self; 3] = [Self::Success, Self::Failure, Self::Finish];
}
