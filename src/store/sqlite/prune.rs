//! Deletes runs, jobs and output beyond the retention settings of their queues.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use rusqlite::Connection;

use super::columns::Nanos;
use super::connection::SqliteStore;
use crate::model::{Command, JobId, QueueId, Retention, RunId};
use crate::store::backend::{PruneReport, Store};
use crate::store::error::StoreError;
use crate::store::run_files::delete_run_files;
use crate::store::{job_folders, log};

/// How many runs are deleted in one transaction, so that other writers get their turn.
const RUNS_PER_TRANSACTION: usize = 500;

impl SqliteStore {
    pub(super) fn prune_site(&mut self, now: DateTime<Utc>) -> Result<PruneReport, StoreError> {
        let mut report = PruneReport::default();
        // Refused when there is nothing to remove.
        let retired = self.execute(&[Command::PruneFinished], now)?.remove(0);
        report.jobs = retired.map_or(0, |events| events.len());
        let queues = self.queues()?;
        for queue in &queues {
            let keep = queue.settings.retention;
            loop {
                let outdated = self.read(|db| outdated_runs(db, &queue.id, &keep, now))?;
                let done = outdated.len() < RUNS_PER_TRANSACTION;
                let deleted = delete_run_files(&self.dir, outdated, &mut report)?;
                // Runs whose output is being read are kept, and would be found again.
                if deleted.is_empty() {
                    break;
                }
                report.runs += deleted.len();
                self.write_rows(|db| delete_runs(db, &deleted))?;
                if done {
                    break;
                }
            }
            if let Some(before) = keep.cutoff(now) {
                let removed = self.read(|db| removed_before(db, &queue.id, before))?;
                for jobs in removed.chunks(RUNS_PER_TRANSACTION) {
                    let runs = self.read(|db| runs_of(db, jobs))?;
                    let deleted = delete_run_files(&self.dir, runs.clone(), &mut report)?;
                    let kept: HashSet<JobId> =
                        runs.iter().filter(|run| !deleted.contains(run)).map(|run| run.0).collect();
                    self.write_rows(|db| delete_jobs(db, jobs.iter().filter(|job| !kept.contains(job))))?;
                    self.delete_job_states(jobs)?;
                }
            }
        }
        job_folders::remove_interrupted_removals(&self.dir);
        for queue in &queues {
            if let Some(max_bytes) = queue.settings.retention.max_output_bytes {
                self.limit_log_bytes(&queue.id, max_bytes, now, &mut report)?;
            }
        }
        Ok(report)
    }

    /// Deletes what these jobs have kept over their attempts, if they don't exist any more.
    fn delete_job_states(&mut self, jobs: &[JobId]) -> Result<(), StoreError> {
        for job in jobs {
            // It may have been restored meanwhile.
            if self.job(*job)?.is_none() {
                job_folders::remove_job_state(&self.dir, *job);
            }
        }
        Ok(())
    }

    /// Deletes the oldest logs and artifacts of a queue until the rest takes at most `max_bytes` bytes. Their runs are kept.
    fn limit_log_bytes(
        &mut self,
        queue: &QueueId,
        max_bytes: u64,
        now: DateTime<Utc>,
        report: &mut PruneReport,
    ) -> Result<(), StoreError> {
        let sizes = log::log_sizes(&self.dir.logs())?;
        let artifacts = job_folders::artifact_sizes(&self.dir);
        if sizes.values().chain(artifacts.values()).sum::<u64>() <= max_bytes {
            return Ok(());
        }
        let ended = self.read(|db| ended_runs(db, queue))?;
        let size_of = |run: &RunId| [&sizes, &artifacts].into_iter().filter_map(|sizes| sizes.get(run)).sum::<u64>();
        let mut total: u64 = ended.iter().map(size_of).sum();
        for run in ended {
            if total <= max_bytes {
                break;
            }
            if artifacts.contains_key(&run) {
                let freed = job_folders::remove_artifacts(&self.dir, run);
                total = total.saturating_sub(freed);
                report.bytes += freed;
            }
            let size = sizes.get(&run).copied().unwrap_or_default();
            if total > max_bytes
                && log::is_worth_deleting(size)
                && let Some(freed) = log::delete_output(&self.dir.logs(), run, now)?
            {
                total = total.saturating_sub(size);
                report.bytes += freed;
            }
        }
        Ok(())
    }
}

