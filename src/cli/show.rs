//! `setlist show`: one job with its runs.

use std::io::{BufWriter, Write};
use std::sync::Arc;

use super::artifacts::RunArtifacts;
use super::error::CliError;
use super::exit::ExitStatus;
use super::json_records::{JobRecord, command_line, job_command, write_json};
use super::open_site::OpenSite;
use super::progress_reporter::last_lines;
use super::run_feed::machines_of;
use super::time_text::local_time;
use super::usage_now::RunningUsages;
use super::{safe_output, schedule, status_check};
use crate::clock;
use crate::model::{
    Approval, FilePattern, HookResult, InputValues, Job, MASK, Need, Outcome, OutcomeCondition, Phase, PoolHold,
    PoolUse, Run, RunEnd, ScheduleTarget, SchedulingOptions, SiteState, SlowRun, WorkerId, plain_text, pool_title,
    result_value,
};
use crate::store::{Store, WorkerMachines};
use crate::text;
use crate::tui::output::StreamSanitizer;

/// Prints a job with its runs.
pub(super) fn show(mut site: OpenSite, job: &Job, json: bool) -> Result<ExitStatus, CliError> {
    let runs = job.runs_of_record(site.store.runs(job.id)?);
    // The reason why a job waits depends on other jobs.
    let now = clock::now();
    let needs_state =
        job.phase() == Phase::Pending || !site.store.schedules()?.is_empty() || !site.store.expectations()?.is_empty();
    let site_state = if needs_state { site.state_of_job(job)? } else { SiteState::default() };
    let waiting = site_state.wait_reason(job);
    let schedule = site_state.schedule_of_job(job);
    let overdue = site_state.overdue_job(job, now);
    let expectation = site_state.expectation(&ScheduleTarget::Job(job.id));
    let last_due = schedule.map(|schedule| schedule::last_due(site.store.as_mut(), &schedule.target)).transpose()?;
    let hook_result = job.hook().and_then(|_| {
        runs.iter().rev().find_map(|run| Some((run.id, site.store.log_reader(run.id).hook_result(run)?)))
    });
    let artifacts = RunArtifacts::find(&runs, &site.paths.state, site.store.as_mut())?;
    let slow = slow_result(site.store.as_mut(), job, &runs)?;
    let machines = machines_of(site.store.as_mut(), &runs)?;
    let mut out = BufWriter::new(safe_output::stdout());
    if json {
        let usage_now = RunningUsages::look(&mut site, [job])?.of(job, site.store.as_ref());
        let record = JobRecord::new(job, waiting.as_ref(), now).with_overdue(overdue).with_usage_now(usage_now);
        write_json(
            &mut out,
            &record.with_details(
                job,
                (&runs, &machines),
                hook_result.as_ref(),
                schedule.map(|schedule| (schedule, now)),
                &artifacts,
                slow.as_ref(),
            ),
        )?;
    } else {
        print_details(
            &mut out,
            job,
            (&runs, &machines),
            &JobNotes {
                waiting: waiting.map(|waiting| waiting.describe(now)),
                schedule: schedule.map(|schedule| schedule::describe_lines(schedule, last_due.flatten().as_ref(), now)),
                expect: expectation.map(|state| status_check::describe_expectation(state, now)),
                has_value_of_output: is_last_line_of_output(site.store.as_ref(), job),
                slow: slow.map(|slow| slow.to_string()),
                dropped_output: match job.result_run() {
                    Some(run) => site.store.log_reader(run.id).dropped_len()?,
                    None => 0,
                },
            },
            hook_result.map(|(_, result)| result),
        )?;
        artifacts.iter().try_for_each(|artifacts| artifacts.print(&mut out))?;
    }
    out.flush()?;
    drop(out);
    site.finish(ExitStatus::Success)
}

