//! How fast jobs and the store are of late: whether what has ended is recorded at once, or together with the next.
//!
//! Short jobs that run side by side end at nearly the same time. One transaction for two of them costs half of what two
//! cost, and a disk may take longer to confirm one than the jobs take to run.

use std::time::Duration;

/// What a run and a transaction take, the latest counting most.
#[derive(Debug, Default)]
pub(super) struct Pace {
    run: Duration,
    transaction: Duration,
}

/// Runs that take less than this are short: to record them takes a good part of the time.
const SHORT: Duration = Duration::from_millis(50);

impl Pace {
    /// A run has ended after this long.
    pub(super) fn ran(&mut self, took: Duration) {
        self.run = blend(self.run, took);
    }

    /// A transaction took this long.
    pub(super) fn recorded(&mut self, took: Duration) {
        self.transaction = blend(self.transaction, took);
    }

    /// Whether runs are short of late, and transactions no matter of patience.
    pub(super) fn is_short(&self) -> bool {
        !self.run.is_zero() && self.run < SHORT && self.transaction < 4 * SHORT
    }

    /// For how long to wait for the end of a run that has gone on for `age`, before what has ended already is recorded:
    /// never for longer than recording that takes, and not at all for a run that is likely to go on for longer.
    pub(super) fn patience(&self, age: Duration) -> Option<Duration> {
        let usual = age < 2 * self.run;
        (usual && self.run.saturating_sub(age) <= self.transaction).then_some(self.transaction)
    }
}

fn blend(past: Duration, latest: Duration) -> Duration {
    if past.is_zero() { latest } else { (3 * past + latest) / 4 }
}
