//! Jobs and queues as JSON objects: the contract of `--json`. Fields are only ever added; what isn't there is null.

use std::io::{self, Write};
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

use super::CliError;
use crate::model::{
    Call, Exit, HookResult, Job, Outcome, OutcomeCondition, Program, QueueId, QueueMode, QueueState, Run, RunEnd,
    RunId, SiteState, Value, WaitReason,
};

/// Prints an object as one line.
pub(super) fn print(out: &mut impl Write, record: &impl Serialize) -> Result<(), CliError> {
    let mut json = Serializer::with_formatter(&mut *out, Harmless);
    record.serialize(&mut json).map_err(io::Error::from)?;
    Ok(writeln!(out)?)
}

/// JSON in which every control character is escaped, not only those that JSON wants to be: it may go to a terminal, and
/// what a job has said must not steer that.
struct Harmless;

impl Formatter for Harmless {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        for piece in fragment.split_inclusive(char::is_control) {
            let text = piece.trim_end_matches(char::is_control);
            out.write_all(text.as_bytes())?;
            piece[text.len()..].chars().try_for_each(|control| write!(out, "\\u{:04x}", u32::from(control)))?;
        }
        Ok(())
    }
}

/// A queue.
#[derive(Serialize)]
pub(super) struct QueueObject<'a> {
    queue: &'a str,
    title: &'a str,
    state: &'static str,
    parallel: u32,
    pending: usize,
    running: usize,
    finished: usize,
    failed: usize,
    /// How many workers serve it.
    workers: usize,
    /// The `jobs.yaml` of the site that has it.
    site: &'a str,
}

impl<'a> QueueObject<'a> {
    pub(super) fn of(id: &'a QueueId, queue: &'a QueueState, site_state: &SiteState, site: &'a str) -> Self {
        Self {
            queue: id.as_str(),
            title: &queue.settings.title,
            state: QueueMode::as_str(queue.mode),
            parallel: queue.settings.parallel,
            pending: queue.pending.len(),
            running: queue.running.len(),
            finished: queue.finished.len(),
            failed: queue.failed,
            workers: site_state.workers().filter(|worker| worker.serves(id)).count(),
            site,
        }
    }
}

/// A job.
#[derive(Serialize)]
pub(super) struct JobRecord<'a> {
    id: u64,
    queue: &'a str,
    name: Option<&'a str>,
    title: &'a str,
    state: &'static str,
    outcome: Option<&'static str>,
    exit_code: Option<i32>,
    signal: Option<i32>,
    attempt: u32,
    max_attempts: u32,
    run_count: u32,
    run_id: Option<u64>,
    enqueued_at: String,
    started_at: Option<String>,
    executed_at: Option<String>,
    wait_ms: Option<u64>,
    run_ms: Option<u64>,
    value: Option<&'a Value>,
    error: Option<&'a str>,
    command: Option<String>,
    needs: Vec<String>,
    tags: &'a [String],
    worker: Option<u64>,
    priority: i32,
    waiting: Option<&'static str>,
    waiting_for: Option<String>,
    not_before: Option<String>,
    #[serde(flatten)]
    more: Option<More<'a>>,
}

/// What is told of a job only where it alone is told of.
#[derive(Serialize)]
struct More<'a> {
    runs: Vec<RunRecord<'a>>,
    on_finish: Option<HookRecord<'a>>,
}

/// What is run when it has finished.
#[derive(Serialize)]
struct HookRecord<'a> {
    command: String,
    on: OutcomeCondition,
    timeout_ms: u64,
    last: Option<HookRunRecord<'a>>,
}

/// How that went after the latest run of which it is known.
#[derive(Serialize)]
struct HookRunRecord<'a> {
    run_id: u64,
    outcome: &'static str,
    error: Option<&'a str>,
    said: Option<&'a str>,
    ended_at: String,
}

/// One of its runs.
#[derive(Serialize)]
struct RunRecord<'a> {
    id: u64,
    attempt: u32,
    outcome: Option<&'static str>,
    exit_code: Option<i32>,
    signal: Option<i32>,
    started_at: String,
    ended_at: Option<String>,
    run_ms: Option<u64>,
    error: Option<&'a str>,
    worker: u64,
}

