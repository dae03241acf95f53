//! Queries that only need a connection.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use rusqlite::{Connection, OptionalExtension, Result, Row};

use super::columns::{Count, Json, StateCode};
use super::job_rows::{self, select_jobs};
use super::worker_scope::WorkerScope;
use crate::model::{
    Counters, EnvironmentId, Job, JobCounts, JobId, NeededJob, Phase, PoolSizes, QueueId, QueueInfo, QueueMode,
    RemovalReason, RequestInputs, RunInputs, Snapshot, WorkerId, WorkerInfo,
};
use crate::store::backend::JobName;

/// The version of `jobs.yaml` in effect.
pub(super) fn file_version(db: &Connection) -> Result<Option<String>> {
    db.prepare_cached("SELECT stamp FROM site")?.query_row((), |row| row.get(0))
}

/// The pools of the site.
pub(super) fn pools(db: &Connection) -> Result<PoolSizes> {
    let pools = db.prepare_cached("SELECT pools FROM site")?.query_row((), |row| row.get::<_, Option<_>>(0))?;
    Ok(pools.map(|Json(pools)| pools).unwrap_or_default())
}

/// The running jobs whose runs hold units of pools.
pub(super) fn pool_holders(db: &Connection) -> Result<Vec<Job>> {
    // The outer loop is over the queues, which are few; each uses the index to find its running jobs.
    let sql = select_jobs!(
        "CROSS JOIN queues q WHERE j.queue = q.id AND j.state BETWEEN ?1 AND ?2 AND j.removed IS NULL \
         AND j.run_inputs IS NOT NULL ORDER BY j.started, j.run"
    );
    let codes = StateCode::range(Phase::Running);
    let mut statement = db.prepare_cached(sql)?;
    let jobs: Vec<Job> = statement.query_map((codes.start(), codes.end()), job_rows::job)?.collect::<Result<_>>()?;
    Ok(jobs.into_iter().filter(|job| !job.held_pools().is_empty()).collect())
}

/// The counters, which are stored with the last event.
pub(super) fn counters(db: &Connection) -> Result<Counters> {
    let sql = "SELECT seq, job, run, worker FROM events ORDER BY seq DESC LIMIT 1";
    db.prepare_cached(sql)?.query_row((), |row| {
        let number = |column| row.get(column).map(|Count(number)| number);
        Ok(Counters { seq: number(0)?, job: number(1)?, run: number(2)?, worker: number(3)? })
    })
}

/// All queues, in order.
pub(super) fn queues(db: &Connection) -> Result<Vec<QueueInfo>> {
    let mut statement = db.prepare_cached("SELECT id, settings, mode, environment, inputs FROM queues ORDER BY id")?;
    let read = |row: &Row<'_>| {
        let (Json(settings), Json(mode)) = (row.get(1)?, row.get(2)?);
        let inputs = row.get::<_, Option<_>>(4)?.map(|Json(inputs)| inputs);
        Ok(QueueInfo { id: row.get(0)?, settings, mode, environment: row.get(3)?, inputs })
    };
    let mut queues: Vec<QueueInfo> = statement.query_map((), read)?.collect::<Result<_>>()?;
    queues.sort_by_key(|queue| queue.settings.order);
    Ok(queues)
}

/// All registered workers.
pub(super) fn workers(db: &Connection) -> Result<Vec<WorkerInfo>> {
    let mut statement = db.prepare_cached("SELECT id, host, pid, queues, reserved FROM workers")?;
    let read = |row: &Row<'_>| {
        let scope: WorkerScope = row.get::<_, Option<_>>(3)?.map(|Json(scope)| scope).unwrap_or_default();
        let reserved = row.get::<_, Option<_>>(4)?.map(|Json(reserved)| reserved).unwrap_or_default();
        Ok(scope.info(row.get(0)?, row.get(1)?, row.get(2)?, reserved))
    };
    statement.query_map((), read)?.collect()
}

/// The jobs that a worker is running.
pub(super) fn jobs_run_by(db: &Connection, worker: WorkerId) -> Result<Vec<Job>> {
    // The outer loop is over the queues, which are few; each uses the index to find its running jobs.
    let sql = select_jobs!(
        "CROSS JOIN queues q WHERE j.queue = q.id AND j.state BETWEEN ?2 AND ?3 AND j.removed IS NULL \
         AND j.worker = ?1 ORDER BY j.queue, j.started, j.run"
    );
    let codes = StateCode::range(Phase::Running);
    let mut statement = db.prepare_cached(sql)?;
    statement.query_map((worker, codes.start(), codes.end()), job_rows::job)?.collect()
}

