//! Loads a whole site from its rows, without the recorded due times.

use chrono::{DateTime, Utc};

use super::site_frame::{KEPT_TABLES, SiteHead, column, head_sql, queues, table_sql};
use super::sql_text::{ResultSets, parsed, required};
use crate::model::{Job, JobId, RemovalReason, SiteState};
use crate::store::error::StoreError;

/// The statements that read a whole site.
pub(super) fn load_sql(site: i32) -> String {
    let tables = KEPT_TABLES.map(|table| table_sql(site, table)).join("; ");
    format!(
        "{}; {tables}; SELECT body, removed FROM setlist.jobs WHERE site = {site} ORDER BY queue, position, id",
        head_sql(site)
    )
}

/// Builds a site from the results of [`load_sql`], which start at `first`. Also returns the time of the server.
pub(super) fn read_site(sets: &mut ResultSets, first: usize) -> Result<(SiteState, DateTime<Utc>), StoreError> {
    let head = SiteHead::read(&sets.take(first))?;
    let queues = queues(&sets.take(first + 1))?;
    let workers = column(&sets.take(first + 2))?;
    let rows = sets.take(first + 5);
    let mut removed: Vec<(JobId, RemovalReason)> = Vec::new();
    let jobs = rows.iter().map(|row| {
        let job: Box<Job> = required(row, 0)?;
        if let Some(reason) = parsed(row, 1)? {
            removed.push((job.id, reason));
        }
        Ok::<_, StoreError>(job)
    });
    let mut state = SiteState::from_jobs(rows.len(), jobs)?;
    drop(rows);
    state.set_removed_jobs(removed);
    state.set_site_info(queues, workers, head.file, head.counters);
    state.set_schedules(column(&sets.take(first + 3))?);
    state.set_expectations(column(&sets.take(first + 4))?);
    Ok((state, head.now))
}
