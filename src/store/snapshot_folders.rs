//! Where snapshots are checked out: a folder for each run that is in progress.

use std::fs::{self, File, TryLockError};
use std::path::PathBuf;

use super::error::StoreError;
use super::private_files::{create_private_dir, open_private};
use super::state_dir::StateDir;
use crate::model::RunId;

impl StateDir {
    /// The folders in which snapshots are checked out.
    pub fn snapshots(&self) -> PathBuf {
        self.path().join("snapshots")
    }

    /// The folder in which the snapshot of a run is checked out.
    pub fn snapshot_of(&self, run: RunId) -> PathBuf {
        self.snapshots().join(run.to_string())
    }

    /// Creates the folder in which snapshots are checked out, unless it exists.
    pub fn create_snapshots_dir(&self) -> Result<(), StoreError> {
        create_private_dir(&self.snapshots())
    }

    /// The runs for which snapshots are checked out.
    pub fn snapshot_runs(&self) -> Vec<RunId> {
        let entries = fs::read_dir(self.snapshots()).into_iter().flatten().flatten();
        entries.filter_map(|entry| Some(RunId(entry.file_name().to_str()?.parse().ok()?))).collect()
    }

    /// Keeps snapshots that are not on record yet from being removed, until the returned lock is dropped.
    pub fn lock_new_snapshots(&self) -> Result<File, StoreError> {
        self.create_snapshots_dir()?;
        let file = open_private(&self.snapshot_lock())?;
        file.lock_shared().map_err(|source| StoreError::io(self.snapshot_lock(), source))?;
        Ok(file)
    }

    /// The lock under which snapshots are removed that are not on record; `None` while there are new ones.
    pub fn try_lock_unused_snapshots(&self) -> Result<Option<File>, StoreError> {
        if self.snapshots().symlink_metadata().is_err() {
            return Ok(None);
        }
        let file = open_private(&self.snapshot_lock())?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(StoreError::io(self.snapshot_lock(), source)),
        }
    }

    fn snapshot_lock(&self) -> PathBuf {
        self.snapshots().join("lock")
    }
}
