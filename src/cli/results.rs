//! `setlist results`: the values of jobs, and of the jobs of a matrix with their parameters, best first.

use std::io::{BufWriter, Write};
use std::sync::Arc;

use super::args::ResultsArgs;
use super::error::{CliError, warn};
use super::exit::ExitStatus;
use super::json_records::{JobRecord, write_json};
use super::open_site::OpenSite;
use super::safe_output;
use crate::clock;
use crate::model::{Job, Outcome, QueueId, SiteState, result_value};
use crate::text;

/// The longest value that is printed to a terminal.
const MAX_TERMINAL_WIDTH: usize = 40;

/// The jobs of a matrix, or the jobs with a value of a queue without a matrix.
struct ResultTable<'a> {
    title: String,
    /// The names of the parameters.
    parameters: Vec<&'a str>,
    jobs: Vec<&'a Job>,
}

/// Prints a table for each matrix of these queues, or of all.
pub(super) fn results(mut site: OpenSite, options: &ResultsArgs) -> Result<ExitStatus, CliError> {
    let site_state = site.site_state()?;
    let queues = site.queues(&site_state, &options.queues)?;
    let mut tables: Vec<ResultTable<'_>> = queues.iter().flat_map(|id| tables_of(id, &site_state)).collect();
    if tables.is_empty() {
        warn("no job has a value");
    }
    let mut out = BufWriter::new(safe_output::stdout());
    for (nth, table) in tables.iter_mut().enumerate() {
        result_value::sort(&mut table.jobs, options.highest);
        if options.json {
            for job in &table.jobs {
                let waiting = site_state.wait_reason(job);
                write_json(&mut out, &JobRecord::new(job, waiting.as_ref(), clock::now()))?;
            }
        } else {
            writeln!(out, "{}{}", if nth > 0 { "\n" } else { "" }, table.title)?;
            table.print(&mut out)?;
        }
    }
    out.flush()?;
    drop(out);
    site.finish(ExitStatus::Success)
}

/// The tables of a queue, in the order of the file.
fn tables_of<'a>(id: &QueueId, site_state: &'a SiteState) -> Vec<ResultTable<'a>> {
    let Some(queue) = site_state.queue(id) else { return Vec::new() };
    let lists = [&queue.finished, &queue.running, &queue.pending];
    let mut jobs: Vec<&Job> = lists.into_iter().flatten().filter_map(|id| site_state.job(*id)).collect();
    jobs.sort_by_key(|job| (job.position, job.id));
    let mut tables: Vec<ResultTable<'_>> = Vec::new();
    let mut entries: Vec<&Arc<str>> = Vec::new();
    for job in &jobs {
        let Some(matrix) = &job.definition.matrix else { continue };
        let nth = entries.iter().position(|entry| **entry == matrix.entry).unwrap_or_else(|| {
            entries.push(&matrix.entry);
            let title = text::sanitize_line(&format!("{id}/{}", matrix.entry));
            tables.push(ResultTable { title, parameters: matrix.names().collect(), jobs: Vec::new() });
            tables.len() - 1
        });
        tables[nth].jobs.push(job);
    }
    tables.retain(|table| table.jobs.iter().any(|job| job.result().is_some()));
    jobs.retain(|job| job.definition.matrix.is_none() && job.result().is_some());
    if !jobs.is_empty() {
        tables.push(ResultTable { title: text::sanitize_line(id.as_str()), parameters: Vec::new(), jobs });
    }
    tables
}

impl ResultTable<'_> {
    fn print(&self, out: &mut impl Write) -> Result<(), CliError> {
        let mut rows = vec![self.parameters.iter().map(|name| text::sanitize_line(name)).collect::<Vec<_>>()];
        rows[0].extend(["VALUE", "STATE", "JOB"].map(str::to_owned));
        for job in &self.jobs {
            let matrix = job.definition.matrix.as_deref();
            let value_of = |name: &&str| text::sanitize_line(matrix.and_then(|m| m.get(name)).unwrap_or_default());
            let mut row: Vec<String> = self.parameters.iter().map(value_of).collect();
            row.push(job.result_line());
            row.push(job.outcome().map_or(job.phase().as_str(), Outcome::as_str).to_owned());
            row.push(text::sanitize_line(&job.path()));
            rows.push(row);
        }
        let limit = if safe_output::is_stdout_terminal() { MAX_TERMINAL_WIDTH } else { usize::MAX };
        let last = rows[0].len() - 1;
        let width = |column: usize| rows.iter().map(|row| text::width(&row[column])).max().unwrap_or(0).min(limit);
        let widths: Vec<usize> = (0..last).map(width).collect();
        for row in &rows {
            for (cell, width) in row.iter().zip(&widths) {
                write!(out, "{}  ", text::pad(cell, *width, text::ELLIPSIS))?;
            }
            writeln!(out, "{}", row[last])?;
        }
        Ok(())
    }
}
