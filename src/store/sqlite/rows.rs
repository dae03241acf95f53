//! A transaction as decisions see it: the rows of one site, with what the transaction has changed so far.

use std::cell::RefCell;
use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use rusqlite::{CachedStatement, Connection, OptionalExtension, Params, Result, Row};

use super::codec::{self, Code, Count, Json, Nanos, Place, select_jobs};
use super::definition::{Bare, definition};
use super::known::Known;
use crate::model::{
    Counters, Filed, Job, JobId, Phase, QueueId, QueueView, Removal, RunId, Target, Turn, View, Worker, WorkerId,
};

/// The site of one transaction. Its few queues and counters are known; jobs are looked up.
pub(super) struct Rows<'t> {
    pub(super) db: &'t Connection,
    pub(super) known: Known,
    /// The events counted when the transaction began.
    pub(super) began: u64,
    /// The job looked up last: what a decision is about is what its events change.
    recent: RefCell<Option<Job>>,
    /// The jobs that were started or reserved.
    pub(super) taken_up: Vec<Job>,
    /// The workers for whom other jobs are reserved than before.
    pub(super) reserving: BTreeSet<WorkerId>,
}

impl<'t> Rows<'t> {
    /// The site as it stands in this transaction; what was known `earlier` need not be read anew.
    pub(super) fn new(db: &'t Connection, earlier: Option<Known>) -> Result<Self> {
        let known = Known::now(db, earlier)?;
        let began = known.counters.seq;
        Ok(Self { db, known, began, recent: RefCell::default(), taken_up: Vec::new(), reserving: BTreeSet::new() })
    }

    /// Takes over a job to change it, and leaves nothing that would be out of date by then.
    pub(super) fn take(&mut self, id: JobId) -> Result<Option<Job>> {
        let at_hand = self.known.at_hand.remove(&id);
        match self.recent.take().filter(|job| job.id == id).or(at_hand) {
            Some(job) => Ok(Some(job)),
            None => self.look_up(id),
        }
    }

    fn look_up(&self, id: JobId) -> Result<Option<Job>> {
        Ok(find(self.db, id)?.filter(|(_, removed)| removed.is_none()).map(|(job, _)| job))
    }

    /// Keeps a job in mind as it stands now.
    pub(super) fn remember(&mut self, job: Job) {
        if job.phase() == Phase::Running || self.known.workers.iter().any(|worker| worker.reserves(job.id)) {
            self.known.at_hand.insert(job.id, job.clone());
        }
        self.recent.replace(Some(job));
    }

    /// Forgets the job looked up last, because it may have changed.
    pub(super) fn forget(&self) {
        self.recent.take();
    }

    /// Runs a statement that changes rows.
    pub(super) fn change(&self, sql: &str, params: impl Params) -> Result<()> {
        self.db.prepare_cached(sql)?.execute(params).map(drop)
    }

    fn statement(&self, sql: &str) -> Result<CachedStatement<'t>> {
        self.db.prepare_cached(sql)
    }

    fn all<T>(&self, sql: &str, params: impl Params, read: impl FnMut(&Row<'_>) -> Result<T>) -> Result<Vec<T>> {
        self.statement(sql)?.query_map(params, read)?.collect()
    }
}

/// The version of `jobs.yaml` in force.
pub(super) fn stamp(db: &Connection) -> Result<Option<String>> {
    db.prepare_cached("SELECT stamp FROM site")?.query_row((), |row| row.get(0))
}

/// The numbers given so far: the last event has them.
pub(super) fn counters(db: &Connection) -> Result<Counters> {
    let sql = "SELECT seq, job, run, worker FROM events ORDER BY seq DESC LIMIT 1";
    db.prepare_cached(sql)?.query_row((), |row| {
        let number = |column| row.get(column).map(|Count(number)| number);
        Ok(Counters { seq: number(0)?, job: number(1)?, run: number(2)?, worker: number(3)? })
    })
}

/// All queues, in their order.
pub(super) fn queues(db: &Connection) -> Result<Vec<QueueView>> {
    let mut statement = db.prepare_cached("SELECT id, settings, mode FROM queues ORDER BY id")?;
    let read = |row: &Row<'_>| {
        let (Json(settings), Json(mode)) = (row.get(1)?, row.get(2)?);
        Ok(QueueView { id: row.get(0)?, settings, mode })
    };
    let mut queues: Vec<QueueView> = statement.query_map((), read)?.collect::<Result<_>>()?;
    queues.sort_by_key(|queue| queue.settings.order);
    Ok(queues)
}

