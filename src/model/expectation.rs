//! Expectations: by when a queue or a job should have succeeded, and what happens to a run that prints nothing.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::millis;
use super::{Recurrence, StopSignal};
use crate::text;

/// By when a queue or a job should have succeeded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expectation {
    /// At each of these times, it has succeeded since the one before.
    By(Vec<Recurrence>),
    /// Its last success is never longer ago than this.
    Within(#[serde(with = "millis")] Duration),
}

/// When a run that prints nothing is stalled, and what happens to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StallPolicy {
    /// How long it may print nothing.
    #[serde(with = "millis")]
    pub after: Duration,
    /// How it is stopped; by default it is only reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<StopSignal>,
}

impl Expectation {
    /// The next expected time after `time`, if the last success was `last_success`.
    pub fn next_after(&self, time: DateTime<Utc>, last_success: DateTime<Utc>) -> Option<DateTime<Utc>> {
        match self {
            Self::By(times) => next_of(times, time),
            Self::Within(limit) => {
                let expected = last_success.checked_add_signed(TimeDelta::from_std(*limit).ok()?)?;
                (expected > time).then_some(expected)
            }
        }
    }

    /// Whether a success at `success` is one for this expected time: it came neither before the expected time before that
    /// one nor too long before.
    pub fn is_kept_by(&self, success: DateTime<Utc>, expected: DateTime<Utc>) -> bool {
        match self {
            Self::By(times) => next_of(times, success).is_none_or(|next| next >= expected),
            Self::Within(limit) => (expected - success).to_std().is_ok_and(|age| age < *limit) || success >= expected,
        }
    }

    /// The first of its times, whose zone is that in which they are shown.
    pub fn first_time(&self) -> Option<&Recurrence> {
        match self {
            Self::By(times) => times.first(),
            Self::Within(_) => None,
        }
    }
}

fn next_of(times: &[Recurrence], time: DateTime<Utc>) -> Option<DateTime<Utc>> {
    times.iter().filter_map(|recurrence| recurrence.next_after(time)).min()
}

impl fmt::Display for Expectation {
    /// `by 0 4 * * * (UTC)` or `within 26h`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::By(times) => {
                let times: Vec<String> = times.iter().map(describe_time).collect();
                write!(f, "by {}", times.join(", "))
            }
            Self::Within(limit) => write!(f, "within {}", text::exact_duration(*limit)),
        }
    }
}

/// A daily time as clocks show it (`04:00 (UTC)`), or the expression.
fn describe_time(time: &Recurrence) -> String {
    let fields: Vec<&str> = time.expression().split_whitespace().collect();
    if let [minute, hour, "*", "*", "*"] = fields[..]
        && let (Ok(minute), Ok(hour)) = (minute.parse::<u8>(), hour.parse::<u8>())
    {
        return format!("{hour:02}:{minute:02} ({})", time.zone().name());
    }
    time.to_string()
}
