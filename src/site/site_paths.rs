//! Where a site is on this machine.

use std::path::{Path, PathBuf};

use crate::model::WorkerInfo;
use crate::store::StateDir;

/// The paths of a site on this machine, and the program that runs as its worker.
#[derive(Clone, Debug)]
pub struct SitePaths {
    /// Its `jobs.yaml`.
    pub file: PathBuf,
    /// Its state folder.
    pub state: StateDir,
    /// The executable of this program, which is also that of a worker.
    pub program: PathBuf,
}

impl SitePaths {
    /// The folder of `jobs.yaml`: the default working directory of jobs.
    pub fn site_dir(&self) -> &Path {
        self.file.parent().unwrap_or(Path::new("."))
    }

    /// Whether a worker runs on this machine: it has the same host name, or, in a container with another name, its file in
    /// the shared state folder. Where a server has the site, other workers of this machine may use other folders.
    pub(crate) fn is_local(&self, worker: &WorkerInfo) -> bool {
        let has_host_name = !self.state.is_on_server() && worker.host == hostname();
        has_host_name || self.state.has_worker_file(worker.id)
    }
}

/// This machine's host name.
pub(crate) fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
