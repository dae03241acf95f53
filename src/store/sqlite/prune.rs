//! What a site gives up: runs, jobs and output that the queues don't keep any longer.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use rusqlite::{Connection, TransactionBehavior};

use super::Sqlite;
use super::codec::Nanos;
use crate::model::{Command, JobId, Keep, QueueId, RunId};
use crate::store::{Pruned, Store, StoreError, log};

/// So many runs are given up in one go: others want to write, too.
const BATCH: usize = 500;

impl Sqlite {
    pub(super) fn give_up(&mut self, now: DateTime<Utc>) -> Result<Pruned, StoreError> {
        let mut pruned = Pruned::default();
        // Refused when there is nothing of the kind.
        let retired = self.execute(&[Command::Retire], now)?.remove(0);
        pruned.jobs = retired.map_or(0, |events| events.len());
        let queues = self.queues()?;
        for queue in &queues {
            let keep = queue.settings.keep;
            loop {
                let old = outdated(&self.db, &queue.id, &keep, now).map_err(self.failed())?;
                let done = old.len() < BATCH;
                let gone = self.erase(old, &mut pruned)?;
                // What is being looked at stays, and would be found again.
                if gone.is_empty() {
                    break;
                }
                pruned.runs += gone.len();
                self.change(|db| forget_runs(db, &gone))?;
                if done {
                    break;
                }
            }
            if let Some(before) = keep.before(now) {
                let removed = removed_before(&self.db, &queue.id, before).map_err(self.failed())?;
                for jobs in removed.chunks(BATCH) {
                    let runs = runs_of(&self.db, jobs).map_err(self.failed())?;
                    let gone = self.erase(runs.clone(), &mut pruned)?;
                    let kept: HashSet<JobId> = runs.iter().filter(|run| !gone.contains(run)).map(|run| run.0).collect();
                    self.change(|db| forget_jobs(db, jobs.iter().filter(|job| !kept.contains(job))))?;
                }
            }
        }
        for queue in &queues {
            if let Some(most) = queue.settings.keep.bytes {
                self.shrink(&queue.id, most, now, &mut pruned)?;
            }
        }
        Ok(pruned)
    }

    /// Deletes the logs of these runs; returns those whose logs nobody is looking at.
    fn erase(&self, runs: Vec<(JobId, RunId)>, pruned: &mut Pruned) -> Result<Vec<(JobId, RunId)>, StoreError> {
        let mut gone = Vec::with_capacity(runs.len());
        for (job, run) in runs {
            if let Some(freed) = log::erase(&self.folder.logs(), run)? {
                pruned.bytes += freed;
                gone.push((job, run));
            }
        }
        Ok(gone)
    }

    /// Deletes the oldest logs of a queue until the others take at most so many bytes. Their runs stay on record.
    fn shrink(&self, queue: &QueueId, most: u64, now: DateTime<Utc>, pruned: &mut Pruned) -> Result<(), StoreError> {
        let sizes = log::sizes(&self.folder.logs())?;
        if sizes.values().sum::<u64>() <= most {
            return Ok(());
        }
        let ended = ended_runs(&self.db, queue).map_err(self.failed())?;
        let mut total: u64 = ended.iter().filter_map(|run| sizes.get(run)).sum();
        for run in ended {
            if total <= most {
                break;
            }
            let size = sizes.get(&run).copied().unwrap_or_default();
            if log::is_worth_it(size)
                && let Some(freed) = log::discard(&self.folder.logs(), run, now)?
            {
                total = total.saturating_sub(size);
                pruned.bytes += freed;
            }
        }
        Ok(())
    }

    /// Changes rows that no event tells of, in a transaction, when it is this process's turn.
    fn change(&mut self, change: impl FnOnce(&Connection) -> rusqlite::Result<()>) -> Result<(), StoreError> {
        self.turn.begin()?;
        let changed = self.db.transaction_with_behavior(TransactionBehavior::Immediate).and_then(|transaction| {
            change(&transaction)?;
            transaction.commit()
        });
        self.turn.end()?;
        changed.map_err(self.failed())
    }
}

/// The runs of a queue's jobs that are too many or too old, the latest of each job excepted.
fn outdated(
    db: &Connection,
    queue: &QueueId,
    keep: &Keep,
    now: DateTime<Utc>,
) -> rusqlite::Result<Vec<(JobId, RunId)>> {
    let before = keep.before(now).map_or(i64::MIN, |before| before.timestamp_nanos_opt().unwrap_or(i64::MIN));
    let most = keep.runs.map_or(i64::MAX, i64::from).max(1);
    let sql = "SELECT job, id FROM ( \
                   SELECT r.job, r.id, r.ended, 1 + row_number() OVER (PARTITION BY r.job ORDER BY r.id DESC) AS nth \
                   FROM jobs j JOIN runs r ON r.job = j.id WHERE j.queue = ?1 AND j.attempts > 1 \
               ) WHERE nth > ?2 OR ended < ?3 LIMIT ?4";
    let limit = i64::try_from(BATCH).unwrap_or(i64::MAX);
    let mut statement = db.prepare_cached(sql)?;
    statement.query_map((queue, most, before, limit), |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

/// The jobs that were taken out of a queue and had finished, or been added, before this, and that no other needs.
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

/// The runs of a queue's jobs that have ended, first to last.
fn ended_runs(db: &Connection, queue: &QueueId) -> rusqlite::Result<Vec<RunId>> {
    let sql = "SELECT r.id AS run, r.ended AS ended FROM jobs j JOIN runs r ON r.job = j.id WHERE j.queue = ?1 \
               UNION ALL SELECT run, ended FROM jobs WHERE queue = ?1 AND ended IS NOT NULL ORDER BY ended, run";
    db.prepare_cached(sql)?.query_map([queue], |row| row.get(0))?.collect()
}

fn forget_runs(db: &Connection, runs: &[(JobId, RunId)]) -> rusqlite::Result<()> {
    let mut statement = db.prepare_cached("DELETE FROM runs WHERE job = ?1 AND id = ?2")?;
    runs.iter().try_for_each(|run| statement.execute(*run).map(drop))
}

fn forget_jobs<'j>(db: &Connection, mut jobs: impl Iterator<Item = &'j JobId>) -> rusqlite::Result<()> {
    // Somebody may have put it back meanwhile.
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