/// All workers.
pub(super) fn workers(db: &Connection) -> Result<Vec<Worker>> {
    let mut statement = db.prepare_cached("SELECT id, host, pid, queues, reserved FROM workers")?;
    let read = |row: &Row<'_>| {
        let queues = row.get::<_, Option<_>>(3)?.map(|Json(queues)| queues);
        let reserved = row.get::<_, Option<_>>(4)?.map(|Json(reserved)| reserved).unwrap_or_default();
        Ok(Worker { id: row.get(0)?, host: row.get(1)?, pid: row.get(2)?, queues, reserved })
    };
    statement.query_map((), read)?.collect()
}

/// The jobs that a worker runs.
pub(super) fn run_by(db: &Connection, worker: WorkerId) -> Result<Vec<Job>> {
    // The outer loop is over the queues, which are few: each finds what it runs by the index.
    let sql = select_jobs!(
        "CROSS JOIN queues q WHERE j.queue = q.id AND j.state BETWEEN ?2 AND ?3 AND j.removed IS NULL \
         AND j.worker = ?1 ORDER BY j.queue, j.started, j.run"
    );
    let codes = Code::range(Phase::Running);
    let mut statement = db.prepare_cached(sql)?;
    statement.query_map((worker, codes.start(), codes.end()), codec::job)?.collect()
}

/// One job, and by whom it was taken out of its queue if it was.
pub(super) fn find(db: &Connection, id: JobId) -> Result<Option<(Job, Option<Removal>)>> {
    let read = |row: &Row<'_>| Ok((codec::job(row)?, codec::removed(row)?));
    db.prepare_cached(select_jobs!("WHERE j.id = ?1"))?.query_row([id], read).optional()
}

