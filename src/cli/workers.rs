//! `setlist workers`: the workers of a site, and what each runs.

use std::collections::HashMap;
use std::io::{BufWriter, Write};

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::error::{CliError, warn};
use super::exit::ExitStatus;
use super::json_records::write_json;
use super::open_site::OpenSite;
use super::safe_output;
use super::time_text::iso_time;
use crate::model::{Job, QueueId, WorkerId, WorkerInfo};
use crate::text;

/// The columns.
const HEADINGS: [&str; 8] = ["WORKER", "MACHINE", "PROCESS", "QUEUES", "SLOTS", "LABELS", "SEEN", "RUNS"];

/// A worker as JSON.
#[derive(Serialize)]
struct WorkerRecord<'a> {
    worker: u64,
    machine: &'a str,
    pid: u32,
    /// Null for all.
    queues: Option<&'a [QueueId]>,
    /// Null if only its queues limit it.
    slots: Option<u32>,
    labels: Vec<&'a str>,
    draining: bool,
    /// When it renewed its lease; null where the site is in a folder, whose workers are watched.
    last_seen: Option<String>,
    running: Vec<RunningJob>,
}

#[derive(Serialize)]
struct RunningJob {
    number: u64,
    job: String,
    started_at: Option<String>,
}

/// Prints a line for each worker.
pub(super) fn workers(mut site: OpenSite, json: bool) -> Result<ExitStatus, CliError> {
    let workers = site.store.workers()?;
    let seen: HashMap<WorkerId, DateTime<Utc>> = site.store.lease_renewals()?.into_iter().collect();
    let now = site.store.clock().now();
    let mut listed = Vec::with_capacity(workers.len());
    for worker in &workers {
        listed.push((worker, seen.get(&worker.id).copied(), site.store.jobs_run_by(worker.id)?));
    }
    if json {
        let mut out = BufWriter::new(safe_output::stdout());
        for (worker, seen, jobs) in &listed {
            write_json(&mut out, &record(worker, *seen, jobs))?;
        }
        out.flush()?;
        drop(out);
        return site.finish(ExitStatus::Success);
    }
    if workers.is_empty() {
        warn("no worker is running");
    } else {
        let rows: Vec<_> = listed.iter().map(|(worker, seen, jobs)| row(worker, *seen, jobs, now)).collect();
        print_table(&rows)?;
    }
    site.finish(ExitStatus::Success)
}

fn print_table(rows: &[[String; HEADINGS.len()]]) -> Result<(), CliError> {
    let headings = HEADINGS.map(str::to_owned);
    let rows: Vec<_> = std::iter::once(&headings).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| text::width(&row[column])).max().unwrap_or(0);
    let (last, widths) = (HEADINGS.len() - 1, (0..HEADINGS.len() - 1).map(width).collect::<Vec<_>>());
    let mut out = BufWriter::new(safe_output::stdout());
    for row in rows {
        for (cell, width) in row.iter().zip(&widths) {
            write!(out, "{}  ", text::pad(cell, *width, text::ELLIPSIS))?;
        }
        writeln!(out, "{}", row[last])?;
    }
    out.flush()?;
    Ok(())
}

fn row(worker: &WorkerInfo, seen: Option<DateTime<Utc>>, jobs: &[Job], now: DateTime<Utc>) -> [String; HEADINGS.len()] {
    let queues = worker
        .queues
        .as_ref()
        .map_or_else(|| "all".to_owned(), |queues| queues.iter().map(QueueId::as_str).collect::<Vec<_>>().join(", "));
    let runs = jobs.iter().map(Job::path).collect::<Vec<_>>().join(", ");
    let mut runs = if runs.is_empty() { "nothing".to_owned() } else { runs };
    if worker.draining {
        runs.push_str(" (draining)");
    }
    let seen = seen.map_or_else(
        || "now".to_owned(),
        |seen| format!("{} ago", text::time_left((now - seen).to_std().unwrap_or_default())),
    );
    let labels = if worker.options.labels.is_empty() { "-".to_owned() } else { worker.options.labels.join(", ") };
    let slots = worker.options.slots.map_or_else(|| "-".to_owned(), |slots| slots.to_string());
    let cells = [worker.id.to_string(), worker.host.clone(), worker.pid.to_string(), queues, slots, labels, seen, runs];
    cells.map(|cell| text::sanitize_line(&cell))
}

fn record<'a>(worker: &'a WorkerInfo, seen: Option<DateTime<Utc>>, jobs: &[Job]) -> WorkerRecord<'a> {
    let running = |job: &Job| RunningJob {
        number: job.id.0,
        job: job.path(),
        started_at: job.last_run.as_ref().map(|run| iso_time(run.started)),
    };
    WorkerRecord {
        worker: worker.id.0,
        machine: &worker.host,
        pid: worker.pid,
        queues: worker.queues.as_deref(),
        slots: worker.options.slots.map(Into::into),
        labels: worker.options.labels.iter().map(|label| &**label).collect(),
        draining: worker.draining,
        last_seen: seen.map(iso_time),
        running: jobs.iter().map(running).collect(),
    }
}
