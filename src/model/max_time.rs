//! The latest time that a store can record.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

/// The latest time that a job can wait for, in the year 2262, because stores count nanoseconds.
pub(super) const MAX_TIME: DateTime<Utc> = DateTime::from_timestamp_nanos(i64::MAX);

/// The time after this duration, but not after [`MAX_TIME`].
pub(super) fn saturating_add(time: DateTime<Utc>, by: Duration) -> DateTime<Utc> {
    let sum = TimeDelta::from_std(by).ok().and_then(|by| time.checked_add_signed(by));
    sum.map_or(MAX_TIME, |sum| sum.min(MAX_TIME))
}
