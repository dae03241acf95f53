//! Parsers for option values that say what is allowed.

use std::num::NonZero;
use std::sync::Arc;
use std::time::Duration;

use crate::definition::{parse_label, units};
use crate::model::WorkerId;

/// A duration as in `jobs.yaml`: `90s`, `1h 30m`, or a number of seconds.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let parsed = if is_number { units::parse_duration(&format!("{text}s")) } else { units::parse_duration(text) };
    parsed.map_err(|error| {
        format!("{error}; expected a duration such as `90s`, `10m` or `1h 30m`, or a number of seconds")
    })
}

/// A key of a job.
pub(super) fn key(text: &str) -> Result<String, &'static str> {
    if text.trim().is_empty() { Err("the key is empty") } else { Ok(text.to_owned()) }
}

/// A label of a worker.
pub(super) fn label(text: &str) -> Result<Arc<str>, &'static str> {
    parse_label(text)
}

/// The number of a worker.
pub(super) fn worker(text: &str) -> Result<WorkerId, &'static str> {
    let number = text.strip_prefix('#').unwrap_or(text).parse();
    number.map(WorkerId).map_err(|_| "expected the number of a worker, as `setlist workers` prints it")
}

/// A number of jobs that run at once.
pub(super) fn parallel(text: &str) -> Result<NonZero<u32>, String> {
    text.parse().map_err(|_| format!("expected a number from 1 to {}", u32::MAX))
}
