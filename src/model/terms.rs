//! On what terms a job runs: what it waits for, how much room it takes, and what follows a failure.

use std::fmt;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::setup::millis;
use super::{Exit, FailureKind, JobId, Outcome, QueueId, Report};

/// The terms of a job. Nearly all jobs of a site have the same, so they are shared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Terms {
    /// The jobs that it waits for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<Need>,
    /// Not before this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<After>,
    /// Higher goes first.
    #[serde(skip_serializing_if = "is_zero")]
    pub priority: i32,
    /// How many of its queue's slots it takes; at least 1. One that takes more than there are has the queue to itself.
    #[serde(skip_serializing_if = "is_one")]
    pub weight: u32,
    /// What follows a failure.
    #[serde(skip_serializing_if = "Retry::is_never")]
    pub retry: Retry,
    /// What a person is asked before it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirm: Option<String>,
}

/// Another job that has to finish first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Need {
    /// Which job.
    pub job: Target,
    /// How it has to finish.
    #[serde(default, skip_serializing_if = "On::is_success")]
    pub on: On,
}

/// A job as another one names it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Target {
    /// A job of `jobs.yaml`: its queue and its name there.
    Named(QueueId, Arc<str>),
    /// Any job, by its number.
    Number(JobId),
}

/// How a needed job has to finish.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum On {
    /// It has to succeed.
    #[default]
    Success,
    /// It has to fail or be interrupted.
    Failure,
    /// It has to finish, whatever its outcome.
    Finish,
}

/// A time before which a job doesn't start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum After {
    /// So long after it was added, or became pending again.
    Delay(#[serde(with = "millis")] Duration),
    /// This very time.
    Time(DateTime<Utc>),
}

/// What follows a failure: whether and when the job runs again by itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Retry {
    /// How many more runs a failed one may be followed by; 0 for none.
    pub max: u32,
    /// The time before the first of them.
    #[serde(with = "millis")]
    pub delay: Duration,
    /// Each further delay is so many times the one before; at least 1.
    pub backoff: f64,
    /// No delay is longer.
    #[serde(with = "millis")]
    pub max_delay: Duration,
    /// What is tried again; any failure when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on: Vec<RetryOn>,
}

/// A way to fail that is worth another try.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryOn {
    /// A failure of this kind.
    Failure(FailureKind),
    /// This exit code.
    Code(i32),
    /// Its worker died.
    Interrupted,
}

impl Terms {
    /// The terms of a job that says nothing of them. All that say nothing share one.
    pub fn none() -> Arc<Self> {
        static NONE: LazyLock<Arc<Terms>> = LazyLock::new(Arc::default);
        Arc::clone(&NONE)
    }

    /// Whether these are the terms of a job that says nothing of them.
    pub fn is_none(&self) -> bool {
        *self == *Self::none()
    }

    /// Before when a job that became pending at `enqueued` doesn't start.
    pub fn start_after(&self, enqueued: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self.after? {
            After::Delay(delay) => Some(later(enqueued, delay)),
            After::Time(time) => Some(time.min(LATEST)),
        }
    }
}

impl Default for Terms {
    fn default() -> Self {
        Self { needs: Vec::new(), after: None, priority: 0, weight: 1, retry: Retry::never(), confirm: None }
    }
}

impl Retry {
    /// No other run follows a failure.
    pub fn never() -> Self {
        Self::times(0)
    }

    /// So many more runs, of which the first follows after a second and each other one after twice as long as the one
    /// before, ten minutes at most.
    pub fn times(max: u32) -> Self {
        let (delay, max_delay) = (Duration::from_secs(1), Duration::from_secs(600));
        Self { max, delay, backoff: 2.0, max_delay, on: Vec::new() }
    }

    fn is_never(&self) -> bool {
        *self == Self::never()
    }

    /// When the job runs again after its run number `attempt`, counted from 1 since it became pending, ended at `at`
    /// as `report` says; none when it doesn't.
    pub fn next(&self, attempt: u32, report: &Report, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let again = attempt <= self.max && self.covers(report);
        again.then(|| later(at, self.delay(attempt)))
    }

    /// The delay before the run that follows run number `attempt`.
    pub fn delay(&self, attempt: u32) -> Duration {
        let times = self.backoff.max(1.0).powi(i32::try_from(attempt.saturating_sub(1)).unwrap_or(i32::MAX));
        let longest = self.max_delay.max(self.delay);
        // Beyond what a duration holds it is beyond the longest delay, too.
        Duration::try_from_secs_f64(self.delay.as_secs_f64() * times).map_or(longest, |delay| delay.min(longest))
    }

    fn covers(&self, report: &Report) -> bool {
        let listed = |on: &RetryOn| match (on, &report.outcome) {
            (RetryOn::Failure(kind), Outcome::Failed(failure)) => failure.kind == *kind,
            (RetryOn::Code(code), Outcome::Failed(_)) => report.exit == Some(Exit::Code(*code)),
            (RetryOn::Interrupted, Outcome::Interrupted) => true,
            _ => false,
        };
        match &report.outcome {
            Outcome::Failed(_) if self.on.is_empty() => true,
            _ => self.on.iter().any(listed),
        }
    }
}

impl On {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
    fn is_success(&self) -> bool {
        *self == Self::Success
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(queue, name) => write!(f, "{queue}/{name}"),
            Self::Number(id) => id.fmt(f),
        }
    }
}

impl From<Target> for String {
    fn from(target: Target) -> Self {
        target.to_string()
    }
}

impl TryFrom<String> for Target {
    type Error = String;

    /// `queue/name` (a name holds no slash) or `#7`.
    fn try_from(text: String) -> Result<Self, String> {
        if let Some((queue, name)) = text.rsplit_once('/') {
            return Ok(Self::Named(queue.into(), name.into()));
        }
        let number = text.strip_prefix('#').and_then(|digits| digits.parse().ok());
        number.map(|number| Self::Number(JobId(number))).ok_or_else(|| format!("{text:?} names no job"))
    }
}

/// The latest time that a job can wait for, in the year 2262: stores count nanoseconds.
const LATEST: DateTime<Utc> = DateTime::from_timestamp_nanos(i64::MAX);

fn later(time: DateTime<Utc>, by: Duration) -> DateTime<Utc> {
    let sum = TimeDelta::from_std(by).ok().and_then(|by| time.checked_add_signed(by));
    sum.map_or(LATEST, |sum| sum.min(LATEST))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_zero(number: &i32) -> bool {
    *number == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_one(number: &u32) -> bool {
    *number == 1
}
