//! Schedules with their due times, and expectations, as rows.

use chrono::{DateTime, Utc};
use rusqlite::{Connection, Result, Row};

use super::columns::{Count, Json, Nanos};
use crate::model::{DueCounts, DuePage, DueRecord, DueResult, ExpectationState, ScheduleState, ScheduleTarget};

/// All schedules, by target.
pub(super) fn schedules(db: &Connection) -> Result<Vec<ScheduleState>> {
    let mut statement = db.prepare_cached("SELECT state FROM schedules")?;
    let states = statement.query_map((), |row| row.get(0).map(|Json(state)| state))?;
    let mut states: Vec<ScheduleState> = states.collect::<Result<_>>()?;
    states.sort_by(|a, b| a.target.cmp(&b.target));
    Ok(states)
}

/// All expectations, by target.
pub(super) fn expectations(db: &Connection) -> Result<Vec<ExpectationState>> {
    let mut statement = db.prepare_cached("SELECT state FROM expectations")?;
    let states = statement.query_map((), |row| row.get(0).map(|Json(state)| state))?;
    let mut states: Vec<ExpectationState> = states.collect::<Result<_>>()?;
    states.sort_by(|a, b| a.target.cmp(&b.target));
    Ok(states)
}

/// Some of the recorded due times of a schedule.
pub(super) fn due_records(db: &Connection, target: &ScheduleTarget, page: &DuePage) -> Result<Vec<DueRecord>> {
    let sql = if page.oldest_first {
        "SELECT due, start, at, result, outcome, earlier FROM due_times \
         WHERE target = ?1 AND due >= ?2 AND due < ?3 ORDER BY due LIMIT ?4"
    } else {
        "SELECT due, start, at, result, outcome, earlier FROM due_times \
         WHERE target = ?1 AND due >= ?2 AND due < ?3 ORDER BY due DESC LIMIT ?4"
    };
    let since = page.since.unwrap_or(DateTime::UNIX_EPOCH).max(DateTime::UNIX_EPOCH);
    let before = page.before.unwrap_or(DateTime::<Utc>::MAX_UTC);
    let limit = i64::try_from(page.limit).unwrap_or(i64::MAX);
    let mut statement = db.prepare_cached(sql)?;
    statement.query_map((Json(target), Nanos(since), Nanos(before), limit), due_record)?.collect()
}

fn due_record(row: &Row<'_>) -> Result<DueRecord> {
    let (Nanos(due), Nanos(start), Nanos(at)) = (row.get(0)?, row.get(1)?, row.get(2)?);
    let (Json(result), Count(earlier)) = (row.get(3)?, row.get(5)?);
    let outcome = row.get::<_, Option<_>>(4)?.map(|Json(outcome)| outcome);
    Ok(DueRecord { due, start, at, result, outcome, earlier })
}

/// How many due times of a schedule came to which end, from a time until before another.
pub(super) fn due_counts(
    db: &Connection,
    target: &ScheduleTarget,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> Result<DueCounts> {
    let sql = "SELECT result, outcome, at - start > ?4, count(*), sum(earlier) \
               FROM due_times WHERE target = ?1 AND due >= ?2 AND due < ?3 GROUP BY result, outcome, at - start > ?4";
    let late = DueRecord::LATE.num_nanoseconds();
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query((Json(target), Nanos(from), Nanos(to), late))?;
    let mut counts = DueCounts::default();
    while let Some(row) = rows.next()? {
        let (Json(result), Count(number), Count(earlier)) = (row.get(0)?, row.get(3)?, row.get(4)?);
        let outcome = row.get::<_, Option<_>>(1)?.map(|Json(outcome)| outcome);
        counts.add(&result, outcome, row.get(2)?, number);
        counts.missed += earlier;
    }
    Ok(counts)
}

/// All queues and jobs of which due times are recorded.
pub(super) fn recorded_targets(db: &Connection) -> Result<Vec<ScheduleTarget>> {
    // Looks up the next target, instead of reading all due times.
    let sql = "WITH RECURSIVE targets (target) AS ( \
                   SELECT min(target) FROM due_times \
                   UNION ALL \
                   SELECT (SELECT min(d.target) FROM due_times d WHERE d.target > targets.target) FROM targets \
                   WHERE targets.target IS NOT NULL \
               ) SELECT target FROM targets WHERE target IS NOT NULL";
    let mut statement = db.prepare_cached(sql)?;
    statement.query_map((), |row| row.get(0).map(|Json(target)| target))?.collect()
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
