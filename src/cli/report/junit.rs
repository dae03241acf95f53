//! The report as `JUnit` XML, which CI servers show: a test suite for each queue, a test case for the last run of each job.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};

use crate::cli::error::CliError;
use crate::cli::progress_reporter::last_lines;
use crate::cli::run_feed::{runs_of, visit_jobs};
use crate::model::{Job, JobState, Outcome, QueueId, Run, RunEnd};
use crate::store::Store;
use crate::text::escape_markup;
use crate::tui::output::StreamSanitizer;

/// How many cases have which result.
#[derive(Clone, Copy, Default)]
struct CaseCounts {
    tests: u64,
    failures: u64,
    errors: u64,
    skipped: u64,
    time: Duration,
}

/// What became of a job in the period.
struct TestCase<'a> {
    outcome: &'a Outcome,
    run: Option<(&'a Run, &'a RunEnd)>,
    at: DateTime<Utc>,
}

/// Writes the results of the jobs of these queues that ended in a period.
pub(super) fn write(
    out: &mut dyn Write,
    store: &mut dyn Store,
    queues: &[QueueId],
    since: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Result<(), CliError> {
    // The counts are attributes of the elements around the cases.
    let mut counts: BTreeMap<QueueId, CaseCounts> = BTreeMap::new();
    visit_jobs(store, queues, |store, job| {
        with_case(store, job, since, until, |_, case| {
            counts.entry(job.queue.clone()).or_default().add(case);
            Ok(())
        })
    })?;
    let total = counts.values().fold(CaseCounts::default(), CaseCounts::plus);
    writeln!(out, r#"<?xml version="1.0" encoding="UTF-8"?>"#)?;
    writeln!(out, r#"<testsuites name="setlist" {}>"#, total.attributes())?;
    for queue in queues {
        let Some(counts) = counts.get(queue) else { continue };
        let (name, start) = (escape_markup(queue.as_str()), iso_time(since));
        writeln!(out, r#"  <testsuite name="{name}" {} timestamp="{start}">"#, counts.attributes())?;
        visit_jobs(store, std::slice::from_ref(queue), |store, job| {
            with_case(store, job, since, until, |store, case| write_case(out, store, job, case))
        })?;
        writeln!(out, "  </testsuite>")?;
    }
    Ok(writeln!(out, "</testsuites>")?)
}

/// Calls `visit` with the last end of a job in the period, if there is one.
fn with_case(
    store: &mut dyn Store,
    job: &Job,
    since: DateTime<Utc>,
    until: DateTime<Utc>,
    visit: impl FnOnce(&mut dyn Store, &TestCase<'_>) -> Result<(), CliError>,
) -> Result<(), CliError> {
    let is_in_period = |at: DateTime<Utc>| since <= at && at <= until;
    let last_end = job.last_run.as_deref().and_then(|run| run.end.as_ref());
    if let JobState::Finished { outcome: outcome @ Outcome::Skipped { .. }, at } = &job.state
        && is_in_period(*at)
        && last_end.is_none_or(|end| end.at != *at)
    {
        return visit(store, &TestCase { outcome, run: None, at: *at });
    }
    if job.last_run.is_none() || last_end.is_some_and(|end| end.at < since) {
        return Ok(());
    }
    for run in runs_of(store, job)?.iter().rev() {
        if let Some(end) = run.end.as_ref().filter(|end| is_in_period(end.at)) {
            return visit(store, &TestCase { outcome: &end.outcome, run: Some((run, end)), at: end.at });
        }
    }
    Ok(())
}

fn write_case(out: &mut dyn Write, store: &mut dyn Store, job: &Job, case: &TestCase<'_>) -> Result<(), CliError> {
    let name = job.name().map_or_else(|| format!("{} {}", job.id, job.display_title()), str::to_owned);
    let took = case.run.map(|(run, end)| run.elapsed(end.at)).unwrap_or_default();
    let (name, queue) = (escape_markup(&one_line(&name)), escape_markup(job.queue.as_str()));
    let (time, at) = (seconds(took), iso_time(case.at));
    write!(out, r#"    <testcase name="{name}" classname="{queue}" time="{time}" timestamp="{at}""#)?;
    let error = case.run.and_then(|(_, end)| RunEnd::failure_text(end));
    match case.outcome {
        Outcome::Succeeded => writeln!(out, "/>")?,
        Outcome::Skipped { reason, .. } => write_skipped(out, reason)?,
        Outcome::Cancelled => write_skipped(out, "cancelled")?,
        outcome => {
            let element = if outcome.is_interrupted() { "error" } else { "failure" };
            let kind = case.run.and_then(|(_, end)| Some(end.cause.as_deref()?.kind.as_str()));
            let message = escape_markup(&one_line(&error.unwrap_or_else(|| outcome.to_string())));
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
    let reason = escape_markup(&one_line(reason));
    Ok(writeln!(out, ">\n      <skipped message=\"{reason}\"/>\n    </testcase>")?)
}

fn one_line(text: &str) -> String {
    crate::text::sanitize_line(text)
}

fn iso_time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn seconds(duration: Duration) -> String {
    format!("{}.{:03}", duration.as_secs(), duration.subsec_millis())
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
    }

    fn plus(self, other: &Self) -> Self {
        Self {
            tests: self.tests + other.tests,
            failures: self.failures + other.failures,
            errors: self.errors + other.errors,
            skipped: self.skipped + other.skipped,
            time: self.time + other.time,
        }
    }

    fn attributes(&self) -> String {
        let Self { tests, failures, errors, skipped, time } = self;
        let time = seconds(*time);
        format!(r#"tests="{tests}" failures="{failures}" errors="{errors}" skipped="{skipped}" time="{time}""#)
    }
}
