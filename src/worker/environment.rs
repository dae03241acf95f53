//! What a job, and what is run after it, is told about it: the `SETLIST_…` variables.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::Office;
use crate::model::{Exit, Job, Outcome, Run, RunId, Value, WorkerId};
use crate::runner::Mark;

/// Names the run.
const RUN: &str = "SETLIST_RUN_ID";
/// Names its worker.
const WORKER: &str = "SETLIST_WORKER";

/// Tells apart what is run after jobs side by side.
const HOOK: &str = "SETLIST_HOOK";

/// The names of all variables below: a worker that a job has started must not inherit them.
pub(super) const NAMES: [&str; 16] = [
    "SETLIST_QUEUE",
    "SETLIST_JOB",
    "SETLIST_JOB_ID",
    RUN,
    "SETLIST_ATTEMPT",
    WORKER,
    "SETLIST_SITE",
    "SETLIST_VALUE",
    HOOK,
    "SETLIST_TITLE",
    "SETLIST_OUTCOME",
    "SETLIST_RUN_MS",
    "SETLIST_EXIT_CODE",
    "SETLIST_SIGNAL",
    "SETLIST_ERROR",
    "SETLIST_LOG",
];

/// How much of what runs after jobs runs at once.
pub(super) const HOOK_SLOTS: usize = 4;

/// A value or an error may be longer than what can be passed to a program; in bytes.
const LONGEST: usize = 32 * 1024;

/// What marks every process that a run of this worker has started, however far it has moved from it.
///
/// The path of the worker's sign of life names it among the workers of all sites, and of all states of one site.
pub(super) fn mark(worker: WorkerId, run: RunId, office: &Office) -> Mark {
    Mark::new(&[(WORKER, sign(worker, office).as_os_str()), (RUN, run.to_string().as_ref())])
}

fn sign(worker: WorkerId, office: &Office) -> PathBuf {
    office.state.workers().join(worker.to_string())
}

/// What marks every process of what this worker runs in a slot after jobs.
pub(super) fn mark_of_hook(worker: WorkerId, slot: usize, office: &Office) -> Mark {
    Mark::new(&[(WORKER, sign(worker, office).as_os_str()), (HOOK, slot.to_string().as_ref())])
}

/// The variables that are laid over the job's environment.
pub(super) fn of(job: &Job, run: &Run, office: &Office, value_file: &Path) -> Vec<(String, OsString)> {
    let mut variables = common(job, run, office);
    variables.push(("SETLIST_VALUE".to_owned(), value_file.as_os_str().to_owned()));
    variables
}

/// The variables of what is run in a slot after a job has finished, and those of them that are to be absent.
pub(super) fn of_hook(
    job: &Job,
    run: &Run,
    office: &Office,
    log: &Path,
    slot: usize,
) -> (Vec<(String, OsString)>, Vec<&'static str>) {
    let ending = run.ending.as_ref();
    let (code, signal) = match ending.and_then(|ending| ending.exit) {
        Some(Exit::Code(code)) => (Some(code), None),
        Some(Exit::Signal(signal)) => (None, Some(signal)),
        None => (None, None),
    };
    let outcome = ending.map(|ending| &ending.outcome);
    let took = ending.and_then(|ending| (ending.at - run.started).to_std().ok()).unwrap_or_default();
    let value = job.value.as_ref().filter(|_| outcome == Some(&Outcome::Succeeded));
    let value = value.map(|value| if let Value::String(text) = value { text.clone() } else { value.to_string() });
    let error = outcome.and_then(Outcome::failure).map(|failure| failure.message.clone());
    let told = [
        (HOOK, Some(slot.to_string().into())),
        ("SETLIST_TITLE", Some(passable(&job.label()))),
        ("SETLIST_OUTCOME", outcome.map(|outcome| outcome.word().into())),
        ("SETLIST_RUN_MS", Some(took.as_millis().to_string().into())),
        ("SETLIST_EXIT_CODE", code.map(|code| code.to_string().into())),
        ("SETLIST_SIGNAL", signal.map(|signal| signal.to_string().into())),
        ("SETLIST_ERROR", error.as_deref().map(passable)),
        ("SETLIST_VALUE", value.as_deref().map(passable)),
        ("SETLIST_LOG", Some(log.as_os_str().to_owned())),
    ];
    let absent = told.iter().filter(|(_, value)| value.is_none()).map(|(name, _)| *name).collect();
    let told = told.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    (common(job, run, office).into_iter().chain(told).collect(), absent)
}

fn common(job: &Job, run: &Run, office: &Office) -> Vec<(String, OsString)> {
    let name = job.name().map_or_else(|| job.id.to_string(), str::to_owned);
    [
        ("SETLIST_QUEUE", job.queue.to_string().into()),
        ("SETLIST_JOB", name.into()),
        ("SETLIST_JOB_ID", job.id.0.to_string().into()),
        (RUN, run.id.to_string().into()),
        ("SETLIST_ATTEMPT", job.attempt().to_string().into()),
        ("SETLIST_SITE", office.home().as_os_str().to_owned()),
        (WORKER, sign(run.worker, office).into_os_string()),
    ]
    .into_iter()
    .map(|(name, value): (&str, OsString)| (name.to_owned(), value))
    .collect()
}

/// The text as far as it can be passed to a program.
fn passable(text: &str) -> OsString {
    let end = (0..=LONGEST.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or_default();
    text[..end].replace('\0', "\u{fffd}").into()
}
