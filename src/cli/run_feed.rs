//! All jobs of a site with their kept runs, one after another, so that commands can look at any number of them.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::error::CliError;
use super::open_site::OpenSite;
use crate::model::{Job, QueueId, Run, WorkerId};
use crate::store::{Store, WorkerMachines};

/// How many jobs are read at once.
const PAGE_LENGTH: usize = 500;

/// Calls `visit` for each job of these queues, queue by queue and in their order.
pub(super) fn visit_jobs(
    store: &mut dyn Store,
    queues: &[QueueId],
    mut visit: impl FnMut(&mut dyn Store, &Job) -> Result<(), CliError>,
) -> Result<(), CliError> {
    for queue in queues {
        let mut last = None;
        loop {
            let mut page = store.jobs_page(queue, last.as_ref(), PAGE_LENGTH)?;
            for job in &page {
                visit(store, job)?;
            }
            if page.len() < PAGE_LENGTH {
                break;
            }
            last = page.pop();
        }
    }
    Ok(())
}

impl OpenSite {
    /// Finds queues without loading their jobs; all of them if there are no names.
    pub(super) fn queue_ids(&mut self, names: &[String]) -> Result<Vec<QueueId>, CliError> {
        let part = self.store.load_part(&[])?;
        self.queues(&part, names).or_else(|_| {
            // The message may be about a job of this name.
            let site_state = self.site_state()?;
            self.queues(&site_state, names)
        })
    }
}

/// The kept runs of a job with their values, oldest first.
pub(super) fn runs_of(store: &mut dyn Store, job: &Job) -> Result<Vec<Run>, CliError> {
    Ok(if job.attempts > 1 { store.runs(job.id)? } else { Vec::from_iter(job.last_run_with_value()) })
}

/// The time so long before another; the earliest that there are records of if it is too long.
pub(super) fn time_before(now: DateTime<Utc>, duration: Duration) -> DateTime<Utc> {
    let before = TimeDelta::from_std(duration).ok().and_then(|duration| now.checked_sub_signed(duration));
    before.unwrap_or(DateTime::UNIX_EPOCH).max(DateTime::UNIX_EPOCH)
}

/// Whether a run had not ended at this time.
pub(super) fn is_since(run: &Run, since: DateTime<Utc>) -> bool {
    run.end.as_ref().is_none_or(|end| end.at >= since)
}

/// The machines on which these runs ran, where a server has the site. Otherwise it was this one.
pub(super) fn machines_of(store: &mut dyn Store, runs: &[Run]) -> Result<WorkerMachines, CliError> {
    let ids: Vec<WorkerId> = runs.iter().map(|run| run.worker).collect();
    if store.server_host().is_none() { Ok(WorkerMachines::new()) } else { Ok(store.worker_machines(&ids)?) }
}
