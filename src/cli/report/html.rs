//! The report as one HTML page that needs nothing else: no scripts, fonts or pictures from elsewhere.

use std::io::Write;
use std::time::Duration;

use super::gather::{FailedRun, JobActivity, ReportData};
use super::summary::{counts_text, period_text};
use super::svg_timeline;
use crate::cli::error::CliError;
use crate::cli::time_text::local_time;
use crate::text::{self, escape_line, escape_markup};

const STYLE: &str = include_str!("style.css");

/// The size of the drawing of a job's durations.
const TREND_WIDTH: f64 = 150.0;
const TREND_HEIGHT: f64 = 24.0;

/// Writes the page.
pub(super) fn write(out: &mut dyn Write, data: &ReportData) -> Result<(), CliError> {
    let file = escape_line(&data.file);
    writeln!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
         content=\"width=device-width\">\n<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; \
         style-src 'unsafe-inline'\">\n<title>Setlist: {}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>",
        escape_line(&counts_text(data)),
    )?;
    writeln!(out, "<h1>{file}</h1>\n<p class=\"dim\">{}</p>", escape_line(&period_text(data)))?;
    write_tiles(out, data)?;
    write_highlights(out, data)?;
    if data.jobs.iter().any(|job| !job.bars.is_empty()) {
        writeln!(out, "<h2>Timeline</h2>")?;
        svg_timeline::write(out, data)?;
    }
    write_failures(out, data)?;
    write_missed(out, data)?;
    write_slowest(out, data)?;
    write_jobs(out, data)?;
    let version = env!("CARGO_PKG_VERSION");
    writeln!(out, "<p class=\"dim\">Setlist {version}, {}</p>\n</body>\n</html>", local_time(data.period.until))?;
    Ok(())
}

fn write_tiles(out: &mut dyn Write, data: &ReportData) -> Result<(), CliError> {
    let outcomes = ["succeeded", "failed", "interrupted", "cancelled", "skipped", "running"];
    let counts = outcomes.iter().map(|name| (*name, data.runs.get(name).copied().unwrap_or_default()));
    let others = [("pending", data.pending), ("missed", data.missed_count)];
    writeln!(out, "<div class=\"tiles\">")?;
    let total = text::count(data.run_count());
    writeln!(out, "<div class=\"tile\"><b>{total}</b>{}</div>", text::noun_for(data.run_count(), "run"))?;
    for (name, count) in counts.chain(others).filter(|(name, count)| *count > 0 || *name == "failed") {
        let class = if count > 0 { name } else { "dim" };
        writeln!(out, "<div class=\"tile {class}\"><b>{}</b>{name}</div>", text::count(count))?;
    }
    Ok(writeln!(out, "</div>")?)
}

fn write_highlights(out: &mut dyn Write, data: &ReportData) -> Result<(), CliError> {
    if let Some(first) = data.failures.first() {
        let (run, path, error) = (first.run.0, escape_line(&first.path), escape_line(&first.error));
        let (at, attempt) = (local_time(first.at), first.attempt);
        let runs = data.failures.iter().filter(|failure| failure.job == first.job).count();
        let others = if runs > 1 { format!(" ({runs} runs failed)") } else { String::new() };
        writeln!(
            out,
            "<p>First failure: <a href=\"#run-{run}\">{path}</a> run {attempt} at {at}, {error}{others}</p>"
        )?;
    }
    if let Some(slowest) = data.slowest.first() {
        let (path, took) = (escape_line(&slowest.path), text::duration(slowest.took));
        writeln!(out, "<p>Slowest: {path}, {took}</p>")?;
    }
    if data.run_count() == 0 {
        writeln!(out, "<p>Nothing ran.</p>")?;
    }
    Ok(())
}

fn write_failures(out: &mut dyn Write, data: &ReportData) -> Result<(), CliError> {
    if data.failures.is_empty() {
        return Ok(());
    }
    writeln!(out, "<h2>Failures ({})</h2>", text::count(data.failure_count))?;
    for failure in &data.failures {
        write_failure(out, failure)?;
    }
    write_more(out, data.failure_count, data.failures.len(), "failure")
}

fn write_failure(out: &mut dyn Write, failure: &FailedRun) -> Result<(), CliError> {
    let FailedRun { run, attempt, outcome, .. } = failure;
    let (path, title, error) = (escape_line(&failure.path), escape_line(&failure.title), escape_line(&failure.error));
    let recovered = if failure.is_recovered { " · <span class=\"succeeded\">✓ succeeded later</span>" } else { "" };
    writeln!(out, "<article id=\"run-{}\">", run.0)?;
    writeln!(out, "<h3><span class=\"{outcome}\">✗</span> {path} <span class=\"dim\">{title}</span></h3>")?;
    let (at, took) = (local_time(failure.at), text::duration(failure.took));
    writeln!(out, "<p class=\"dim\">{outcome} at {at} · run {attempt} · {took}{recovered}</p>")?;
    writeln!(out, "<p class=\"cause\">{error}</p>")?;
    if let Some(advice) = failure.advice {
        writeln!(out, "<p>Fix: {}</p>", escape_line(advice))?;
    }
    if let Some(slow) = &failure.slow {
        writeln!(out, "<p>Slow: {}</p>", escape_line(&slow.to_string()))?;
    }
    if !failure.lines.is_empty() {
        let lines = escape_markup(&failure.lines.join("\n"));
        let note = if failure.is_complete { "" } else { "<span class=\"dim\">(last lines)</span>\n" };
        writeln!(out, "<pre>{note}{lines}</pre>")?;
    }
    Ok(writeln!(out, "</article>")?)
}

