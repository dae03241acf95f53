//! The expected times of a site in order.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::{ExpectationState, ScheduleTarget};

/// What expectations are about to be overdue, so that no frame has to look at all of them.
#[derive(Clone, Debug, Default)]
pub(super) struct ExpectedTimes {
    /// The next expected times, in order.
    times: BTreeSet<(DateTime<Utc>, ScheduleTarget)>,
    /// Those that are recorded as overdue.
    overdue: BTreeSet<ScheduleTarget>,
}

impl ExpectedTimes {
    /// Adds an expectation.
    pub(super) fn add(&mut self, state: &ExpectationState) {
        self.times.extend(state.next_expected().map(|expected| (expected, state.target.clone())));
        self.overdue.extend(state.overdue.map(|_| state.target.clone()));
    }

    /// Removes an expectation, as it was added.
    pub(super) fn remove(&mut self, state: &ExpectationState) {
        if let Some(expected) = state.next_expected() {
            self.times.remove(&(expected, state.target.clone()));
        }
        self.overdue.remove(&state.target);
    }

    /// The next expected time.
    pub(super) fn first(&self) -> Option<DateTime<Utc>> {
        self.times.first().map(|(expected, _)| *expected)
    }

    /// What may be overdue at `now`.
    pub(super) fn overdue_at(&self, now: DateTime<Utc>) -> impl Iterator<Item = &ScheduleTarget> {
        let undecided = self.times.iter().take_while(move |(expected, _)| *expected <= now).map(|(_, target)| target);
        self.overdue.iter().chain(undecided.filter(|target| !self.overdue.contains(target)))
    }
}
