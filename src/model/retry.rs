//! The retry policy of a job: which failures are retried, how often, and after which delay.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::max_time::saturating_add;
use super::millis;
use super::{CauseKind, Exit, FailureKind, Outcome, RetryScale, RunReport};

/// Whether and when a failed job is retried automatically.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RetryPolicy {
    /// The maximum number of retries; 0 for none.
    pub max: u32,
    /// The delay before the first retry.
    #[serde(with = "millis")]
    pub delay: Duration,
    /// The factor between consecutive delays; at least 1.
    pub backoff: f64,
    /// The maximum delay.
    #[serde(with = "millis")]
    pub max_delay: Duration,
    /// The failures that are retried; any failure if empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on: Vec<RetryOn>,
    /// Whether a run that is interrupted counts.
    #[serde(default, skip_serializing_if = "Interruptions::are_counted")]
    pub interrupted: Interruptions,
    /// The limits that grow from one attempt to the next.
    #[serde(default, skip_serializing_if = "RetryScale::is_none")]
    pub scale: RetryScale,
}

/// Whether a run whose worker died is one of the attempts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interruptions {
    /// It is, and is retried only if the policy says so.
    #[default]
    Counted,
    /// It isn't, and the job always runs again.
    Free,
}

/// A kind of failure that is retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryOn {
    /// A failure of this kind.
    Failure(FailureKind),
    /// This exit code.
    Code(i32),
    /// Its worker died.
    Interrupted,
    /// It ran out of memory: at its limit, or that of the machine.
    OutOfMemory,
}

impl RetryPolicy {
    /// Never retries.
    pub fn never() -> Self {
        Self::times(0)
    }

    /// Up to `max` retries: the first after a second, each further one after twice the delay, at most ten minutes.
    pub fn times(max: u32) -> Self {
        let (delay, max_delay) = (Duration::from_secs(1), Duration::from_secs(600));
        Self {
            max,
            delay,
            backoff: 2.0,
            max_delay,
            on: Vec::new(),
            interrupted: Interruptions::Counted,
            scale: RetryScale::default(),
        }
    }

    pub(super) fn is_never(&self) -> bool {
        *self == Self::never()
    }

    /// When the job is retried after attempt number `attempt` (from 1) ended at `at` with `report`; `None` if it isn't.
    pub fn next_attempt_at(&self, attempt: u32, report: &RunReport, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let again = self.is_free(report) || (attempt <= self.max && self.covers(report));
        again.then(|| saturating_add(at, self.delay(attempt)))
    }

    /// Whether a run that ended like this is not counted as an attempt.
    pub fn is_free(&self, report: &RunReport) -> bool {
        self.interrupted == Interruptions::Free && report.outcome == Outcome::Interrupted
    }

    /// The delay after attempt number `attempt`.
    pub fn delay(&self, attempt: u32) -> Duration {
        let times = self.backoff.max(1.0).powi(i32::try_from(attempt.saturating_sub(1)).unwrap_or(i32::MAX));
        let longest = self.max_delay.max(self.delay);
        // A delay that overflows a `Duration` is beyond the maximum, too.
        Duration::try_from_secs_f64(self.delay.as_secs_f64() * times).map_or(longest, |delay| delay.min(longest))
    }

    fn covers(&self, report: &RunReport) -> bool {
        let listed = |on: &RetryOn| match (on, &report.outcome) {
            (RetryOn::Failure(kind), Outcome::Failed(failure)) => failure.kind == *kind,
            (RetryOn::Code(code), Outcome::Failed(_)) => report.exit == Some(Exit::Code(*code)),
            (RetryOn::Interrupted, Outcome::Interrupted) => true,
            (RetryOn::OutOfMemory, Outcome::Failed(_)) => {
                report.cause.as_deref().is_some_and(|cause| cause.kind == CauseKind::OutOfMemory)
            }
            _ => false,
        };
        match &report.outcome {
            Outcome::Failed(_) if self.on.is_empty() => true,
            _ => self.on.iter().any(listed),
        }
    }
}

impl Interruptions {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
    fn are_counted(&self) -> bool {
        *self == Self::Counted
    }
}
