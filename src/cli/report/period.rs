//! The period that a report is about.

use chrono::{DateTime, Utc};

use crate::cli::run_feed::is_since;
use crate::model::Run;

/// A period, with its ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Period {
    pub since: DateTime<Utc>,
    pub until: DateTime<Utc>,
}

impl Period {
    /// Whether a time is in it.
    pub(super) fn contains(self, at: DateTime<Utc>) -> bool {
        (self.since..=self.until).contains(&at)
    }

    /// Whether a run was running in it.
    pub(super) fn has_run(self, run: &Run) -> bool {
        is_since(run, self.since) && run.started <= self.until
    }
}
