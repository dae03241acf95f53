//! Jobs and queues as JSON objects, the contract of `--json`: fields are only added; absent values are null.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Map;
use serde_json::ser::{Formatter, Serializer};

use super::artifacts::RunArtifacts;
use super::error::CliError;
use super::snapshot_record::SnapshotRecord;
use super::time_text::iso_time;
use super::usage_now::UsageNowRecord;
use crate::model::{
    Approval, Call, Exit, HookResult, Job, JobCounts, NeedResult, Outcome, OutcomeCondition, Overdue, PoolHold,
    Program, QueueId, QueueMode, QueueState, Run, RunEnd, RunId, ScaledLimits, ScheduleState, SiteState, SkipKind,
    SlowReason, SlowRun, Value, WaitReason,
};
use crate::store::WorkerMachines;
use crate::text;

/// Writes an object as one line.
pub(super) fn write_json(out: &mut impl Write, record: &impl Serialize) -> Result<(), CliError> {
    let mut json = Serializer::with_formatter(&mut *out, EscapeControls);
    record.serialize(&mut json).map_err(io::Error::from)?;
    Ok(writeln!(out)?)
}

/// Escapes all control and invisible characters, not only those that JSON requires: the output may go to a terminal, which
/// must not receive escape sequences or changes of direction.
struct EscapeControls;

fn is_escaped(character: char) -> bool {
    character.is_control() || (!character.is_ascii() && text::cells(character).is_none_or(|cells| cells == 0))
}

impl Formatter for EscapeControls {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, out: &mut W, fragment: &str) -> io::Result<()> {
        for piece in fragment.split_inclusive(is_escaped) {
            let plain = piece.trim_end_matches(is_escaped);
            out.write_all(plain.as_bytes())?;
            piece[plain.len()..].encode_utf16().try_for_each(|unit| write!(out, "\\u{unit:04x}"))?;
        }
        Ok(())
    }
}

/// A queue.
#[derive(Serialize)]
pub(super) struct QueueRecord<'a> {
    queue: &'a str,
    title: &'a str,
    state: &'static str,
    /// The state as `setlist status` shows it: also `running` and `needs approval`.
    status: &'static str,
    /// The failed jobs that stopped it.
    stopped_by: Vec<String>,
    /// The jobs that need approval and are next to start.
    needs_approval: Vec<String>,
    parallel: u32,
    pending: usize,
    running: usize,
    finished: usize,
    failed: usize,
    /// What is overdue: the queue itself, or jobs of it.
    overdue: Vec<String>,
    /// The running jobs that are stalled.
    stalled: Vec<String>,
    /// When it or one of its jobs is due next.
    next_due_at: Option<String>,
    /// The number of workers that serve it.
    workers: usize,
    /// The `jobs.yaml` of its site.
    site: &'a str,
}

impl<'a> QueueRecord<'a> {
    /// A queue of a site whose jobs are loaded.
    pub(super) fn new(
        id: &'a QueueId,
        queue: &'a QueueState,
        site_state: &SiteState,
        site: &'a str,
        now: DateTime<Utc>,
    ) -> Self {
        Self::with_counts(id, queue, site_state.job_counts(id), site_state, site, now)
    }

