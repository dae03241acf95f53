//! Loading the whole site, recent events, and the runs of a job.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, Result, Row};

use super::columns::{Json, Nanos};
use super::{job_rows, parallel_load, queries, schedule_rows};
use crate::model::{Counters, EventRecord, Job, JobId, QueueInfo, Run, ScheduleTarget, SiteState};
use crate::store::backend::{JobName, SiteOverview};
use crate::store::error::CorruptData;

/// Loads the whole site.
pub(super) fn site_state(snapshot: &Connection) -> Result<SiteState> {
    let (counters, queues) = (queries::counters(snapshot)?, queries::queues(snapshot)?);
    let mut site_state = parallel_load::read_all(snapshot, counters, &queues, |count, jobs| {
        let site_state = SiteState::from_jobs(count, jobs)?;
        if site_state.jobs().count() == count {
            Ok(site_state)
        } else {
            Err(CorruptData("an index and its table differ").into())
        }
    })?;
    add_site_info(snapshot, &mut site_state, queues, counters)?;
    Ok(site_state)
}

/// Loads all queues, and of the jobs only the named ones with those that they need.
pub(super) fn site_part(snapshot: &Connection, wanted: &[JobName<'_>]) -> Result<SiteState> {
    let mut jobs: BTreeMap<JobId, Box<Job>> = BTreeMap::new();
    let mut needed = BTreeSet::new();
    for name in wanted {
        for id in queries::find_named(snapshot, name)? {
            if let Some((job, None)) = queries::find_job(snapshot, id)? {
                needed.extend(job.needs.iter().map(|need| need.job));
                jobs.insert(id, job.into());
            }
        }
    }
    for id in needed {
        if !jobs.contains_key(&id)
            && let Some((job, None)) = queries::find_job(snapshot, id)?
        {
            jobs.insert(id, job.into());
        }
    }
    let mut site_state = SiteState::from_jobs(jobs.len(), jobs.into_values().map(Ok::<_, rusqlite::Error>))?;
    add_site_info(snapshot, &mut site_state, queries::queues(snapshot)?, queries::counters(snapshot)?)?;
    Ok(site_state)
}

/// Loads the queues with their counts, and the few jobs that their status depends on.
pub(super) fn overview(snapshot: &Connection) -> Result<SiteOverview> {
    let mut jobs: BTreeMap<JobId, Box<Job>> = BTreeMap::new();
    for job in queries::jobs_of_status(snapshot)? {
        jobs.insert(job.id, job.into());
    }
    let schedules = schedule_rows::schedules(snapshot)?.into_iter().map(|state| state.target);
    let expectations = schedule_rows::expectations(snapshot)?.into_iter().map(|state| state.target);
    for target in schedules.chain(expectations) {
        if let ScheduleTarget::Job(id) = target
            && let Some((job, None)) = queries::find_job(snapshot, id)?
        {
            jobs.insert(id, job.into());
        }
    }
    let mut state = SiteState::from_jobs(jobs.len(), jobs.into_values().map(Ok::<_, rusqlite::Error>))?;
    add_site_info(snapshot, &mut state, queries::queues(snapshot)?, queries::counters(snapshot)?)?;
    Ok(SiteOverview { state, counts: queries::job_counts(snapshot)? })
}

/// Loads everything but the jobs.
pub(super) fn add_site_info(
    snapshot: &Connection,
    site_state: &mut SiteState,
    queues: Vec<QueueInfo>,
    counters: Counters,
) -> Result<()> {
    let file = (queries::file_version(snapshot)?, queries::pools(snapshot)?);
    site_state.set_site_info(queues, queries::workers(snapshot)?, file, counters);
    site_state.set_schedules(schedule_rows::schedules(snapshot)?);
    site_state.set_expectations(schedule_rows::expectations(snapshot)?);
    Ok(())
}

/// The events after `seq`; `None` if some of them were deleted.
pub(super) fn events_after(snapshot: &Connection, seq: u64) -> Result<Option<Vec<EventRecord>>> {
    let counters = queries::counters(snapshot)?;
    if seq == counters.seq {
        return Ok(Some(Vec::new()));
    }
    let mut statement =
        snapshot.prepare_cached("SELECT seq, at, body FROM events WHERE seq > ?1 AND body != '' ORDER BY seq")?;
    let read = |row: &Row<'_>| {
        let (Nanos(at), Json(event)) = (row.get(1)?, row.get(2)?);
        Ok(EventRecord { seq: row.get::<_, i64>(0)?.cast_unsigned(), at, event })
    };
    let events: Vec<EventRecord> = statement.query_map([seq.cast_signed()], read)?.collect::<Result<_>>()?;
    let is_contiguous = events.first().is_some_and(|is_contiguous| is_contiguous.seq == seq + 1);
    Ok((is_contiguous && events.len() as u64 == counters.seq - seq).then_some(events))
}

/// All runs of a job, oldest first.
pub(super) fn runs(snapshot: &Connection, job: JobId) -> Result<Vec<Run>> {
    let sql = "SELECT id, attempt, worker, started, ended, outcome, exit_code, exit_signal, value, approval, \
               cause, usage, inputs FROM runs WHERE job = ?1 ORDER BY id";
    let mut statement = snapshot.prepare_cached(sql)?;
    let mut runs: Vec<Run> = statement.query_map([job], job_rows::run)?.collect::<Result<_>>()?;
    if let Some((job, _)) = queries::find_job(snapshot, job)? {
        runs.extend(job.last_run_with_value());
    }
    Ok(runs)
}
