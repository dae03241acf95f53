//! What a job is told about itself: the `SETLIST_…` variables.

use std::ffi::OsString;
use std::path::Path;

use super::Office;
use crate::model::{Job, Run};

/// The variables that are laid over the job's environment.
pub(super) fn of(job: &Job, run: &Run, office: &Office, value_file: &Path) -> Vec<(String, OsString)> {
    let name = job.name().map_or_else(|| job.id.to_string(), str::to_owned);
    [
        ("SETLIST_QUEUE", job.queue.to_string().into()),
        ("SETLIST_JOB", name.into()),
        ("SETLIST_JOB_ID", job.id.0.to_string().into()),
        ("SETLIST_RUN_ID", run.id.to_string().into()),
        ("SETLIST_ATTEMPT", run.attempt.to_string().into()),
        ("SETLIST_SITE", office.home().as_os_str().to_owned()),
        ("SETLIST_VALUE", value_file.as_os_str().to_owned()),
    ]
    .map(|(name, value): (&str, OsString)| (name.to_owned(), value))
    .into()
}
