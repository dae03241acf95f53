//! What keeps a worker from working.

use std::io;

use crate::store::StoreError;

/// A worker can't be started or can't go on.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The site can't be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The supervising thread or the signal handlers can't be set up.
    #[error("a worker can't be set up: {0}")]
    SetUp(#[source] io::Error),
    /// The detached process can't be started.
    #[error("a worker can't be started: {0}")]
    Hire(#[source] io::Error),
}
