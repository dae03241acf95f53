//! `setlist status`, `list` and `show`: commands that only look.

use std::io::{self, BufWriter, Write};

use chrono::{DateTime, Local, Utc};

use super::args::{List, StateFilter};
use super::record::{JobRecord, QueueObject, command, print, took, typed};
use super::site::OpenSite;
use super::{CliError, Exit};
use crate::model::{
    HookResult, Job, JobState, Need, Outcome, OutcomeCondition, Phase, Query, QueueState, Run, WaitReason,
};
use crate::text;

/// Queues with their state and counts.
pub(super) fn status(mut site: OpenSite, names: &[String], json: bool) -> Result<Exit, CliError> {
    let mut out = BufWriter::new(io::stdout().lock());
    table(&mut out, &mut site, names, json)?;
    out.flush()?;
    drop(out);
    site.close(Exit::Fine)
}

/// The same for several sites.
pub(super) fn all(sites: Vec<OpenSite>, json: bool) -> Result<Exit, CliError> {
    let mut out = BufWriter::new(io::stdout().lock());
    for (nth, mut site) in sites.into_iter().enumerate() {
        if !json {
            let gap = if nth > 0 { "\n" } else { "" };
            writeln!(out, "{gap}{}", site.context.file.display())?;
        }
        table(&mut out, &mut site, &[], json)?;
        out.flush()?;
        site.close(Exit::Fine)?;
    }
    Ok(Exit::Fine)
}

fn table(out: &mut impl Write, site: &mut OpenSite, names: &[String], json: bool) -> Result<(), CliError> {
    let site_state = site.site_state()?;
    let ids = site.queues(&site_state, names)?;
    let width = ids.iter().map(|id| text::width(id.as_str())).max().unwrap_or(0).max(5);
    if !json {
        writeln!(out, "{}  STATE       PENDING  RUNNING  FINISHED  FAILED", text::pad("QUEUE", width, text::ELLIPSIS))?;
    }
    let file = site.context.file.to_string_lossy();
    for id in &ids {
        let Some(queue) = site_state.queue(id) else { continue };
        if json {
            print(out, &QueueObject::of(id, queue, &site_state, &file))?;
        } else {
            let QueueState { mode, pending, running, finished, failed, .. } = queue;
            let name = text::pad(&text::plain_line(id.as_str()), width, text::ELLIPSIS);
            let (pending, running, finished) = (pending.len(), running.len(), finished.len());
            let note = if site_state.is_unattended(id) { "  no worker; `setlist process` goes on" } else { "" };
            let mode = mode.as_str();
            writeln!(out, "{name}  {mode:<10}  {pending:>7}  {running:>7}  {finished:>8}  {failed:>6}{note}")?;
        }
    }
    Ok(())
}

/// Jobs, in the order of their queues: finished, running, pending.
pub(super) fn list(mut site: OpenSite, options: &List) -> Result<Exit, CliError> {
    let site_state = site.site_state()?;
    let mut out = BufWriter::new(io::stdout().lock());
    let now = Utc::now();
    let since = options.since.map(|since| now - since);
    let query = options.query.as_deref().unwrap_or_default();
    let query = Query::parse(query, now).map_err(|error| CliError::Usage(format!("--query: {error}")))?;
    for id in site.queues(&site_state, &options.queues)? {
        let Some(queue) = site_state.queue(&id) else { continue };
        let jobs = [Phase::Finished, Phase::Running, Phase::Pending].into_iter().flat_map(|phase| queue.jobs_in(phase));
        for job in
            jobs.filter_map(|id| site_state.job(*id)).filter(|job| wanted(job, options, since) && query.matches(job))
        {
            let waiting = site_state.wait_reason(job);
            if options.json {
                print(&mut out, &JobRecord::of(job, waiting.as_ref(), now))?;
            } else {
                row(&mut out, job, waiting.as_ref(), now)?;
            }
        }
    }
    out.flush()?;
    drop(out);
    site.close(Exit::Fine)
}

/// One job with its runs.
pub(super) fn show(mut site: OpenSite, name: &str, json: bool) -> Result<Exit, CliError> {
    let job = site.job(name)?;
    let runs = site.store.runs(job.id)?;
    // What a job waits for is not known of it alone.
    let waiting = if job.phase() == Phase::Pending { site.site_state()?.wait_reason(&job) } else { None };
    let now = Utc::now();
    let hook_end = job.hook().and_then(|_| {
        runs.iter().rev().find_map(|run| Some((run.id, site.store.log_reader(run.id).hook_result(run)?)))
    });
    let mut out = BufWriter::new(io::stdout().lock());
    if json {
        print(&mut out, &JobRecord::of(&job, waiting.as_ref(), now).with_runs(&job, &runs, hook_end.as_ref()))?;
    } else {
        describe(&mut out, &job, &runs, waiting.map(|waiting| waiting.describe(now)), hook_end.map(|(_, end)| end))?;
    }
    out.flush()?;
    drop(out);
    site.close(Exit::Fine)
}

