//! What a job is told about itself: the `SETLIST_…` variables.

use std::ffi::OsString;
use std::path::Path;

use super::Office;
use crate::model::{Job, Run, WorkerId};

/// The names of all variables below: a worker that a job has started must not inherit them.
pub(super) const NAMES: [&str; 8] = [
    "SETLIST_QUEUE",
    "SETLIST_JOB",
    "SETLIST_JOB_ID",
    "SETLIST_RUN_ID",
    "SETLIST_ATTEMPT",
    "SETLIST_WORKER",
    "SETLIST_SITE",
    "SETLIST_VALUE",
];

/// What marks every process that a worker's jobs have started, however far they have moved from it.
///
/// The path of the worker's sign of life names it among the workers of all sites, and of all states of one site.
pub(super) fn mark(worker: WorkerId, office: &Office) -> (&'static str, OsString) {
    ("SETLIST_WORKER", office.state.workers().join(worker.to_string()).into_os_string())
}

/// The variables that are laid over the job's environment.
pub(super) fn of(job: &Job, run: &Run, office: &Office, value_file: &Path) -> Vec<(String, OsString)> {
    let name = job.name().map_or_else(|| job.id.to_string(), str::to_owned);
    [
        ("SETLIST_QUEUE", job.queue.to_string().into()),
        ("SETLIST_JOB", name.into()),
        ("SETLIST_JOB_ID", job.id.0.to_string().into()),
        ("SETLIST_RUN_ID", run.id.to_string().into()),
        ("SETLIST_ATTEMPT", run.attempt.to_string().into()),
        ("SETLIST_VALUE", value_file.as_os_str().to_owned()),
        ("SETLIST_SITE", office.home().as_os_str().to_owned()),
        mark(run.worker, office),
    ]
    .into_iter()
    .map(|(name, value): (&str, OsString)| (name.to_owned(), value))
    .collect()
}
