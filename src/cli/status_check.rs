//! `setlist status --check`: what needs attention, one line per problem, for monitoring.

use std::io::{BufWriter, Write};

use chrono::{DateTime, Local, Utc};
use serde::Serialize;

use super::error::CliError;
use super::exit::ExitStatus;
use super::json_records::write_json;
use super::open_site::OpenSite;
use super::safe_output;
use super::time_text::iso_time;
use crate::clock;
use crate::model::{
    DueOutcome, DuePage, DueRecord, DueResult, ExpectationState, Job, Outcome, Overdue, QueueId, QueueMode,
    QueueStatus, ScheduleState, ScheduleTarget, SiteState,
};
use crate::site;
use crate::store::SiteOverview;
use crate::text;

/// A problem, as printed and in JSON.
#[derive(Serialize)]
struct StatusProblem {
    /// The kind as one word.
    problem: &'static str,
    /// The queue; none for a problem of the whole site.
    queue: Option<String>,
    /// The job as `queue/name`; none for a problem of the queue.
    job: Option<String>,
    message: String,
    /// Since when, if that is known.
    since: Option<String>,
    /// The `jobs.yaml` of the site.
    site: String,
}

/// Prints the problems of these queues, or of all; fails if there are any.
pub(super) fn check(sites: Vec<OpenSite>, names: &[String], json: bool) -> Result<ExitStatus, CliError> {
    let shows_file = sites.len() > 1;
    let mut exit = ExitStatus::Success;
    for mut site in sites {
        let problems = problems(&mut site, names)?;
        let mut out = BufWriter::new(safe_output::stdout());
        for problem in &problems {
            if json {
                write_json(&mut out, problem)?;
            } else {
                let target = problem.job.as_ref().or(problem.queue.as_ref());
                let target = target.map(|target| format!("{target}: ")).unwrap_or_default();
                let file = if shows_file { format!(" ({})", problem.site) } else { String::new() };
                let line = format!("{}: {target}{}{file}", problem.problem, problem.message);
                writeln!(out, "{}", text::sanitize_line(&line))?;
            }
        }
        out.flush()?;
        drop(out);
        if !problems.is_empty() {
            exit = ExitStatus::JobFailed;
        }
        site.finish(exit)?;
    }
    Ok(exit)
}

fn problems(site: &mut OpenSite, names: &[String]) -> Result<Vec<StatusProblem>, CliError> {
    let now = clock::now();
    let (SiteOverview { state: site_state, counts }, queues) = site.overview_of(names)?;
    let mut found = ProblemList { file: site.paths.file.display().to_string(), problems: Vec::new() };
    if !site::keeps_schedules(site.store.as_mut(), &site.paths)? {
        let message = "no worker keeps the schedules; `setlist service install` keeps one";
        found.add("not_kept", None, None, message.to_owned(), None);
    }
    for id in &queues {
        if let Some((job, reason)) = site_state.waits_for_labels(id) {
            found.add("no_worker", Some(id), None, format!("{}: {}", job.path(), reason.describe(now)), None);
        } else if site_state.lacks_worker(id) {
            let message = "the queue is processing, but no worker is running; `setlist process` starts one";
            found.add("no_worker", Some(id), None, message.to_owned(), None);
        }
        if site_state.queue_status(id) == QueueStatus::Stopped {
            found.add("stopped", Some(id), None, site_state.stop_reason(id), None);
        }
        for (state, overdue) in site_state.overdue_in(id, now) {
            let message = overdue_message(state, overdue);
            found.add("overdue", Some(id), job_of(&site_state, &state.target), message, Some(overdue.expected));
        }
        for (job, since) in site_state.stalled_in(id) {
            let silent = (now - since).to_std().unwrap_or_default();
            let message = format!("no output for {}", text::time_left(silent));
            found.add("stalled", Some(id), Some(job.path()), message, Some(since));
        }
    }
    for state in site_state.active_schedules().filter(|state| queues.contains(&state.queue)) {
        let page = DuePage { limit: 1, ..DuePage::default() };
        let last = site.store.due_records(&state.target, &page)?.pop();
        let is_paused = site_state.queue(&state.queue).is_some_and(|queue| queue.mode == QueueMode::Paused);
        if let Some((due, reason)) = missed(state, last.as_ref(), now).filter(|_| !is_paused) {
            let message = format!("due {}: {reason}", local_time(due));
            found.add("missed", Some(&state.queue), job_of(&site_state, &state.target), message, Some(due));
        }
        let is_failing = match &state.target {
            ScheduleTarget::Queue(queue) => counts.get(queue).is_some_and(|counts| counts.failed > 0),
            ScheduleTarget::Job(job) => site_state.job(*job).and_then(Job::outcome).is_some_and(has_failed),
        };
        // With an expectation, a failure matters only if no success comes in time.
        if let Some(last) = last.filter(|_| is_failing && site_state.expectation(&state.target).is_none())
            && matches!(last.outcome, Some(DueOutcome::Failed | DueOutcome::Interrupted))
        {
            let message = format!("its run due {} failed, and has not succeeded since", local_time(last.due));
            found.add("failed", Some(&state.queue), job_of(&site_state, &state.target), message, Some(last.due));
        }
    }
    Ok(found.problems)
}

