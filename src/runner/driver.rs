//! Decides which thread drives the [`Supervisor`]: the worker's own, or the runner's fallback thread.
//!
//! A worker drives the runs on the thread that also records their ends and starts the next ones, so that no thread
//! switch separates one job from the next. When that thread is busy for long (a slow disk, a locked database), the
//! fallback thread takes over, so output is still read and timeouts still fire.

use std::mem;
use std::ops::{Deref, DerefMut};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::sigchld_mask::with_sigchld_unblocked;
use super::supervisor::Supervisor;
use super::waker::Waker;

/// How long the driving thread may stay away before the fallback thread takes over: most jobs print less in that time
/// than a pipe holds.
const DRIVE_TIMEOUT: Duration = Duration::from_millis(500);

/// Owns the supervisor and hands it to one thread at a time.
pub(super) struct Driver {
    supervisor: Mutex<Supervisor>,
    state: Mutex<DriverState>,
    /// Signalled when a thread that waits for the supervisor can have it.
    supervisor_free: Condvar,
    /// Signalled when the fallback thread has to check the state again.
    fallback_wakeup: Condvar,
    waker: Waker,
}

#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent flags, each set and read on its own")]
struct DriverState {
    /// A thread uses the supervisor.
    in_use: bool,
    /// How many threads wait for the supervisor.
    waiters: usize,
    /// Whether the supervisor had any runs when it was last released.
    has_runs: bool,
    /// A thread calls [`Driver::drive`] and has not been away for longer than [`DRIVE_TIMEOUT`].
    is_driven: bool,
    /// How many calls of [`Driver::drive`] there have been.
    drive_count: u64,
    /// The fallback thread has driven the runs since the last call of [`Driver::drive`].
    fallback_ran: bool,
    /// The fallback thread sleeps without a timeout.
    fallback_is_idle: bool,
    is_closed: bool,
}

/// Exclusive use of the supervisor until dropped.
pub(super) struct SupervisorGuard<'a> {
    driver: &'a Driver,
    supervisor: MutexGuard<'a, Supervisor>,
}

impl Driver {
    /// Nothing drives the runs until a thread calls [`run_fallback`](Self::run_fallback) or [`drive`](Self::drive).
    pub(super) fn new(supervisor: Supervisor, waker: Waker) -> Self {
        let (supervisor, state) = (Mutex::new(supervisor), Mutex::default());
        Self { supervisor, state, supervisor_free: Condvar::new(), fallback_wakeup: Condvar::new(), waker }
    }

    pub(super) fn waker(&self) -> &Waker {
        &self.waker
    }

    /// Drives the runs until something has happened or the time is up.
    pub(super) fn drive(&self, at_most: Duration) {
        let mut supervisor = self.lock();
        let mut state = self.state();
        state.is_driven = true;
        state.drive_count += 1;
        let fallback_handled_events = mem::take(&mut state.fallback_ran);
        drop(state);
        if !fallback_handled_events {
            supervisor.poll_once(Some(at_most));
        }
    }

    /// Waits until no other thread uses the supervisor.
    pub(super) fn lock(&self) -> SupervisorGuard<'_> {
        let mut state = self.state();
        state.waiters += 1;
        while state.in_use {
            self.waker.wake();
            state = self.supervisor_free.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.waiters -= 1;
        self.take(state)
    }

    /// Drives the runs whenever no other thread does, until [closed](Self::close).
    pub(super) fn run_fallback(&self) {
        let mut state = self.state();
        while !state.is_closed {
            if state.is_driven && state.has_runs {
                let drive_count = state.drive_count;
                state =
                    self.fallback_wakeup.wait_timeout(state, DRIVE_TIMEOUT).unwrap_or_else(PoisonError::into_inner).0;
                // A thread that uses the supervisor right now is not away.
                state.is_driven = state.in_use || state.drive_count != drive_count;
            } else if state.is_driven || state.in_use || state.waiters > 0 {
                state.fallback_is_idle = true;
                state = self.fallback_wakeup.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.fallback_is_idle = false;
            } else {
                state.fallback_ran = true;
                with_sigchld_unblocked(|| self.take(state).poll_once(None));
                state = self.state();
            }
        }
    }

    /// Ends [`run_fallback`](Self::run_fallback).
    pub(super) fn close(&self) {
        self.state().is_closed = true;
        self.waker.wake();
        self.fallback_wakeup.notify_one();
    }

    /// Takes the supervisor, which must not be in use.
    fn take(&self, mut state: MutexGuard<'_, DriverState>) -> SupervisorGuard<'_> {
        state.in_use = true;
        drop(state);
        // The previous user clears `in_use` just before it unlocks the mutex.
        let supervisor = self.supervisor.lock().unwrap_or_else(PoisonError::into_inner);
        SupervisorGuard { driver: self, supervisor }
    }

    // No code that holds the lock can panic between two changes, so a poisoned state is consistent.
    fn state(&self) -> MutexGuard<'_, DriverState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for SupervisorGuard<'_> {
    fn drop(&mut self) {
        let mut state = self.driver.state();
        state.in_use = false;
        state.has_runs = self.supervisor.has_runs();
        if state.waiters > 0 {
            self.driver.supervisor_free.notify_one();
        }
        if state.fallback_is_idle && (state.has_runs || !state.is_driven) {
            self.driver.fallback_wakeup.notify_one();
        }
    }
}

impl Deref for SupervisorGuard<'_> {
    type Target = Supervisor;

    fn deref(&self) -> &Supervisor {
        &self.supervisor
    }
}

impl DerefMut for SupervisorGuard<'_> {
    fn deref_mut(&mut self) -> &mut Supervisor {
        &mut self.supervisor
    }
}
