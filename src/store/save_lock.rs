//! The lock of processes that write `jobs.yaml`.

use std::fs;

use super::error::StoreError;
use super::lock_file::LockFile;
use super::state_dir::StateDir;

/// Excludes other processes that write jobs into the `jobs.yaml` of the site, until it is dropped. Its file is in the state
/// directory, which other users can't open: a lock on the directory of `jobs.yaml` can be held by everyone who may read it.
#[derive(Debug)]
pub struct SaveLock(LockFile);

impl SaveLock {
    /// Waits for the lock, for at most 30 seconds.
    pub fn take(dir: &StateDir) -> Result<Self, StoreError> {
        let lock = LockFile::open(dir.save_lock())?;
        lock.lock()?;
        Ok(Self(lock))
    }

    /// Takes the lock if the process that held it last was killed.
    pub fn take_abandoned(dir: &StateDir) -> Option<Self> {
        // The last process that released it has emptied the file.
        let is_abandoned = fs::metadata(dir.save_lock()).is_ok_and(|metadata| metadata.len() > 0);
        let lock = is_abandoned.then(|| LockFile::open(dir.save_lock()).ok()).flatten()?;
        matches!(lock.try_lock(), Ok(true)).then(|| Self(lock))
    }
}

impl Drop for SaveLock {
    fn drop(&mut self) {
        // If this fails, the next process looks for what this one might have left.
        let _ = self.0.file().map(|file| file.set_len(0));
    }
}
