//! The files of runs that are pruned: their output and artifacts on this machine.

use super::backend::PruneReport;
use super::error::StoreError;
use super::state_dir::StateDir;
use super::{job_folders, log};
use crate::model::{JobId, RunId};

/// Deletes the output and artifacts of these runs; returns the runs whose output is not being read.
pub(super) fn delete_run_files(
    dir: &StateDir,
    runs: Vec<(JobId, RunId)>,
    report: &mut PruneReport,
) -> Result<Vec<(JobId, RunId)>, StoreError> {
    let mut deleted = Vec::with_capacity(runs.len());
    for (job, run) in runs {
        if let Some(freed) = log::delete_log(&dir.logs(), run)? {
            report.bytes += freed + job_folders::remove_artifacts(dir, run);
            deleted.push((job, run));
        }
    }
    Ok(deleted)
}
