//! Waiting for a file lock with a timeout, without polling.

use std::fs::{File, TryLockError};
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

/// A lock that was requested. If it has to be waited for, a thread does that, because a file lock has no timeout.
pub(super) struct PendingLock {
    received: Receiver<io::Result<File>>,
}

impl PendingLock {
    /// Requests the exclusive lock of this file.
    pub(super) fn request(file: File) -> io::Result<Self> {
        let (sender, received) = channel();
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => {
                let lock = move || {
                    let locked = file.lock();
                    // If the receiver has given up, dropping the file releases the lock.
                    let _ = sender.send(locked.map(|()| file));
                };
                thread::Builder::new().name("file-lock".to_owned()).spawn(lock)?;
            }
            locked => drop(sender.send(locked.map(|()| file).map_err(io::Error::from))),
        }
        Ok(Self { received })
    }

    /// Waits for the lock, and returns the file that holds it; `None` if the time is up. May be called again then.
    pub(super) fn wait(&self, at_most: Duration) -> io::Result<Option<File>> {
        match self.received.recv_timeout(at_most) {
            Ok(locked) => locked.map(Some),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }
}
