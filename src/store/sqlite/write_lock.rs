//! The lock of writers of the database. Its file also records the sequence number of the last event.

use std::cell::Cell;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use crate::store::error::StoreError;
use crate::store::lock_file::{HOLDER_OFFSET, LockFile};
use crate::store::private_files::open_to_read;
use crate::store::state_dir::StateDir;

/// The length of the record in bytes: the digits of the largest number, and a line feed.
const RECORD_LEN: usize = HOLDER_OFFSET;

/// One connection's handle of the lock, which excludes all other connections of this and other processes.
#[derive(Debug)]
pub(super) struct WriteLock {
    file: LockFile,
    locked_at: Cell<Option<Instant>>,
    last_hold: Cell<Duration>,
}

impl WriteLock {
    /// Opens the lock of the site in an existing directory.
    pub(super) fn open(dir: &StateDir) -> Result<Self, StoreError> {
        LockFile::open(dir.write_lock()).map(Self::new)
    }

    /// A lock that can't be taken, for a read-only connection.
    pub(super) fn read_only(dir: &StateDir) -> Self {
        Self::new(LockFile::read_only(dir.write_lock()))
    }

    fn new(file: LockFile) -> Self {
        Self { file, locked_at: Cell::default(), last_hold: Cell::default() }
    }

    /// Waits for the lock, for at most 30 seconds. It is released by [`unlock`](Self::unlock), or when this is dropped.
    pub(super) fn lock(&self) -> Result<(), StoreError> {
        self.file.lock()?;
        self.locked_at.set(Some(Instant::now()));
        Ok(())
    }

    /// Takes the lock if no other connection holds it; returns whether it is held.
    pub(super) fn try_lock(&self) -> Result<bool, StoreError> {
        self.file.try_lock()
    }

    /// Releases the lock.
    pub(super) fn unlock(&self) -> Result<(), StoreError> {
        if let Some(locked_at) = self.locked_at.take() {
            self.last_hold.set(locked_at.elapsed());
        }
        self.file.unlock()
    }

    /// How long this handle held the lock that it waited for last.
    pub(super) fn last_hold(&self) -> Duration {
        self.last_hold.get()
    }

    /// Records the sequence number of the last durable event. The record itself need not be durable: an old or missing
    /// one makes the check weaker, not wrong.
    pub(super) fn record_seq(&self, seq: u64) {
        if let Some(file) = self.file.file() {
            let _ = file.write_all_at(format!("{seq:0digits$}\n", digits = RECORD_LEN - 1).as_bytes(), 0);
        }
    }
}

/// The last recorded sequence number. A database with fewer events has lost some.
pub(super) fn recorded_seq(dir: &StateDir) -> Option<u64> {
    let mut note = [0; RECORD_LEN];
    open_to_read(&dir.write_lock()).and_then(|file| file.read_exact_at(&mut note, 0)).ok()?;
    std::str::from_utf8(&note).ok()?.strip_suffix('\n')?.parse().ok()
}
