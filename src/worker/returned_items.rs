//! What a worker keeps of a run that has returned the items of other jobs.

use chrono::{DateTime, Utc};

use crate::model::{JobId, JobRef, RunId, RunReport};

/// The end of a run that has returned the items of other jobs.
pub(super) struct ReturnedItems {
    pub(super) job: JobId,
    pub(super) run: RunId,
    pub(super) report: RunReport,
    pub(super) at: DateTime<Utc>,
    /// The job as `jobs.yaml` names it.
    pub(super) named: JobRef,
}
