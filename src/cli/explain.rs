//! `setlist explain`: why a job would run or not now, what it waits for and who holds that, and why it failed.

use std::io::{BufWriter, Write};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::error::CliError;
use super::exit::ExitStatus;
use super::json_records::{SlowRunRecord, command_line, write_json};
use super::open_site::OpenSite;
use super::run_feed::runs_of;
use super::safe_output;
use super::show::slow_result;
use crate::clock;
use crate::model::{
    Cause, ExplainedNeed, Explanation, Job, JobState, Outcome, OutcomeCondition, PathLink, Phase, RunEnd, RunPeriod,
    RunSpan, RunsByEnd, SiteState, StaleReason, WaitReason,
};
use crate::store::Store;
use crate::text;
use crate::worker::observe_job;

/// A wait that is shorter is not mentioned.
const MIN_WAIT: Duration = Duration::from_millis(500);
/// How many runs are looked at to find what a run has waited for.
const MAX_RUNS_BEFORE: usize = 4_000;
/// More needed jobs than this are only counted.
const MAX_NEEDS: usize = 10;

/// What is known of the sources and outputs of a job.
enum Files {
    /// It has none.
    None,
    /// It is not up to date, for these reasons; up to date if there are none.
    Observed(Vec<StaleReason>),
    /// They can't be observed.
    Failed(String),
}

#[derive(Serialize)]
struct ExplanationRecord<'a> {
    id: u64,
    job: String,
    state: &'static str,
    outcome: Option<&'static str>,
    /// What would happen to it now: see [`verdict`].
    verdict: &'static str,
    waiting: Option<&'static str>,
    waiting_for: Option<String>,
    not_before: Option<String>,
    requirements: Vec<&'static str>,
    needs: Vec<ExplainedNeedRecord<'a>>,
    holders: Vec<HolderRecord<'a>>,
    ahead: Vec<&'a str>,
    stopped_by: &'a [String],
    conditions: Vec<ConditionRecord>,
    files: Option<FilesRecord<'a>>,
    error: Option<String>,
    cause: Option<&'static str>,
    advice: Option<&'static str>,
    /// Set if its last run was slower than usual.
    slow: Option<SlowRunRecord>,
    /// What its last run waited for before it started.
    waited: Option<WaitedRecord>,
}

/// A wait that is over.
#[derive(Serialize)]
struct WaitedRecord {
    wait_ms: u64,
    /// `need`, `slot` or `pool`.
    reason: &'static str,
    pool: Option<String>,
    /// The job that held it up.
    job: String,
    run: u64,
}

#[derive(Serialize)]
struct ExplainedNeedRecord<'a> {
    job: &'a str,
    on: OutcomeCondition,
    state: &'static str,
    since_ms: u64,
    met: Option<bool>,
    waiting_for: Option<String>,
}

#[derive(Serialize)]
struct HolderRecord<'a> {
    job: &'a str,
    for_ms: u64,
}

#[derive(Serialize)]
struct ConditionRecord {
    field: &'static str,
    command: String,
}

#[derive(Serialize)]
struct FilesRecord<'a> {
    up_to_date: Option<bool>,
    reasons: Vec<&'static str>,
    explanations: Vec<String>,
    changed: &'a [String],
    appeared: &'a [String],
    vanished: &'a [String],
    missing_outputs: &'a [String],
    /// The run that succeeded last.
    success_run: Option<u64>,
    problem: Option<&'a str>,
}

