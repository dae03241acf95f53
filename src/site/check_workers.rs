//! Checks the workers of a site while a process uses it.

use super::error::SiteError;
use super::reap::{ReapReport, reap_dead_workers};
use super::respawn::{Respawn, respawn_worker};
use super::site_paths::SitePaths;
use crate::store::Store;

/// What a check of the workers found and did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerCheck {
    /// The dead workers that were found.
    pub reaped: ReapReport,
    /// Whether another worker was started for their jobs.
    pub respawn: Respawn,
}

impl WorkerCheck {
    /// Whether jobs were interrupted, or a worker was or should have been started.
    pub fn needs_reporting(&self) -> bool {
        !self.reaped.interrupted_jobs.is_empty() || self.respawn != Respawn::NotNeeded
    }
}

/// Reaps dead workers, and starts another worker if one has died, now or earlier (`has_died`), and has left work that no
/// worker serves.
pub fn check_workers(store: &mut dyn Store, paths: &SitePaths, has_died: bool) -> Result<WorkerCheck, SiteError> {
    let reaped = reap_dead_workers(store, paths)?;
    let respawn = if has_died || reaped.workers > 0 { respawn_worker(store, paths)? } else { Respawn::NotNeeded };
    Ok(WorkerCheck { reaped, respawn })
}
