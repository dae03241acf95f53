//! The lock of writers, whose file also records the sequence number of the last event.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use crate::store::error::StoreError;
use crate::store::state_dir::StateDir;
use crate::store::state_dir::open_private;

/// The length of the record in bytes: the digits of the largest number, and a line feed.
const RECORD_LEN: usize = 21;

/// One connection's handle of the lock, which excludes all other connections of this and other processes.
#[derive(Debug)]
pub(super) struct WriteLock {
    path: PathBuf,
    /// None for a read-only connection.
    file: Option<File>,
}

impl WriteLock {
    /// Opens the lock of the site in an existing directory.
    pub(super) fn open(dir: &StateDir) -> Result<Self, StoreError> {
        let path = dir.write_lock();
        let file = Some(open_private(&path)?);
        Ok(Self { path, file })
    }

    /// A lock that can't be taken, for a read-only connection.
    pub(super) fn read_only(dir: &StateDir) -> Self {
        Self { path: dir.write_lock(), file: None }
    }

    /// Waits for the lock. It is released by [`unlock`](Self::unlock), or when this is dropped.
    pub(super) fn lock(&self) -> Result<(), StoreError> {
        let Some(file) = &self.file else {
            return Err(StoreError::ReadOnly { path: self.path.with_file_name("") });
        };
        file.lock().map_err(|source| StoreError::io(&self.path, source))
    }

    /// Releases the lock.
    pub(super) fn unlock(&self) -> Result<(), StoreError> {
        self.file.as_ref().map_or(Ok(()), |file| file.unlock().map_err(|source| StoreError::io(&self.path, source)))
    }

    /// Records the sequence number of the last durable event. The record itself need not be durable: an old or missing
    /// one makes the check weaker, not wrong.
    pub(super) fn record_seq(&self, seq: u64) {
        if let Some(file) = &self.file {
            let _ = file.write_all_at(format!("{seq:0digits$}\n", digits = RECORD_LEN - 1).as_bytes(), 0);
        }
    }
}

/// The last recorded sequence number. A database with fewer events has lost some.
pub(super) fn recorded_seq(dir: &StateDir) -> Option<u64> {
    let mut note = [0; RECORD_LEN];
    File::open(dir.write_lock()).and_then(|file| file.read_exact_at(&mut note, 0)).ok()?;
    std::str::from_utf8(&note).ok()?.strip_suffix('\n')?.parse().ok()
}
