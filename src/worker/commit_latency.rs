//! Measures how long runs and commits take, to decide whether the end of a run is recorded at once or together with the
//! next.
//!
//! Short jobs that run in parallel end at nearly the same time. One transaction for two of them costs half as much as two
//! transactions, and a commit to disk may take longer than such a job.

use std::time::Duration;

/// Moving averages of the duration of runs and commits.
#[derive(Debug, Default)]
pub(super) struct CommitLatency {
    run_duration: Duration,
    commit_duration: Duration,
}

/// Runs that take less than this are short: recording them takes a large part of the total time.
const SHORT_RUN: Duration = Duration::from_millis(50);

impl CommitLatency {
    /// Records the duration of a run.
    pub(super) fn record_run(&mut self, duration: Duration) {
        self.run_duration = moving_average(self.run_duration, duration);
    }

    /// Records the duration of a commit.
    pub(super) fn record_commit(&mut self, duration: Duration) {
        self.commit_duration = moving_average(self.commit_duration, duration);
    }

    /// Whether recent runs are short and commits are not slow.
    pub(super) fn runs_are_short(&self) -> bool {
        !self.run_duration.is_zero() && self.run_duration < SHORT_RUN && self.commit_duration < 4 * SHORT_RUN
    }

    /// How long to wait for the end of a run of this `age` before recording the runs that have ended: the duration of one
    /// commit. None if the run is unlikely to end within that time.
    pub(super) fn coalesce_timeout(&self, age: Duration) -> Option<Duration> {
        let is_typical = age < 2 * self.run_duration;
        (is_typical && self.run_duration.saturating_sub(age) <= self.commit_duration).then_some(self.commit_duration)
    }
}

fn moving_average(past: Duration, latest: Duration) -> Duration {
    if past.is_zero() { latest } else { (3 * past + latest) / 4 }
}
