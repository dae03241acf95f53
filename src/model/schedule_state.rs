//! The state of a schedule: up to which time its due times are decided, and the record of each.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{QueueId, Schedule, ScheduleTarget};

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
}

/// What became of one due time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DueRecord {
    /// The due time.
    pub due: DateTime<Utc>,
    /// When it was decided.
    pub at: DateTime<Utc>,
    /// What was decided.
    pub result: DueResult,
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
    /// How late a due time counts as late.
    pub const LATE: TimeDelta = TimeDelta::minutes(2);

    /// Whether the jobs were started late.
    pub fn is_late(&self) -> bool {
        self.result == DueResult::Ran && self.at - self.due > Self::LATE
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
