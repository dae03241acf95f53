//! Errors of a site.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::store::StoreError;

/// Why a site can't be opened, or a worker can't be started for it.
#[derive(Debug, thiserror::Error)]
pub enum SiteError {
    /// The site can't be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No worker runs for a site that a server has, and none is started by itself.
    #[error(
        "no worker is running for this site; jobs wait until `setlist worker` runs on a machine that shall run them"
    )]
    NoWorker,
    /// The detached process can't be started.
    #[error("can't start a worker: {0}")]
    Spawn(#[source] io::Error),
    /// The detached process exited before it could run jobs.
    #[error("can't start a worker: {reason} (see {})", log.display())]
    WorkerFailed {
        /// What it reported.
        reason: String,
        /// Where it logs.
        log: PathBuf,
    },
    /// The detached process is not ready yet. It may still start.
    #[error("the worker (process {pid}) has not started after {waited:?} (see {})", log.display())]
    WorkerNotReady {
        /// Its process id.
        pid: u32,
        /// How long it has been waited for.
        waited: Duration,
        /// Where it logs.
        log: PathBuf,
    },
}
