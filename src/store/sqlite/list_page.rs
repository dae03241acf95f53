//! Pages of the jobs of queues in the order of lists, with all that is needed to tell what each of them waits for.

use std::collections::BTreeMap;

use rusqlite::{Connection, Params, Result};

use super::columns::{Json, Nanos, StateCode};
use super::job_rows::{self, select_jobs};
use super::tx_state::TxState;
use super::{load, queries};
use crate::model::{Job, JobId, JobState, Phase, QueueId, QueueInfo, RunId, SiteState, jobs_ahead};
use crate::store::backend::{FIRST_ROWS, JobListPage, LISTED_PHASES, ListPosition};
use crate::store::error::CorruptData;

/// The jobs of a page by id.
type Jobs = BTreeMap<JobId, Box<Job>>;

/// The jobs of queues from a place on, at most `limit` of them.
pub(super) fn list_page(
    snapshot: &Connection,
    queues: &[QueueId],
    from: &ListPosition,
    limit: usize,
) -> Result<JobListPage> {
    let (mut jobs, mut listed, mut next) = (Jobs::new(), Vec::new(), None);
    'queues: for (nth, queue) in queues.iter().enumerate().skip(from.queue) {
        let mut after = from.after.as_deref().filter(|_| nth == from.queue);
        for phase in LISTED_PHASES {
            if after.is_some_and(|after| after.phase() != phase) {
                continue;
            }
            let ids = next_ids(snapshot, queue, phase, after.take(), limit - listed.len())?;
            load_jobs(snapshot, &ids, &mut jobs)?;
            if ids.iter().any(|id| !jobs.contains_key(id)) {
                return Err(CorruptData("an index and its table differ").into());
            }
            listed.extend(ids);
            if listed.len() == limit {
                let last = listed.last().and_then(|id| jobs.get(id)).cloned();
                next = Some(ListPosition { queue: nth, after: last });
                break 'queues;
            }
        }
    }
    add_context(snapshot, &mut jobs)?;
    let mut state = SiteState::from_jobs(jobs.len(), jobs.into_values().map(Ok::<_, rusqlite::Error>))?;
    load::add_site_info(snapshot, &mut state, queries::queues(snapshot)?, queries::counters(snapshot)?)?;
    Ok(JobListPage { state, jobs: listed, next })
}

/// The lists of all queues, the jobs that the status of queues depends on, and those at the ends of the lists of one queue.
/// `None` if there are fewer jobs than `min_jobs`.
pub(super) fn first_rows(snapshot: &Connection, shown: Option<&QueueId>, min_jobs: usize) -> Result<Option<SiteState>> {
    let counts = queries::job_counts(snapshot)?;
    if counts.values().map(|queue| queue.pending + queue.running + queue.finished).sum::<usize>() < min_jobs {
        return Ok(None);
    }
    let queues = queries::queues(snapshot)?;
    let shown = shown.or(queues.first().map(|queue| &queue.id));
    let (mut jobs, mut lists) = (Jobs::new(), Vec::new());
    // The tabs show the status of all queues.
    jobs.extend(queries::jobs_of_status(snapshot)?.into_iter().map(|job| (job.id, job.into())));
    for QueueInfo { id, .. } in &queues {
        for phase in LISTED_PHASES {
            let ids = next_ids(snapshot, id, phase, None, usize::MAX)?;
            if shown == Some(id) {
                load_jobs(snapshot, &ids[..ids.len().min(FIRST_ROWS)], &mut jobs)?;
                load_jobs(snapshot, &ids[ids.len().saturating_sub(FIRST_ROWS)..], &mut jobs)?;
            }
            lists.push((id.clone(), phase, ids));
        }
    }
    add_context(snapshot, &mut jobs)?;
    let mut state = SiteState::from_jobs(jobs.len(), jobs.into_values().map(Ok::<_, rusqlite::Error>))?;
    load::add_site_info(snapshot, &mut state, queues, queries::counters(snapshot)?)?;
    for (queue, phase, ids) in lists {
        let failed = counts.get(&queue).map_or(0, |counts| counts.failed);
        state.set_list(&queue, phase, ids, failed);
    }
    Ok(Some(state))
}

/// The tags of all jobs.
pub(super) fn job_tags(snapshot: &Connection) -> Result<Vec<String>> {
    let sql = "SELECT DISTINCT tag.value FROM definitions d CROSS JOIN jobs j ON j.id = d.job AND j.removed IS NULL \
               CROSS JOIN json_each(d.rest, '$.tags') tag WHERE d.rest GLOB '*\"tags\":*'";
    snapshot.prepare_cached(sql)?.query_map((), |row| row.get(0))?.collect()
}

/// Adds the jobs that decide why those of the page wait: what they need, and the jobs that get units of pools or slots of
/// workers before them.
fn add_context(snapshot: &Connection, jobs: &mut Jobs) -> Result<()> {
    let waits_for_needs = |job: &&Job| matches!(job.state, JobState::Pending { wait, .. } if wait.needs);
    let needed = jobs.values().map(Box::as_ref).filter(waits_for_needs).flat_map(|job| &job.needs).map(|need| need.job);
    let needed: Vec<JobId> = needed.filter(|id| !jobs.contains_key(id)).collect();
    load_jobs(snapshot, &needed, jobs)?;
    let waits_for_units = |job: &Job| {
        let scheduling = &job.definition.scheduling;
        job.phase() == Phase::Pending && !(scheduling.uses.is_empty() && scheduling.runs_on.is_empty())
    };
    if jobs.values().map(Box::as_ref).any(waits_for_units) {
        for job in jobs_ahead(&TxState::new(snapshot, None)?)? {
            jobs.insert(job.id, job.into());
        }
    }
    Ok(())
}