/// Prints why a job would run or not now.
pub(super) fn explain(mut site: OpenSite, job: &Job, json: bool) -> Result<ExitStatus, CliError> {
    let site_state = site.site_state()?;
    let now = clock::now();
    let explanation = site_state.explain(job);
    let runs = runs_of(site.store.as_mut(), job)?;
    let slow = slow_result(site.store.as_mut(), job, &runs)?;
    let files = match job.file_rules() {
        None => Files::None,
        Some(rules) => {
            let (definition, inputs) = site_state.next_definition(job);
            match observe_job(job, definition, &inputs, &site.paths) {
                Ok(observed) => Files::Observed(job.stale_reasons(rules, &observed)),
                Err(error) => Files::Failed(error.to_string()),
            }
        }
    };
    let waited = waited(site.store.as_mut(), &site_state, job)?;
    let mut out = BufWriter::new(safe_output::stdout());
    if json {
        let record = ExplanationRecord {
            waited,
            slow: slow.as_ref().map(SlowRunRecord::new),
            ..record(&site_state, job, &explanation, &files, now)
        };
        write_json(&mut out, &record)?;
    } else {
        writeln!(out, "{}  {}", job.id, text::sanitize_line(&job.path()))?;
        for (name, value) in lines(&site_state, job, &explanation, &files, now) {
            writeln!(out, "  {name:<9} {}", text::sanitize_line(&value))?;
        }
        if let Some(waited) = waited {
            writeln!(out, "  {:<9} {}", "waited", text::sanitize_line(&waited.describe()))?;
        }
        if let Some(slow) = slow {
            writeln!(out, "  {:<9} {}", "slow", text::sanitize_line(&slow.to_string()))?;
        }
    }
    out.flush()?;
    drop(out);
    site.finish(ExitStatus::Success)
}

/// What the last run of a job waited for, as far as the runs around it tell.
fn waited(store: &mut dyn Store, site_state: &SiteState, job: &Job) -> Result<Option<WaitedRecord>, CliError> {
    let Some(run) = job.last_run.as_deref() else { return Ok(None) };
    let span = RunSpan::new(job.id, run);
    let Some(since) = job.waited_since(&span) else { return Ok(None) };
    let period = RunPeriod { queue: None, from: Some(since), until: Some(span.started), limit: MAX_RUNS_BEFORE };
    let runs = store.runs_in(&period)?;
    let awaited = RunsByEnd::new(site_state, &runs.iter().collect::<Vec<_>>()).awaited_by(&span);
    Ok(awaited.and_then(|(holder, link)| {
        let (reason, pool) = match link {
            PathLink::Need => ("need", None),
            PathLink::Slot => ("slot", None),
            PathLink::Pool(pool) => ("pool", Some(pool.to_string())),
            PathLink::First | PathLink::Retry => return None,
        };
        // Before that, it waited for something else, such as for its queue to be processed.
        let wait = (span.started - since.max(holder.started)).to_std().unwrap_or_default();
        let wait_ms = wait.as_millis().try_into().unwrap_or(u64::MAX);
        let job = site_state.job(holder.job)?.path();
        (wait >= MIN_WAIT).then_some(WaitedRecord { wait_ms, reason, pool, job, run: holder.run.0 })
    }))
}

impl WaitedRecord {
    fn describe(&self) -> String {
        let wait = text::duration(Duration::from_millis(self.wait_ms));
        match &self.pool {
            Some(pool) => format!("{wait} for {pool}, until run {} of {} ended", self.run, self.job),
            None if self.reason == "need" => format!("{wait} for run {} of {}, which it needs", self.run, self.job),
            None => format!("{wait} for a free slot, until run {} of {} ended", self.run, self.job),
        }
    }
}

