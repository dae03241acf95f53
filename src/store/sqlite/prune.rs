//! Deletes runs, jobs and output beyond the retention settings of their queues.

use std::collections::{HashMap, HashSet};
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use rusqlite::{Connection, OptionalExtension, Transaction};

use super::columns::Nanos;
use super::connection::SqliteStore;
use super::need_rows::{self, NeedList};
use super::open::CHECKPOINT_PAGES;
use super::output_rows;
use super::tx_state::TxState;
use crate::crash;
use crate::model::{Command, JobId, QueueId, Retention, RunId, StateReader};
use crate::store::backend::{PruneReport, Store};
use crate::store::error::StoreError;
use crate::store::log::StoredOutput;
use crate::store::run_files::delete_run_files;
use crate::store::{job_folders, log};

/// How long a transaction should take, so that other writers wait only briefly.
const TRANSACTION_TIME: Duration = Duration::from_millis(8);
/// How many rows a transaction changes at least and at most. With fewer, most of the time would be spent on the disk.
const ROWS_PER_TRANSACTION: RangeInclusive<usize> = 32..=2048;
/// The length of the write-ahead log, in pages, at which writers are kept waiting for a checkpoint, because there were
/// changes during each of the others. It is short then: the others have moved most pages.
const MAX_LOG_PAGES: i64 = 8 * CHECKPOINT_PAGES;
/// How long ago a run must have ended before its small log is moved into the database: by then its hook has ended.
const MIN_FILE_AGE: TimeDelta = TimeDelta::days(1);
/// So many free pages are kept for what is written next; the others are given back to the file system.
const KEPT_FREE_PAGES: i64 = 1024;

/// How many bytes runs take: in the files of their logs, in rows, and in their folders for artifacts.
struct OutputSizes {
    logs: HashMap<RunId, u64>,
    stored: HashMap<RunId, u64>,
    artifacts: HashMap<RunId, u64>,
}

impl SqliteStore {
    pub(super) fn prune_site(&mut self, now: DateTime<Utc>) -> Result<PruneReport, StoreError> {
        // Checkpoints are made between the transactions, while other writers can go on.
        self.set_checkpoint_pages(0)?;
        let mut report = PruneReport::default();
        let pruned = self.prune_queues(now, &mut report);
        self.set_checkpoint_pages(CHECKPOINT_PAGES)?;
        pruned.map(|()| report)
    }

    fn set_checkpoint_pages(&self, pages: i64) -> Result<(), StoreError> {
        let set = self.db.pragma_update(None, "wal_autocheckpoint", pages);
        set.map_err(|error| StoreError::database(&self.dir.database(), error))
    }

    fn prune_queues(&mut self, now: DateTime<Utc>, report: &mut PruneReport) -> Result<(), StoreError> {
        let queues = self.queues()?;
        for queue in &queues {
            let keep = queue.settings.retention;
            self.prune_runs(&queue.id, &keep, now, report)?;
            if let Some(before) = keep.cutoff(now) {
                self.prune_jobs(&queue.id, before, now, report)?;
            }
        }
        job_folders::remove_interrupted_removals(&self.dir);
        let mut sizes = None;
        for queue in &queues {
            if let Some(max_bytes) = queue.settings.retention.max_output_bytes {
                let sizes = match &mut sizes {
                    Some(sizes) => sizes,
                    none => none.insert(self.output_sizes()?),
                };
                self.limit_output(&queue.id, max_bytes, sizes, now, report)?;
            }
        }
        self.store_small_logs(now, report)?;
        self.release_free_pages(report)
    }

