//! The report as a trace in Chrome's format, which Perfetto and `chrome://tracing` show: a process for each queue, a thread
//! for each job, a slice for each run and for the wait before it.

use std::io::Write;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};

use super::period::Period;
use crate::cli::error::CliError;
use crate::cli::run_feed::{is_since, runs_of, visit_jobs};
use crate::model::{Job, QueueId, Run, RunCircumstances, RunEnd};
use crate::store::Store;
use crate::text;

/// An event of the trace. Times are in microseconds.
#[derive(Serialize)]
struct TraceEvent<'a> {
    name: &'a str,
    #[serde(rename = "cat", skip_serializing_if = "str::is_empty")]
    category: &'a str,
    /// `X` is a slice, `M` the name of a process or thread.
    #[serde(rename = "ph")]
    phase: &'static str,
    #[serde(rename = "ts")]
    time: i64,
    #[serde(rename = "dur", skip_serializing_if = "Option::is_none")]
    duration: Option<i64>,
    #[serde(rename = "pid")]
    process: usize,
    #[serde(rename = "tid")]
    thread: u64,
    /// The colour of a slice.
    #[serde(rename = "cname", skip_serializing_if = "Option::is_none")]
    color: Option<&'static str>,
    args: Value,
}

/// Writes the events of an array, one per line.
struct TraceWriter<'w> {
    out: &'w mut dyn Write,
    has_event: bool,
}

/// Writes the runs of these queues in a period.
pub(super) fn write(
    out: &mut dyn Write,
    store: &mut dyn Store,
    queues: &[QueueId],
    period: Period,
) -> Result<(), CliError> {
    writeln!(out, r#"{{"displayTimeUnit":"ms","traceEvents":["#)?;
    let mut trace = TraceWriter { out, has_event: false };
    for (process, queue) in (1..).zip(queues) {
        trace.write_name("process_name", process, 0, queue.as_str())?;
        visit_jobs(store, std::slice::from_ref(queue), |store, job| {
            if !job.last_run.as_deref().is_some_and(|run| is_since(run, period.since)) {
                return Ok(());
            }
            let runs = runs_of(store, job)?;
            trace.write_name("thread_name", process, job.id.0, &job.path())?;
            for run in runs.iter().filter(|run| period.has_run(run)) {
                trace.write_run(process, job, run, period.until)?;
            }
            Ok(())
        })?;
    }
    let out = trace.out;
    Ok(writeln!(out, "\n]}}")?)
}

impl TraceWriter<'_> {
    fn write_event(&mut self, event: &TraceEvent<'_>) -> Result<(), CliError> {
        if std::mem::replace(&mut self.has_event, true) {
            writeln!(self.out, ",")?;
        }
        Ok(serde_json::to_writer(&mut *self.out, event).map_err(std::io::Error::from)?)
    }

    fn write_name(&mut self, kind: &str, process: usize, thread: u64, name: &str) -> Result<(), CliError> {
        let args = json!({"name": text::sanitize_line(name)});
        let name = TraceEvent {
            name: kind,
            category: "",
            phase: "M",
            time: 0,
            duration: None,
            process,
            thread,
            color: None,
            args,
        };
        self.write_event(&name)
    }

    fn write_run(&mut self, process: usize, job: &Job, run: &Run, until: DateTime<Utc>) -> Result<(), CliError> {
        let (end, outcome) = (run.end.as_ref(), run.end.as_ref().map_or("running", |end| end.outcome.as_str()));
        let started = run.started.timestamp_micros();
        let slice = |name, category, from: i64, to: i64, color, args| TraceEvent {
            name,
            category,
            phase: "X",
            time: from,
            duration: Some((to - from).max(0)),
            process,
            thread: job.id.0,
            color,
            args,
        };
        if RunCircumstances::of(job, run).waited.is_some() {
            let waited = slice("waiting", "wait", job.enqueued.timestamp_micros(), started, Some("grey"), json!({}));
            self.write_event(&waited)?;
        }
        let color = match outcome {
            "succeeded" => "good",
            "failed" | "interrupted" => "terrible",
            "running" => "thread_state_running",
            _ => "bad",
        };
        let usage = end.and_then(|end| end.usage.as_deref());
        let error = end.and_then(RunEnd::failure_text);
        let args = json!({
            "run": run.attempt,
            "outcome": outcome,
            "error": error.map(|error| text::sanitize_line(&error)),
            "worker": run.worker.0,
            "cpu_ms": usage.map(|usage| u64::try_from(usage.cpu().as_millis()).unwrap_or(u64::MAX)),
            "peak_memory": usage.map(|usage| usage.peak_memory),
        });
        let title = text::sanitize_line(&job.display_title());
        let ended = end.map_or(until, |end| end.at).timestamp_micros();
        self.write_event(&slice(&title, "run", started, ended, Some(color), args))
    }
}
