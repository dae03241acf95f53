//! Scheduling options of a job: its needs, earliest start, priority, weight, retries and confirmation.

use std::fmt;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::max_time::{MAX_TIME, saturating_add};
use super::millis;
use super::{Expectation, Interruptions, JobId, PoolUse, QueueId, RetryPolicy, Schedule};

/// When a job may start, and how it is retried. Most jobs of a site have equal options, so they share one allocation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SchedulingOptions {
    /// The jobs that must finish first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<Need>,
    /// The earliest start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<NotBefore>,
    /// Jobs with a higher priority start first.
    #[serde(skip_serializing_if = "is_zero")]
    pub priority: i32,
    /// How many slots of its queue it uses; at least 1. A job heavier than the queue runs alone.
    #[serde(skip_serializing_if = "is_one")]
    pub weight: u32,
    /// When it is retried.
    #[serde(skip_serializing_if = "RetryPolicy::is_never")]
    pub retry: RetryPolicy,
    /// The question to confirm before it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirm: Option<String>,
    /// When it becomes pending and runs, whatever the mode of its queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Arc<Schedule>>,
    /// The pools that it uses units of while it runs, each once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub uses: Vec<PoolUse>,
    /// The labels that a worker must have to run it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub runs_on: Vec<Arc<str>>,
    /// A key that only one pending or running job of the site has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unique: Option<Arc<str>>,
    /// By when it should have succeeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expect: Option<Arc<Expectation>>,
    /// The entries of `jobs.yaml` that define a job for each item of the list that it returns: `queue/name`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub item_entries: Vec<Arc<str>>,
}

/// Another job that must finish first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Need {
    /// The needed job.
    pub job: JobRef,
    /// The required outcome.
    #[serde(default, skip_serializing_if = "OutcomeCondition::is_success")]
    pub on: OutcomeCondition,
}

/// A reference to a job, by name or by id.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum JobRef {
    /// A job of `jobs.yaml`, by queue and name.
    Named(QueueId, Arc<str>),
    /// Any job, by id.
    Number(JobId),
}

/// A condition on the outcome of a job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeCondition {
    /// It succeeded.
    #[default]
    Success,
    /// It failed or was interrupted.
    Failure,
    /// It finished, with any outcome.
    Finish,
}

/// The earliest start of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotBefore {
    /// This long after it was added or became pending again.
    Delay(#[serde(with = "millis")] Duration),
    /// At this time.
    Time(DateTime<Utc>),
}

impl SchedulingOptions {
    /// The default options, shared by all jobs that use them.
    pub fn shared_default() -> Arc<Self> {
        static NONE: LazyLock<Arc<SchedulingOptions>> = LazyLock::new(Arc::default);
        Arc::clone(&NONE)
    }

    /// Whether these are the default options.
    pub fn is_default(&self) -> bool {
        *self == *Self::shared_default()
    }

    /// The earliest start of a job that became pending at `enqueued`.
    pub fn earliest_start(&self, enqueued: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self.after? {
            NotBefore::Delay(delay) => Some(saturating_add(enqueued, delay)),
            NotBefore::Time(time) => Some(time.min(MAX_TIME)),
        }
    }
}

impl SchedulingOptions {
    /// The latest time until which a job may wait that has begun to wait by `now`, after so many attempts. None if it
    /// waits for a time of day, not for a delay.
    pub(super) fn latest_start(&self, attempts: u32, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let delay = match (attempts, self.after) {
            (0, Some(NotBefore::Delay(delay))) => delay,
            // An interruption that was not counted.
            (0, None) if self.retry.interrupted == Interruptions::Free => self.retry.delay(1),
            (0, _) => return None,
            (attempt, _) => self.retry.delay(attempt),
        };
        Some(saturating_add(now, delay))
    }
}

impl Default for SchedulingOptions {
    fn default() -> Self {
        Self {
            needs: Vec::new(),
            after: None,
            priority: 0,
            weight: 1,
            retry: RetryPolicy::never(),
            confirm: None,
            schedule: None,
            uses: Vec::new(),
            runs_on: Vec::new(),
            unique: None,
            expect: None,
            item_entries: Vec::new(),
        }
    }
}

impl OutcomeCondition {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
    fn is_success(&self) -> bool {
        *self == Self::Success
    }
}

impl fmt::Display for JobRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(queue, name) => write!(f, "{queue}/{name}"),
            Self::Number(id) => id.fmt(f),
        }
    }
}

impl From<JobRef> for String {
    fn from(target: JobRef) -> Self {
        target.to_string()
    }
}

impl TryFrom<String> for JobRef {
    type Error = String;

    /// Parses `queue/name` (a name contains no slash) or `#7`.
    fn try_from(text: String) -> Result<Self, String> {
        if let Some((queue, name)) = text.rsplit_once('/') {
            return Ok(Self::Named(queue.into(), name.into()));
        }
        let number = text.strip_prefix('#').and_then(|digits| digits.parse().ok());
        number.map(|number| Self::Number(JobId(number))).ok_or_else(|| format!("invalid job reference {text:?}"))
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(number: &i32) -> bool {
    *number == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_one(number: &u32) -> bool {
    *number == 1
}