/// What would happen to the job now, as one word and as a sentence. Scripts read these words: they never change.
fn verdict(site_state: &SiteState, job: &Job, explanation: &Explanation, files: &Files) -> (&'static str, String) {
    let is_up_to_date = matches!(files, Files::Observed(reasons) if reasons.is_empty());
    let has_conditions = job.script().is_some_and(|script| script.exec.conditions.is_some()) && !job.is_forced();
    match (&job.state, &explanation.waiting) {
        (JobState::Running { .. }, _) => ("running", "it is running".to_owned()),
        (JobState::Finished { .. }, _) => {
            let then = match files {
                _ if explanation.requirements.iter().any(|reason| matches!(reason, WaitReason::NeedsFailed(_))) => {
                    "it would be refused (`--force` runs it anyway)"
                }
                _ if !explanation.requirements.is_empty() => "it would wait",
                _ if is_up_to_date => "it would be skipped: it is up to date",
                _ if has_conditions => "its conditions would decide",
                _ => "it would run",
            };
            ("finished", format!("it has finished; if it was requested again, {then}"))
        }
        (_, Some(WaitReason::NeedsFailed(_))) => ("skips", "it will be skipped when its queue is processed".to_owned()),
        (_, Some(WaitReason::FreeSlot)) if explanation.holders.is_empty() && explanation.ahead.is_empty() => {
            match files {
                _ if is_up_to_date => ("skips", "it is next, and will be skipped: it is up to date".to_owned()),
                _ if !site_state.workers().any(|worker| worker.serves(&job.queue)) => {
                    ("waits", format!("it is next, but no worker is running; `setlist start {}` starts one", job.queue))
                }
                _ => ("runs", "it is next".to_owned()),
            }
        }
        (_, waiting) => {
            let by_itself =
                waiting.as_ref().is_some_and(|waiting| !waiting.is_about_mode() && *waiting != WaitReason::Confirm);
            let advice = match waiting {
                Some(WaitReason::Confirm) => format!("; `setlist approve {}` approves it", job.path()),
                Some(WaitReason::QueuePaused) => format!("; `setlist resume {}` continues its queue", job.queue),
                _ if by_itself => String::new(),
                _ => format!("; `setlist process {}` processes its queue", job.queue),
            };
            ("waits", format!("it waits{advice}"))
        }
    }
}

/// What a pending job waits for, or why.
fn waiting_line(
    site_state: &SiteState,
    job: &Job,
    explanation: &Explanation,
    waiting: &WaitReason,
    now: DateTime<Utc>,
) -> Option<(&'static str, String)> {
    Some(match waiting {
        WaitReason::QueueIdle => {
            let has_arrived = job.definition.matrix.as_ref().is_some_and(|values| values.version.is_some());
            let arrivals = "; `setlist worker` and `setlist service` run files as they arrive, and other workers don't";
            ("because", format!("its queue is not being processed{}", if has_arrived { arrivals } else { "" }))
        }
        WaitReason::QueuePaused => ("because", format!("{} is paused", job.queue)),
        WaitReason::QueueStopped => {
            ("because", format!("{} was stopped by {}", job.queue, explanation.stopped_by.join(", ")))
        }
        WaitReason::Labels { labels, has_worker: false } => {
            ("waits for", format!("a worker with {}: none has joined", labels.join(" and ")))
        }
        WaitReason::FreeSlot if !explanation.full_workers.is_empty() => {
            let workers: Vec<String> = explanation.full_workers.iter().map(ToString::to_string).collect();
            let noun = if workers.len() == 1 { "worker" } else { "one of the workers" };
            ("waits for", format!("free slots of {noun} {}", workers.join(", ")))
        }
        WaitReason::FreeSlot if !explanation.holders.is_empty() || !explanation.ahead.is_empty() => {
            let slots = site_state.queue(&job.queue).map_or(1, |queue| queue.settings.max_parallel());
            ("waits for", format!("a free slot of {} (parallel: {slots})", job.queue))
        }
        WaitReason::FreeSlot => return None,
        waiting => requirement_line(waiting, now),
    })
}

/// A reason that doesn't depend on other jobs of the queue.
fn requirement_line(reason: &WaitReason, now: DateTime<Utc>) -> (&'static str, String) {
    let text = reason.describe(now);
    match reason {
        WaitReason::Time(_) | WaitReason::Retry { .. } | WaitReason::Schedule { .. } => ("due", text),
        _ => match text.strip_prefix("waiting for ") {
            Some(awaited) => ("waits for", awaited.to_owned()),
            None => ("because", format!("it {text}")),
        },
    }
}