fn has_failed(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Failed(_) | Outcome::Interrupted)
}

/// The latest due time of a schedule, and why its jobs were not started in time, if they were not.
fn missed(state: &ScheduleState, last: Option<&DueRecord>, now: DateTime<Utc>) -> Option<(DateTime<Utc>, String)> {
    if let Some(due) =
        state.next_due().filter(|_| state.next_start().is_some_and(|start| now - start > DueRecord::LATE))
    {
        return Some((due, "not started yet".to_owned()));
    }
    match last {
        Some(DueRecord { due, result: DueResult::Missed { reason }, .. }) => Some((*due, reason.clone())),
        _ => None,
    }
}

/// By when no success had come, and when the last one was.
pub(super) fn overdue_message(state: &ExpectationState, overdue: Overdue) -> String {
    let last = state.last_success.map_or("none yet".to_owned(), |last| format!("the last was at {}", local_time(last)));
    format!("no success by {} ({last})", local_time(overdue.expected))
}

/// The expectation of a job as lines of `show`.
pub(super) fn describe_expectation(state: &ExpectationState, now: DateTime<Utc>) -> String {
    let mut lines = vec![state.expectation.to_string()];
    match state.overdue_at(now) {
        Some(overdue) => lines.push(format!("overdue: {}", overdue_message(state, overdue))),
        None => lines.extend(state.next_expected().map(|next| format!("next  {}", local_time(next)))),
    }
    lines.join("\n")
}

/// For how long the run of a job prints nothing, if it is stalled.
pub(super) fn stalled_text(job: &Job, now: DateTime<Utc>) -> Option<String> {
    let since = job.stalled_since()?;
    Some(format!("stalled {}", text::time_left((now - since).to_std().unwrap_or_default())))
}

fn job_of(site_state: &SiteState, target: &ScheduleTarget) -> Option<String> {
    matches!(target, ScheduleTarget::Job(_)).then(|| site_state.target_path(target))
}

fn local_time(time: DateTime<Utc>) -> String {
    time.with_timezone(&Local).format("%Y-%m-%d %H:%M").to_string()
}

/// The problems of one site.
struct ProblemList {
    file: String,
    problems: Vec<StatusProblem>,
}

impl ProblemList {
    fn add(
        &mut self,
        problem: &'static str,
        queue: Option<&QueueId>,
        job: Option<String>,
        message: String,
        since: Option<DateTime<Utc>>,
    ) {
        let since = since.map(iso_time);
        let (queue, site) = (queue.map(ToString::to_string), self.file.clone());
        self.problems.push(StatusProblem { problem, queue, job, message, since, site });
    }
}