/// Adds those of these jobs that are in queues.
fn load_jobs(snapshot: &Connection, ids: &[JobId], jobs: &mut Jobs) -> Result<()> {
    let sql = select_jobs!("WHERE j.id IN (SELECT value FROM json_each(?1)) AND j.removed IS NULL");
    let ids: Vec<u64> = ids.iter().map(|id| id.0).collect();
    for job in snapshot.prepare_cached(sql)?.query_map([Json(ids)], job_rows::job)? {
        let job = job?;
        jobs.insert(job.id, job.into());
    }
    Ok(())
}

/// The next jobs of a queue in one phase, in the order of the list.
fn next_ids(db: &Connection, queue: &QueueId, phase: Phase, after: Option<&Job>, limit: usize) -> Result<Vec<JobId>> {
    match phase {
        Phase::Finished => next_finished(db, queue, after, limit),
        Phase::Running => next_running(db, queue, after, limit),
        Phase::Pending => next_pending(db, queue, after, limit),
    }
}

/// By the time of their end; those of the same time by their last run.
fn next_finished(db: &Connection, queue: &QueueId, after: Option<&Job>, limit: usize) -> Result<Vec<JobId>> {
    const FINISHED: &str =
        "SELECT id FROM jobs INDEXED BY jobs_by_end WHERE queue = ?1 AND state = 0 AND removed IS NULL";
    let most = query_limit(limit);
    let Some((job, at)) = after.and_then(|job| match job.state {
        JobState::Finished { at, .. } => Some((job, Nanos(at))),
        _ => None,
    }) else {
        return ids(db, &format!("{FINISHED} ORDER BY finished, run, id LIMIT ?2"), (queue, most));
    };
    let run = job.last_run.as_ref().map(|run| run.id);
    let mut found = Vec::new();
    if run.is_none() {
        let sql = format!("{FINISHED} AND finished = ?2 AND run IS NULL AND id > ?3 ORDER BY id LIMIT ?4");
        found = ids(db, &sql, (queue, &at, job.id, most))?;
    }
    let sql = format!("{FINISHED} AND finished = ?2 AND run > ?3 ORDER BY run LIMIT ?4");
    found.extend(ids(db, &sql, (queue, &at, run.unwrap_or(RunId(0)), query_limit(limit - found.len())))?);
    let sql = format!("{FINISHED} AND finished > ?2 ORDER BY finished, run, id LIMIT ?3");
    found.extend(ids(db, &sql, (queue, &at, query_limit(limit - found.len())))?);
    Ok(found)
}

/// By their start. There are as many as the limits of queues allow.
fn next_running(db: &Connection, queue: &QueueId, after: Option<&Job>, limit: usize) -> Result<Vec<JobId>> {
    let sql = "SELECT id FROM jobs INDEXED BY jobs_by_state WHERE queue = ?1 AND state BETWEEN 1 AND 3 \
               AND removed IS NULL AND (started, run) > (?2, ?3) ORDER BY started, run LIMIT ?4";
    let run = after.and_then(|job| job.last_run.as_ref());
    let (started, run) = run.map_or((None, RunId(0)), |run| (Some(Nanos(run.started)), run.id));
    let started = started.map_or(i64::MIN, |Nanos(at)| at.timestamp_nanos_opt().unwrap_or(i64::MAX));
    ids(db, sql, (queue, started, run, query_limit(limit)))
}

/// By priority and position. The index has them by what they wait for.
fn next_pending(db: &Connection, queue: &QueueId, after: Option<&Job>, limit: usize) -> Result<Vec<JobId>> {
    let sql = "SELECT rank, position, id FROM jobs INDEXED BY jobs_by_state WHERE queue = ?1 AND state = ?2 \
               AND removed IS NULL AND (rank, position, id) > (?3, ?4, ?5) ORDER BY rank, position, id LIMIT ?6";
    let key = |job: &Job| (-i64::from(job.definition.scheduling.priority), job.position, job.id);
    let (rank, position, id) = after.map_or((i64::MIN, i64::MIN, JobId(0)), key);
    let mut statement = db.prepare_cached(sql)?;
    let mut found: Vec<(i64, i64, JobId)> = Vec::new();
    for state in StateCode::range(Phase::Pending) {
        let rows = statement.query_map((queue, state, rank, position, id, query_limit(limit)), |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?;
        for row in rows {
            found.push(row?);
        }
    }
    found.sort_unstable();
    Ok(found.into_iter().take(limit).map(|(_, _, id)| id).collect())
}

fn ids(db: &Connection, sql: &str, params: impl Params) -> Result<Vec<JobId>> {
    db.prepare_cached(sql)?.query_map(params, |row| row.get(0))?.collect()
}

fn query_limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}