/// Why the last run of a job was slower than usual, if it was.
pub(super) fn slow_result(store: &mut dyn Store, job: &Job, runs: &[Run]) -> Result<Option<SlowRun>, CliError> {
    let ids: Vec<WorkerId> = runs.iter().map(|run| run.worker).collect();
    let machines = store.worker_machines(&ids)?;
    let host_of = |id| machines.get(&id).map(String::as_str);
    Ok(SlowRun::of_result(job, runs, clock::now(), host_of))
}

/// Whether the value of a job is the last line of its output. Otherwise it wrote the value into a file.
fn is_last_line_of_output(store: &dyn Store, job: &Job) -> bool {
    let (Some(run), Some(value)) = (job.result_run(), job.result_value().and_then(|value| value.as_str())) else {
        return false;
    };
    let lines = last_lines(&mut store.log_reader(run.id), StreamSanitizer::plain());
    let last = lines.ok().and_then(|(lines, _)| lines.into_iter().rfind(|line| !line.trim().is_empty()));
    last.is_some_and(|last| last.trim() == value)
}

/// What is known of a job beside its record.
struct JobNotes {
    /// Why it waits.
    waiting: Option<String>,
    schedule: Option<String>,
    expect: Option<String>,
    /// Its value is the last line of its output.
    has_value_of_output: bool,
    /// Why its last run was slower than usual.
    slow: Option<String>,
    /// How many bytes of the output of its last run were not kept.
    dropped_output: u64,
}

/// What decides whether the job runs, what limits its runs, and what its value is for.
fn check_fields(job: &Job) -> Vec<(&'static str, String)> {
    let Some(exec) = job.script().map(|script| &script.exec) else { return Vec::new() };
    let conditions = exec.conditions.iter().flat_map(|conditions| conditions.programs());
    let mut fields: Vec<_> = conditions.map(|(kind, program)| (kind.as_str(), command_line(program))).collect();
    if let Some(files) = &exec.files {
        let plain = |patterns: &[String]| {
            patterns.iter().map(|pattern| FilePattern::plain_text(pattern)).collect::<Vec<_>>().join(", ")
        };
        let names = [("sources", &files.sources), ("outputs", &files.outputs)];
        fields.extend(names.map(|(name, patterns)| (name, plain(patterns))));
    }
    let taken = job.snapshot().map(|snapshot| format!(": {}", snapshot.describe())).unwrap_or_default();
    fields.extend(exec.snapshot.map(|kind| ("snapshot", format!("{}{taken}", kind.as_str()))));
    fields.push(("limits", exec.limits.to_string()));
    fields.push(("items for", job.definition.scheduling.item_entries.join(", ")));
    fields.retain(|(_, text)| !text.is_empty());
    fields
}

/// What differs between the limits of the last run and those of the job, and why it was slow.
fn run_notes(job: &Job, slow: Option<&str>) -> Vec<(&'static str, String)> {
    let inputs = job.result_run().and_then(|run| run.inputs.as_deref());
    let scaled = inputs.map(|inputs| ("scaled", inputs.scaled.to_string())).filter(|(_, scaled)| !scaled.is_empty());
    let unkept = inputs.into_iter().flat_map(|inputs| &inputs.unkept_limits);
    let unkept = unkept.map(|problem| ("not kept", problem.clone()));
    scaled.into_iter().chain(unkept).chain(slow.map(|slow| ("slow", slow.to_owned()))).collect()
}

