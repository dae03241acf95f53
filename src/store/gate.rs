//! Who starts jobs that aren't on record as running yet, and who waits for that to be over.
//!
//! A worker shuts the gate before it has jobs reserved and opens it when none is left: until then it may have started
//! some of them that nobody else knows of. Whoever changes the site in any other way passes the gate first, and so finds
//! every job as its record says. A worker that is asked to opens the gate within a transaction or two; one that doesn't
//! answer, because somebody has suspended it, is not waited for: then the reserved jobs are left alone.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use super::folder::open_private;
use super::{Folder, StoreError};

/// How long a shut gate is waited for. A worker starts nothing that was reserved for longer than a small part of this.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long between two looks at it: the system has no lock that is waited for and given up.
const PAUSE: Duration = Duration::from_millis(1);

/// One connection's way to the gate of a site; the kernel takes back what a process that dies has locked.
#[derive(Debug)]
pub struct Gate {
    path: PathBuf,
    /// Shared by the workers that have shut it, had alone by whoever passes.
    bar: File,
    /// Shared by those who wait before the gate.
    wanted: File,
}

/// Keeps the gate open until it is dropped.
#[derive(Debug)]
pub(super) struct Passage<'g>(&'g Gate);

impl Gate {
    /// The gate of the site in a folder that is there.
    pub(super) fn at(folder: &Folder) -> Result<Self, StoreError> {
        let (path, wanted) = (folder.path().join("gate"), folder.path().join("wanted"));
        let (bar, wanted) = (open_private(&path)?, open_private(&wanted)?);
        Ok(Self { path, bar, wanted })
    }

    /// Shuts the gate, unless somebody wants to pass. Tells whether it is shut.
    pub fn shut(&self) -> bool {
        !self.is_wanted() && self.bar.try_lock_shared().is_ok()
    }

    /// Opens the gate again.
    pub fn open(&self) {
        // Where that fails, it is open when the process ends; nobody waits for long.
        let _ = self.bar.unlock();
    }

    /// Whether somebody waits before the gate.
    pub fn is_wanted(&self) -> bool {
        let free = self.wanted.try_lock().is_ok();
        if free {
            // See above.
            let _ = self.wanted.unlock();
        }
        !free
    }

    /// Waits until the gate is open, but not for ever, and keeps it so.
    pub(super) fn pass(&self) -> Result<Passage<'_>, StoreError> {
        let failed = |source: io::Error| StoreError::io(&self.path, source);
        self.wanted.lock_shared().map_err(failed)?;
        let passage = Passage(self);
        let until = Instant::now() + PATIENCE;
        while let Err(error) = self.bar.try_lock() {
            let error = io::Error::from(error);
            if error.kind() != io::ErrorKind::WouldBlock {
                return Err(failed(error));
            }
            if Instant::now() >= until {
                break;
            }
            thread::sleep(PAUSE);
        }
        Ok(passage)
    }
}

impl Drop for Passage<'_> {
    fn drop(&mut self) {
        // See above.
        let _ = self.0.bar.unlock();
        let _ = self.0.wanted.unlock();
    }
}
