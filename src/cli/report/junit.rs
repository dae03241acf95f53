//! The report as `JUnit` XML, which CI servers show: a test suite for each queue, a test case for the last run of each job.

use std::collections::BTreeMap;
use std::io::Write;
use std::iter::once;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};

use super::period::Period;
use crate::cli::error::CliError;
use crate::cli::progress_reporter::last_lines;
use crate::cli::run_feed::{is_since, runs_of, visit_jobs};
use crate::cli::time_text::seconds;
use crate::model::{Job, JobState, Outcome, QueueId, Run, RunEnd};
use crate::store::Store;
use crate::text::{escape_line, escape_markup};
use crate::tui::output::StreamSanitizer;

/// How many cases have which result.
#[derive(Clone, Copy, Default)]
struct CaseCounts {
    tests: u64,
    failures: u64,
    errors: u64,
    skipped: u64,
    time: Duration,
    /// When the first of them started.
    started: Option<DateTime<Utc>>,
}

/// What became of a job in the period.
struct TestCase<'a> {
    outcome: &'a Outcome,
    run: Option<(&'a Run, &'a RunEnd)>,
    /// When its run started; when it was skipped, if it did not run.
    started: DateTime<Utc>,
}

/// Writes the results of the jobs of these queues that ended in a period.
pub(super) fn write(
    out: &mut dyn Write,
    store: &mut dyn Store,
    queues: &[QueueId],
    period: Period,
) -> Result<(), CliError> {
    // The counts are attributes of the elements around the cases.
    let mut counts: BTreeMap<QueueId, CaseCounts> = BTreeMap::new();
    visit_jobs(store, queues, |store, job| {
        with_case(store, job, period, |_, case| {
            counts.entry(job.queue.clone()).or_default().add(case);
            Ok(())
        })
    })?;
    let total = counts.values().fold(CaseCounts::default(), CaseCounts::plus);
    writeln!(out, r#"<?xml version="1.0" encoding="UTF-8"?>"#)?;
    writeln!(out, r#"<testsuites name="setlist" {}>"#, total.attributes())?;
    for queue in queues {
        let Some(counts) = counts.get(queue) else { continue };
        let (name, start) = (escape_line(queue.as_str()), counts.started.map(iso_second).unwrap_or_default());
        writeln!(out, r#"  <testsuite name="{name}" {} timestamp="{start}">"#, counts.attributes())?;
        visit_jobs(store, std::slice::from_ref(queue), |store, job| {
            with_case(store, job, period, |store, case| write_case(out, store, job, case))
        })?;
        writeln!(out, "  </testsuite>")?;
    }
    Ok(writeln!(out, "</testsuites>")?)
}

/// Calls `visit` with the last end of a job in the period, if there is one.
fn with_case(
    store: &mut dyn Store,
    job: &Job,
    period: Period,
    visit: impl FnOnce(&mut dyn Store, &TestCase<'_>) -> Result<(), CliError>,
) -> Result<(), CliError> {
    let last = job.last_run.as_deref();
    if let JobState::Finished { outcome: outcome @ Outcome::Skipped { .. }, at } = &job.state
        && period.contains(*at)
        && last.and_then(|run| run.end.as_ref()).is_none_or(|end| end.at != *at)
    {
        return visit(store, &TestCase { outcome, run: None, started: *at });
    }
    let Some(last) = last.filter(|run| is_since(run, period.since)) else { return Ok(()) };
    let has_ended = |run: &Run| run.end.as_ref().is_some_and(|end| period.contains(end.at));
    // The others are only read if the last one doesn't count.
    let others = if has_ended(last) { Vec::new() } else { runs_of(store, job)? };
    for run in once(last).chain(others.iter().rev()) {
        if let Some(end) = run.end.as_ref().filter(|end| period.contains(end.at)) {
            return visit(store, &TestCase { outcome: &end.outcome, run: Some((run, end)), started: run.started });
        }
    }
    Ok(())
}

fn write_case(out: &mut dyn Write, store: &mut dyn Store, job: &Job, case: &TestCase<'_>) -> Result<(), CliError> {
    let name = job.name().map_or_else(|| format!("{} {}", job.id, job.display_title()), str::to_owned);
    let took = case.run.map(|(run, end)| run.elapsed(end.at)).unwrap_or_default();
    let (name, queue) = (escape_line(&name), escape_line(job.queue.as_str()));
    let (time, at) = (seconds(took), iso_second(case.started));
    write!(out, r#"    <testcase name="{name}" classname="{queue}" time="{time}" timestamp="{at}""#)?;
    let error = case.run.and_then(|(_, end)| RunEnd::failure_text(end));
    match case.outcome {
        Outcome::Succeeded => writeln!(out, "/>")?,
        Outcome::Skipped { reason, .. } => write_skipped(out, reason)?,
        Outcome::Cancelled => write_skipped(out, "cancelled")?,
        outcome => {
            let element = if outcome.is_interrupted() { "error" } else { "failure" };
            let kind = case.run.and_then(|(_, end)| Some(end.cause.as_deref()?.kind.as_str()));
            let message = escape_line(&error.unwrap_or_else(|| outcome.to_string()));
            let kind = kind.unwrap_or(outcome.as_str());
            write!(out, ">\n      <{element} message=\"{message}\" type=\"{kind}\">")?;
            if let Some((run, _)) = case.run {
                let mut log = store.log_reader(run.id);
                log.fetch_rest();
                let (lines, _) = last_lines(&mut log, StreamSanitizer::plain()).unwrap_or_default();
                write!(out, "{}", escape_markup(&lines.join("\n")))?;
            }
            writeln!(out, "</{element}>\n    </testcase>")?;
        }
    }
    Ok(())
}

fn write_skipped(out: &mut dyn Write, reason: &str) -> Result<(), CliError> {
    let reason = escape_line(reason);
    Ok(writeln!(out, ">\n      <skipped message=\"{reason}\"/>\n    </testcase>")?)
}

fn iso_second(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

impl CaseCounts {
    fn add(&mut self, case: &TestCase<'_>) {
        self.tests += 1;
        match case.outcome {
            Outcome::Succeeded => {}
            Outcome::Skipped { .. } | Outcome::Cancelled => self.skipped += 1,
            outcome if outcome.is_interrupted() => self.errors += 1,
            _ => self.failures += 1,
        }
        self.time += case.run.map(|(run, end)| run.elapsed(end.at)).unwrap_or_default();
        self.started = [self.started, Some(case.started)].into_iter().flatten().min();
    }

    fn plus(self, other: &Self) -> Self {
        Self {
            tests: self.tests + other.tests,
            failures: self.failures + other.failures,
            errors: self.errors + other.errors,
            skipped: self.skipped + other.skipped,
            time: self.time + other.time,
            started: [self.started, other.started].into_iter().flatten().min(),
        }
    }

    fn attributes(&self) -> String {
        let Self { tests, failures, errors, skipped, time, .. } = self;
        let time = seconds(*time);
        format!(r#"tests="{tests}" failures="{failures}" errors="{errors}" skipped="{skipped}" time="{time}""#)
    }
}