    /// Changes rows in a transaction, adjusts how many the next one changes, and checkpoints the write-ahead log.
    fn write_batch(
        &mut self,
        pace: &mut Pace,
        report: &mut PruneReport,
        write: impl FnOnce(&Transaction<'_>, &mut PruneReport) -> rusqlite::Result<()>,
    ) -> Result<(), StoreError> {
        self.write_rows(|db| write(db, report))?;
        self.end_batch(pace, report)
    }

    fn end_batch(&mut self, pace: &mut Pace, report: &mut PruneReport) -> Result<(), StoreError> {
        let held = self.write_lock.last_hold();
        pace.adjust(held);
        report.longest_hold = report.longest_hold.max(held);
        if self.checkpoint() > MAX_LOG_PAGES {
            self.write_lock.lock()?;
            self.checkpoint();
            self.write_lock.unlock()?;
            report.longest_hold = report.longest_hold.max(self.write_lock.last_hold());
        }
        Ok(())
    }

    /// Moves the pages of the write-ahead log to the database; returns how many the log has.
    fn checkpoint(&self) -> i64 {
        // If this fails, the next one moves them.
        self.db.query_row("PRAGMA wal_checkpoint(PASSIVE)", (), |row| row.get(1)).unwrap_or_default()
    }

    /// Deletes the runs of a queue that exceed its retention, except each job's latest.
    fn prune_runs(
        &mut self,
        queue: &QueueId,
        keep: &Retention,
        now: DateTime<Utc>,
        report: &mut PruneReport,
    ) -> Result<(), StoreError> {
        let outdated = self.read(|db| outdated_runs(db, queue, keep, now))?;
        let (mut rest, mut pace) = (&outdated[..], Pace::default());
        while let Some(batch) = pace.next_batch(&mut rest) {
            // Runs whose output is being read are kept until the next time.
            let deleted = delete_run_files(&self.dir, batch.to_vec(), report)?;
            report.runs += deleted.len();
            if !deleted.is_empty() {
                self.write_batch(&mut pace, report, |db, report| delete_runs(db, &deleted, report))?;
            }
        }
        Ok(())
    }

    /// Removes the finished jobs of a queue that are past its retention, and deletes the removed ones.
    fn prune_jobs(
        &mut self,
        queue: &QueueId,
        before: DateTime<Utc>,
        now: DateTime<Utc>,
        report: &mut PruneReport,
    ) -> Result<(), StoreError> {
        let finished = self.read(|db| TxState::new(db, None)?.finished_not_in_file_before(queue, before))?;
        let (mut rest, mut pace) = (&finished[..], Pace::default());
        while let Some(jobs) = pace.next_batch(&mut rest) {
            // Refused when all of them have changed meanwhile.
            let removed = self.execute(&[Command::PruneJobs { jobs: jobs.to_vec() }], now)?.remove(0);
            report.jobs += removed.map_or(0, |events| events.len());
            self.end_batch(&mut pace, report)?;
        }
        let removed = self.read(|db| removed_before(db, queue, before))?;
        let (mut rest, mut pace) = (&removed[..], Pace::default());
        while let Some(jobs) = pace.next_batch(&mut rest) {
            let runs = self.read(|db| runs_of(db, jobs))?;
            let deleted: HashSet<_> = delete_run_files(&self.dir, runs.clone(), report)?.into_iter().collect();
            let kept: HashSet<JobId> = runs.iter().filter(|run| !deleted.contains(run)).map(|run| run.0).collect();
            let runs = runs.iter().filter(|(job, _)| !kept.contains(job));
            let jobs_to_delete = jobs.iter().filter(|job| !kept.contains(job));
            self.write_batch(&mut pace, report, |db, report| delete_jobs(db, jobs_to_delete, runs, report))?;
            self.delete_job_states(jobs)?;
        }
        Ok(())
    }

    /// Deletes what these jobs have kept over their attempts, if they don't exist any more.
    fn delete_job_states(&mut self, jobs: &[JobId]) -> Result<(), StoreError> {
        // Some may have been restored meanwhile.
        let gone =
            self.read(|db| jobs.iter().filter_map(|job| is_gone(db, *job).transpose()).collect::<Result<Vec<_>, _>>())?;
        for job in gone {
            job_folders::remove_job_state(&self.dir, job);
        }
        Ok(())
    }

    /// Gives free pages back to the file system. A database that was created before format 7 keeps them for later writes.
    fn release_free_pages(&mut self, report: &mut PruneReport) -> Result<(), StoreError> {
        let (mut releases_any, mut pace) = (true, Pace::default());
        while releases_any && self.read(|db| free_pages(db))? > KEPT_FREE_PAGES {
            let most = pace.rows;
            self.write_batch(&mut pace, report, |db, _| {
                let left = usize::try_from(free_pages(db)? - KEPT_FREE_PAGES).unwrap_or_default();
                // Each row stands for a page.
                let mut statement = db.prepare("PRAGMA incremental_vacuum")?;
                let (mut rows, started, mut released) = (statement.query(())?, Instant::now(), 0);
                while released < left.min(most) && started.elapsed() < TRANSACTION_TIME && rows.next()?.is_some() {
                    released += 1;
                }
                releases_any = released > 0;
                Ok(())
            })?;
        }
        Ok(())
    }

    fn output_sizes(&mut self) -> Result<OutputSizes, StoreError> {
        Ok(OutputSizes {
            logs: log::log_sizes(&self.dir.logs())?,
            stored: self.read(|db| output_rows::sizes(db))?,
            artifacts: job_folders::artifact_sizes(&self.dir),
        })
    }

    /// Deletes the oldest logs and artifacts of a queue until the rest takes at most `max_bytes` bytes. Their runs are kept.
    fn limit_output(
        &mut self,
        queue: &QueueId,
        max_bytes: u64,
        OutputSizes { logs, stored, artifacts }: &OutputSizes,
        now: DateTime<Utc>,
        report: &mut PruneReport,
    ) -> Result<(), StoreError> {
        let parts = [logs, stored, artifacts];
        if parts.into_iter().flat_map(HashMap::values).sum::<u64>() <= max_bytes {
            return Ok(());
        }
        let ended = self.read(|db| ended_runs(db, queue))?;
        let size_of = |run: &RunId| parts.into_iter().filter_map(|sizes| sizes.get(run)).sum::<u64>();
        let mut total: u64 = ended.iter().map(size_of).sum();
        let mut replaced = Vec::new();
        for run in ended {
            if total <= max_bytes {
                break;
            }
            if artifacts.contains_key(&run) {
                let freed = job_folders::remove_artifacts(&self.dir, run);
                total = total.saturating_sub(freed);
                report.bytes += freed;
            }
            let size = logs.get(&run).copied().unwrap_or_default();
            if total > max_bytes
                && log::is_worth_deleting(size)
                && let Some(freed) = log::delete_output(&self.dir.logs(), run, now)?
            {
                total = total.saturating_sub(size);
                report.bytes += freed;
            }
            let size = stored.get(&run).copied().unwrap_or_default();
            if total > max_bytes && log::is_worth_deleting(size) {
                total = total.saturating_sub(size);
                replaced.push(run);
            }
        }
        let (mut rest, mut pace) = (&replaced[..], Pace::default());
        while let Some(runs) = pace.next_batch(&mut rest) {
            self.write_batch(&mut pace, report, |db, report| {
                runs.iter().try_for_each(|run| {
                    report.bytes += output_rows::replace_by_notice(db, *run, now)?;
                    Ok(())
                })
            })?;
        }
        Ok(())
    }

    /// Moves small logs into the database: those of runs that a hook has read, that were interrupted, or that ended before
    /// there were rows for them.
    fn store_small_logs(&mut self, now: DateTime<Utc>, report: &mut PruneReport) -> Result<(), StoreError> {
        let logs = self.dir.logs();
        let mut runs = log::small_logs(&logs)?;
        runs.sort_unstable();
        if runs.is_empty() {
            return Ok(());
        }
        let ended = self.read(|db| output_rows::ended_before(db, &runs, now - MIN_FILE_AGE))?;
        runs.retain(|run| ended.contains(run));
        let (mut rest, mut pace) = (&runs[..], Pace::default());
        while let Some(batch) = pace.next_batch(&mut rest) {
            let read = |run: &RunId| Some((*run, StoredOutput::read_files(&logs, *run).ok()??));
            let outputs: Vec<(RunId, StoredOutput)> = batch.iter().filter_map(read).collect();
            self.write_batch(&mut pace, report, |db, _| {
                outputs.iter().try_for_each(|(run, output)| output_rows::insert_missing(db, *run, output))
            })?;
            crash::point("logs-stored");
            for (run, _) in &outputs {
                StoredOutput::remove_files(&logs, *run);
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
    let max_runs = keep.max_runs.map_or(i64::MAX, i64::from).max(1);
    let sql = "SELECT job, id FROM ( \
                   SELECT r.job, r.id, r.ended, 1 + row_number() OVER (PARTITION BY r.job ORDER BY r.id DESC) AS nth \
                   FROM jobs j JOIN runs r ON r.job = j.id WHERE j.queue = ?1 AND j.attempts > 1 \
               ) WHERE nth > ?2 OR ended < ?3";
    let mut statement = db.prepare_cached(sql)?;
    statement.query_map((queue, max_runs, before), |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
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

fn delete_runs(db: &Connection, runs: &[(JobId, RunId)], report: &mut PruneReport) -> rusqlite::Result<()> {
    let mut statement = db.prepare_cached("DELETE FROM runs WHERE job = ?1 AND id = ?2")?;
    runs.iter().try_for_each(|run| {
        report.bytes += output_rows::delete(db, run.1)?;
        statement.execute(*run).map(drop)
    })
}

/// Deletes removed jobs and these runs of theirs.
fn delete_jobs<'j>(
    db: &Connection,
    jobs: impl Iterator<Item = &'j JobId>,
    runs: impl Iterator<Item = &'j (JobId, RunId)>,
    report: &mut PruneReport,
) -> rusqlite::Result<()> {
    // The job may have been restored meanwhile.
    let mut job_goes = db.prepare_cached("DELETE FROM jobs WHERE id = ?1 AND removed IS NOT NULL")?;
    let mut needs_of = db.prepare_cached("SELECT needs FROM definitions WHERE job = ?1 AND needs IS NOT NULL")?;
    let mut gone = HashSet::new();
    for job in jobs {
        if job_goes.execute([job])? == 0 {
            continue;
        }
        gone.insert(*job);
        // The table of edges is searched by the needed job.
        if let Some(NeedList(needs)) = needs_of.query_row([job], |row| row.get(0)).optional()? {
            need_rows::delete_edges(db, *job, &needs)?;
        }
        for sql in ["DELETE FROM runs WHERE job = ?1", "DELETE FROM definitions WHERE job = ?1"] {
            db.prepare_cached(sql)?.execute([job])?;
        }
    }
    for (_, run) in runs.filter(|(job, _)| gone.contains(job)) {
        report.bytes += output_rows::delete(db, *run)?;
    }
    Ok(())
}

/// The job if it does not exist.
fn is_gone(db: &Connection, job: JobId) -> rusqlite::Result<Option<JobId>> {
    let exists = db.prepare_cached("SELECT 1 FROM jobs WHERE id = ?1")?.exists([job])?;
    Ok((!exists).then_some(job))
}

/// How many pages of the database are free.
fn free_pages(db: &Connection) -> rusqlite::Result<i64> {
    db.query_row("PRAGMA freelist_count", (), |row| row.get(0))
}

/// How many rows a transaction changes, as many as fit into [`TRANSACTION_TIME`].
struct Pace {
    rows: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Self { rows: 64 }
    }
}

impl Pace {
    /// Takes the next rows off the rest; none if there are no more.
    fn next_batch<'r, T>(&self, rest: &mut &'r [T]) -> Option<&'r [T]> {
        let (batch, later) = rest.split_at(self.rows.min(rest.len()));
        *rest = later;
        Some(batch).filter(|batch| !batch.is_empty())
    }

    fn adjust(&mut self, took: Duration) {
        if took > TRANSACTION_TIME {
            let times_too_long = took.as_micros().div_ceil(TRANSACTION_TIME.as_micros());
            let fitting = self.rows / usize::try_from(times_too_long).unwrap_or(usize::MAX);
            self.rows = fitting.max(*ROWS_PER_TRANSACTION.start());
        } else if took < TRANSACTION_TIME / 2 {
            self.rows = (self.rows * 2).min(*ROWS_PER_TRANSACTION.end());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transactions_shrink_when_they_take_long_and_grow_when_they_are_fast() {
        let mut pace = Pace::default();
        for (millis, rows) in [(20, 32), (7, 32), (1, 64), (4, 64), (3, 128), (3, 256), (9, 128), (30, 32)] {
            pace.adjust(Duration::from_millis(millis));
            assert_eq!(pace.rows, rows);
        }
        (0..9).for_each(|_| pace.adjust(Duration::ZERO));
        assert_eq!(pace.rows, 2048);
    }
}
