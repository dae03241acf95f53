//! Who looks after the runs: whoever attends to them, or else a thread that stands in.
//!
//! A worker attends on the thread that also records what has ended and starts what is next, so nobody has to be woken
//! on the way from one job to the next. When that thread is kept away for long, by a slow disk or by others who change
//! the site, the stand-in takes over: output is read and timeouts hold whatever the worker waits for.

use std::io::Write;
use std::mem;
use std::ops::{Deref, DerefMut};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::interruption::disturbed;
use super::supervisor::Supervisor;

/// How long whoever attends may be away before somebody stands in: a pipe holds what most jobs print in that time.
const PATIENCE: Duration = Duration::from_millis(500);

/// The supervisor of the runs, and who may use it.
pub(super) struct Attendance {
    supervisor: Mutex<Supervisor>,
    state: Mutex<State>,
    /// Somebody who wanted the supervisor can have it.
    free: Condvar,
    /// The stand-in has something to do.
    needed: Condvar,
    waker: Waker,
}

#[derive(Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is told and asked by itself; together they are no state machine"
)]
struct State {
    /// Somebody uses the supervisor.
    held: bool,
    /// How many wait for it.
    wanted: usize,
    /// Whether it had any runs when it was given back last.
    busy: bool,
    /// Somebody attends, so far without being away for long.
    attended: bool,
    /// How often somebody has attended.
    visits: u64,
    /// The stand-in has looked after the runs since the last visit.
    stood_in: bool,
    /// The stand-in sleeps until it is told that there is a run.
    asleep: bool,
    closed: bool,
}

/// Ends [`Runner::attend`](super::Runner::attend) on another thread.
#[derive(Clone, Debug)]
pub struct Waker(pub(super) Arc<UnixStream>);

/// The supervisor, as long as somebody uses it.
pub(super) struct Held<'a> {
    attendance: &'a Attendance,
    supervisor: MutexGuard<'a, Supervisor>,
}

impl Waker {
    /// Whoever attends stops doing so and looks what there is, also if it begins only now.
    pub fn wake(&self) {
        // When there is no room for the byte, enough others are on their way.
        let _ = (&*self.0).write(b"!");
    }
}

impl Attendance {
    /// Nobody attends yet: it takes a thread that [stands in](Self::stand_in).
    pub(super) fn of(supervisor: Supervisor, waker: Waker) -> Self {
        let (supervisor, state) = (Mutex::new(supervisor), Mutex::default());
        Self { supervisor, state, free: Condvar::new(), needed: Condvar::new(), waker }
    }

    pub(super) fn waker(&self) -> &Waker {
        &self.waker
    }

    /// Looks after the runs, until something has happened or this much time has passed.
    pub(super) fn attend(&self, at_most: Duration) {
        let mut held = self.hold();
        let mut state = self.state();
        state.attended = true;
        state.visits += 1;
        let news = mem::take(&mut state.stood_in);
        drop(state);
        if !news {
            held.turn(Some(at_most));
        }
    }

    /// The supervisor, as soon as nobody else uses it.
    pub(super) fn hold(&self) -> Held<'_> {
        let mut state = self.state();
        state.wanted += 1;
        while state.held {
            self.waker.wake();
            state = self.free.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.wanted -= 1;
        self.held(state)
    }

    /// Looks after the runs whenever nobody attends, until [closed](Self::close).
    pub(super) fn stand_in(&self) {
        let mut state = self.state();
        while !state.closed {
            if state.attended && state.busy {
                let visits = state.visits;
                state = self.needed.wait_timeout(state, PATIENCE).unwrap_or_else(PoisonError::into_inner).0;
                // Whoever uses the supervisor is not away.
                state.attended = state.held || state.visits != visits;
            } else if state.attended || state.held || state.wanted > 0 {
                state.asleep = true;
                state = self.needed.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.asleep = false;
            } else {
                state.stood_in = true;
                disturbed(|| self.held(state).turn(None));
                state = self.state();
            }
        }
    }

    /// Nobody stands in any more.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.waker.wake();
        self.needed.notify_one();
    }

    /// The supervisor, which nobody uses.
    fn held(&self, mut state: MutexGuard<'_, State>) -> Held<'_> {
        state.held = true;
        drop(state);
        // Whoever has just given it back may not quite have let go of it.
        let supervisor = self.supervisor.lock().unwrap_or_else(PoisonError::into_inner);
        Held { attendance: self, supervisor }
    }

    // Whoever panics while holding the lock has not left a change half made.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let mut state = self.attendance.state();
        state.held = false;
        state.busy = self.supervisor.has_runs();
        if state.wanted > 0 {
            self.attendance.free.notify_one();
        }
        if state.asleep && (state.busy || !state.attended) {
            self.attendance.needed.notify_one();
        }
    }
}

impl Deref for Held<'_> {
    type Target = Supervisor;

    fn deref(&self) -> &Supervisor {
        &self.supervisor
    }
}

impl DerefMut for Held<'_> {
    fn deref_mut(&mut self) -> &mut Supervisor {
        &mut self.supervisor
    }
}
