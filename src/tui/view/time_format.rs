//! Formats times and durations for the screen.

use std::time::Duration;

use chrono::{DateTime, Datelike, NaiveDateTime, Utc};

use crate::model::Job;
use crate::text;

/// The time with seconds for today, otherwise the date too.
pub(super) fn format_time(at: NaiveDateTime, now: NaiveDateTime) -> String {
    let format = match () {
        () if at.date() == now.date() => "%H:%M:%S",
        () if at.year() == now.year() => "%b %d %H:%M",
        () => "%Y-%m-%d",
    };
    at.format(format).to_string()
}

/// The duration of the last run of a job as text; empty if the job never ran.
pub(super) fn last_run_duration(job: &Job, now: DateTime<Utc>) -> String {
    job.last_run.as_ref().map(|run| text::duration(run.elapsed(now))).unwrap_or_default()
}

/// How long a job has been running, in whole seconds.
pub(super) fn elapsed_seconds(job: &Job, now: DateTime<Utc>) -> String {
    let Some(run) = &job.last_run else { return String::new() };
    whole_seconds(run.elapsed(now))
}

/// A duration in whole seconds, so that the last digit doesn't flicker.
pub(super) fn whole_seconds(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if seconds < 60 { format!("{seconds}s") } else { text::duration(Duration::from_secs(seconds)) }
}
