//! The clock that decides: that of this machine, of a server that several machines share, or one that tests move.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};

use crate::clock;

/// The clock of a store. All clones are the same clock.
#[derive(Clone, Debug)]
pub struct StoreClock(TimeSource);

#[derive(Clone, Debug)]
enum TimeSource {
    /// The clock of this machine.
    System,
    /// The clock of a server.
    Server(Arc<Mutex<ToldTime>>),
    /// A clock that only moves when told to.
    Manual(Arc<Mutex<DateTime<Utc>>>),
}

/// The last time that a server has told, and when. None before that.
type ToldTime = Option<(DateTime<Utc>, Instant)>;

impl StoreClock {
    /// The clock of this machine.
    pub fn system() -> Self {
        Self(TimeSource::System)
    }

    /// The clock of a server, which is the one of this machine until the server has told its time.
    pub(super) fn server() -> Self {
        Self(TimeSource::Server(Arc::default()))
    }

    /// A clock that shows this time until it is moved.
    pub fn manual(time: DateTime<Utc>) -> Self {
        Self(TimeSource::Manual(Arc::new(Mutex::new(time))))
    }

    /// The time.
    pub fn now(&self) -> DateTime<Utc> {
        match &self.0 {
            TimeSource::System => clock::now(),
            TimeSource::Server(told) => match *told.lock().unwrap_or_else(PoisonError::into_inner) {
                Some((time, at)) => later(time, at.elapsed()),
                None => clock::now(),
            },
            TimeSource::Manual(time) => *time.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }

    /// Sets the clock of a server to the time that it has just told.
    pub(super) fn set(&self, time: DateTime<Utc>) {
        if let TimeSource::Server(told) = &self.0 {
            *told.lock().unwrap_or_else(PoisonError::into_inner) = Some((time, Instant::now()));
        }
    }

    /// Moves a manual clock forward.
    pub fn advance(&self, by: Duration) {
        if let TimeSource::Manual(time) = &self.0 {
            let mut time = time.lock().unwrap_or_else(PoisonError::into_inner);
            *time = later(*time, by);
        }
    }
}

fn later(time: DateTime<Utc>, by: Duration) -> DateTime<Utc> {
    TimeDelta::from_std(by).ok().and_then(|by| time.checked_add_signed(by)).unwrap_or(time)
}
