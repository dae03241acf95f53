//! Which threads SIGCHLD may interrupt.
//!
//! The kernel delivers it to any thread that does not block it. A thread that has nothing to do with child processes
//! would be woken for nothing, at the moment when the time between two jobs counts.
//!
//! Only threads that spawn no process may block it: a child inherits the signal mask.

use nix::sys::signal::{SigSet, SigmaskHow, Signal};

/// Calls `start` with SIGCHLD blocked. The threads that it starts inherit that.
pub fn with_sigchld_blocked<T>(start: impl FnOnce() -> T) -> T {
    // If it fails, threads are woken needlessly, no more.
    let before = sigchld().thread_swap_mask(SigmaskHow::SIG_BLOCK);
    let started = start();
    if let Ok(before) = before {
        let _ = before.thread_set_mask();
    }
    started
}

/// Calls `work` with SIGCHLD unblocked on this thread.
pub(super) fn with_sigchld_unblocked<T>(work: impl FnOnce() -> T) -> T {
    let before = sigchld().thread_swap_mask(SigmaskHow::SIG_UNBLOCK);
    let done = work();
    if let Ok(before) = before {
        let _ = before.thread_set_mask();
    }
    done
}

fn sigchld() -> SigSet {
    Signal::SIGCHLD.into()
}