    /// A queue with these counts, when only an overview of its site is loaded.
    pub(super) fn with_counts(
        id: &'a QueueId,
        queue: &'a QueueState,
        counts: JobCounts,
        site_state: &SiteState,
        site: &'a str,
        now: DateTime<Utc>,
    ) -> Self {
        Self {
            queue: id.as_str(),
            title: &queue.settings.title,
            state: QueueMode::as_str(queue.mode),
            status: site_state.queue_status(id).as_str(),
            stopped_by: site_state.stopped_by(id).map(Job::path).collect(),
            needs_approval: site_state.approvals_due(id).map(Job::path).collect(),
            parallel: queue.settings.max_parallel(),
            pending: counts.pending,
            running: counts.running,
            finished: counts.finished,
            failed: site_state.failed_count_of(id, counts),
            overdue: site_state.overdue_in(id, now).map(|(state, _)| site_state.target_path(&state.target)).collect(),
            stalled: site_state.stalled_in(id).map(|(job, _)| job.path()).collect(),
            next_due_at: site_state.next_due_in(id, now).map(|(due, _)| iso_time(due)),
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
    parameters: Option<Map<String, Value>>,
    /// The entries that define a job for each item of the list that it returns.
    items_for: &'a [Arc<str>],
    error: Option<&'a str>,
    cause: Option<CauseRecord>,
    usage: Option<UsageRecord>,
    command: Option<String>,
    needs: Vec<String>,
    tags: &'a [String],
    worker: Option<u64>,
    priority: i32,
    waiting: Option<&'static str>,
    waiting_for: Option<String>,
    not_before: Option<String>,
    confirm: Option<&'a str>,
    approval: Option<ApprovalRecord<'a>>,
    /// The labels that a worker must have to run it.
    runs_on: Vec<&'a str>,
    /// The units of each pool that it uses while it runs.
    uses: BTreeMap<&'a str, u32>,
    /// The units that its current run holds.
    pools: BTreeMap<&'a str, &'a [u32]>,
    /// The key that only one pending or running job has.
    unique: Option<&'a str>,
    /// Whether its entry is no longer in the file.
    removed_from_file: bool,
    skipped_by: Option<&'static str>,
    /// Since when it prints nothing, if it is stalled.
    stalled_since: Option<String>,
    /// By when it should have succeeded, if it is overdue. Only commands that show jobs know this.
    overdue_since: Option<String>,
    /// The files that it was given, if it runs on a snapshot.
    #[serde(skip_serializing_if = "Option::is_none")]
    snapshot: Option<SnapshotRecord<'a>>,
    /// What its processes use while it runs. Only commands that show jobs know this.
    usage_now: Option<UsageNowRecord>,
    #[serde(flatten)]
    details: Option<ExtraJobFields<'a>>,
}

/// Fields of a job that `show` adds.
#[derive(Serialize)]
struct ExtraJobFields<'a> {
    runs: Vec<RunRecord<'a>>,
    /// The machine of its last run, where a server has the site.
    machine: Option<&'a str>,
    on_finish: Option<HookRecord<'a>>,
    /// The expressions of its schedule, or of that of its queue.
    schedule: Option<Vec<String>>,
    next_due_at: Option<String>,
    /// What its runs have left.
    artifacts: Vec<Value>,
    /// Set if its last run was slower than usual.
    slow: Option<SlowRunRecord>,
}

/// The hook of a job.
#[derive(Serialize)]
struct HookRecord<'a> {
    command: String,
    on: OutcomeCondition,
    timeout_ms: u64,
    last: Option<HookRunRecord<'a>>,
}

/// The latest known result of the hook.
#[derive(Serialize)]
struct HookRunRecord<'a> {
    run_id: u64,
    outcome: &'static str,
    error: Option<&'a str>,
    #[serde(rename = "said")]
    last_line: Option<&'a str>,
    ended_at: String,
}

/// A run of a job.
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
    value: Option<&'a Value>,
    error: Option<&'a str>,
    cause: Option<CauseRecord>,
    usage: Option<UsageRecord>,
    worker: u64,
    /// Where a server has the site.
    machine: Option<&'a str>,
    approval: Option<ApprovalRecord<'a>>,
    pools: BTreeMap<&'a str, &'a [u32]>,
    /// The values of the inputs of its queue; null for a secret.
    inputs: BTreeMap<&'a str, Option<&'a str>>,
    /// The command with the values of needed jobs and inputs filled in.
    command: Option<&'a str>,
    /// The results of the needed jobs when it started.
    needs: Vec<NeedRecord<'a>>,
    skipped_by: Option<&'static str>,
    /// Its limits that have grown since the first attempt.
    scaled_limits: Option<ScaledLimitsRecord>,
    /// What was not kept of its limits, in words.
    unkept_limits: &'a [String],
    /// The files that it was given, if it ran on a snapshot.
    #[serde(skip_serializing_if = "Option::is_none")]
    snapshot: Option<SnapshotRecord<'a>>,
}

