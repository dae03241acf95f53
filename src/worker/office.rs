//! Where a site is on this machine: what a worker has to know besides the store.

use std::path::{Path, PathBuf};

use crate::model::Worker;
use crate::store::Folder;

/// A site's places on this machine, and who can be hired there.
#[derive(Clone, Debug)]
pub struct Office {
    /// Its `jobs.yaml`.
    pub file: PathBuf,
    /// Its state folder.
    pub state: Folder,
    /// This program, which is also what a worker runs.
    pub program: PathBuf,
}

impl Office {
    /// The folder of `jobs.yaml`: jobs run here unless they say otherwise.
    pub fn home(&self) -> &Path {
        self.file.parent().unwrap_or(Path::new("."))
    }

    /// Whether a worker is on this machine: by the machine's name, or, from a container that has another, by the sign of
    /// life in the state folder that they share.
    pub(super) fn has(&self, worker: &Worker) -> bool {
        worker.host == host() || self.state.has_sign_of(worker.id)
    }
}

/// This machine's name, by which workers on several machines tell each other apart.
pub(super) fn host() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
