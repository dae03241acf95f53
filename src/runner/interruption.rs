//! Which threads are interrupted when a child has ended. The system takes any that doesn't decline, and one that has
//! nothing to do with it is woken for nothing, in the middle of the way from one job to the next.
//!
//! Only threads that start no process may decline: a child inherits it.

use nix::sys::signal::{SigSet, SigmaskHow, Signal};

/// Starts threads that are never interrupted because a child has ended.
pub fn undisturbed<T>(start: impl FnOnce() -> T) -> T {
    // It only saves time.
    let before = child_has_ended().thread_swap_mask(SigmaskHow::SIG_BLOCK);
    let started = start();
    if let Ok(before) = before {
        let _ = before.thread_set_mask();
    }
    started
}

/// Does `work` on a thread that is interrupted meanwhile, even if it is one of those.
pub(super) fn disturbed<T>(work: impl FnOnce() -> T) -> T {
    let before = child_has_ended().thread_swap_mask(SigmaskHow::SIG_UNBLOCK);
    let done = work();
    if let Ok(before) = before {
        let _ = before.thread_set_mask();
    }
    done
}

fn child_has_ended() -> SigSet {
    Signal::SIGCHLD.into()
}
