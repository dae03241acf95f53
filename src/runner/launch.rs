//! What a run consists of: the script, its environment, and the receivers of its output and its report.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::pty::PtyOptions;
use super::run_tag::RunTag;
use crate::model::{Definition, Environment, RunReport, Script, Stream, WindowSize};

/// What to run, and where.
#[derive(Debug)]
pub struct Launch {
    /// The job, which has to call a script.
    pub definition: Arc<Definition>,
    /// The folder of the site: the default working directory, and the base of a relative `cwd`.
    pub folder: PathBuf,
    /// What the process inherits; `None` for what this process has.
    pub environment: Option<Arc<Environment>>,
    /// Variables of the run itself (`SETLIST_…`), set over those of the script.
    pub env: Vec<(String, OsString)>,
    /// Values that are masked in its output, besides those of the secrets of the script.
    pub secrets: Vec<String>,
    /// Identifies the processes of the run. Without it, a process that has left the process group is found only while
    /// its parents are alive.
    pub tag: Option<RunTag>,
    /// Where the job may write its value. Read and removed when the run has ended.
    pub value_file: Option<PathBuf>,
    /// The terminal of a job that asks for one.
    pub pty: PtyOptions,
}

impl Launch {
    /// The working directory of a script.
    pub fn working_folder(&self, script: &Script) -> PathBuf {
        script.exec.cwd.as_ref().map_or_else(|| self.folder.clone(), |cwd| self.absolute_path(cwd))
    }

    /// A path of the definition from the root: `~` is the home folder, and a relative path starts in the site's folder.
    pub(super) fn absolute_path(&self, path: &Path) -> PathBuf {
        let set = self.env.iter().rev().find(|(name, _)| name == "HOME").map(|(_, home)| PathBuf::from(home));
        let inherited = || match &self.environment {
            Some(environment) => environment.get("HOME").map(PathBuf::from),
            None => env::home_dir(),
        };
        match (path.strip_prefix("~"), set.or_else(inherited)) {
            (Ok(rest), Some(home)) => home.join(rest),
            _ => self.folder.join(path),
        }
    }
}

/// Receives the output of a run. Called on the thread that drives all runs, so it must not block.
pub trait Output: Send {
    /// Output, in the order in which it arrived.
    fn write(&mut self, stream: Stream, bytes: &[u8]);
    /// Output from now on is printed in a terminal of this size.
    fn resized(&mut self, _size: WindowSize) {}
    /// The run has printed nothing for so long that it counts as stalled; without a time, it prints again.
    fn stalled(&mut self, _silent_for: Option<Duration>) {}
    /// The output has ended. Called once, before the report.
    fn finish(self: Box<Self>);
}

/// The system lacks what a run needs to start, such as descriptors, processes or memory. The run may start later.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct OutOfResources(pub(super) String);

/// Called once with the report of a run.
pub type Done = Box<dyn FnOnce(RunReport) + Send>;
