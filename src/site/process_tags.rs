//! The tags by which the processes of runs and hooks are found, and the environment variables that carry them.

use std::path::PathBuf;

use super::context::WorkerContext;
use crate::model::{RunId, WorkerId};
use crate::runner::RunTag;

/// The id of the run.
pub(crate) const RUN_ID: &str = "SETLIST_RUN_ID";
/// The file of the worker.
pub(crate) const WORKER: &str = "SETLIST_WORKER";
/// The slot of a hook.
pub(crate) const HOOK: &str = "SETLIST_HOOK";

/// All variables that a worker sets for its jobs and hooks. A worker that was started by a job must not inherit them.
pub(crate) const VARIABLES: [&str; 16] = [
    "SETLIST_QUEUE",
    "SETLIST_JOB",
    "SETLIST_JOB_ID",
    RUN_ID,
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

/// How many hooks run at once.
pub(crate) const HOOK_SLOTS: usize = 4;

/// Identifies the processes of a run. The path of the worker's file is unique among all workers of all sites.
pub(crate) fn run_tag(worker: WorkerId, run: RunId, context: &WorkerContext) -> RunTag {
    RunTag::new(&[(WORKER, worker_file(worker, context).as_os_str()), (RUN_ID, run.to_string().as_ref())])
}

/// The file of a worker in the state folder.
pub(crate) fn worker_file(worker: WorkerId, context: &WorkerContext) -> PathBuf {
    context.state.workers().join(worker.to_string())
}

/// Identifies the processes of a hook of this worker.
pub(crate) fn hook_tag(worker: WorkerId, slot: usize, context: &WorkerContext) -> RunTag {
    RunTag::new(&[(WORKER, worker_file(worker, context).as_os_str()), (HOOK, slot.to_string().as_ref())])
}