impl<'a> JobRecord<'a> {
    /// The job without its earlier runs; `waiting` is why it is still pending, if it is.
    pub(super) fn of(job: &'a Job, waiting: Option<&WaitReason>, now: DateTime<Utc>) -> Self {
        let run = job.last_run.as_deref();
        let ending = run.and_then(|run| run.end.as_ref());
        let (exit_code, signal) = exit(ending);
        Self {
            id: job.id.0,
            queue: job.queue.as_str(),
            name: job.name(),
            title: job.title(),
            state: job.phase().as_str(),
            outcome: job.outcome().map(Outcome::as_str),
            exit_code,
            signal,
            attempt: job.current_attempt(),
            max_attempts: job.max_attempts(),
            run_count: job.attempts,
            run_id: run.map(|run| run.id.0),
            enqueued_at: time(job.enqueued),
            started_at: run.map(|run| time(run.started)),
            executed_at: job.executed.map(time),
            wait_ms: run.map(|run| millis(between(job.enqueued, run.started))),
            run_ms: run.and_then(took).map(millis),
            value: job.value.as_ref(),
            error: error(job),
            command: command(job),
            needs: job.definition.scheduling.needs.iter().map(|need| need.job.to_string()).collect(),
            tags: &job.definition.tags,
            worker: run.map(|run| run.worker.0),
            priority: job.definition.scheduling.priority,
            waiting: waiting.map(WaitReason::as_str),
            waiting_for: waiting.map(|waiting| waiting.describe(now)).filter(|words| !words.is_empty()),
            not_before: waiting.and_then(WaitReason::until).map(time),
            more: None,
        }
    }

    /// The job with all its runs, and with what came of `on_finish` after one of them.
    pub(super) fn with_runs(self, job: &Job, runs: &'a [Run], hook_end: Option<&'a (RunId, HookResult)>) -> Self {
        let hook = job.hook().map(|hook| HookRecord {
            command: typed(&hook.program),
            on: hook.on,
            timeout_ms: millis(hook.timeout),
            last: hook_end.map(HookRunRecord::of),
        });
        Self { more: Some(More { runs: runs.iter().map(RunRecord::of).collect(), on_finish: hook }), ..self }
    }
}

impl<'a> HookRunRecord<'a> {
    fn of((run, end): &'a (RunId, HookResult)) -> Self {
        Self {
            run_id: run.0,
            outcome: end.outcome.as_str(),
            error: end.outcome.failure().map(|failure| failure.message.as_str()),
            said: Some(end.last_line.as_str()).filter(|said| !said.is_empty()),
            ended_at: time(end.at),
        }
    }
}

impl<'a> RunRecord<'a> {
    fn of(run: &'a Run) -> Self {
        let ending = run.end.as_ref();
        let (exit_code, signal) = exit(ending);
        Self {
            id: run.id.0,
            attempt: run.attempt,
            outcome: ending.map(|ending| ending.outcome.as_str()),
            exit_code,
            signal,
            started_at: time(run.started),
            ended_at: ending.map(|ending| time(ending.at)),
            run_ms: took(run).map(millis),
            error: ending.and_then(|ending| ending.outcome.failure()).map(|failure| failure.message.as_str()),
            worker: run.worker.0,
        }
    }
}

/// Why its latest run failed, or why it will not run.
fn error(job: &Job) -> Option<&str> {
    match job.outcome() {
        Some(Outcome::Skipped { reason }) => Some(reason),
        _ => job.failure().map(|failure| failure.message.as_str()),
    }
}

/// The command as one would type it.
pub(super) fn command(job: &Job) -> Option<String> {
    match &job.definition.call {
        Call::Function(_) => None,
        Call::Script(script) => Some(typed(&script.program)),
    }
}

/// A script, or a command as one would type it.
pub(super) fn typed(program: &Program) -> String {
    match program {
        Program::Run { text, .. } => text.clone(),
        Program::Command(words) => {
            let words = words.iter().map(String::as_str);
            // Only a NUL can't be quoted, and no program's argument has one.
            shlex::try_join(words.clone()).unwrap_or_else(|_| words.collect::<Vec<_>>().join(" "))
        }
    }
}

/// How long a run took; none while it runs.
pub(super) fn took(run: &Run) -> Option<Duration> {
    run.end.as_ref().map(|ending| between(run.started, ending.at))
}

fn exit(ending: Option<&RunEnd>) -> (Option<i32>, Option<i32>) {
    match ending.and_then(|ending| ending.exit) {
        Some(Exit::Code(code)) => (Some(code), None),
        Some(Exit::Signal(signal)) => (None, Some(signal)),
        None => (None, None),
    }
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Never negative: a clock may have been set back meanwhile.
fn between(from: DateTime<Utc>, to: DateTime<Utc>) -> Duration {
    (to - from).to_std().unwrap_or_default()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
