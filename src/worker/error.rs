//! Errors of workers.

use std::io;

use crate::site::SiteError;
use crate::store::StoreError;

/// Why a worker can't start or continue.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The site can't be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The supervising thread or the signal handlers can't be set up.
    #[error("can't set up a worker: {0}")]
    Setup(#[source] io::Error),
}

impl From<SiteError> for WorkerError {
    fn from(error: SiteError) -> Self {
        match error {
            SiteError::Store(error) => Self::Store(error),
            SiteError::Spawn(error) => Self::Setup(error),
        }
    }
}
