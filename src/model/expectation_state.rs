//! The state of an expectation: the last success, up to which time it is decided, and whether it is overdue.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Expectation, QueueId, ScheduleTarget};

/// How many expected times one decision steps through. The rest are due at once.
const MAX_STEPS: usize = 100_000;

/// An expectation, and which of its expected times have been decided. The next one follows from these.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExpectationState {
    /// What should succeed.
    pub target: ScheduleTarget,
    /// Its queue.
    pub queue: QueueId,
    /// By when.
    pub expectation: Arc<Expectation>,
    /// When the expectation was added or changed. Nothing was expected earlier.
    pub since: DateTime<Utc>,
    /// When it last succeeded; for a queue, when the first of its jobs did in the last pass in which all did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_success: Option<DateTime<Utc>>,
    /// All expected times up to this one are decided.
    pub decided_until: DateTime<Utc>,
    /// Set from an expected time without a success to the next success.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overdue: Option<Overdue>,
    /// The latest expected time for which the hook was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reported: Option<DateTime<Utc>>,
}

/// Expected times by which no success had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overdue {
    /// The first of them since the last success.
    pub expected: DateTime<Utc>,
    /// The latest of them.
    pub latest: DateTime<Utc>,
    /// How many they are.
    pub missed: u64,
}

impl ExpectationState {
    /// The state of a new expectation.
    pub(super) fn new(
        target: ScheduleTarget,
        queue: QueueId,
        expectation: Arc<Expectation>,
        last_success: Option<DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Self {
        Self { target, queue, expectation, since: now, last_success, decided_until: now, overdue: None, reported: None }
    }

    /// The next expected time that has not been decided.
    pub fn next_expected(&self) -> Option<DateTime<Utc>> {
        // A success so old that it was overdue before anything was expected counts as none.
        let is_recent = |success: &DateTime<Utc>| self.expectation.next_after(self.since, *success).is_some();
        let base = self.last_success.filter(is_recent).unwrap_or(self.since);
        self.expectation.next_after(self.decided_until, base)
    }

    /// What is overdue at `now`, whether or not a worker has decided it.
    pub fn overdue_at(&self, now: DateTime<Utc>) -> Option<Overdue> {
        let is_undecided = self.is_clock_behind(now) || self.next_expected().is_some_and(|expected| expected <= now);
        if !is_undecided {
            return self.overdue;
        }
        let mut decided = self.clone();
        decided.advance(now);
        decided.overdue
    }

    /// Whether expected times are decided that have not come: the clock was set back.
    pub(super) fn is_clock_behind(&self, now: DateTime<Utc>) -> bool {
        self.decided_until > now
    }

    /// Decides the expected times that have come by `now`; returns how many were not kept.
    pub(super) fn advance(&mut self, now: DateTime<Utc>) -> u64 {
        if self.is_clock_behind(now) {
            self.go_back(now);
        }
        let mut missed = 0;
        for _ in 0..MAX_STEPS {
            let Some(expected) = self.next_expected().filter(|expected| *expected <= now) else { break };
            self.decided_until = expected;
            if self.is_kept(expected) {
                continue;
            }
            missed += 1;
            let overdue = self.overdue.get_or_insert(Overdue { expected, latest: expected, missed: 0 });
            (overdue.latest, overdue.missed) = (expected, overdue.missed + 1);
        }
        missed
    }

    /// Notes a success; what had come before it without one is decided first.
    pub(super) fn succeed(&mut self, success: DateTime<Utc>, now: DateTime<Utc>) {
        self.advance(now);
        self.last_success = self.last_success.max(Some(success));
        if self.overdue.is_some_and(|overdue| self.is_kept(overdue.latest)) {
            self.overdue = None;
        }
    }

    /// Whether the hook has to be started, after [`advance`](Self::advance); notes that it was. Once for each time that it
    /// becomes overdue, and never twice for one expected time.
    pub(super) fn take_hook(&mut self, before: Option<Overdue>) -> bool {
        let Some(overdue) = self.overdue.filter(|_| before.is_none()) else { return false };
        self.reported.replace(overdue.latest) != Some(overdue.latest)
    }

    fn is_kept(&self, expected: DateTime<Utc>) -> bool {
        self.last_success.is_some_and(|success| self.expectation.is_kept_by(success, expected))
    }

    /// The clock was set back: what was decided for times that have not come yet is decided again when they do.
    fn go_back(&mut self, now: DateTime<Utc>) {
        self.since = self.since.min(now);
        self.decided_until = now;
        self.last_success = self.last_success.map(|success| success.min(now));
        self.overdue = self.overdue.filter(|overdue| overdue.expected <= now);
        if let Some(overdue) = &mut self.overdue {
            overdue.latest = overdue.latest.min(now);
        }
    }
}
