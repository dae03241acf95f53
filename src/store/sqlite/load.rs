//! Loading the whole site, recent events, and the runs of a job.

use rusqlite::{Connection, Result, Row};

use super::columns::{Json, Nanos};
use super::{job_rows, parallel_load, queries, schedule_rows};
use crate::model::{EventRecord, JobId, Run, SiteState};
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
    let file = (queries::file_version(snapshot)?, queries::pools(snapshot)?);
    site_state.set_site_info(queues, queries::workers(snapshot)?, file, counters);
    site_state.set_schedules(schedule_rows::schedules(snapshot)?);
    site_state.set_expectations(schedule_rows::expectations(snapshot)?);
    Ok(site_state)
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
