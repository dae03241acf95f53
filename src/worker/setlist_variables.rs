//! The `SETLIST_…` environment variables of jobs and hooks.

use std::ffi::OsString;
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};

use super::hook_event::HookEvent;
use crate::model::{
    Exit, ITEM_PARTS, Job, NeedResult, Outcome, PoolHold, Run, Value, WorkerId, declared_pool, input_variable,
    item_part, plain_text, variable_name,
};
use crate::site::{HOOK, RUN_ID, SitePaths, TAG, WORKER, hook_tag_value, run_tag_value, worker_file};

/// The variable with the folder that a job keeps over its attempts.
pub(super) const STATE_DIR: &str = "SETLIST_STATE_DIR";

/// The variable with the folder for what a run leaves.
pub(super) const ARTIFACTS: &str = "SETLIST_ARTIFACTS";

/// The variable with the commit of its snapshot.
pub(super) const SNAPSHOT: &str = "SETLIST_SNAPSHOT";

/// Values and errors are truncated to this length, because the system limits the size of an environment.
const MAX_VALUE_BYTES: usize = 32 * 1024;

/// The variables of a run.
pub(super) fn run_variables(
    job: &Job,
    run: &Run,
    paths: &SitePaths,
    tag_prefix: &str,
    value_file: &Path,
) -> Vec<(String, OsString)> {
    let mut variables = common_variables(job, run, paths);
    variables.extend(item_variables(job));
    variables.push((TAG.to_owned(), run_tag_value(tag_prefix, run.id).into()));
    variables.push(("SETLIST_VALUE".to_owned(), value_file.as_os_str().to_owned()));
    variables.extend(run.snapshot().map(|snapshot| (SNAPSHOT.to_owned(), snapshot.commit.as_str().into())));
    if let Some(inputs) = &run.inputs {
        variables.extend(inputs.pools.iter().map(pool_variable));
        variables.extend(inputs.needs.iter().flat_map(need_variables));
        // Secrets are not on record.
        let value = |(name, value): (&Arc<str>, &Option<String>)| Some((input_variable(name), value.clone()?.into()));
        variables.extend(inputs.inputs.iter().filter_map(value));
    }
    variables
}

/// `SETLIST_POOL_GPU=0,1`: the units of a pool that a run holds.
fn pool_variable(hold: &PoolHold) -> (String, OsString) {
    let units: Vec<String> = hold.units.iter().map(u32::to_string).collect();
    (variable_name("SETLIST_POOL_", declared_pool(&hold.pool)), units.join(",").into())
}

/// `SETLIST_NEEDS_BUILD` and `SETLIST_NEEDS_BUILD_OUTCOME`: the value of a needed job, if it has one, and its outcome.
fn need_variables(result: &NeedResult) -> impl Iterator<Item = (String, OsString)> {
    let name = variable_name("SETLIST_NEEDS_", &result.job);
    let value = result.value.as_ref().map(|value| (name.clone(), to_env_value(&plain_text(value))));
    value.into_iter().chain([(format!("{name}_OUTCOME"), (*result.outcome).into())])
}

/// The variables in which scripts get the item of `for_each`: `SETLIST_ITEM` and its parts, or `SETLIST_ITEM_NAME` for each
/// `NAME` of a map.
fn item_variables(job: &Job) -> Vec<(String, OsString)> {
    let Some(item) = job.definition.matrix.as_deref().filter(|values| values.is_item) else { return Vec::new() };
    let mut variables = Vec::new();
    for (name, value) in &item.values {
        if **name == *"item" {
            let part = |part: &str| Some((variable_name("SETLIST_ITEM_", part), item_part(value, part)?.into()));
            variables.extend(ITEM_PARTS.into_iter().filter_map(part));
        }
        variables.push((variable_name("SETLIST_", name), OsString::from(&**value)));
    }
    variables
}

/// The variables of a hook.
pub(super) struct HookVariables {
    /// Their values.
    pub(super) set: Vec<(String, OsString)>,
    /// The names of those that it must not have.
    pub(super) absent: Vec<&'static str>,
}

