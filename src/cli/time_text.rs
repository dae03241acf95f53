//! Times and durations as commands print them.

use std::time::Duration;

use chrono::{DateTime, Local, SecondsFormat, Utc};

/// A local time to the second, for people.
pub(super) fn local_time(at: DateTime<Utc>) -> String {
    at.with_timezone(&Local).format("%Y-%m-%d %H:%M:%S").to_string()
}

/// A time in the width of the column of times, after a word.
pub(super) fn short_time(at: DateTime<Utc>) -> String {
    at.with_timezone(&Local).format("%m-%d %H:%M").to_string()
}

/// A time as in JSON and CSV.
pub(super) fn iso_time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// A duration in seconds, as `JUnit` and Prometheus have it: `1.500`.
pub(super) fn seconds(duration: Duration) -> String {
    format!("{}.{:03}", duration.as_secs(), duration.subsec_millis())
}
