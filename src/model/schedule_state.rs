//! The state of a schedule: up to which time its due times are decided, and the record of each.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{Outcome, QueueId, Schedule, ScheduleTarget, SkipKind};

/// How many due times are recorded per schedule; older records are deleted.
pub const MAX_DUE_RECORDS: usize = 10_000;

/// A schedule, and which of its due times have been decided. The next due time follows from these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleState {
    /// What becomes due.
    pub target: ScheduleTarget,
    /// Its queue.
    pub queue: QueueId,
    /// When it becomes due.
    pub schedule: Arc<Schedule>,
    /// When the schedule was added or its times were changed. Earlier times are not due.
    pub since: DateTime<Utc>,
    /// All due times up to this one are recorded or held.
    pub decided_until: DateTime<Utc>,
    /// Due times that start when the previous run has finished, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<DateTime<Utc>>,
    /// The due time whose run has not ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<DueRecord>,
}

/// What became of one due time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DueRecord {
    /// The due time.
    pub due: DateTime<Utc>,
    /// When it had to start: at its due time, or later by its part of the jitter.
    pub start: DateTime<Utc>,
    /// When it was decided.
    pub at: DateTime<Utc>,
    /// What was decided.
    pub result: DueResult,
    /// How its run ended. None if it did not run, or has not ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<DueOutcome>,
    /// How many more due times directly before this one the record stands for. Only after very many were missed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub earlier: u64,
}

/// What was decided at a due time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DueResult {
    /// The jobs were started.
    Ran,
    /// They were not started, because of their own state.
    Skipped {
        /// Why.
        reason: String,
    },
    /// They were not started in time.
    Missed {
        /// Why.
        reason: String,
    },
}

/// How the run of a due time ended; for a queue, the worst end of its jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DueOutcome {
    /// All jobs succeeded.
    Succeeded,
    /// A job did not have to run: its condition said so, or it was up to date.
    NotNeeded,
    /// Some jobs have not run.
    Unfinished,
    /// A job was skipped.
    Skipped,
    /// A job was cancelled.
    Cancelled,
    /// A worker died.
    Interrupted,
    /// A job failed.
    Failed,
}

/// Which records of due times to read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DuePage {
    /// Not before this time.
    pub since: Option<DateTime<Utc>>,
    /// Before this time.
    pub before: Option<DateTime<Utc>>,
    /// At most this many, from the latest on.
    pub limit: usize,
    /// From the oldest on instead.
    pub oldest_first: bool,
}

/// How many due times of a period came to which end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DueCounts {
    /// The jobs were started in time, and have not failed.
    pub ran: u64,
    /// They were started late, and have not failed.
    pub late: u64,
    /// They were started and did not succeed.
    pub failed: u64,
    /// They were not started, because of their own state.
    pub skipped: u64,
    /// They were not started in time.
    pub missed: u64,
}

impl ScheduleState {
    /// The next due time that has not been decided.
    pub fn next_due(&self) -> Option<DateTime<Utc>> {
        self.schedule.next_after(self.decided_until)
    }

    /// When the next due time that has not been decided starts.
    pub fn next_start(&self) -> Option<DateTime<Utc>> {
        self.next_due().map(|due| self.schedule.start_time(&self.target, due))
    }

    /// The next due time after `now`, and what clocks in its zone show then.
    pub fn upcoming(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.schedule.next_after(self.decided_until.max(now))
    }
}

impl DueRecord {
    /// How long after its start a due time counts as late.
    pub const LATE: TimeDelta = TimeDelta::minutes(2);

    /// Whether the jobs were started late.
    pub fn is_late(&self) -> bool {
        self.result == DueResult::Ran && self.at - self.start > Self::LATE
    }

    /// Whether the jobs were started and did not succeed.
    pub fn has_failed(&self) -> bool {
        self.outcome.is_some_and(DueOutcome::is_failure)
    }
}

impl DueOutcome {
    /// The outcome as one word, as printed and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::NotNeeded => "not_needed",
            Self::Unfinished => "unfinished",
            Self::Skipped => "skipped",
            Self::Cancelled => "cancelled",
            Self::Interrupted => "interrupted",
            Self::Failed => "failed",
        }
    }

    /// Whether it is anything but a success, or no need for one.
    pub fn is_failure(self) -> bool {
        !matches!(self, Self::Succeeded | Self::NotNeeded)
    }
}

impl From<&Outcome> for DueOutcome {
    fn from(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Succeeded => Self::Succeeded,
            Outcome::Skipped { by: SkipKind::Condition | SkipKind::UpToDate, .. } => Self::NotNeeded,
            Outcome::Failed(_) => Self::Failed,
            Outcome::Cancelled => Self::Cancelled,
            Outcome::Interrupted | Outcome::Unreachable { .. } => Self::Interrupted,
            Outcome::Skipped { .. } => Self::Skipped,
        }
    }
}

impl DueCounts {
    /// Adds a number of due times with the same end.
    pub fn add(&mut self, result: &DueResult, outcome: Option<DueOutcome>, is_late: bool, number: u64) {
        let counter = match result {
            DueResult::Ran if outcome.is_some_and(DueOutcome::is_failure) => &mut self.failed,
            DueResult::Ran if is_late => &mut self.late,
            DueResult::Ran => &mut self.ran,
            DueResult::Skipped { .. } => &mut self.skipped,
            DueResult::Missed { .. } => &mut self.missed,
        };
        *counter += number;
    }
}

impl DueResult {
    /// The result as one word, as printed and in JSON.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Ran => "ran",
            Self::Skipped { .. } => "skipped",
            Self::Missed { .. } => "missed",
        }
    }

    /// Why the jobs were not started.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Ran => None,
            Self::Skipped { reason } | Self::Missed { reason } => Some(reason),
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}
