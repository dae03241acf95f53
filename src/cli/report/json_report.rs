//! The report as one JSON object.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use serde::Serialize;

use super::gather::{FailedRun, MissedDue, QueueActivity, ReportData, TimedRun};
use crate::cli::error::CliError;
use crate::cli::json_records::{SlowRunRecord, write_json};
use crate::cli::time_text::iso_time;

#[derive(Serialize)]
struct ReportRecord<'a> {
    site: &'a str,
    since: String,
    until: String,
    runs: &'a BTreeMap<&'static str, u64>,
    pending: u64,
    queues: Vec<QueueActivityRecord<'a>>,
    failure_count: u64,
    /// The first failures, in order.
    failures: Vec<FailedRunRecord<'a>>,
    /// Slowest first.
    slowest: Vec<TimedRunRecord<'a>>,
    missed_count: u64,
    missed: Vec<MissedDueRecord<'a>>,
}

#[derive(Serialize)]
struct QueueActivityRecord<'a> {
    queue: &'a str,
    runs: &'a BTreeMap<&'static str, u64>,
    pending: u64,
    run_ms: u64,
}

#[derive(Serialize)]
struct FailedRunRecord<'a> {
    job: &'a str,
    run_id: u64,
    attempt: u32,
    ended_at: String,
    run_ms: u64,
    outcome: &'a str,
    error: &'a str,
    advice: Option<&'a str>,
    succeeded_later: bool,
    slow: Option<SlowRunRecord>,
    last_lines: &'a [String],
}

#[derive(Serialize)]
struct TimedRunRecord<'a> {
    job: &'a str,
    attempt: u32,
    started_at: String,
    run_ms: u64,
    outcome: &'a str,
    slow: Option<SlowRunRecord>,
}

#[derive(Serialize)]
struct MissedDueRecord<'a> {
    target: &'a str,
    due_at: String,
    reason: &'a str,
}

/// Prints the object.
pub(super) fn print(out: &mut impl Write, data: &ReportData) -> Result<(), CliError> {
    let record = ReportRecord {
        site: &data.file,
        since: iso_time(data.period.since),
        until: iso_time(data.period.until),
        runs: &data.runs,
        pending: data.pending,
        queues: data.queues.iter().map(queue_record).collect(),
        failure_count: data.failure_count,
        failures: data.failures.iter().map(failure_record).collect(),
        slowest: data.slowest.iter().map(timed_record).collect(),
        missed_count: data.missed_count,
        missed: data.missed.iter().map(missed_record).collect(),
    };
    write_json(out, &record)
}

fn queue_record(queue: &QueueActivity) -> QueueActivityRecord<'_> {
    QueueActivityRecord {
        queue: queue.id.as_str(),
        runs: &queue.runs,
        pending: queue.pending,
        run_ms: millis(queue.busy),
    }
}

fn failure_record(failure: &FailedRun) -> FailedRunRecord<'_> {
    FailedRunRecord {
        job: &failure.path,
        run_id: failure.run.0,
        attempt: failure.attempt,
        ended_at: iso_time(failure.at),
        run_ms: millis(failure.took),
        outcome: failure.outcome,
        error: &failure.error,
        advice: failure.advice,
        succeeded_later: failure.is_recovered,
        slow: failure.slow.as_ref().map(SlowRunRecord::new),
        last_lines: &failure.lines,
    }
}

fn timed_record(run: &TimedRun) -> TimedRunRecord<'_> {
    TimedRunRecord {
        job: &run.path,
        attempt: run.attempt,
        started_at: iso_time(run.started),
        run_ms: millis(run.took),
        outcome: run.outcome,
        slow: run.slow.as_ref().map(SlowRunRecord::new),
    }
}

fn missed_record(missed: &MissedDue) -> MissedDueRecord<'_> {
    MissedDueRecord { target: &missed.path, due_at: iso_time(missed.due), reason: &missed.reason }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
