//! The first lines of a report, in words.

use chrono::{DateTime, Local, Utc};

use super::gather::ReportData;
use crate::cli::summary_line::describe_counts;
use crate::text;

/// The period of a report: `2026-11-29 18:00 to 2026-11-30 06:00 (12h)`.
pub(super) fn period_text(data: &ReportData) -> String {
    let time = |at: DateTime<Utc>| at.with_timezone(&Local).format("%Y-%m-%d %H:%M").to_string();
    let length = text::time_left((data.period.until - data.period.since).to_std().unwrap_or_default());
    format!("{} to {} ({length})", time(data.period.since), time(data.period.until))
}

/// What became of the runs: `12 runs: 11 succeeded, 1 failed; 2 running; 3 pending`.
pub(super) fn counts_text(data: &ReportData) -> String {
    let running = data.runs.get("running").copied().unwrap_or_default();
    let mut parts = vec![text::count_noun(data.run_count(), "run")];
    parts[0].extend(describe_counts(&data.runs).map(|counts| format!(": {counts}")));
    parts.extend((running > 0).then(|| format!("{} running", text::count(running))));
    parts.extend((data.pending > 0).then(|| format!("{} pending", text::count(data.pending))));
    parts.extend((data.missed_count > 0).then(|| format!("{} missed", text::count(data.missed_count))));
    parts.join("; ")
}