fn lines(
    site_state: &SiteState,
    job: &Job,
    explanation: &Explanation,
    files: &Files,
    now: DateTime<Utc>,
) -> Vec<(&'static str, String)> {
    let ago = |at: DateTime<Utc>| text::time_left(elapsed(at, now));
    let mut lines = vec![("now", verdict(site_state, job, explanation, files).1)];
    match &explanation.waiting {
        Some(waiting) => lines.extend(waiting_line(site_state, job, explanation, waiting, now)),
        None => lines.extend(explanation.requirements.iter().map(|reason| requirement_line(reason, now))),
    }
    lines.extend(
        explanation.holders.iter().map(|holder| ("held by", format!("{} since {}", holder.job, ago(holder.since)))),
    );
    let before = explanation.ahead.iter().take(MAX_NEEDS);
    lines.extend(before.map(|(job, waiting)| ("behind", format!("{job}: {}", waiting.describe(now)))));
    lines.extend(need_lines(&explanation.needs, now));
    for (kind, program) in
        job.script().into_iter().flat_map(|script| &script.exec.conditions).flat_map(|conditions| conditions.programs())
    {
        lines.push((kind.as_str(), format!("{} (asked when its turn comes)", command_line(program))));
    }
    lines.extend(file_lines(job, files, now));
    if let JobState::Finished { outcome, at } = &job.state {
        let reason = if let Outcome::Skipped { reason, .. } = outcome { format!(": {reason}") } else { String::new() };
        lines.push(("outcome", format!("{outcome} {} ago{reason}", ago(*at))));
    }
    lines.extend(failure_lines(job));
    lines
}

fn need_lines(needs: &[ExplainedNeed], now: DateTime<Utc>) -> Vec<(&'static str, String)> {
    let describe = |need: &ExplainedNeed| {
        let since = text::time_left(elapsed(need.since, now));
        let state = match need.state {
            "running" => format!("running since {since}"),
            "pending" => {
                match need.waiting.as_ref().map(|waiting| waiting.describe(now)).filter(|text| !text.is_empty()) {
                    Some(waiting) => format!("pending: {waiting}"),
                    None => "pending".to_owned(),
                }
            }
            outcome => format!("{outcome} {since} ago"),
        };
        let on = if need.on == OutcomeCondition::Success { String::new() } else { format!(" on {}", on_word(need.on)) };
        ("needs", format!("{}{on}: {state}", need.job))
    };
    // Those that hold it up come first.
    let (unmet, met): (Vec<_>, Vec<_>) = needs.iter().partition(|need| need.is_met != Some(true));
    let mut lines: Vec<_> = unmet.into_iter().chain(met).take(MAX_NEEDS).map(describe).collect();
    let more = needs.len().saturating_sub(MAX_NEEDS);
    lines.extend((more > 0).then(|| ("needs", text::count_noun(more, "more job"))));
    lines
}

fn on_word(on: OutcomeCondition) -> &'static str {
    match on {
        OutcomeCondition::Success => "success",
        OutcomeCondition::Failure => "failure",
        OutcomeCondition::Finish => "finish",
    }
}

fn file_lines(job: &Job, files: &Files, now: DateTime<Utc>) -> Vec<(&'static str, String)> {
    let success = job.success.as_deref().map(|success| {
        let ago = text::time_left(elapsed(success.at, now));
        format!("run {} succeeded {ago} ago with {}", success.run.0, text::count_noun(success.sources.count, "source"))
    });
    let mut lines = match files {
        Files::None => return Vec::new(),
        Files::Observed(reasons) if reasons.is_empty() => vec![("files", "up to date".to_owned())],
        Files::Observed(reasons) => reasons.iter().map(|reason| ("files", reason.describe())).collect(),
        Files::Failed(message) => vec![("files", message.clone())],
    };
    lines.extend(success.map(|success| ("success", success)));
    lines
}

