//! Deletes runs and jobs beyond the retention settings of their queues, and the output of such runs on this machine.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use postgres::SimpleQueryRow;

use super::connection::PostgresStore;
use super::sql_text::{json, nanos, number};
use crate::model::{Command, JobId, QueueId, Retention, RunId};
use crate::store::backend::{PruneReport, Store};
use crate::store::error::StoreError;
use crate::store::run_files::delete_run_files;

impl PostgresStore {
    pub(super) fn prune_site(&mut self, now: DateTime<Utc>) -> Result<PruneReport, StoreError> {
        // Refused when there is nothing to remove.
        let removed = self.execute(&[Command::PruneFinished], now)?.remove(0);
        let mut report = PruneReport { jobs: removed.map_or(0, |events| events.len()), ..PruneReport::default() };
        for queue in self.queues()? {
            let retention = queue.settings.retention;
            let outdated = self.outdated_runs(&queue.id, &retention, now)?;
            let deleted = delete_run_files(&self.local, outdated, &mut report)?;
            report.runs += deleted.len();
            self.delete_rows("runs", "(job, id)", deleted.iter().map(|(job, run)| format!("({}, {})", job.0, run.0)))?;
            if let Some(before) = retention.cutoff(now) {
                self.delete_removed_jobs(&queue.id, before, &mut report)?;
            }
        }
        Ok(report)
    }

    /// The runs of a queue that exceed its retention, except each job's latest.
    fn outdated_runs(
        &mut self,
        queue: &QueueId,
        retention: &Retention,
        now: DateTime<Utc>,
    ) -> Result<Vec<(JobId, RunId)>, StoreError> {
        let before = retention.cutoff(now).map_or(i64::MIN, nanos);
        let max_runs = retention.max_runs.map_or(i64::MAX, i64::from).max(1);
        let (site, queue) = (self.site, json(queue));
        let sql = format!(
            "SELECT job, id FROM ( \
                 SELECT r.job, r.id, r.ended, 1 + row_number() OVER (PARTITION BY r.job ORDER BY r.id DESC) AS nth \
                 FROM setlist.jobs j JOIN setlist.runs r ON r.site = j.site AND r.job = j.id \
                 WHERE j.site = {site} AND j.queue = {queue} \
             ) ranked WHERE nth > {max_runs} OR ended < {before}"
        );
        self.session.run_again(&sql)?.take(0).iter().map(job_and_run).collect()
    }

    /// Deletes the removed jobs of a queue that finished (or were added) before a time and that no other job needs.
    fn delete_removed_jobs(
        &mut self,
        queue: &QueueId,
        before: DateTime<Utc>,
        report: &mut PruneReport,
    ) -> Result<(), StoreError> {
        let (site, queue, before) = (self.site, json(queue), nanos(before));
        let sql = format!(
            "SELECT id, run FROM setlist.jobs j WHERE site = {site} AND queue = {queue} AND removed IS NOT NULL \
             AND settled < {before} AND NOT EXISTS (SELECT 1 FROM setlist.needs n JOIN setlist.jobs d ON d.site = n.site \
             AND d.id = n.job AND d.removed IS NULL WHERE n.site = {site} AND n.needed = j.id)"
        );
        let rows = self.session.run_again(&sql)?.take(0);
        let outdated = rows.iter().map(job_and_run).collect::<Result<Vec<_>, _>>()?;
        if outdated.is_empty() {
            return Ok(());
        }
        let ids = outdated.iter().map(|(job, _)| job.0.to_string()).collect::<Vec<_>>().join(", ");
        let sql = format!("SELECT job, id FROM setlist.runs WHERE site = {site} AND job IN ({ids})");
        let rows = self.session.run_again(&sql)?.take(0);
        let mut runs = rows.iter().map(job_and_run).collect::<Result<Vec<_>, _>>()?;
        runs.extend(outdated.iter().filter(|(_, run)| *run != RunId::default()));
        let deleted: BTreeSet<_> = delete_run_files(&self.local, runs.clone(), report)?.into_iter().collect();
        let kept: BTreeSet<JobId> = runs.iter().filter(|run| !deleted.contains(run)).map(|(job, _)| *job).collect();
        let jobs = outdated.iter().map(|(job, _)| *job).filter(|job| !kept.contains(job));
        self.delete_rows("jobs", "removed IS NOT NULL AND id", jobs.map(|job| job.0.to_string()))
    }

    /// Deletes rows with the lock of the site.
    fn delete_rows(&mut self, table: &str, key: &str, keys: impl Iterator<Item = String>) -> Result<(), StoreError> {
        let keys = keys.collect::<Vec<_>>().join(", ");
        if keys.is_empty() {
            return Ok(());
        }
        let site = self.site;
        self.lock()?;
        let runs = match table {
            "runs" => keys.clone(),
            _ => format!("SELECT job, id FROM setlist.runs WHERE site = {site} AND job IN ({keys})"),
        };
        let of_runs = format!(
            "site = {site} AND run IN (SELECT id FROM setlist.runs WHERE site = {site} AND (job, id) IN ({runs}))"
        );
        let mut sql = format!(
            "DELETE FROM setlist.output WHERE {of_runs}; DELETE FROM setlist.output_ends WHERE {of_runs}; \
             DELETE FROM setlist.{table} WHERE site = {site} AND {key} IN ({keys});"
        );
        if table == "jobs" {
            // A failure to write to a string is impossible.
            let _ = write!(
                sql,
                "DELETE FROM setlist.runs WHERE site = {site} AND job IN ({keys}) AND NOT EXISTS \
                 (SELECT 1 FROM setlist.jobs j WHERE j.site = {site} AND j.id = runs.job); \
                 DELETE FROM setlist.needs WHERE site = {site} AND job IN ({keys}) AND NOT EXISTS \
                 (SELECT 1 FROM setlist.jobs j WHERE j.site = {site} AND j.id = needs.job);"
            );
        }
        self.session.run(&format!("{sql} COMMIT")).map(drop)
    }
}

fn job_and_run(row: &SimpleQueryRow) -> Result<(JobId, RunId), StoreError> {
    Ok((JobId(number(row, 0)?), RunId(number(row, 1)?)))
}
