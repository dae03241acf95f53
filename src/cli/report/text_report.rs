//! The report as plain text.

use std::collections::HashMap;
use std::io::Write;

use super::gather::{FailedRun, ReportData};
use super::summary::{counts_text, period_text};
use crate::cli::error::CliError;
use crate::cli::time_text::local_time;
use crate::model::JobId;
use crate::text;

/// How many failures and missed due times are printed.
const MAX_PRINTED: usize = 20;
/// How many of the slowest runs are printed.
const MAX_SLOWEST: usize = 5;

/// Prints what happened.
pub(super) fn print(out: &mut dyn Write, data: &ReportData) -> Result<(), CliError> {
    writeln!(out, "{}  {}", period_text(data), text::sanitize_line(&data.file))?;
    writeln!(out, "{}", counts_text(data))?;
    if data.run_count() == 0
        && let Some(last) = data.last_before
    {
        let ago = text::time_left((data.period.until - last).to_std().unwrap_or_default());
        writeln!(out, "The last run ended {ago} ago; --since reaches further back.")?;
    }
    print_queues(out, data)?;
    if let Some((first, runs)) = by_job(&data.failures).first() {
        writeln!(out, "\nfirst failure  {}{}", failure_line(first), others_text(*runs))?;
    }
    if let [first, others @ ..] = &data.slowest[..] {
        let others = others.iter().take(MAX_SLOWEST - 1);
        for (nth, run) in std::iter::once(first).chain(others).enumerate() {
            let name = if nth == 0 { "slowest" } else { "" };
            let slow = run.slow.as_ref().map(|slow| format!("  (slow: {slow})")).unwrap_or_default();
            let path = text::sanitize_line(&run.path);
            let gap = if nth == 0 && data.failures.is_empty() { "\n" } else { "" };
            let line = format!("{:>8}  {path}  run {}{slow}", text::duration(run.took), run.attempt);
            writeln!(out, "{gap}{name:<13}  {}", text::sanitize_line(&line))?;
        }
    }
    print_failures(out, data)?;
    print_missed(out, data)
}

/// Prints a line for each queue in which something happened, if there are several.
fn print_queues(out: &mut dyn Write, data: &ReportData) -> Result<(), CliError> {
    let active: Vec<_> = data.queues.iter().filter(|queue| !queue.runs.is_empty()).collect();
    if active.len() < 2 {
        return Ok(());
    }
    let width = active.iter().map(|queue| text::width(queue.id.as_str())).max().unwrap_or(0).max(5);
    let header = text::pad("QUEUE", width, text::ELLIPSIS);
    let is_seen = |outcome: &&str| active.iter().any(|queue| queue.runs.contains_key(outcome));
    let others: Vec<&str> = ["cancelled", "skipped", "running"].into_iter().filter(is_seen).collect();
    let titles: Vec<String> = others.iter().map(|outcome| format!("  {:>9}", outcome.to_uppercase())).collect();
    let titles = titles.concat();
    writeln!(out, "\n{header}    RUNS  SUCCEEDED  FAILED{titles}  PENDING  RUN TIME")?;
    for queue in &active {
        let name = text::pad(&text::sanitize_line(queue.id.as_str()), width, text::ELLIPSIS);
        let count = |outcome: &str| queue.runs.get(outcome).copied().unwrap_or_default();
        let failed = count("failed") + count("interrupted");
        let (runs, succeeded): (u64, u64) = (queue.runs.values().sum(), count("succeeded"));
        let others: Vec<String> = others.iter().map(|outcome| format!("  {:>9}", count(outcome))).collect();
        let others = others.concat();
        let (pending, busy) = (queue.pending, text::duration(queue.busy));
        writeln!(out, "{name}  {runs:>6}  {succeeded:>9}  {failed:>6}{others}  {pending:>7}  {busy:>8}")?;
    }
    Ok(())
}

fn print_failures(out: &mut dyn Write, data: &ReportData) -> Result<(), CliError> {
    if data.failures.is_empty() {
        return Ok(());
    }
    let jobs = by_job(&data.failures);
    let all = text::count(data.failure_count);
    let of = if jobs.len() < data.failures.len() { " runs" } else { "" };
    writeln!(out, "\nfailures ({all}{of})")?;
    let mut printed = 0;
    for (failure, runs) in jobs.iter().take(MAX_PRINTED) {
        printed += runs;
        let recovered = if failure.is_recovered { "  (succeeded later)" } else { "" };
        let others = others_text(*runs);
        writeln!(out, "  {}{others}{recovered}", failure_line(failure))?;
        for (name, line) in [("fix", failure.advice.map(str::to_owned)), ("slow", slow_text(failure))] {
            if let Some(line) = line {
                writeln!(out, "      {name}: {}", text::sanitize_line(&line))?;
            }
        }
        for line in &failure.lines {
            writeln!(out, "      │ {line}")?;
        }
    }
    print_more(out, data.failure_count, printed, "failure")
}

/// The first failure of each job with the number of its failures, in order.
fn by_job(failures: &[FailedRun]) -> Vec<(&FailedRun, usize)> {
    let mut jobs: Vec<(&FailedRun, usize)> = Vec::new();
    let mut known: HashMap<JobId, usize> = HashMap::new();
    for failure in failures {
        let nth = *known.entry(failure.job).or_insert(jobs.len());
        match jobs.get_mut(nth) {
            Some((_, runs)) => *runs += 1,
            None => jobs.push((failure, 1)),
        }
    }
    jobs
}

fn others_text(runs: usize) -> String {
    if runs > 1 { format!("  ({runs} runs failed)") } else { String::new() }
}

fn slow_text(failure: &FailedRun) -> Option<String> {
    failure.slow.as_ref().map(ToString::to_string)
}

fn print_missed(out: &mut dyn Write, data: &ReportData) -> Result<(), CliError> {
    if data.missed.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nmissed schedules ({})", text::count(data.missed_count))?;
    for missed in data.missed.iter().take(MAX_PRINTED) {
        let line = format!("{}  {}  {}", local_time(missed.due), missed.path, missed.reason);
        writeln!(out, "  {}", text::sanitize_line(&line))?;
    }
    print_more(out, data.missed_count, MAX_PRINTED.min(data.missed.len()), "due time")
}

fn print_more(out: &mut dyn Write, count: u64, printed: usize, noun: &str) -> Result<(), CliError> {
    let more = count.saturating_sub(printed as u64);
    if more > 0 {
        let more = text::count_noun(more, &format!("more {noun}"));
        writeln!(out, "  and {more}: `setlist report --json` or `--html FILE` lists them")?;
    }
    Ok(())
}

fn failure_line(failure: &FailedRun) -> String {
    let FailedRun { path, attempt, error_line: error, .. } = failure;
    let (at, took) = (local_time(failure.at), text::duration(failure.took));
    text::sanitize_line(&format!("{at}  {took:>7}  {path}  run {attempt}  {error}"))
}
