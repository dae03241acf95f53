//! Errors of a site.

use std::io;

use crate::store::StoreError;

/// Why a site can't be opened, or a worker can't be started for it.
#[derive(Debug, thiserror::Error)]
pub enum SiteError {
    /// The site can't be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The detached process can't be started.
    #[error("can't start a worker: {0}")]
    Spawn(#[source] io::Error),
}
