//! The tags by which the processes of runs and hooks are found, and the environment variables that carry them.

use std::path::PathBuf;

use super::site_paths::SitePaths;
use crate::model::{RunId, WorkerId};
use crate::runner::RunTag;

/// The id of the run.
pub(crate) const RUN_ID: &str = "SETLIST_RUN_ID";
/// Identifies the processes of a run or a hook: the site, the boot and the run.
pub(crate) const TAG: &str = "SETLIST_TAG";
/// The file of the worker, which identified them in earlier versions.
pub(crate) const WORKER: &str = "SETLIST_WORKER";
/// The slot of a hook.
pub(crate) const HOOK: &str = "SETLIST_HOOK";

/// All variables that a worker sets for its jobs and hooks. A worker that was started by a job must not inherit them.
pub(crate) const VARIABLES: [&str; 21] = [
    "SETLIST_QUEUE",
    "SETLIST_JOB",
    "SETLIST_JOB_ID",
    RUN_ID,
    "SETLIST_ATTEMPT",
    TAG,
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
    "SETLIST_EVENT",
    "SETLIST_MESSAGE",
    "SETLIST_SINCE",
    "SETLIST_LAST_SUCCESS",
];

/// How many hooks run at once.
pub(crate) const HOOK_SLOTS: usize = 4;

/// The prefix of the tags of a site's processes. It does not contain the path of the site, which may be renamed while a
/// job runs and may be another site's in a container. It does contain the boot, because processes do not outlive it.
pub(crate) fn tag_prefix(paths: &SitePaths) -> String {
    let boot = paths.state.origin().boot_id.unwrap_or_default();
    // Where the id can't be read, the path identifies the site.
    let site = paths.state.site_id().map_or_else(|_| paths.state.path().display().to_string(), |id| id.to_string());
    format!("{site}/{boot}")
}

/// Identifies the processes of a run.
pub(crate) fn run_tag(prefix: &str, run: RunId) -> RunTag {
    RunTag::new(&[(TAG, run_tag_value(prefix, run).as_ref())])
}

/// The value of [`TAG`] in a run.
pub(crate) fn run_tag_value(prefix: &str, run: RunId) -> String {
    format!("{prefix}/run-{run}")
}

/// Identifies the processes of a hook of a worker.
pub(crate) fn hook_tag(prefix: &str, worker: WorkerId, slot: usize) -> RunTag {
    RunTag::new(&[(TAG, hook_tag_value(prefix, worker, slot).as_ref())])
}

/// The value of [`TAG`] in a hook.
pub(crate) fn hook_tag_value(prefix: &str, worker: WorkerId, slot: usize) -> String {
    format!("{prefix}/worker-{worker}-hook-{slot}")
}

/// The file of a worker in the state folder.
pub(crate) fn worker_file(worker: WorkerId, paths: &SitePaths) -> PathBuf {
    paths.state.workers().join(worker.to_string())
}

/// The tags that earlier versions gave to the processes of a worker's runs and hooks.
pub(super) fn old_tags(worker: WorkerId, runs: &[RunId], paths: &SitePaths) -> Vec<RunTag> {
    let file = worker_file(worker, paths);
    let tag = |name, value: String| RunTag::new(&[(WORKER, file.as_os_str()), (name, value.as_ref())]);
    let runs = runs.iter().map(|run| tag(RUN_ID, run.to_string()));
    runs.chain((0..HOOK_SLOTS).map(|slot| tag(HOOK, slot.to_string()))).collect()
}
