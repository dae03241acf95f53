//! Whose logs somebody listens to.

use std::collections::HashSet;
use std::io;
use std::path::Path;
#[cfg(target_os = "linux")]
use std::sync::Weak;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[cfg(target_os = "linux")]
use super::growth::{self, Watches};
use crate::model::RunId;
use crate::store::{Listener, Ring, StoreError};

/// The runs whose output somebody listens to, which may be others from one moment to the next. Clones are the same runs.
#[derive(Clone, Debug, Default)]
pub struct Heard(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    runs: HashSet<RunId>,
    /// What notices that their logs grow.
    #[cfg(target_os = "linux")]
    watches: Vec<Weak<Watches>>,
}

impl Heard {
    /// These runs and no others are listened to from now on. The error says why some can't be.
    pub fn set(&self, runs: impl IntoIterator<Item = RunId>) -> io::Result<()> {
        let mut state = self.state();
        state.runs = runs.into_iter().collect();
        state.arm()
    }

    /// Whether a change of a file with this name is of interest.
    pub(super) fn hears(&self, name: &str) -> bool {
        let Some((run, kind)) = name.split_once('.') else { return false };
        let run = run.parse().map(RunId);
        // Marks are written with what they are about.
        kind != "marks" && run.is_ok_and(|run| self.state().runs.contains(&run))
    }

    /// Rings when one of their logs in `folder` grows.
    #[cfg(target_os = "linux")]
    pub(super) fn listen(&self, folder: &Path, ring: Ring) -> Result<Listener, StoreError> {
        let failed = |error: io::Error| StoreError::Watch { path: folder.to_owned(), source: notify::Error::io(error) };
        let watches = Arc::new(Watches::on(folder).map_err(failed)?);
        let mut state = self.state();
        state.watches.push(Arc::downgrade(&watches));
        state.arm().map_err(failed)?;
        growth::listen(watches, self.clone(), ring).map_err(failed)
    }

    /// The same; here every change in the folder is heard of.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn listen(&self, folder: &Path, ring: Ring) -> Result<Listener, StoreError> {
        let heard = self.clone();
        Listener::on_folder(folder, move |name| heard.hears(name), ring)
    }

    /// The next change of each of their logs is noticed by these watches.
    #[cfg(target_os = "linux")]
    pub(super) fn arm(&self, watches: &Watches) -> io::Result<()> {
        watches.arm(self.state().runs.iter().copied())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The next change of each log is noticed.
    #[cfg(target_os = "linux")]
    fn arm(&mut self) -> io::Result<()> {
        self.watches.retain(|watches| watches.strong_count() > 0);
        let mut watches = self.watches.iter().filter_map(Weak::upgrade);
        watches.try_for_each(|watches| watches.arm(self.runs.iter().copied()))
    }

    /// See above; elsewhere all changes are.
    #[cfg(not(target_os = "linux"))]
    fn arm(&mut self) -> io::Result<()> {
        Ok(())
    }
}