/// The result of a needed job.
#[derive(Serialize)]
struct NeedRecord<'a> {
    job: &'a str,
    outcome: &'a str,
    value: Option<&'a Value>,
    cut: bool,
}

/// Why a run did not succeed.
#[derive(Serialize)]
struct CauseRecord {
    kind: &'static str,
    limit: Option<String>,
    text: String,
}

/// What a run used.
#[derive(Serialize)]
struct UsageRecord {
    user_ms: u64,
    system_ms: u64,
    peak_memory: u64,
    peak_memory_exact: bool,
    read_bytes: Option<u64>,
    written_bytes: Option<u64>,
    /// Whether the processor time and what was read and written are those of all processes of the run.
    tree_cpu: bool,
    tree_io: bool,
    /// The peak memory of all processes together, with cached files.
    tree_peak_memory: Option<u64>,
}

/// Limits of a run that have grown.
#[derive(Serialize)]
struct ScaledLimitsRecord {
    memory: Option<u64>,
    timeout_ms: Option<u64>,
}

/// Who approved or refused a job or a run.
#[derive(Serialize)]
struct ApprovalRecord<'a> {
    by: &'a str,
    at: String,
    granted: bool,
}

/// Why a run was slower than usual.
#[derive(Serialize)]
pub(super) struct SlowRunRecord {
    usual_ms: u64,
    compared_runs: usize,
    reasons: Vec<&'static str>,
    explanations: Vec<String>,
}

impl SlowRunRecord {
    pub(super) fn new(slow: &SlowRun) -> Self {
        Self {
            usual_ms: millis(slow.usual),
            compared_runs: slow.compared,
            reasons: slow.reasons.iter().map(SlowReason::as_str).collect(),
            explanations: slow.reasons.iter().map(ToString::to_string).collect(),
        }
    }
}

/// A run with the job that it belongs to.
#[derive(Serialize)]
pub(super) struct RunOfJobRecord<'a> {
    job: String,
    job_id: u64,
    #[serde(flatten)]
    run: RunRecord<'a>,
}

impl<'a> RunOfJobRecord<'a> {
    pub(super) fn new(job: &Job, run: &'a Run, machines: &'a WorkerMachines) -> Self {
        Self { job: job.path(), job_id: job.id.0, run: RunRecord::new(run, machines) }
    }
}

impl<'a> ApprovalRecord<'a> {
    fn new(approval: &'a Approval) -> Self {
        Self { by: &approval.by, at: iso_time(approval.at), granted: approval.granted }
    }
}