fn wanted(job: &Job, options: &List, since: Option<DateTime<Utc>>) -> bool {
    let is = |state: &StateFilter| match state {
        StateFilter::Pending => job.phase() == Phase::Pending,
        StateFilter::Running => job.phase() == Phase::Running,
        StateFilter::Finished => job.phase() == Phase::Finished,
        StateFilter::Succeeded => job.outcome() == Some(&Outcome::Succeeded),
        StateFilter::Failed => matches!(job.outcome(), Some(Outcome::Failed(_))),
        StateFilter::Cancelled => job.outcome() == Some(&Outcome::Cancelled),
        StateFilter::Skipped => matches!(job.outcome(), Some(Outcome::Skipped { .. })),
        StateFilter::Interrupted => job.outcome().is_some_and(Outcome::is_interrupted),
    };
    let state = options.state.is_empty() || options.state.iter().any(is);
    let latest = match &job.state {
        JobState::Finished { at, .. } => *at,
        _ => job.enqueued,
    };
    let tag = options.tag.is_empty() || options.tag.iter().any(|tag| job.definition.tags.contains(tag));
    state && tag && since.is_none_or(|since| latest >= since)
}

fn row(out: &mut impl Write, job: &Job, waiting: Option<&WaitReason>, now: DateTime<Utc>) -> Result<(), CliError> {
    let word = job.outcome().map_or(job.phase().as_str(), Outcome::as_str);
    let when = match waiting {
        Some(waiting) => text::fit(&text::plain_line(&waiting.describe(now)), 19, text::ELLIPSIS).into_owned(),
        None => job.executed.map(local).unwrap_or_default(),
    };
    let took = job.last_run.as_deref().and_then(took).map(text::duration).unwrap_or_default();
    let (id, path) = (job.id.to_string(), text::plain_line(&job.path()));
    let label = text::plain_line(&job.display_title());
    writeln!(out, "{id:>6}  {}  {word:<11}  {when:<19}  {took:>7}  {label}", text::pad(&path, 24, text::ELLIPSIS))?;
    Ok(())
}

fn describe(
    out: &mut impl Write,
    job: &Job,
    runs: &[Run],
    waiting: Option<String>,
    hook_end: Option<HookResult>,
) -> Result<(), CliError> {
    writeln!(out, "{}  {}", job.id, text::plain_line(&job.path()))?;
    let mut field = |name: &str, value: &str| {
        let mut lines = value.lines();
        writeln!(out, "  {name:<9} {}", text::plain_line(lines.next().unwrap_or_default()))?;
        lines.try_for_each(|line| writeln!(out, "  {:<9} {}", "", text::plain_line(line)))
    };
    if !job.title().is_empty() {
        field("title", job.title())?;
    }
    field("state", &text::plain_line(&job.outcome().map_or(job.phase().as_str().to_owned(), Outcome::to_string)))?;
    if let Some(words) = waiting.filter(|words| !words.is_empty()) {
        field("waits", &words)?;
    }
    if let Some(Outcome::Skipped { reason }) = job.outcome() {
        field("skipped", reason)?;
    } else if let Some(failure) = job.failure() {
        field("error", &failure.message)?;
    }
    let terms = &job.definition.scheduling;
    if !terms.needs.is_empty() {
        field("needs", &terms.needs.iter().map(need).collect::<Vec<_>>().join(", "))?;
    }
    if job.max_attempts() > 1 {
        field("attempt", &format!("{} of {}", job.current_attempt(), job.max_attempts()))?;
    }
    if terms.priority != 0 {
        field("priority", &terms.priority.to_string())?;
    }
    if terms.weight != 1 {
        field("weight", &terms.weight.to_string())?;
    }
    if let Some(question) = &terms.confirm {
        field("asks", question)?;
    }
    if let Some(value) = &job.value {
        field("value", &value.as_str().map_or_else(|| value.to_string(), str::to_owned))?;
    }
    if let Some(command) = command(job) {
        field("command", &command)?;
    }
    if !job.definition.tags.is_empty() {
        field("tags", &job.definition.tags.join(", "))?;
    }
    field("added", &local(job.enqueued))?;
    for run in runs {
        let ending = run.end.as_ref();
        let outcome = ending.map_or("running", |ending| ending.outcome.as_str());
        let took = took(run).map(text::duration).unwrap_or_default();
        let why = ending.and_then(|ending| ending.outcome.failure()).map_or("", |failure| &failure.message);
        let run = format!("{}  {}  {outcome}  {took}  {why}", run.attempt, local(run.started));
        field("run", run.trim_end())?;
    }
    if let Some(hook) = job.hook() {
        field("on_finish", &format!("{}\n{}", typed(&hook.program).trim_end(), hook.summary()))?;
    }
    if let Some(HookResult { at, outcome, last_line: said }) = hook_end {
        let why = outcome.failure().map_or("", |failure| &failure.message);
        let end = format!("{}  {}  {why}  {said}", local(at), outcome.as_str());
        field("", end.trim_end())?;
    }
    Ok(())
}

/// A need as one would write it.
fn need(need: &Need) -> String {
    match need.on {
        OutcomeCondition::Success => need.job.to_string(),
        OutcomeCondition::Failure => format!("{} to fail", need.job),
        OutcomeCondition::Finish => format!("{} to finish", need.job),
    }
}

fn local(at: DateTime<Utc>) -> String {
    at.with_timezone(&Local).format("%Y-%m-%d %H:%M:%S").to_string()
}
