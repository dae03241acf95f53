//! Coordinates workers that have reserved jobs with other writers.
//!
//! A worker holds this lock shared while jobs are reserved for it, because it may have started some of them without
//! having committed that. Every other writer takes the lock exclusively first, so it finds each job in its recorded
//! state. A worker releases the lock within a transaction or two when a writer waits. A worker that does not respond,
//! for example because it is suspended, is waited for only for [`MAX_LOCK_WAIT`]; then its reserved jobs are left alone.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use super::error::StoreError;
use super::private_files::open_private;
use super::state_dir::StateDir;

/// How long a writer waits. A worker starts reserved jobs only within a small part of this time.
const MAX_LOCK_WAIT: Duration = Duration::from_secs(1);
/// How long to wait between attempts: file locks have no timeout.
const LOCK_POLL_INTERVAL: Duration = Duration::from_millis(1);

/// One connection's handle of the lock. The kernel releases the locks of a process that dies.
#[derive(Debug)]
pub struct ReservationLock {
    path: PathBuf,
    /// Locked shared by workers with reservations, exclusively by other writers.
    holders: File,
    /// Locked shared by writers that wait.
    waiters: File,
}

/// Keeps workers from reserving jobs until it is dropped.
#[derive(Debug)]
pub(super) struct ExclusiveGuard<'g>(&'g ReservationLock);

impl ReservationLock {
    /// Opens the lock of the site in an existing directory.
    pub(super) fn open(dir: &StateDir) -> Result<Self, StoreError> {
        let (path, waiters) = (dir.reservation_lock(), dir.reservation_waiters());
        let (holders, waiters) = (open_private(&path)?, open_private(&waiters)?);
        Ok(Self { path, holders, waiters })
    }

    /// Takes the lock shared, unless a writer waits; returns whether it is held.
    pub fn try_hold(&self) -> bool {
        !self.has_waiters() && self.holders.try_lock_shared().is_ok()
    }

    /// Releases the lock.
    pub fn release(&self) {
        // If this fails, the lock is released when the process ends; writers wait for a limited time.
        let _ = self.holders.unlock();
    }

    /// Whether a writer waits for the lock.
    pub fn has_waiters(&self) -> bool {
        let is_free = self.waiters.try_lock().is_ok();
        if is_free {
            // If this fails, writers see a waiter until the process ends.
            let _ = self.waiters.unlock();
        }
        !is_free
    }

    /// Waits for exclusive access, but at most [`MAX_LOCK_WAIT`], and keeps workers from taking the lock.
    pub(super) fn wait_exclusive(&self) -> Result<ExclusiveGuard<'_>, StoreError> {
        let failed = |source: io::Error| StoreError::io(&self.path, source);
        self.waiters.lock_shared().map_err(failed)?;
        let guard = ExclusiveGuard(self);
        let deadline = Instant::now() + MAX_LOCK_WAIT;
        while let Err(error) = self.holders.try_lock() {
            let error = io::Error::from(error);
            if error.kind() != io::ErrorKind::WouldBlock {
                return Err(failed(error));
            }
            if Instant::now() >= deadline {
                break;
            }
            thread::sleep(LOCK_POLL_INTERVAL);
        }
        Ok(guard)
    }
}

impl Drop for ExclusiveGuard<'_> {
    fn drop(&mut self) {
        // If this fails, the locks are released when the process ends.
        let _ = self.0.holders.unlock();
        let _ = self.0.waiters.unlock();
    }
}