fn print_details(
    out: &mut impl Write,
    job: &Job,
    (runs, machines): (&[Run], &WorkerMachines),
    notes: &JobNotes,
    hook_result: Option<HookResult>,
) -> Result<(), CliError> {
    writeln!(out, "{}  {}", job.id, text::sanitize_line(&job.path()))?;
    let mut field = |name: &str, value: &str| {
        let mut lines = value.lines();
        writeln!(out, "  {name:<9} {}", text::sanitize_line(lines.next().unwrap_or_default()))?;
        lines.try_for_each(|line| writeln!(out, "  {:<9} {}", "", text::sanitize_line(line)))
    };
    if !job.title().is_empty() {
        field("title", job.title())?;
    }
    field("state", &describe_state(job))?;
    if let Some(words) = notes.waiting.as_ref().filter(|words| !words.is_empty()) {
        field("waits", words)?;
    }
    if let Some(Outcome::Skipped { reason, .. }) = job.outcome() {
        field("skipped", reason)?;
    } else if let Some(failure) = job.failure() {
        field("error", &failure.message)?;
    }
    let end = job.result_run().and_then(|run| run.end.as_ref());
    if let Some(cause) = end.and_then(|end| end.cause.as_deref()).filter(|cause| cause.is_informative()) {
        field("cause", &cause.to_string())?;
        if let Some(advice) = cause.advice() {
            field("fix", advice)?;
        }
    }
    if let Some(usage) = end.and_then(|end| end.usage.as_deref()) {
        field("used", &usage.to_string())?;
    }
    run_notes(job, notes.slow.as_deref()).iter().try_for_each(|(name, note)| field(name, note))?;
    if notes.dropped_output > 0 {
        field("output", &format!("{} were not kept (`log_limit`)", text::bytes(notes.dropped_output)))?;
    }
    let scheduling = &job.definition.scheduling;
    if !scheduling.needs.is_empty() {
        field("needs", &scheduling.needs.iter().map(describe_need).collect::<Vec<_>>().join(", "))?;
    }
    for (name, lines) in [("schedule", &notes.schedule), ("expect", &notes.expect)] {
        lines.as_ref().map_or(Ok(()), |lines| field(name, lines))?;
    }
    if job.max_attempts() > 1 {
        field("attempt", &format!("{} of {}", job.current_attempt(), job.max_attempts()))?;
    }
    for (name, text) in placement_fields(scheduling) {
        field(name, &text)?;
    }
    if !scheduling.uses.is_empty() {
        field("uses", &scheduling.uses.iter().map(describe_use).collect::<Vec<_>>().join(", "))?;
    }
    if !job.held_pools().is_empty() {
        field("holds", &describe_holds(job.held_pools()))?;
    }
    if let Some(key) = &scheduling.unique {
        field("unique", key)?;
    }
    if let Some(question) = &scheduling.confirm {
        field("asks", question)?;
    }
    if let Some(value) = job.result_value() {
        let note = if notes.has_value_of_output { "  (the last line of its output)" } else { "" };
        field("value", &(result_value::text_of(value) + note))?;
    }
    if let Some(command) = job_command(job) {
        field("command", &command)?;
    }
    if let Some(matrix) = &job.definition.matrix {
        field(if matrix.is_item { "item" } else { "matrix" }, &matrix.to_string())?;
    }
    for (name, text) in check_fields(job) {
        field(name, &text)?;
    }
    if !job.definition.tags.is_empty() {
        field("tags", &job.definition.tags.join(", "))?;
    }
    if let Some(approval) = &job.approval {
        field(if approval.granted { "approved" } else { "refused" }, &describe_approval(approval))?;
    }
    // When a job was added is not recorded once it has become pending again.
    field(if job.prior_attempts == 0 { "added" } else { "requeued" }, &local_time(job.enqueued))?;
    for run in runs {
        field("run", &describe_run(run, machines.get(&run.worker)))?;
    }
    if let Some(hook) = job.hook() {
        field("on_finish", &format!("{}\n{}", command_line(&hook.program).trim_end(), hook.summary()))?;
    }
    if let Some(HookResult { at, outcome, last_line }) = hook_result {
        let why = outcome.failure().map_or("", |failure| &failure.message);
        let result = format!("{}  {}  {why}  {last_line}", local_time(at), outcome.as_str());
        field("", result.trim_end())?;
    }
    Ok(())
}

fn describe_state(job: &Job) -> String {
    let stalled = status_check::stalled_text(job, clock::now()).map(|text| format!(", {text}")).unwrap_or_default();
    let state = job.outcome().map_or(job.phase().as_str().to_owned(), Outcome::to_string);
    let removed = if job.definition.is_removed_from_file { ", no longer in jobs.yaml" } else { "" };
    format!("{state}{stalled}{removed}")
}