/// The variables of a hook that runs in this slot of a worker.
pub(super) fn hook_variables(
    event: &HookEvent,
    worker: WorkerId,
    paths: &SitePaths,
    tag_prefix: &str,
    log: &Path,
    slot: usize,
) -> HookVariables {
    let run = event.run();
    let end = run.and_then(|run| run.end.as_ref());
    let (code, signal) = match end.and_then(|end| end.exit) {
        Some(Exit::Code(code)) => (Some(code), None),
        Some(Exit::Signal(signal)) => (None, Some(signal)),
        None => (None, None),
    };
    let outcome = end.map(|end| &end.outcome);
    let duration = run.zip(end).map(|(run, end)| (end.at - run.started).to_std().unwrap_or_default());
    let value = event.job().and_then(|job| job.value.as_deref()).filter(|_| outcome == Some(&Outcome::Succeeded));
    let value = value.map(|value| if let Value::String(text) = value { text.clone() } else { value.to_string() });
    let cause = end.and_then(|end| end.cause.as_deref());
    let error = outcome.and_then(Outcome::failure).map(|failure| failure.message.clone());
    let (job, worker) = (event.job(), run.map_or(worker, |run| run.worker));
    let time = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Secs, true);
    let text = |text: String| to_env_value(&text);
    let variables = [
        (HOOK, Some(slot.to_string().into())),
        (TAG, Some(hook_tag_value(tag_prefix, worker, slot).into())),
        ("SETLIST_QUEUE", Some(event.queue().to_string().into())),
        ("SETLIST_JOB", job.map(|job| job_name(job).into())),
        ("SETLIST_JOB_ID", job.map(|job| job.id.0.to_string().into())),
        (RUN_ID, run.map(|run| run.id.to_string().into())),
        ("SETLIST_ATTEMPT", job.zip(run).map(|(job, _)| job.current_attempt().to_string().into())),
        ("SETLIST_SITE", Some(paths.site_dir().as_os_str().to_owned())),
        (WORKER, Some(worker_file(worker, paths).into_os_string())),
        ("SETLIST_EVENT", Some(event.as_str().into())),
        ("SETLIST_TITLE", Some(text(event.title()))),
        ("SETLIST_OUTCOME", outcome.map(|outcome| outcome.as_str().into())),
        ("SETLIST_RUN_MS", duration.map(|duration| duration.as_millis().to_string().into())),
        ("SETLIST_EXIT_CODE", code.map(|code| code.to_string().into())),
        ("SETLIST_SIGNAL", signal.map(|signal| signal.to_string().into())),
        ("SETLIST_ERROR", error.map(text)),
        ("SETLIST_CAUSE", cause.map(|cause| cause.kind.as_str().into())),
        ("SETLIST_CAUSE_TEXT", cause.map(|cause| text(cause.to_string()))),
        ("SETLIST_VALUE", value.map(text)),
        ("SETLIST_LOG", Some(log.as_os_str().to_owned())),
        ("SETLIST_MESSAGE", event.message().map(text)),
        ("SETLIST_SINCE", event.since().map(|since| time(since).into())),
        ("SETLIST_LAST_SUCCESS", event.last_success().map(|last| time(last).into())),
    ];
    let absent = variables.iter().filter(|(_, value)| value.is_none()).map(|(name, _)| *name).collect();
    let set = variables.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    let set = set.chain(job.map(item_variables).unwrap_or_default()).collect();
    HookVariables { set, absent }
}

fn job_name(job: &Job) -> String {
    job.name().map_or_else(|| job.id.to_string(), str::to_owned)
}

fn common_variables(job: &Job, run: &Run, paths: &SitePaths) -> Vec<(String, OsString)> {
    [
        ("SETLIST_QUEUE", job.queue.to_string().into()),
        ("SETLIST_JOB", job_name(job).into()),
        ("SETLIST_JOB_ID", job.id.0.to_string().into()),
        (RUN_ID, run.id.to_string().into()),
        ("SETLIST_ATTEMPT", job.current_attempt().to_string().into()),
        ("SETLIST_SITE", paths.site_dir().as_os_str().to_owned()),
        (STATE_DIR, paths.state.job_state(job.id).into_os_string()),
        (ARTIFACTS, paths.state.artifacts_of(run.id).into_os_string()),
        (WORKER, worker_file(run.worker, paths).into_os_string()),
    ]
    .into_iter()
    .map(|(name, value): (&str, OsString)| (name.to_owned(), value))
    .collect()
}

/// The text, truncated and without NUL characters, as the value of a variable.
fn to_env_value(text: &str) -> OsString {
    let end = (0..=MAX_VALUE_BYTES.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
    text[..end].replace('\0', "\u{fffd}").into()
}
