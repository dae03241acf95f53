//! `setlist workers`: the workers of a site, and what each runs.

use std::io::{BufWriter, Write};

use super::error::{CliError, warn};
use super::exit::ExitStatus;
use super::open_site::OpenSite;
use super::safe_output;
use crate::model::{Job, QueueId, WorkerInfo};
use crate::text;

/// Prints a line for each worker.
pub(super) fn workers(mut site: OpenSite) -> Result<ExitStatus, CliError> {
    let workers = site.store.workers()?;
    if workers.is_empty() {
        warn("no worker is running");
    }
    let mut rows = Vec::with_capacity(workers.len() + 1);
    if !workers.is_empty() {
        rows.push(["WORKER", "HOST", "PROCESS", "QUEUES", "RUNS"].map(str::to_owned));
    }
    for worker in &workers {
        let jobs = site.store.jobs_run_by(worker.id)?;
        rows.push(row(worker, &jobs));
    }
    let width = |column: usize| rows.iter().map(|row| text::width(&row[column])).max().unwrap_or(0);
    let widths: Vec<usize> = (0..4).map(width).collect();
    let mut out = BufWriter::new(safe_output::stdout());
    for row in &rows {
        for (cell, width) in row.iter().zip(&widths) {
            write!(out, "{}  ", text::pad(cell, *width, text::ELLIPSIS))?;
        }
        writeln!(out, "{}", row[4])?;
    }
    out.flush()?;
    drop(out);
    site.finish(ExitStatus::Success)
}

fn row(worker: &WorkerInfo, jobs: &[Job]) -> [String; 5] {
    let queues = worker
        .queues
        .as_ref()
        .map_or_else(|| "all".to_owned(), |queues| queues.iter().map(QueueId::as_str).collect::<Vec<_>>().join(", "));
    let runs = jobs.iter().map(Job::path).collect::<Vec<_>>().join(", ");
    let runs = if runs.is_empty() { "nothing".to_owned() } else { runs };
    let cells = [worker.id.to_string(), worker.host.clone(), worker.pid.to_string(), queues, runs];
    cells.map(|cell| text::sanitize_line(&cell))
}
