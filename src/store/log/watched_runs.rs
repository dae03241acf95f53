//! The set of runs whose output is followed.

use std::collections::HashSet;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[cfg(target_os = "linux")]
use super::inotify_watches::LogWatches;
use crate::model::RunId;

/// The runs whose output is followed; the set can change at any time. Clones share the same set.
#[derive(Clone, Debug, Default)]
pub struct WatchedRuns(Arc<Mutex<Watched>>);

#[derive(Debug, Default)]
struct Watched {
    runs: HashSet<RunId>,
    /// The inotify watches on their logs.
    #[cfg(target_os = "linux")]
    watches: Vec<std::sync::Weak<LogWatches>>,
}

impl WatchedRuns {
    /// Replaces the set of runs. On an error some of them can't be watched.
    pub fn set(&self, runs: impl IntoIterator<Item = RunId>) -> io::Result<()> {
        let mut watched = self.lock();
        watched.runs = runs.into_iter().collect();
        watched.arm()
    }

    /// Whether a file of this name in the log directory belongs to the set.
    pub(super) fn includes_file(&self, name: &str) -> bool {
        let Some((run, kind)) = name.split_once('.') else { return false };
        let run = run.parse().map(RunId);
        // The stream index is written together with the output that it describes.
        kind != "marks" && run.is_ok_and(|run| self.lock().runs.contains(&run))
    }

    /// Keeps these watches armed for the runs of the set, now and when it changes.
    #[cfg(target_os = "linux")]
    pub(super) fn add_watches(&self, watches: &Arc<LogWatches>) -> io::Result<()> {
        let mut inner = self.lock();
        inner.watches.push(Arc::downgrade(watches));
        inner.arm()
    }

    /// Arms these watches for the next change of each log.
    #[cfg(target_os = "linux")]
    pub(super) fn arm(&self, watches: &LogWatches) -> io::Result<()> {
        watches.arm(self.lock().runs.iter().copied())
    }

    fn lock(&self) -> MutexGuard<'_, Watched> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watched {
    #[cfg(target_os = "linux")]
    fn arm(&mut self) -> io::Result<()> {
        self.watches.retain(|watches| watches.strong_count() > 0);
        let mut watches = self.watches.iter().filter_map(std::sync::Weak::upgrade);
        watches.try_for_each(|watches| watches.arm(self.runs.iter().copied()))
    }

    /// Elsewhere the whole directory is watched.
    #[cfg(not(target_os = "linux"))]
    fn arm(&mut self) -> io::Result<()> {
        Ok(())
    }
}
