//! Reading: the whole site for a new follower, the latest events for one that follows, the runs of a job.

use std::collections::BTreeSet;

use rusqlite::{Connection, Result, Row};

use super::codec::{self, Json, Nanos, select_jobs};
use super::rows;
use crate::model::{JobId, Ledger, QueueId, Recorded, Run};

/// The site as one moment saw it.
pub(super) fn ledger(db: &mut Connection) -> Result<Ledger> {
    let snapshot = db.transaction()?;
    let mut ledger = Ledger::default();
    let (counters, stamp) = rows::site(&snapshot)?;
    let queues = rows::queues(&snapshot)?;
    // Jobs of a queue share its name.
    let names: BTreeSet<QueueId> = queues.iter().map(|queue| queue.id.clone()).collect();
    let shared = |name: &str| names.get(name).cloned().unwrap_or_else(|| name.into());
    let count: i64 = snapshot.query_row("SELECT count(*) FROM jobs WHERE removed IS NULL", (), |row| row.get(0))?;
    let mut statement = snapshot.prepare_cached(select_jobs!("WHERE j.removed IS NULL ORDER BY j.id"))?;
    let jobs = statement.query_map((), |row| codec::job(row, shared))?;
    ledger.fill(usize::try_from(count).unwrap_or_default(), jobs)?;
    ledger.restore(queues, rows::workers(&snapshot)?, stamp, counters);
    Ok(ledger)
}

/// What has happened after event `seq`; `None` when not all of it is known any more.
pub(super) fn events_after(db: &mut Connection, seq: u64) -> Result<Option<Vec<Recorded>>> {
    let snapshot = db.transaction()?;
    let (counters, _) = rows::site(&snapshot)?;
    if seq == counters.seq {
        return Ok(Some(Vec::new()));
    }
    let mut statement = snapshot.prepare_cached("SELECT seq, at, body FROM events WHERE seq > ?1 ORDER BY seq")?;
    let read = |row: &Row<'_>| {
        let (Nanos(at), Json(event)) = (row.get(1)?, row.get(2)?);
        Ok(Recorded { seq: row.get::<_, i64>(0)?.cast_unsigned(), at, event })
    };
    let news: Vec<Recorded> = statement.query_map([seq.cast_signed()], read)?.collect::<Result<_>>()?;
    Ok(news.first().is_some_and(|first| first.seq == seq + 1).then_some(news))
}

/// All runs of a job, first to latest.
pub(super) fn runs(db: &Connection, job: JobId) -> Result<Vec<Run>> {
    let sql = "SELECT id, attempt, worker, started, ended, outcome, exit_code, exit_signal FROM runs \
               WHERE job = ?1 ORDER BY id";
    db.prepare_cached(sql)?.query_map([job], |row| codec::run(row, 0))?.collect()
}
