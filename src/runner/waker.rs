//! Wakes the thread that drives the runs.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

/// Ends a call of [`Runner::drive`](super::Runner::drive) on another thread.
#[derive(Clone, Debug)]
pub struct Waker(pub(super) Arc<UnixStream>);

impl Waker {
    /// Makes the current call of `drive` return, or the next one if there is none.
    pub fn wake(&self) {
        // If the socket buffer is full, enough wake-ups are pending.
        let _ = (&*self.0).write(b"!");
    }
}
