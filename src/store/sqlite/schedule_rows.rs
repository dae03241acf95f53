//! Schedules and their due times as rows.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, Result, Row};

use super::columns::{Count, Json, Nanos};
use crate::model::{DueRecord, DueResult, ScheduleState, ScheduleTarget};

/// All schedules, by target.
pub(super) fn schedules(db: &Connection) -> Result<Vec<ScheduleState>> {
    let mut statement = db.prepare_cached("SELECT state FROM schedules")?;
    let states = statement.query_map((), |row| row.get(0).map(|Json(state)| state))?;
    let mut states: Vec<ScheduleState> = states.collect::<Result<_>>()?;
    states.sort_by(|a, b| a.target.cmp(&b.target));
    Ok(states)
}

/// All recorded due times.
pub(super) fn due_records(db: &Connection) -> Result<Vec<(ScheduleTarget, DueRecord)>> {
    let mut statement = db.prepare_cached("SELECT target, due, at, result, earlier FROM due_times")?;
    let read = |row: &Row<'_>| {
        let (Json(target), Nanos(due), Nanos(at)) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let (Json(result), Count(earlier)) = (row.get(3)?, row.get(4)?);
        Ok((target, DueRecord { due, at, result, earlier }))
    };
    statement.query_map((), read)?.collect()
}

/// The latest recorded due time of a schedule up to a time.
pub(super) fn last_due_record(
    db: &Connection,
    target: &ScheduleTarget,
    until: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>> {
    let mut statement = db.prepare_cached("SELECT max(due) FROM due_times WHERE target = ?1 AND due <= ?2")?;
    let last: Option<Nanos> = statement.query_row((Json(target), Nanos(until)), |row| row.get(0))?;
    Ok(last.map(|Nanos(due)| due))
}

/// The due times of a schedule after a time at which its jobs were started.
pub(super) fn due_times_run_after(
    db: &Connection,
    target: &ScheduleTarget,
    after: DateTime<Utc>,
) -> Result<Vec<DateTime<Utc>>> {
    let sql = "SELECT due FROM due_times WHERE target = ?1 AND due > ?2 AND result = ?3 ORDER BY due";
    let mut statement = db.prepare_cached(sql)?;
    let due = |row: &Row<'_>| row.get(0).map(|Nanos(due)| due);
    statement.query_map((Json(target), Nanos(after), Json(DueResult::Ran)), due)?.collect()
}