/// The next jobs of a queue in its order.
pub(super) fn jobs_page(db: &Connection, queue: &QueueId, after: Option<&Job>, limit: usize) -> Result<Vec<Job>> {
    let sql = select_jobs!(
        "WHERE j.queue = ?1 AND (j.position, j.id) > (?2, ?3) AND j.removed IS NULL ORDER BY j.position, j.id LIMIT ?4"
    );
    let (position, id) = after.map_or((i64::MIN, 0), |job| (job.position, job.id.0.cast_signed()));
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    db.prepare_cached(sql)?.query_map((queue, position, id, limit), job_rows::job)?.collect()
}

/// How many jobs the queues have in each phase, without queues that have none.
pub(super) fn job_counts(db: &Connection) -> Result<BTreeMap<QueueId, JobCounts>> {
    let sql = "SELECT queue, pending, running, finished, failed FROM job_counts WHERE pending + running + finished > 0";
    let read = |row: &Row<'_>| {
        let count =
            |column| row.get::<_, Count>(column).map(|Count(count)| usize::try_from(count).unwrap_or(usize::MAX));
        let counts = JobCounts { pending: count(1)?, running: count(2)?, finished: count(3)?, failed: count(4)? };
        Ok((row.get(0)?, counts))
    };
    db.prepare_cached(sql)?.query_map((), read)?.collect()
}

/// The jobs that the status of queues depends on: those that run or need approval, the failed ones that stopped a queue,
/// and of each queue with such a job those that are next to start. Of a queue that only waits, the first that could start
/// and those behind it, up to one that needs no label.
pub(super) fn jobs_of_status(db: &Connection) -> Result<Vec<Job>> {
    let mut running =
        db.prepare_cached(select_jobs!("WHERE j.queue = ?1 AND j.state BETWEEN 1 AND 3 AND j.removed IS NULL"))?;
    let mut unconfirmed = db.prepare_cached(select_jobs!(
        "WHERE j.id IN (SELECT id FROM jobs INDEXED BY jobs_unconfirmed \
         WHERE queue = ?1 AND state > 3 AND flags & 4 AND removed IS NULL)"
    ))?;
    let mut failed = db.prepare_cached(select_jobs!(
        "WHERE j.id IN (SELECT id FROM jobs INDEXED BY jobs_failed_pending \
         WHERE queue = ?1 AND state > 3 AND ending GLOB '{\"failed\"*' AND removed IS NULL)"
    ))?;
    let mut next = db.prepare_cached(select_jobs!(
        "WHERE j.queue = ?1 AND j.state = ?2 AND j.removed IS NULL ORDER BY j.rank, j.position LIMIT 1"
    ))?;
    let mut startable = db.prepare_cached(select_jobs!(
        "WHERE j.queue = ?1 AND j.state BETWEEN ?2 AND ?3 AND j.removed IS NULL ORDER BY j.state, j.rank, j.position"
    ))?;
    let pending = (*StateCode::range(Phase::Pending).start(), *StateCode::unfinished().end());
    let mut jobs = Vec::new();
    for QueueInfo { id, mode, .. } in queues(db)? {
        let running = running.query_map([&id], job_rows::job)?.collect::<Result<Vec<_>>>()?;
        if running.is_empty() && mode == QueueMode::Processing {
            let mut known = HashSet::new();
            for job in startable.query_map((&id, pending.0, pending.1), job_rows::job)? {
                let job = job?;
                let labels = &job.definition.scheduling.runs_on;
                let is_plain = labels.is_empty();
                // Of those that need the same labels, the first one of each readiness is enough.
                if known.insert((job.readiness(), labels.clone())) {
                    jobs.push(job);
                }
                if is_plain {
                    break;
                }
            }
        }
        jobs.extend(running);
        let unconfirmed = unconfirmed.query_map([&id], job_rows::job)?.collect::<Result<Vec<_>>>()?;
        if !unconfirmed.is_empty() {
            // Any of the readiest states comes before those that wait for approval.
            for code in *StateCode::range(Phase::Pending).start()..=*StateCode::unfinished().end() {
                jobs.extend(next.query_map((&id, code), job_rows::job)?.collect::<Result<Vec<_>>>()?);
            }
        }
        jobs.extend(unconfirmed);
        if mode == QueueMode::Stopped {
            jobs.extend(failed.query_map([&id], job_rows::job)?.collect::<Result<Vec<_>>>()?);
        }
    }
    Ok(jobs)
}

