//! Notices that a run has printed nothing for a long time.

use std::time::{Duration, Instant};

use crate::model::StallPolicy;

/// When a run has printed something last, and whether it is stalled.
pub(super) struct StallTimer {
    policy: StallPolicy,
    last_output: Instant,
    is_stalled: bool,
}

impl StallTimer {
    /// Starts with the run.
    pub(super) fn new(policy: StallPolicy) -> Self {
        Self { policy, last_output: Instant::now(), is_stalled: false }
    }

    pub(super) fn policy(&self) -> StallPolicy {
        self.policy
    }

    /// When the run will be stalled unless it prints something. `None` if it is, or if that is beyond the range of the clock.
    pub(super) fn deadline(&self) -> Option<Instant> {
        if self.is_stalled { None } else { self.last_output.checked_add(self.policy.after) }
    }

    /// The run is stalled from now on; returns for how long it has printed nothing.
    pub(super) fn begin(&mut self, now: Instant) -> Duration {
        self.is_stalled = true;
        now.saturating_duration_since(self.last_output)
    }

    /// The run has printed something; returns whether it was stalled.
    pub(super) fn note_output(&mut self) -> bool {
        self.last_output = Instant::now();
        std::mem::replace(&mut self.is_stalled, false)
    }

    /// The run was suspended for this long.
    pub(super) fn add_suspended(&mut self, suspended: Duration) {
        self.last_output = self.last_output.checked_add(suspended).unwrap_or(self.last_output);
    }
}
