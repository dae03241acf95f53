//! Schedules: when the jobs of a queue, or a job, become due, and what happens to a due time that is late or comes too early.

use std::hash::{Hash, Hasher};
use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::millis;
use super::{JobId, QueueId, Recurrence};
use crate::stable_hash::stable_hash;

/// When something becomes due.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// The times at which it is due; at least one.
    pub times: Vec<Recurrence>,
    /// The maximum delay after each due time. The delay of a due time is always the same.
    #[serde(default, with = "millis")]
    pub jitter: Duration,
    /// What happens to due times at which no worker was running.
    #[serde(default)]
    pub missed: MissedPolicy,
    /// What happens to a due time at which the previous run has not finished.
    #[serde(default)]
    pub overlap: OverlapPolicy,
}

/// What happens to due times at which no worker was running.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MissedPolicy {
    /// They are recorded as missed.
    Skip,
    /// Only the latest of them runs, late.
    #[default]
    Once,
    /// All of the last seven days run, one after another.
    All,
}

/// What happens to a due time at which the previous run has not finished.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OverlapPolicy {
    /// It is recorded as skipped.
    #[default]
    Skip,
    /// It starts when the previous run has finished.
    Wait,
}

/// What a schedule belongs to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleTarget {
    /// The jobs of a queue.
    Queue(QueueId),
    /// One job.
    Job(JobId),
}

impl Schedule {
    /// The next due time after `time`.
    pub fn next_after(&self, time: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.times.iter().filter_map(|recurrence| recurrence.next_after(time)).min()
    }

    /// What clocks show at a due time, in the time zone of the expression that it comes from.
    pub fn shown_time(&self, due: DateTime<Utc>) -> NaiveDateTime {
        let before = due - TimeDelta::seconds(1);
        let is_source = |recurrence: &&Recurrence| recurrence.next_after(before) == Some(due);
        let zone = self.times.iter().find(is_source).or(self.times.first()).map_or(chrono_tz::UTC, Recurrence::zone);
        due.with_timezone(&zone).naive_local()
    }

    /// When to start at a due time: at most `jitter` later, and before the next due time. The same on every machine.
    pub fn start_time(&self, target: &ScheduleTarget, due: DateTime<Utc>) -> DateTime<Utc> {
        if self.jitter.is_zero() {
            return due;
        }
        let to_next = self.next_after(due).and_then(|next| (next - due).to_std().ok()).unwrap_or(self.jitter);
        let range = u64::try_from(self.jitter.min(to_next).as_millis()).unwrap_or(u64::MAX).max(1);
        let hash = stable_hash(format!("{target:?} {}", due.timestamp_millis()).bytes());
        // The low bits alone would follow the last digits closely.
        let delay = (hash ^ (hash >> 32)) % range;
        let delay = i64::try_from(delay).unwrap_or_default();
        due + TimeDelta::milliseconds(delay)
    }
}

impl Hash for Schedule {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for recurrence in &self.times {
            recurrence.expression().hash(state);
        }
        (self.jitter, self.missed, self.overlap).hash(state);
    }
}
