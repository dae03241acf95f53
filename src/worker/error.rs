//! Errors of workers.

use std::io;

use crate::site::SiteError;
use crate::store::{Store, StoreError};

/// Why a worker can't start or continue.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The site can't be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Other processes considered the worker dead, because its file was removed, or older state was restored.
    #[error(
        "this worker is no longer registered: its file was removed, or older state was restored; its jobs were stopped"
    )]
    Unregistered,
    /// The supervising thread or the signal handlers can't be set up.
    #[error("can't set up a worker: {0}")]
    Setup(#[source] io::Error),
}

impl From<SiteError> for WorkerError {
    fn from(error: SiteError) -> Self {
        match error {
            SiteError::Store(error) => Self::Store(error),
            SiteError::Spawn(error) => Self::Setup(error),
            error => Self::Setup(io::Error::other(error)),
        }
    }
}

/// The error that the site itself gives if it has been removed, since that explains `error`; otherwise `error`.
pub(super) fn site_error_or(store: &mut dyn Store, error: StoreError) -> StoreError {
    store.load().err().filter(StoreError::is_permanent).unwrap_or(error)
}