/// Describes a run, and what it got when it started.
fn describe_run(run: &Run, machine: Option<&String>) -> String {
    let ending = run.end.as_ref();
    let outcome = ending.map_or("running", |ending| ending.outcome.as_str());
    let took = run.duration().map(text::duration).unwrap_or_default();
    let result = match ending {
        Some(end) if end.outcome.failure().is_some() => end.failure_line().unwrap_or_default(),
        Some(RunEnd { value: Some(value), .. }) => plain_text(value).replace('\n', " "),
        _ => String::new(),
    };
    let approved = run.approval.as_ref().map(|approval| format!("  approved by {}", approval.by)).unwrap_or_default();
    let described = format!("{}  {}  {outcome}  {took}  {result}", run.attempt, local_time(run.started));
    let place = machine.map(|machine| format!("  on {machine}, worker {}", run.worker)).unwrap_or_default();
    let mut lines = vec![format!("{}{place}{approved}", described.trim_end()).trim_end().to_owned()];
    if let Some(inputs) = &run.inputs {
        lines.extend((!inputs.pools.is_empty()).then(|| format!("   held {}", describe_holds(&inputs.pools))));
        lines.extend((!inputs.inputs.is_empty()).then(|| format!("   with {}", describe_inputs(&inputs.inputs))));
        lines.extend(inputs.snapshot.iter().map(|snapshot| format!("   on {}", snapshot.describe())));
        lines.extend(inputs.command.iter().flat_map(|command| command.lines()).map(|line| format!("   ran {line}")));
        lines.extend(inputs.is_cut.then(|| "   a value that it got was cut to 32 KiB".to_owned()));
    }
    lines.join("\n")
}

fn describe_approval(approval: &Approval) -> String {
    format!("by {} at {}", approval.by, local_time(approval.at))
}

/// Describes a need as in `jobs.yaml`.
fn describe_need(need: &Need) -> String {
    match need.on {
        OutcomeCondition::Success => need.job.to_string(),
        OutcomeCondition::Failure => format!("{} to fail", need.job),
        OutcomeCondition::Finish => format!("{} to finish", need.job),
    }
}

/// Describes the use of a pool: `gpu`, `2 of gpu`, `mutex deploy`.
fn describe_use(wanted: &PoolUse) -> String {
    match wanted {
        PoolUse { mutex: true, pool, .. } => format!("mutex {pool}"),
        PoolUse { count: 1, pool, .. } => pool_title(pool).into_owned(),
        PoolUse { count, pool, .. } => format!("{count} of {}", pool_title(pool)),
    }
}

/// The units that a run holds: `gpu 0,1`.
fn describe_holds(holds: &[PoolHold]) -> String {
    let units = |hold: &PoolHold| hold.units.iter().map(u32::to_string).collect::<Vec<_>>().join(",");
    holds.iter().map(|hold| format!("{} {}", pool_title(&hold.pool), units(hold))).collect::<Vec<_>>().join("; ")
}

/// The values of inputs, quoted as in a shell; secrets are masked.
fn describe_inputs(values: &InputValues) -> String {
    let value = |(name, value): (&Arc<str>, &Option<String>)| match value {
        Some(value) => format!("{name}={}", text::shell_command(std::slice::from_ref(value))),
        None => format!("{name}={MASK}"),
    };
    values.iter().map(value).collect::<Vec<_>>().join(" ")
}

/// In which order and on which workers a job starts, where that is not the usual.
fn placement_fields(scheduling: &SchedulingOptions) -> Vec<(&'static str, String)> {
    let priority = (scheduling.priority != 0).then(|| ("priority", scheduling.priority.to_string()));
    let weight = (scheduling.weight != 1).then(|| ("weight", scheduling.weight.to_string()));
    let labels = (!scheduling.runs_on.is_empty()).then(|| ("runs on", scheduling.runs_on.join(", ")));
    [priority, weight, labels].into_iter().flatten().collect()
}
