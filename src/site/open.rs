//! Opens a site.

use super::error::SiteError;
use super::reap::{ReapReport, reap_dead_workers};
use super::reconcile::{Reconciled, reconcile_with_file};
use super::site_paths::SitePaths;
use crate::definition::save::remove_stale_drafts;
use crate::store::{PostgresStore, SaveLock, SqliteStore, StateDir, Store, StoreError};

/// An open site, in step with its `jobs.yaml`.
pub struct OpenedSite {
    /// Its store.
    pub store: Box<dyn Store>,
    /// What its `jobs.yaml` has changed, or the errors of the file: then the last valid version stays in effect.
    pub reconciled: Reconciled,
    /// The dead workers that were found.
    pub reaped: ReapReport,
}

/// Opens a site: reconciles it with its `jobs.yaml` if the file has changed, and reaps its dead workers.
pub fn open(paths: &SitePaths) -> Result<OpenedSite, SiteError> {
    let mut store = open_store(&paths.state)?;
    if let Some(_lock) = SaveLock::take_abandoned(&paths.state) {
        remove_stale_drafts(&paths.file);
    }
    let reconciled = reconcile_with_file(store.as_mut(), paths)?;
    // No other process may be left to find that the runs of a dead worker have ended.
    let reaped = reap_dead_workers(store.as_mut(), paths)?;
    Ok(OpenedSite { store, reconciled, reaped })
}

/// Opens a connection to the store of a site, in its state folder or on a server, and nothing else.
pub fn open_store(state: &StateDir) -> Result<Box<dyn Store>, StoreError> {
    Ok(match state.server_address()? {
        Some(address) => Box::new(PostgresStore::open(&address, state)?),
        None => Box::new(SqliteStore::open(state)?),
    })
}

/// Opens a connection to the store of a site that changes nothing, not even the format of an older version.
pub fn open_store_to_read(state: &StateDir) -> Result<Box<dyn Store>, StoreError> {
    Ok(match state.server_address()? {
        Some(address) => Box::new(PostgresStore::open(&address, state)?),
        None => Box::new(SqliteStore::open_to_read(state)?),
    })
}
