//! The needs of jobs: the list of each job, the table of edges, and how many needs of each job are not met.

use std::collections::HashSet;
use std::fmt::Write;

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension, Result, Row};

use super::columns::{Json, StateCode, StateFlags};
use crate::model::{
    Dependent, JobId, NeedCounts, NeedStatus, NeededState, Outcome, OutcomeCondition, Phase, ResolvedNeed,
};

/// The needs of a job as a column: `12 13f 14a` are a success of #12, a failure of #13 and any end of #14.
pub(super) struct NeedList(pub(super) Box<[ResolvedNeed]>);

impl ToSql for NeedList {
    fn to_sql(&self) -> Result<ToSqlOutput<'_>> {
        let mut text = String::with_capacity(self.0.len() * 7);
        for ResolvedNeed { job: JobId(job), on } in &self.0 {
            let separator = if text.is_empty() { "" } else { " " };
            // Writing to a string can't fail.
            let _ = write!(text, "{separator}{job}{}", suffix(*on));
        }
        Ok(text.into())
    }
}

impl FromSql for NeedList {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        let parse = |word: &str| {
            let (number, on) = OutcomeCondition::ALL
                .into_iter()
                .rev()
                .find_map(|on| Some((word.strip_suffix(suffix(on))?, on)))
                .ok_or(FromSqlError::InvalidType)?;
            number.parse().map(|job| ResolvedNeed { job: JobId(job), on }).map_err(FromSqlError::other)
        };
        value.as_str()?.split(' ').map(parse).collect::<FromSqlResult<_>>().map(Self)
    }
}

/// What follows the number of a needed job in a [`NeedList`].
fn suffix(on: OutcomeCondition) -> &'static str {
    match on {
        OutcomeCondition::Success => "",
        OutcomeCondition::Failure => "f",
        OutcomeCondition::Finish => "a",
    }
}

/// The code of a condition in the table of edges.
fn code(on: OutcomeCondition) -> i64 {
    match on {
        OutcomeCondition::Success => 0,
        OutcomeCondition::Failure => 1,
        OutcomeCondition::Finish => 2,
    }
}

/// Adds the edges of a job.
pub(super) fn insert_edges(db: &Connection, job: JobId, needs: &[ResolvedNeed]) -> Result<()> {
    let mut insert = db.prepare_cached("INSERT OR IGNORE INTO needs (needed, job, required) VALUES (?1, ?2, ?3)")?;
    needs.iter().try_for_each(|need| insert.execute((need.job, job, code(need.on))).map(drop))
}

/// How many of these needs are not met; `state` returns the states of the needed jobs.
pub(super) fn count(needs: &[ResolvedNeed], state: impl Fn(JobId) -> Result<NeededState>) -> Result<NeedCounts> {
    let (mut counts, mut seen) = (NeedCounts::default(), HashSet::new());
    for need in needs.iter().filter(|need| seen.insert((need.job, need.on))) {
        counts.add(state(need.job)?.status(need.on));
    }
    Ok(counts)
}

/// Removes the edges of a job.
pub(super) fn delete_edges(db: &Connection, job: JobId, needs: &[ResolvedNeed]) -> Result<()> {
    let mut delete = db.prepare_cached("DELETE FROM needs WHERE needed = ?1 AND job = ?2")?;
    needs.iter().try_for_each(|need| delete.execute((need.job, job)).map(drop))
}

/// Records how many needs of a job are not met.
pub(super) fn set_counts(db: &Connection, job: JobId, counts: NeedCounts) -> Result<()> {
    let sql = "UPDATE jobs SET pending_needs = ?2, failed_needs = ?3 WHERE id = ?1";
    db.prepare_cached(sql)?.execute((job, counts.pending, counts.failed)).map(drop)
}

/// How many needs of a job are not met.
pub(super) fn counts(db: &Connection, job: JobId) -> Result<NeedCounts> {
    let sql = "SELECT pending_needs, failed_needs FROM jobs WHERE id = ?1";
    let counts = db.prepare_cached(sql)?.query_row([job], |row| counts_from(row, 0)).optional()?;
    Ok(counts.unwrap_or_default())
}

fn counts_from(row: &Row<'_>, first: usize) -> Result<NeedCounts> {
    Ok(NeedCounts { pending: row.get(first)?, failed: row.get(first + 1)? })
}

/// What the state of a job means for those that need it.
pub(super) fn needed_state(db: &Connection, id: JobId) -> Result<NeededState> {
    let read = |row: &Row<'_>| match row.get::<_, StateCode>(0)?.phase() {
        Phase::Finished => row.get::<_, Json<Outcome>>(1).map(|Json(outcome)| NeededState::from(&outcome)),
        _ if row.get(2)? => Ok(NeededState::Missing),
        _ => Ok(NeededState::Unfinished),
    };
    let sql = "SELECT state, outcome, removed IS NOT NULL FROM jobs WHERE id = ?1";
    Ok(db.prepare_cached(sql)?.query_row([id], read).optional()?.unwrap_or(NeededState::Missing))
}

/// Updates the counts of the jobs that need a job which has changed.
pub(super) fn change_state(db: &Connection, needed: JobId, before: NeededState, after: NeededState) -> Result<()> {
    if before == after || !db.prepare_cached("SELECT 1 FROM needs WHERE needed = ?1")?.exists([needed])? {
        return Ok(());
    }
    let sql = "UPDATE jobs SET pending_needs = pending_needs + ?3, failed_needs = failed_needs + ?4 \
               WHERE id IN (SELECT job FROM needs WHERE needed = ?1 AND required = ?2)";
    let change_of = |status, before, after| i64::from(after == status) - i64::from(before == status);
    for required in OutcomeCondition::ALL {
        let (before, after) = (before.status(required), after.status(required));
        if before != after {
            let pending = change_of(NeedStatus::Pending, before, after);
            let failed = change_of(NeedStatus::Failed, before, after);
            db.prepare_cached(sql)?.execute((needed, code(required), pending, failed))?;
        }
    }
    Ok(())
}

/// The jobs that need this one, without removed ones.
pub(super) fn dependents(db: &Connection, needed: JobId) -> Result<Vec<Dependent>> {
    let sql = "SELECT j.id, j.queue, j.state, j.flags, j.pending_needs, j.failed_needs \
               FROM needs n JOIN jobs j ON j.id = n.job WHERE n.needed = ?1 AND j.removed IS NULL ORDER BY n.job";
    let read = |row: &Row<'_>| {
        let (phase, flags) = (row.get::<_, StateCode>(2)?.phase(), row.get::<_, StateFlags>(3)?);
        let is_pending = phase == Phase::Pending;
        Ok(Dependent {
            job: row.get(0)?,
            queue: row.get(1)?,
            phase,
            is_requested: is_pending && flags.is_requested(),
            is_forced: is_pending && flags.is_forced(),
            waits_for_needs: is_pending && flags.wait(None).needs,
            counts: counts_from(row, 4)?,
        })
    };
    db.prepare_cached(sql)?.query_map([needed], read)?.collect()
}