/// The environments that unfinished jobs and processed queues refer to.
pub(super) fn environments_in_use(db: &Connection) -> Result<BTreeSet<EnvironmentId>> {
    let sql = "SELECT environment FROM queues WHERE environment IS NOT NULL \
               UNION SELECT j.environment FROM queues q CROSS JOIN jobs j ON j.queue = q.id \
               AND j.state BETWEEN 1 AND 8 AND j.removed IS NULL WHERE j.environment IS NOT NULL \
               UNION SELECT environment FROM jobs \
               WHERE removed IS NOT NULL AND environment IS NOT NULL AND state BETWEEN 1 AND 8";
    db.prepare_cached(sql)?.query_map((), |row| row.get(0))?.collect()
}

/// The snapshots that jobs and runs name, and those of queues that are being processed.
pub(super) fn snapshots_in_use(db: &Connection) -> Result<Vec<Snapshot>> {
    let given = "SELECT inputs FROM queues WHERE inputs LIKE '%\"$snapshot\"%' \
                 UNION ALL SELECT inputs FROM jobs WHERE inputs LIKE '%\"$snapshot\"%'";
    let of_runs = "SELECT run_inputs FROM jobs WHERE run_inputs LIKE '%\"snapshot\"%' \
                   UNION ALL SELECT inputs FROM runs WHERE inputs LIKE '%\"snapshot\"%'";
    let mut snapshots = Vec::new();
    for inputs in db.prepare(given)?.query_map((), |row| row.get(0))? {
        let Json(RequestInputs { snapshot, .. }) = inputs?;
        snapshots.extend(snapshot.as_deref().cloned());
    }
    for inputs in db.prepare(of_runs)?.query_map((), |row| row.get(0))? {
        let Json(RunInputs { snapshot, .. }) = inputs?;
        snapshots.extend(snapshot.as_deref().cloned());
    }
    Ok(snapshots)
}

/// One job, and why it was removed from its queue if it was.
pub(super) fn find_job(db: &Connection, id: JobId) -> Result<Option<(Job, Option<RemovalReason>)>> {
    let read = |row: &Row<'_>| Ok((job_rows::job(row)?, job_rows::removed(row)?));
    db.prepare_cached(select_jobs!("WHERE j.id = ?1"))?.query_row([id], read).optional()
}

/// The jobs in queues that have this name.
pub(super) fn find_named(db: &Connection, name: &JobName<'_>) -> Result<Vec<JobId>> {
    let (queue, name) = match *name {
        JobName::Number(id) => return Ok(vec![id]),
        JobName::InQueue(queue, name) => (Some(queue), name),
        JobName::InAnyQueue(name) => (None, name),
    };
    let sql = "SELECT j.id FROM definitions d JOIN jobs j ON j.id = d.job \
               WHERE d.name = ?1 AND (?2 IS NULL OR j.queue = ?2) AND j.removed IS NULL ORDER BY j.id";
    db.prepare_cached(sql)?.query_map((name, queue), |row| row.get(0))?.collect()
}

/// The queue, name and title of the jobs that have a name.
pub(super) fn job_names(db: &Connection) -> Result<Vec<(QueueId, String, String)>> {
    let sql = "SELECT j.queue, d.name, d.title FROM definitions d INDEXED BY definitions_by_name \
               JOIN jobs j ON j.id = d.job WHERE d.name IS NOT NULL AND j.removed IS NULL";
    db.prepare_cached(sql)?.query_map((), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect()
}

/// A job that another one needs, also a removed one.
pub(super) fn needed_job(db: &Connection, id: JobId) -> Result<Option<NeededJob>> {
    db.prepare_cached(select_jobs!("WHERE j.id = ?1"))?.query_row([id], job_rows::needed_job).optional()
}

/// The jobs that users have removed from their queues.
pub(super) fn removed_jobs(db: &Connection) -> Result<Vec<Job>> {
    let mut statement = db.prepare_cached(select_jobs!("WHERE j.removed IS NOT NULL ORDER BY j.id"))?;
    let mut rows = statement.query(())?;
    let mut jobs = Vec::new();
    while let Some(row) = rows.next()? {
        if job_rows::removed(row)? == Some(RemovalReason::User) {
            jobs.push(job_rows::job(row)?);
        }
    }
    Ok(jobs)
}
