//! The state of a site within a transaction, as read by decisions.

use std::cell::RefCell;
use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use rusqlite::{CachedStatement, Connection, OptionalExtension, Params, Result, Row};
use serde_json::json;

use super::columns::{Json, Nanos, Position, StateCode};
use super::definition_columns::{BlankDefinitions, definition};
use super::need_rows;
use super::queries::{find_job, jobs_run_by, needed_job, pool_holders};
use super::schedule_rows;
use super::tx_cache::TxCache;
use crate::model::{
    Dependent, DueOutcome, ExpectationState, FileJob, FinishedJob, Job, JobId, JobRef, LabelSet, NeedCounts, NeededJob,
    Outcome, Phase, PoolSizes, QueueId, QueueInfo, Readiness, RunId, ScheduleState, ScheduleTarget, StateReader,
    WorkerId, WorkerInfo,
};

/// The site within one transaction. Queues and counters are cached; jobs are queried.
pub(super) struct TxState<'t> {
    pub(super) db: &'t Connection,
    pub(super) cache: TxCache,
    /// The number of events before the transaction.
    pub(super) seq_before: u64,
    /// The job that was read last: the events of a decision usually change the job that it has read.
    last_job: RefCell<Option<Job>>,
    /// The first job that the events being applied add, if all that they add are pending.
    pub(super) first_added: JobId,
    /// The jobs that this transaction has started or reserved.
    pub(super) claimed: Vec<Job>,
    /// The workers whose reservations have changed.
    pub(super) changed_reservations: BTreeSet<WorkerId>,
    /// Whether values have left the site that must not remain in the database.
    pub(super) has_removed_secrets: bool,
}

impl<'t> TxState<'t> {
    /// The state at the start of a transaction; `earlier` is the cache of the previous one.
    pub(super) fn new(db: &'t Connection, earlier: Option<TxCache>) -> Result<Self> {
        let cache = TxCache::reuse_or_load(db, earlier)?;
        let seq_before = cache.counters.seq;
        Ok(Self {
            db,
            cache,
            seq_before,
            last_job: RefCell::default(),
            first_added: JobId(u64::MAX),
            claimed: Vec::new(),
            changed_reservations: BTreeSet::new(),
            has_removed_secrets: false,
        })
    }

    /// Takes a job to change it, out of all caches.
    pub(super) fn take(&mut self, id: JobId) -> Result<Option<Job>> {
        let at_hand = self.cache.active_jobs.remove(&id);
        match self.last_job.take().filter(|job| job.id == id).or(at_hand) {
            Some(job) => Ok(Some(job)),
            None => self.query_job(id),
        }
    }

    fn query_job(&self, id: JobId) -> Result<Option<Job>> {
        Ok(find_job(self.db, id)?.filter(|(_, removed)| removed.is_none()).map(|(job, _)| job))
    }

    /// Puts a changed job into the caches.
    pub(super) fn remember(&mut self, job: Job) {
        if job.phase() == Phase::Running || self.cache.workers.iter().any(|worker| worker.has_reserved(job.id)) {
            self.cache.active_jobs.insert(job.id, job.clone());
        }
        self.last_job.replace(Some(job));
    }

    /// Clears the job that was read last, because it may have changed.
    pub(super) fn forget_last_job(&self) {
        self.last_job.take();
    }

    /// Runs a statement that changes rows.
    pub(super) fn execute(&self, sql: &str, params: impl Params) -> Result<()> {
        self.db.prepare_cached(sql)?.execute(params).map(drop)
    }

    fn statement(&self, sql: &str) -> Result<CachedStatement<'t>> {
        self.db.prepare_cached(sql)
    }

    fn query_all<T>(&self, sql: &str, params: impl Params, read: impl FnMut(&Row<'_>) -> Result<T>) -> Result<Vec<T>> {
        self.statement(sql)?.query_map(params, read)?.collect()
    }
}