fn write_missed(out: &mut dyn Write, data: &ReportData) -> Result<(), CliError> {
    if data.missed.is_empty() {
        return Ok(());
    }
    writeln!(out, "<h2>Missed schedules ({})</h2>\n<table>", text::count(data.missed_count))?;
    for missed in &data.missed {
        let (path, reason) = (escape_line(&missed.path), escape_line(&missed.reason));
        writeln!(out, "<tr><td class=\"n\">{}<td>{path}<td>{reason}", local_time(missed.due))?;
    }
    writeln!(out, "</table>")?;
    write_more(out, data.missed_count, data.missed.len(), "due time")
}

fn write_slowest(out: &mut dyn Write, data: &ReportData) -> Result<(), CliError> {
    if data.slowest.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "<h2>Slowest runs</h2>\n<div class=\"scroll\"><table>\n<tr><th>Job<th class=\"n\">Run<th>Started<th \
         class=\"n\">Took<th>Slower than usual"
    )?;
    for run in &data.slowest {
        let slow = run.slow.as_ref().map(|slow| escape_line(&slow.to_string())).unwrap_or_default();
        let (path, attempt, outcome) = (escape_line(&run.path), run.attempt, run.outcome);
        let (started, took) = (local_time(run.started), text::duration(run.took));
        writeln!(
            out,
            "<tr><td>{path}<td class=\"n\">{attempt}<td class=\"n\">{started}<td class=\"n {outcome}\">{took}<td>{slow}"
        )?;
    }
    Ok(writeln!(out, "</table></div>")?)
}

fn write_jobs(out: &mut dyn Write, data: &ReportData) -> Result<(), CliError> {
    if data.jobs.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "<h2>Jobs ({})</h2>\n<div class=\"scroll\"><table>\n<tr><th>Job<th>State<th class=\"n\">Runs<th \
         class=\"n\">Failed<th class=\"n\">Took<th class=\"n\">Usually<th>Durations<th>Value",
        text::count(data.job_count)
    )?;
    for job in &data.jobs {
        let time = |duration: Option<Duration>| duration.map(text::duration).unwrap_or_default();
        let (path, title, value) = (escape_line(&job.path), escape_line(&job.title), escape_line(&job.value));
        let JobActivity { state, runs, failed, .. } = job;
        let (last, usual) = (time(job.last), time(job.usual));
        let failed_class = if *failed > 0 { "failed" } else { "dim" };
        write!(
            out,
            "<tr><td title=\"{title}\">{path}<td class=\"{state}\">{state}<td class=\"n\">{runs}<td class=\"n \
             {failed_class}\">{failed}<td class=\"n\">{last}<td class=\"n\">{usual}<td>"
        )?;
        write_trend(out, job)?;
        writeln!(out, "<td>{value}")?;
    }
    writeln!(out, "</table></div>")?;
    write_more(out, data.job_count, data.jobs.len(), "job")
}

/// Draws how long the last runs of a job took: a line, a point for each that did not succeed, and what is usual.
#[expect(clippy::cast_precision_loss, reason = "it is drawn")]
fn write_trend(out: &mut dyn Write, job: &JobActivity) -> Result<(), CliError> {
    if job.trend.len() < 2 {
        return Ok(());
    }
    let longest = job.trend.iter().map(|(took, _)| took.as_secs_f64()).fold(1e-3, f64::max);
    let step = (TREND_WIDTH - 6.0) / (job.trend.len() - 1) as f64;
    let height = |took: &Duration| TREND_HEIGHT - 3.0 - took.as_secs_f64() / longest * (TREND_HEIGHT - 6.0);
    let point = |nth: usize, took: &Duration| format!("{:.1},{:.1}", 3.0 + nth as f64 * step, height(took));
    let line: Vec<String> = job.trend.iter().enumerate().map(|(nth, (took, _))| point(nth, took)).collect();
    write!(out, "<svg class=\"trend\" width=\"{TREND_WIDTH}\" height=\"{TREND_HEIGHT}\" role=\"img\">")?;
    let shortest = job.trend.iter().map(|(took, _)| *took).min().unwrap_or_default();
    let longest = Duration::from_secs_f64(longest);
    let (count, from, to) = (job.trend.len(), text::duration(shortest), text::duration(longest));
    write!(out, "<title>{count} runs, {from} to {to}</title>")?;
    if let Some(usual) = job.usual.filter(|usual| *usual <= longest) {
        let y = height(&usual);
        write!(out, "<line class=\"usual\" x1=\"0\" x2=\"{TREND_WIDTH}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>")?;
    }
    write!(out, "<polyline class=\"curve\" points=\"{}\"/>", line.join(" "))?;
    for (nth, (took, outcome)) in job.trend.iter().enumerate() {
        let is_last = nth + 1 == job.trend.len();
        if *outcome != "succeeded" || is_last {
            let (x, y) = (3.0 + nth as f64 * step, height(took));
            write!(out, "<circle class=\"{outcome}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.5\"/>")?;
        }
    }
    Ok(write!(out, "</svg>")?)
}

fn write_more(out: &mut dyn Write, count: u64, shown: usize, noun: &str) -> Result<(), CliError> {
    let more = count.saturating_sub(shown as u64);
    if more > 0 {
        writeln!(out, "<p class=\"dim\">and {}</p>", text::count_noun(more, &format!("more {noun}")))?;
    }
    Ok(())
}