impl<'a> JobRecord<'a> {
    /// The job without its earlier runs; `waiting` is why it is pending.
    pub(super) fn new(job: &'a Job, waiting: Option<&WaitReason>, now: DateTime<Utc>) -> Self {
        let run = job.last_run.as_deref();
        let result_run = job.result_run();
        let end = result_run.and_then(|run| run.end.as_ref());
        let (exit_code, signal) = exit_fields(end);
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
            enqueued_at: iso_time(job.enqueued),
            started_at: result_run.map(|run| iso_time(run.started)),
            executed_at: job.result_executed().map(iso_time),
            wait_ms: result_run.map(|run| millis(time_between(job.enqueued, run.started))),
            run_ms: result_run.and_then(Run::duration).map(millis),
            value: job.result_value(),
            parameters: job.definition.matrix.as_deref().map(|matrix| {
                matrix.values.iter().map(|(name, value)| (name.to_string(), Value::from(&**value))).collect()
            }),
            items_for: &job.definition.scheduling.item_entries,
            error: error_message(job),
            cause: cause_record(end),
            usage: usage_record(end),
            command: job_command(job),
            needs: job.definition.scheduling.needs.iter().map(|need| need.job.to_string()).collect(),
            tags: &job.definition.tags,
            worker: run.map(|run| run.worker.0),
            priority: job.definition.scheduling.priority,
            waiting: waiting.map(WaitReason::as_str),
            waiting_for: waiting.map(|waiting| waiting.describe(now)).filter(|words| !words.is_empty()),
            not_before: waiting.and_then(WaitReason::until).map(iso_time),
            confirm: job.definition.scheduling.confirm.as_deref(),
            approval: job.approval.as_deref().map(ApprovalRecord::new),
            runs_on: job.definition.scheduling.runs_on.iter().map(|label| &**label).collect(),
            uses: job.definition.scheduling.uses.iter().map(|wanted| (&*wanted.pool, wanted.count)).collect(),
            pools: held_units(job.held_pools()),
            unique: job.definition.scheduling.unique.as_deref(),
            removed_from_file: job.definition.is_removed_from_file,
            skipped_by: job.outcome().and_then(Outcome::skip_kind).map(SkipKind::as_str),
            stalled_since: job.stalled_since().map(iso_time),
            overdue_since: None,
            snapshot: job.snapshot().map(SnapshotRecord::new),
            usage_now: None,
            details: None,
        }
    }

    /// Adds since when the job is overdue.
    pub(super) fn with_overdue(self, overdue: Option<Overdue>) -> Self {
        Self { overdue_since: overdue.map(|overdue| iso_time(overdue.expected)), ..self }
    }

    /// Adds what its processes use now.
    pub(super) fn with_usage_now(self, usage_now: Option<UsageNowRecord>) -> Self {
        Self { usage_now, ..self }
    }

    /// Adds all runs of the job, the result of its `on_finish` hook, its schedule and its artifacts.
    pub(super) fn with_details(
        self,
        job: &Job,
        (runs, machines): (&'a [Run], &'a WorkerMachines),
        hook_result: Option<&'a (RunId, HookResult)>,
        schedule: Option<(&ScheduleState, DateTime<Utc>)>,
        artifacts: &[RunArtifacts],
        slow: Option<&SlowRun>,
    ) -> Self {
        let expressions = |state: &ScheduleState| state.schedule.times.iter().map(ToString::to_string).collect();
        let hook = job.hook().map(|hook| HookRecord {
            command: command_line(&hook.program),
            on: hook.on,
            timeout_ms: millis(hook.timeout),
            last: hook_result.map(HookRunRecord::new),
        });
        Self {
            details: Some(ExtraJobFields {
                runs: runs.iter().map(|run| RunRecord::new(run, machines)).collect(),
                machine: job.last_run.as_ref().and_then(|run| machines.get(&run.worker)).map(String::as_str),
                on_finish: hook,
                schedule: schedule.map(|(state, _)| expressions(state)),
                next_due_at: schedule.and_then(|(state, now)| state.upcoming(now)).map(iso_time),
                artifacts: artifacts.iter().map(RunArtifacts::to_json).collect(),
                slow: slow.map(SlowRunRecord::new),
            }),
            ..self
        }
    }
}

impl<'a> HookRunRecord<'a> {
    fn new((run, end): &'a (RunId, HookResult)) -> Self {
        Self {
            run_id: run.0,
            outcome: end.outcome.as_str(),
            error: end.outcome.failure().map(|failure| failure.message.as_str()),
            last_line: Some(end.last_line.as_str()).filter(|line| !line.is_empty()),
            ended_at: iso_time(end.at),
        }
    }
}

