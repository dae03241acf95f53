//! Reads the runs of a period. All are looked at, which takes an eighth of a second for 1,000,000 runs. An index by the end
//! of runs would find those of a night in a third of that, but take 23 bytes a run; and unless it had all columns that are
//! read here, twice as many bytes, those of a month would take five times as long.

use rusqlite::{Connection, Result, Row, named_params};

use super::columns::{Json, Nanos};
use crate::model::{RunPeriod, RunSpan};

/// The latest runs of a period, latest first. It reads narrow columns of all runs of the queue, since there is no index by
/// time; a run is filtered by its time before its job is looked up.
pub(super) fn runs_in(snapshot: &Connection, period: &RunPeriod) -> Result<Vec<RunSpan>> {
    let in_queue = if period.queue.is_some() { "AND j.queue = :queue" } else { "AND :queue IS NULL" };
    let in_period = "(:until IS NULL OR started < :until) AND (:from IS NULL OR ended IS NULL OR ended >= :from)";
    let sql = format!(
        "SELECT * FROM ( \
             SELECT r.job, r.id, r.attempt, r.started AS started, r.ended AS ended, r.outcome \
             FROM (SELECT job, id, attempt, started, ended, outcome FROM runs WHERE {in_period}) r \
             CROSS JOIN jobs j ON j.id = r.job AND j.removed IS NULL {in_queue} \
             UNION ALL \
             SELECT j.id, j.run, j.attempts, j.started, j.ended, coalesce(j.ending, j.outcome) \
             FROM jobs j WHERE j.run IS NOT NULL AND j.removed IS NULL AND {in_period} {in_queue} \
         ) ORDER BY 2 DESC LIMIT :limit"
    );
    let span = |row: &Row<'_>| {
        let ended = row.get::<_, Option<_>>(4)?.map(|Nanos(at)| at);
        Ok(RunSpan {
            job: row.get(0)?,
            run: row.get(1)?,
            attempt: row.get(2)?,
            started: row.get::<_, Nanos>(3)?.0,
            ended,
            // That of a job that is pending again is not the outcome of its run.
            outcome: if ended.is_some() { row.get::<_, Option<_>>(5)?.map(|Json(outcome)| outcome) } else { None },
        })
    };
    snapshot
        .prepare_cached(&sql)?
        .query_map(
            named_params! {
                ":queue": period.queue,
                ":from": period.from.map(Nanos),
                ":until": period.until.map(Nanos),
                ":limit": i64::try_from(period.limit).unwrap_or(i64::MAX),
            },
            span,
        )?
        .collect()
}