fn failure_lines(job: &Job) -> Vec<(&'static str, String)> {
    let Some(end) = job.result_run().and_then(|run| run.end.as_ref()) else { return Vec::new() };
    let error = end.failure_text().map(|error| ("error", error));
    let advice = end.cause.as_deref().and_then(Cause::advice);
    error.into_iter().chain(advice.map(|advice| ("fix", advice.to_owned()))).collect()
}

fn record<'a>(
    site_state: &SiteState,
    job: &'a Job,
    explanation: &'a Explanation,
    files: &'a Files,
    now: DateTime<Utc>,
) -> ExplanationRecord<'a> {
    let end = job.result_run().and_then(|run| run.end.as_ref());
    let cause = end.and_then(|end| end.cause.as_deref());
    let conditions = job.script().into_iter().flat_map(|script| &script.exec.conditions);
    let conditions = conditions.flat_map(|conditions| conditions.programs());
    let waiting = explanation.waiting.as_ref();
    let words = |waiting: &WaitReason| Some(waiting.describe(now)).filter(|words| !words.is_empty());
    ExplanationRecord {
        id: job.id.0,
        job: job.path(),
        state: Phase::as_str(job.phase()),
        outcome: job.outcome().map(Outcome::as_str),
        verdict: verdict(site_state, job, explanation, files).0,
        waiting: waiting.map(WaitReason::as_str),
        waiting_for: waiting.and_then(words),
        not_before: waiting.and_then(WaitReason::until).map(|at| at.to_rfc3339()),
        requirements: explanation.requirements.iter().map(WaitReason::as_str).collect(),
        needs: explanation
            .needs
            .iter()
            .map(|need| ExplainedNeedRecord {
                job: &need.job,
                on: need.on,
                state: need.state,
                since_ms: millis(elapsed(need.since, now)),
                met: need.is_met,
                waiting_for: need.waiting.as_ref().and_then(words),
            })
            .collect(),
        holders: explanation
            .holders
            .iter()
            .map(|holder| HolderRecord { job: &holder.job, for_ms: millis(elapsed(holder.since, now)) })
            .collect(),
        ahead: explanation.ahead.iter().map(|(job, _)| &**job).collect(),
        stopped_by: &explanation.stopped_by,
        conditions: conditions
            .map(|(kind, program)| ConditionRecord { field: kind.as_str(), command: command_line(program) })
            .collect(),
        files: files_record(job, files),
        error: end.and_then(RunEnd::failure_text),
        cause: cause.map(|cause| cause.kind.as_str()),
        advice: cause.and_then(Cause::advice),
        slow: None,
        waited: None,
    }
}

fn files_record<'a>(job: &Job, files: &'a Files) -> Option<FilesRecord<'a>> {
    let (reasons, problem): (&[StaleReason], _) = match files {
        Files::None => return None,
        Files::Observed(reasons) => (reasons, None),
        Files::Failed(message) => (&[], Some(message.as_str())),
    };
    let changes = reasons.iter().find_map(|reason| match reason {
        StaleReason::Sources(changes) => Some(changes),
        _ => None,
    });
    let missing = reasons.iter().find_map(|reason| match reason {
        StaleReason::MissingOutputs(patterns) => Some(patterns.as_slice()),
        _ => None,
    });
    Some(FilesRecord {
        up_to_date: problem.is_none().then_some(reasons.is_empty()),
        reasons: reasons.iter().map(StaleReason::as_str).collect(),
        explanations: reasons.iter().map(StaleReason::describe).collect(),
        changed: changes.map_or(&[], |changes| &changes.changed),
        appeared: changes.map_or(&[], |changes| &changes.appeared),
        vanished: changes.map_or(&[], |changes| &changes.vanished),
        missing_outputs: missing.unwrap_or_default(),
        success_run: job.success.as_deref().map(|success| success.run.0),
        problem,
    })
}

/// Never negative, even if the clock was set back.
fn elapsed(since: DateTime<Utc>, now: DateTime<Utc>) -> Duration {
    (now - since).to_std().unwrap_or_default()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