impl<'a> RunRecord<'a> {
    fn new(run: &'a Run, machines: &'a WorkerMachines) -> Self {
        let end = run.end.as_ref();
        let (exit_code, signal) = exit_fields(end);
        Self {
            id: run.id.0,
            attempt: run.attempt,
            outcome: end.map(|end| end.outcome.as_str()),
            exit_code,
            signal,
            started_at: iso_time(run.started),
            ended_at: end.map(|end| iso_time(end.at)),
            run_ms: run.duration().map(millis),
            value: end.and_then(|end| end.value.as_deref()),
            error: end.and_then(|end| outcome_message(&end.outcome)),
            cause: cause_record(end),
            usage: usage_record(end),
            worker: run.worker.0,
            machine: machines.get(&run.worker).map(String::as_str),
            approval: run.approval.as_deref().map(ApprovalRecord::new),
            pools: held_units(run.inputs.as_deref().map_or(&[], |inputs| &inputs.pools)),
            inputs: run
                .inputs
                .iter()
                .flat_map(|got| &got.inputs)
                .map(|(name, value)| (&**name, value.as_deref()))
                .collect(),
            command: run.inputs.as_deref().and_then(|inputs| inputs.command.as_deref()),
            needs: run.inputs.iter().flat_map(|inputs| &inputs.needs).map(NeedRecord::new).collect(),
            skipped_by: end.and_then(|end| end.outcome.skip_kind()).map(SkipKind::as_str),
            scaled_limits: run.inputs.as_deref().and_then(|inputs| ScaledLimitsRecord::new(&inputs.scaled)),
            unkept_limits: run.inputs.as_deref().map_or(&[], |inputs| &inputs.unkept_limits),
            snapshot: run.snapshot().map(SnapshotRecord::new),
        }
    }
}

impl ScaledLimitsRecord {
    fn new(scaled: &ScaledLimits) -> Option<Self> {
        let record = Self { memory: scaled.memory, timeout_ms: scaled.timeout.map(millis) };
        (!scaled.is_empty()).then_some(record)
    }
}

impl<'a> NeedRecord<'a> {
    fn new(result: &'a NeedResult) -> Self {
        let NeedResult { job, outcome, value, is_cut } = result;
        Self { job, outcome, value: value.as_ref(), cut: *is_cut }
    }
}

fn held_units(holds: &[PoolHold]) -> BTreeMap<&str, &[u32]> {
    holds.iter().map(|hold| (&*hold.pool, &*hold.units)).collect()
}

fn cause_record(end: Option<&RunEnd>) -> Option<CauseRecord> {
    let cause = end?.cause.as_deref()?;
    Some(CauseRecord { kind: cause.kind.as_str(), limit: cause.limit.clone(), text: cause.to_string() })
}

fn usage_record(end: Option<&RunEnd>) -> Option<UsageRecord> {
    let usage = end?.usage.as_deref()?;
    Some(UsageRecord {
        user_ms: millis(usage.user),
        system_ms: millis(usage.system),
        peak_memory: usage.peak_memory,
        peak_memory_exact: !usage.is_peak_bound,
        read_bytes: usage.io.map(|io| io.read),
        written_bytes: usage.io.map(|io| io.written),
        tree_cpu: usage.tree.has_cpu,
        tree_io: usage.tree.has_io,
        tree_peak_memory: usage.tree.peak_memory,
    })
}

/// Why its latest run failed, or why it was skipped.
fn error_message(job: &Job) -> Option<&str> {
    let skipped = job.outcome().filter(|outcome| outcome.skip_kind().is_some()).and_then(outcome_message);
    skipped.or_else(|| job.failure().map(|failure| failure.message.as_str()))
}

/// Why a run or a job failed or was skipped.
fn outcome_message(outcome: &Outcome) -> Option<&str> {
    match outcome {
        Outcome::Skipped { reason, .. } => Some(reason),
        outcome => outcome.failure().map(|failure| failure.message.as_str()),
    }
}

/// The command of a job as typed in a shell.
pub(super) fn job_command(job: &Job) -> Option<String> {
    match &job.definition.call {
        Call::Function(_) => None,
        Call::Script(script) => Some(command_line(&script.program)),
    }
}

/// A script, or a command quoted for a shell.
pub(super) fn command_line(program: &Program) -> String {
    match program {
        Program::Run { text, .. } => text.to_string(),
        Program::Command(words) => text::shell_command(words),
    }
}

fn exit_fields(end: Option<&RunEnd>) -> (Option<i32>, Option<i32>) {
    match end.and_then(|end| end.exit) {
        Some(Exit::Code(code)) => (Some(code), None),
        Some(Exit::Signal(signal)) => (None, Some(signal)),
        None => (None, None),
    }
}

/// Never negative, even if the clock was set back.
fn time_between(from: DateTime<Utc>, to: DateTime<Utc>) -> Duration {
    (to - from).to_std().unwrap_or_default()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