/// The runs of a queue that exceed its retention, except each job's latest.
fn outdated_runs(
    db: &Connection,
    queue: &QueueId,
    keep: &Retention,
    now: DateTime<Utc>,
) -> rusqlite::Result<Vec<(JobId, RunId)>> {
    let before = keep.cutoff(now).map_or(i64::MIN, |before| before.timestamp_nanos_opt().unwrap_or(i64::MIN));
    let max_bytes = keep.max_runs.map_or(i64::MAX, i64::from).max(1);
    let sql = "SELECT job, id FROM ( \
                   SELECT r.job, r.id, r.ended, 1 + row_number() OVER (PARTITION BY r.job ORDER BY r.id DESC) AS nth \
                   FROM jobs j JOIN runs r ON r.job = j.id WHERE j.queue = ?1 AND j.attempts > 1 \
               ) WHERE nth > ?2 OR ended < ?3 LIMIT ?4";
    let limit = i64::try_from(RUNS_PER_TRANSACTION).unwrap_or(i64::MAX);
    let mut statement = db.prepare_cached(sql)?;
    statement.query_map((queue, max_bytes, before, limit), |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

/// The removed jobs of a queue that finished (or were added) before a time and that no other job needs.
fn removed_before(db: &Connection, queue: &QueueId, before: DateTime<Utc>) -> rusqlite::Result<Vec<JobId>> {
    let sql = "SELECT id FROM jobs j WHERE queue = ?1 AND removed IS NOT NULL \
               AND coalesce(finished, enqueued) < ?2 AND NOT EXISTS ( \
                   SELECT 1 FROM needs n JOIN jobs d ON d.id = n.job WHERE n.needed = j.id AND d.removed IS NULL \
               )";
    db.prepare_cached(sql)?.query_map((queue, Nanos(before)), |row| row.get(0))?.collect()
}

fn runs_of(db: &Connection, jobs: &[JobId]) -> rusqlite::Result<Vec<(JobId, RunId)>> {
    let mut statement = db.prepare_cached(
        "SELECT id FROM runs WHERE job = ?1 UNION ALL SELECT run FROM jobs WHERE id = ?1 AND run IS NOT NULL",
    )?;
    let mut runs = Vec::new();
    for job in jobs {
        for run in statement.query_map([job], |row| row.get(0))? {
            runs.push((*job, run?));
        }
    }
    Ok(runs)
}

/// The ended runs of a queue's jobs, oldest first.
fn ended_runs(db: &Connection, queue: &QueueId) -> rusqlite::Result<Vec<RunId>> {
    let sql = "SELECT r.id AS run, r.ended AS ended FROM jobs j JOIN runs r ON r.job = j.id WHERE j.queue = ?1 \
               UNION ALL SELECT run, ended FROM jobs WHERE queue = ?1 AND ended IS NOT NULL ORDER BY ended, run";
    db.prepare_cached(sql)?.query_map([queue], |row| row.get(0))?.collect()
}

fn delete_runs(db: &Connection, runs: &[(JobId, RunId)]) -> rusqlite::Result<()> {
    let mut statement = db.prepare_cached("DELETE FROM runs WHERE job = ?1 AND id = ?2")?;
    runs.iter().try_for_each(|run| statement.execute(*run).map(drop))
}

fn delete_jobs<'j>(db: &Connection, mut jobs: impl Iterator<Item = &'j JobId>) -> rusqlite::Result<()> {
    // The job may have been restored meanwhile.
    let mut job_goes = db.prepare_cached("DELETE FROM jobs WHERE id = ?1 AND removed IS NOT NULL")?;
    jobs.try_for_each(|job| {
        if job_goes.execute([job])? == 1 {
            for sql in [
                "DELETE FROM needs WHERE job = ?1",
                "DELETE FROM runs WHERE job = ?1",
                "DELETE FROM definitions WHERE job = ?1",
            ] {
                db.prepare_cached(sql)?.execute([job])?;
            }
        }
        Ok(())
    })
}
