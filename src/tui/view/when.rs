//! Dates, times and durations as rows show them.

use std::time::Duration;

use chrono::{DateTime, Datelike, NaiveDateTime, Utc};

use crate::model::{Job, Run};
use crate::tui::text;

/// A time today, with seconds; on other days the date too.
pub(super) fn moment(at: NaiveDateTime, now: NaiveDateTime) -> String {
    let format = match () {
        () if at.date() == now.date() => "%H:%M:%S",
        () if at.year() == now.year() => "%b %d %H:%M",
        () => "%Y-%m-%d",
    };
    at.format(format).to_string()
}

/// How long a run took, or has taken until `now`.
pub(super) fn taken(run: &Run, now: DateTime<Utc>) -> Duration {
    let until = run.ending.as_ref().map_or(now, |ending| ending.at);
    (until - run.started).to_std().unwrap_or_default()
}

/// How long the latest run of a job took, as text; nothing for a job that never ran.
pub(super) fn took(job: &Job, now: DateTime<Utc>) -> String {
    job.last_run.as_ref().map(|run| text::duration(taken(run, now))).unwrap_or_default()
}

/// How long a run has gone on: whole seconds, so that the last digit doesn't flicker.
pub(super) fn elapsed(job: &Job, now: DateTime<Utc>) -> String {
    let Some(run) = &job.last_run else { return String::new() };
    let seconds = taken(run, now).as_secs();
    if seconds < 60 { format!("{seconds}s") } else { text::duration(Duration::from_secs(seconds)) }
}