impl View for Rows<'_> {
    type Error = rusqlite::Error;

    fn stamp(&self) -> Result<Option<String>> {
        Ok(self.known.stamp.clone())
    }

    fn queues(&self) -> Result<Vec<QueueView>> {
        Ok(self.known.queues.clone())
    }

    fn queue(&self, id: &QueueId) -> Result<Option<QueueView>> {
        Ok(self.known.queues.iter().find(|queue| queue.id == *id).cloned())
    }

    fn job(&self, id: JobId) -> Result<Option<Job>> {
        if let Some(at_hand) = self.known.at_hand.get(&id) {
            return Ok(Some(at_hand.clone()));
        }
        if let Some(recent) = self.recent.borrow().as_ref().filter(|job| job.id == id) {
            return Ok(Some(recent.clone()));
        }
        let job = self.look_up(id)?;
        self.recent.replace(job.clone());
        Ok(job)
    }

    fn removed(&self, id: JobId) -> Result<Option<Job>> {
        Ok(find(self.db, id)?.filter(|(_, removed)| removed.is_some()).map(|(job, _)| job))
    }

    fn filed(&self, queue: &QueueId) -> Result<Vec<Filed>> {
        let sql = "SELECT j.id, j.position, j.state, j.removed, d.name, d.title, d.digest, d.run, d.command, d.rest \
                   FROM jobs j JOIN definitions d ON d.job = j.id \
                   WHERE j.queue = ?1 AND d.digest IS NOT NULL ORDER BY j.position, j.id";
        self.all(sql, [queue], |row| {
            let phase = row.get::<_, Code>(2)?.phase();
            let removed = row.get::<_, Option<_>>(3)?.map(|Json(by)| by);
            Ok(Filed {
                id: row.get(0)?,
                definition: definition(row, 4, Bare::shared())?,
                position: row.get::<_, Place>(1)?.0,
                phase,
                removed,
            })
        })
    }

    fn in_phase(&self, queue: &QueueId, phase: Phase) -> Result<Vec<JobId>> {
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
        let codes = Code::range(phase);
        self.all(sql, (queue, codes.start(), codes.end()), |row| row.get(0))
    }

    fn places(&self, queue: &QueueId, priority: i32) -> Result<Vec<(i64, JobId)>> {
        let sql = "SELECT position, id FROM jobs WHERE queue = ?1 AND state BETWEEN ?2 AND ?3 AND rank = ?4 \
                   AND removed IS NULL ORDER BY position, id";
        let codes = Code::range(Phase::Pending);
        self.all(sql, (queue, codes.start(), codes.end(), -i64::from(priority)), |row| Ok((row.get(0)?, row.get(1)?)))
    }

    fn target(&self, target: &Target) -> Result<Option<JobId>> {
        match target {
            Target::Number(id) => {
                self.statement("SELECT id FROM jobs WHERE id = ?1")?.query_row([id], |row| row.get(0)).optional()
            }
            Target::Named(queue, name) => {
                let sql =
                    "SELECT j.id FROM definitions d JOIN jobs j ON j.id = d.job WHERE d.name = ?2 AND j.queue = ?1";
                self.statement(sql)?.query_row((queue, name), |row| row.get(0)).optional()
            }
        }
    }

    fn dependants(&self, job: JobId) -> Result<Vec<JobId>> {
        let sql = "SELECT n.job FROM needs n JOIN jobs j ON j.id = n.job WHERE n.needed = ?1 AND j.removed IS NULL \
                   ORDER BY n.job";
        self.all(sql, [job], |row| row.get(0))
    }

    fn first(&self, queue: &QueueId, turn: Turn, most: usize) -> Result<Vec<Job>> {
        let reserved = self.reserved()?;
        let sql = "SELECT id FROM jobs WHERE queue = ?1 AND state = ?2 AND removed IS NULL \
                   ORDER BY rank, position, id LIMIT ?3";
        let many = i64::try_from(most + reserved.len()).unwrap_or(i64::MAX);
        let mut first: Vec<JobId> = self.all(sql, (queue, Code::pending(turn), many), |row| row.get(0))?;
        first.retain(|id| !reserved.contains(id));
        first.truncate(most);
        first.into_iter().filter_map(|id| self.job(id).transpose()).collect()
    }

    fn held(&self, queue: &QueueId) -> Result<Vec<JobId>> {
        let sql = "SELECT id FROM jobs WHERE queue = ?1 AND state = ?2 AND removed IS NULL ORDER BY rank, position, id";
        self.all(sql, (queue, Code::pending(Turn::Held)), |row| row.get(0))
    }

    fn taken(&self, queue: &QueueId) -> Result<u32> {
        let sql = "SELECT min(coalesce(sum(weight), 0), 4294967295) FROM jobs \
                   WHERE queue = ?1 AND state BETWEEN ?2 AND ?3 AND removed IS NULL";
        let codes = Code::range(Phase::Running);
        self.statement(sql)?.query_row((queue, codes.start(), codes.end()), |row| row.get(0))
    }

    fn goes_on(&self, queue: &QueueId) -> Result<bool> {
        let sql = "SELECT 1 FROM jobs WHERE queue = ?1 AND state BETWEEN ?2 AND ?3 AND removed IS NULL";
        let codes = Code::going_on();
        self.statement(sql)?.exists((queue, codes.start(), codes.end()))
    }

    fn due(&self, now: DateTime<Utc>) -> Result<Vec<JobId>> {
        // The outer loop is over the queues, which are few: each finds what is due by the index.
        let sql = "SELECT j.id FROM queues q CROSS JOIN jobs j ON j.queue = q.id AND j.state IN (6, 7) \
                   AND j.until <= ?1 AND j.until IS NOT NULL WHERE j.removed IS NULL ORDER BY j.until, j.id";
        self.all(sql, [Nanos(now)], |row| row.get(0))
    }

    fn next_due(&self, queue: &QueueId, asked: bool) -> Result<Option<DateTime<Utc>>> {
        let sql = "SELECT min(until) FROM jobs \
                   WHERE queue = ?1 AND state BETWEEN ?2 AND ?3 AND until IS NOT NULL AND removed IS NULL";
        let codes = Code::timed(asked);
        let until: Option<Nanos> =
            self.statement(sql)?.query_row((queue, codes.start(), codes.end()), |row| row.get(0))?;
        Ok(until.map(|Nanos(until)| until))
    }

    fn unfiled_before(&self, queue: &QueueId, before: DateTime<Utc>) -> Result<Vec<JobId>> {
        let sql = "SELECT j.id FROM jobs j JOIN definitions d ON d.job = j.id WHERE j.queue = ?1 AND j.state = ?2 \
                   AND j.removed IS NULL AND j.finished < ?3 AND d.digest IS NULL ORDER BY j.finished, j.run, j.id";
        self.all(sql, (queue, Code::range(Phase::Finished).start(), Nanos(before)), |row| row.get(0))
    }

    fn last_position(&self, queue: &QueueId) -> Result<i64> {
        let sql = "SELECT coalesce(max(position), 0) FROM jobs WHERE queue = ?1";
        self.statement(sql)?.query_row([queue], |row| row.get(0)).map(|Place(last)| last)
    }

    fn next_job(&self) -> Result<JobId> {
        Ok(JobId(self.known.counters.job + 1))
    }

    fn next_run(&self) -> Result<RunId> {
        Ok(RunId(self.known.counters.run + 1))
    }

    fn next_worker(&self) -> Result<WorkerId> {
        Ok(WorkerId(self.known.counters.worker + 1))
    }

    fn worker(&self, id: WorkerId) -> Result<Option<Worker>> {
        Ok(self.known.workers.iter().find(|worker| worker.id == id).cloned())
    }

    fn reserved(&self) -> Result<Vec<JobId>> {
        let reserved = self.known.workers.iter().flat_map(|worker| &worker.reserved);
        Ok(reserved.map(|reservation| reservation.job).collect())
    }

    fn run_by(&self, worker: WorkerId) -> Result<Vec<Job>> {
        run_by(self.db, worker)
    }
}
