//! What a job is told about itself: the `SETLIST_…` variables.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::Office;
use crate::model::{Job, Run, RunId, WorkerId};
use crate::runner::Mark;

/// Names the run.
const RUN: &str = "SETLIST_RUN_ID";
/// Names its worker.
const WORKER: &str = "SETLIST_WORKER";

/// The names of all variables below: a worker that a job has started must not inherit them.
pub(super) const NAMES: [&str; 8] =
    ["SETLIST_QUEUE", "SETLIST_JOB", "SETLIST_JOB_ID", RUN, "SETLIST_ATTEMPT", WORKER, "SETLIST_SITE", "SETLIST_VALUE"];

/// What marks every process that a run of this worker has started, however far it has moved from it.
///
/// The path of the worker's sign of life names it among the workers of all sites, and of all states of one site.
pub(super) fn mark(worker: WorkerId, run: RunId, office: &Office) -> Mark {
    Mark::new(&[(WORKER, sign(worker, office).as_os_str()), (RUN, run.to_string().as_ref())])
}

fn sign(worker: WorkerId, office: &Office) -> PathBuf {
    office.state.workers().join(worker.to_string())
}

/// The variables that are laid over the job's environment.
pub(super) fn of(job: &Job, run: &Run, office: &Office, value_file: &Path) -> Vec<(String, OsString)> {
    let name = job.name().map_or_else(|| job.id.to_string(), str::to_owned);
    [
        ("SETLIST_QUEUE", job.queue.to_string().into()),
        ("SETLIST_JOB", name.into()),
        ("SETLIST_JOB_ID", job.id.0.to_string().into()),
        (RUN, run.id.to_string().into()),
        ("SETLIST_ATTEMPT", job.attempt().to_string().into()),
        ("SETLIST_VALUE", value_file.as_os_str().to_owned()),
        ("SETLIST_SITE", office.home().as_os_str().to_owned()),
        (WORKER, sign(run.worker, office).into_os_string()),
    ]
    .into_iter()
    .map(|(name, value): (&str, OsString)| (name.to_owned(), value))
    .collect()
}