impl StateReader for TxState<'_> {
    type Error = rusqlite::Error;

    fn file_version(&self) -> Result<Option<String>> {
        Ok(self.cache.file_version.clone())
    }

    fn queues(&self) -> Result<Vec<QueueInfo>> {
        Ok(self.cache.queues.clone())
    }

    fn queue(&self, id: &QueueId) -> Result<Option<QueueInfo>> {
        Ok(self.cache.queues.iter().find(|queue| queue.id == *id).cloned())
    }

    fn job(&self, id: JobId) -> Result<Option<Job>> {
        if let Some(at_hand) = self.cache.active_jobs.get(&id) {
            return Ok(Some(at_hand.clone()));
        }
        if let Some(recent) = self.last_job.borrow().as_ref().filter(|job| job.id == id) {
            return Ok(Some(recent.clone()));
        }
        let job = self.query_job(id)?;
        self.last_job.replace(job.clone());
        Ok(job)
    }

    fn removed_job(&self, id: JobId) -> Result<Option<Job>> {
        Ok(find_job(self.db, id)?.filter(|(_, removed)| removed.is_some()).map(|(job, _)| job))
    }

    fn file_jobs(&self, queue: &QueueId) -> Result<Vec<FileJob>> {
        let sql = "SELECT j.id, j.position, j.state, j.removed, d.name, d.title, d.digest, d.run, d.command, d.rest \
                   FROM jobs j JOIN definitions d ON d.job = j.id \
                   WHERE j.queue = ?1 AND d.digest IS NOT NULL ORDER BY j.position, j.id";
        self.query_all(sql, [queue], |row| {
            let phase = row.get::<_, StateCode>(2)?.phase();
            let removed = row.get::<_, Option<_>>(3)?.map(|Json(by)| by);
            Ok(FileJob {
                id: row.get(0)?,
                definition: definition(row, 4, BlankDefinitions::shared())?,
                position: row.get::<_, Position>(1)?.0,
                phase,
                removed,
            })
        })
    }

    fn jobs_in_phase(&self, queue: &QueueId, phase: Phase) -> Result<Vec<JobId>> {
        let sql = match phase {
            Phase::Pending => {
                "SELECT id FROM jobs WHERE queue = ?1 AND state BETWEEN ?2 AND ?3 AND removed IS NULL \
                 ORDER BY rank, position, id"
            }
            Phase::Running => {
                "SELECT id FROM jobs WHERE queue = ?1 AND state BETWEEN ?2 AND ?3 AND removed IS NULL \
                 ORDER BY started, run"
            }
            Phase::Finished => {
                "SELECT id FROM jobs WHERE queue = ?1 AND state BETWEEN ?2 AND ?3 AND removed IS NULL \
                 ORDER BY finished, run, id"
            }
        };
        let codes = StateCode::range(phase);
        self.query_all(sql, (queue, codes.start(), codes.end()), |row| row.get(0))
    }

    fn pending_positions(&self, queue: &QueueId, priority: i32) -> Result<Vec<(i64, JobId)>> {
        let sql = "SELECT position, id FROM jobs WHERE queue = ?1 AND state BETWEEN ?2 AND ?3 AND rank = ?4 \
                   AND removed IS NULL ORDER BY position, id";
        let codes = StateCode::range(Phase::Pending);
        self.query_all(sql, (queue, codes.start(), codes.end(), -i64::from(priority)), |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
    }

    fn adjacent_position(&self, job: &Job, is_before: bool, skipped: &BTreeSet<JobId>) -> Result<Option<i64>> {
        let sql = if is_before {
            "SELECT position, id FROM jobs INDEXED BY jobs_by_position WHERE queue = ?1 AND (position, id) < (?2, ?3) \
             AND rank = ?4 AND state > 3 AND removed IS NULL ORDER BY position DESC, id DESC"
        } else {
            "SELECT position, id FROM jobs INDEXED BY jobs_by_position WHERE queue = ?1 AND (position, id) > (?2, ?3) \
             AND rank = ?4 AND state > 3 AND removed IS NULL ORDER BY position, id"
        };
        let mut statement = self.statement(sql)?;
        let mut rows =
            statement.query((&job.queue, job.position, job.id, -i64::from(job.definition.scheduling.priority)))?;
        while let Some(row) = rows.next()? {
            if !skipped.contains(&row.get(1)?) {
                return row.get(0).map(Some);
            }
        }
        Ok(None)
    }

    fn resolve(&self, target: &JobRef) -> Result<Option<JobId>> {
        match target {
            JobRef::Number(id) => {
                self.statement("SELECT id FROM jobs WHERE id = ?1")?.query_row([id], |row| row.get(0)).optional()
            }
            JobRef::Named(queue, name) => {
                let sql =
                    "SELECT j.id FROM definitions d JOIN jobs j ON j.id = d.job WHERE d.name = ?2 AND j.queue = ?1";
                self.statement(sql)?.query_row((queue, name), |row| row.get(0)).optional()
            }
        }
    }

    fn needed_job(&self, id: JobId) -> Result<Option<NeededJob>> {
        needed_job(self.db, id)
    }

    fn need_counts(&self, job: JobId) -> Result<NeedCounts> {
        need_rows::counts(self.db, job)
    }

    fn dependents(&self, job: JobId) -> Result<Vec<Dependent>> {
        need_rows::dependents(self.db, job)
    }

    fn next_jobs(
        &self,
        queue: &QueueId,
        readiness: Readiness,
        limit: usize,
        excluded: &[LabelSet],
    ) -> Result<Vec<Job>> {
        let reserved = self.reserved_jobs()?;
        let sql = "SELECT id FROM jobs WHERE queue = ?1 AND state = ?2 AND removed IS NULL \
                   ORDER BY rank, position, id LIMIT ?3";
        let query_limit = i64::try_from(limit + reserved.len()).unwrap_or(i64::MAX);
        let state = StateCode::pending(readiness);
        let mut first: Vec<JobId> = if excluded.is_empty() {
            self.query_all(sql, (queue, state, query_limit), |row| row.get(0))?
        } else {
            let excluded: Vec<String> = excluded.iter().map(|labels| json!(labels).to_string()).collect();
            let sql = "SELECT j.id FROM jobs j JOIN definitions d ON d.job = j.id \
                       WHERE j.queue = ?1 AND j.state = ?2 AND j.removed IS NULL \
                       AND coalesce(json_extract(d.rest, '$.terms.runs_on'), '[]') NOT IN (SELECT value FROM json_each(?4)) \
                       ORDER BY j.rank, j.position, j.id LIMIT ?3";
            self.query_all(sql, (queue, state, query_limit, Json(excluded)), |row| row.get(0))?
        };
        first.retain(|id| !reserved.contains(id));
        first.truncate(limit);
        first.into_iter().filter_map(|id| self.job(id).transpose()).collect()
    }

    fn blocked_jobs(&self, queue: &QueueId, most: usize) -> Result<Vec<JobId>> {
        let sql = "SELECT id FROM jobs WHERE queue = ?1 AND state = ?2 AND removed IS NULL \
                   ORDER BY rank, position, id LIMIT ?3";
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        self.query_all(sql, (queue, StateCode::pending(Readiness::Blocked), most), |row| row.get(0))
    }

    fn blocked_by_failure(&self, queue: &QueueId) -> Result<Vec<JobId>> {
        let sql = "SELECT id FROM jobs WHERE queue = ?1 AND state = ?2 AND removed IS NULL AND failed_needs > 0 \
                   ORDER BY rank, position, id";
        self.query_all(sql, (queue, StateCode::pending(Readiness::Blocked)), |row| row.get(0))
    }

    fn used_slots(&self, queue: &QueueId) -> Result<u32> {
        let sql = "SELECT min(coalesce(sum(weight), 0), 4294967295) FROM jobs \
                   WHERE queue = ?1 AND state BETWEEN ?2 AND ?3 AND removed IS NULL";
        let codes = StateCode::range(Phase::Running);
        self.statement(sql)?.query_row((queue, codes.start(), codes.end()), |row| row.get(0))
    }

    fn has_unblocked_jobs(&self, queue: &QueueId) -> Result<bool> {
        let sql = "SELECT 1 FROM jobs WHERE queue = ?1 AND state BETWEEN ?2 AND ?3 AND removed IS NULL";
        let codes = StateCode::unfinished();
        self.statement(sql)?.exists((queue, codes.start(), codes.end()))
    }

    fn due_jobs(&self, now: DateTime<Utc>) -> Result<Vec<JobId>> {
        // The outer loop is over the queues, which are few; each uses the index to find its due jobs.
        let sql = "SELECT j.id FROM queues q CROSS JOIN jobs j ON j.queue = q.id AND j.state IN (6, 7) \
                   AND j.until <= ?1 AND j.until IS NOT NULL WHERE j.removed IS NULL ORDER BY j.until, j.id";
        self.query_all(sql, [Nanos(now)], |row| row.get(0))
    }

    fn next_due_time(&self, queue: &QueueId, requested_only: bool) -> Result<Option<DateTime<Utc>>> {
        let sql = "SELECT min(until) FROM jobs \
                   WHERE queue = ?1 AND state BETWEEN ?2 AND ?3 AND until IS NOT NULL AND removed IS NULL";
        let codes = StateCode::timed(requested_only);
        let until: Option<Nanos> =
            self.statement(sql)?.query_row((queue, codes.start(), codes.end()), |row| row.get(0))?;
        Ok(until.map(|Nanos(until)| until))
    }

    fn finished_not_in_file_before(&self, queue: &QueueId, before: DateTime<Utc>) -> Result<Vec<JobId>> {
        let sql = "SELECT j.id FROM jobs j JOIN definitions d ON d.job = j.id WHERE j.queue = ?1 AND j.state = ?2 \
                   AND j.removed IS NULL AND j.finished < ?3 AND d.digest IS NULL ORDER BY j.finished, j.run, j.id";
        self.query_all(sql, (queue, StateCode::range(Phase::Finished).start(), Nanos(before)), |row| row.get(0))
    }

    fn last_position(&self, queue: &QueueId) -> Result<i64> {
        let sql = "SELECT coalesce(max(position), 0) FROM jobs WHERE queue = ?1";
        self.statement(sql)?.query_row([queue], |row| row.get(0)).map(|Position(last)| last)
    }

    fn next_job_id(&self) -> Result<JobId> {
        Ok(JobId(self.cache.counters.job + 1))
    }

    fn next_run_id(&self) -> Result<RunId> {
        Ok(RunId(self.cache.counters.run + 1))
    }

    fn next_worker_id(&self) -> Result<WorkerId> {
        Ok(WorkerId(self.cache.counters.worker + 1))
    }

    fn worker(&self, id: WorkerId) -> Result<Option<WorkerInfo>> {
        Ok(self.cache.workers.iter().find(|worker| worker.id == id).cloned())
    }

    fn workers(&self) -> Result<Vec<WorkerInfo>> {
        Ok(self.cache.workers.clone())
    }

    fn reserved_jobs(&self) -> Result<Vec<JobId>> {
        let reserved = self.cache.workers.iter().flat_map(|worker| &worker.reserved);
        Ok(reserved.map(|reservation| reservation.job).collect())
    }

    fn pools(&self) -> Result<PoolSizes> {
        Ok(self.cache.pools.clone())
    }

    fn pool_holders(&self) -> Result<Vec<Job>> {
        pool_holders(self.db)
    }

    fn unfinished_with_key(&self, key: &str) -> Result<Option<JobId>> {
        let sql = "SELECT min(id) FROM jobs WHERE unique_key = ?1 AND state > 0 AND removed IS NULL";
        self.statement(sql)?.query_row([key], |row| row.get(0))
    }

    fn schedules(&self) -> Result<Vec<ScheduleState>> {
        Ok(self.cache.schedules.clone())
    }

    fn schedule(&self, target: &ScheduleTarget) -> Result<Option<ScheduleState>> {
        let schedules = &self.cache.schedules;
        let found = schedules.binary_search_by(|known| known.target.cmp(target)).ok();
        Ok(found.and_then(|index| schedules.get(index)).cloned())
    }

    fn schedules_with_run(&self) -> Result<Vec<ScheduleState>> {
        Ok(self.cache.schedules.iter().filter(|state| state.running.is_some()).cloned().collect())
    }

    fn unsuccessful_since(&self, queue: &QueueId, since: DateTime<Utc>) -> Result<Vec<(JobId, DueOutcome)>> {
        let sql = "SELECT id, outcome FROM jobs WHERE queue = ?1 AND state = ?2 AND removed IS NULL \
                   AND finished >= ?3 AND outcome != ?4";
        let finished = StateCode::range(Phase::Finished);
        let mut jobs =
            self.query_all(sql, (queue, finished.start(), Nanos(since), Json(Outcome::Succeeded)), |row| {
                let Json(outcome): Json<Outcome> = row.get(1)?;
                Ok((row.get(0)?, DueOutcome::from(&outcome)))
            })?;
        jobs.retain(|(_, outcome)| outcome.is_failure());
        Ok(jobs)
    }

    fn expectations(&self) -> Result<Vec<ExpectationState>> {
        Ok(self.cache.expectations.clone())
    }

    fn finished_jobs(&self, queue: &QueueId) -> Result<Vec<FinishedJob>> {
        let sql = "SELECT id, outcome, finished FROM jobs WHERE queue = ?1 AND state = 0 AND removed IS NULL \
                   ORDER BY finished, run, id";
        self.query_all(sql, [queue], |row| {
            let (Json(outcome), Nanos(at)) = (row.get(1)?, row.get(2)?);
            Ok((row.get(0)?, outcome, at))
        })
    }

    fn last_due_record(&self, target: &ScheduleTarget, until: DateTime<Utc>) -> Result<Option<DateTime<Utc>>> {
        schedule_rows::last_due_record(self.db, target, until)
    }

    fn due_times_run_after(&self, target: &ScheduleTarget, after: DateTime<Utc>) -> Result<Vec<DateTime<Utc>>> {
        schedule_rows::due_times_run_after(self.db, target, after)
    }

    fn jobs_run_by(&self, worker: WorkerId) -> Result<Vec<Job>> {
        jobs_run_by(self.db, worker)
    }
}
