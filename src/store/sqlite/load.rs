//! Reading: the whole site for a new follower, the latest events for one that follows, the runs of a job.

use rusqlite::{Connection, Result, Row};

use super::codec::{self, Json, Nanos};
use super::{migrate, rows, together};
use crate::model::{JobId, Ledger, Recorded, Run};
use crate::store::error::Damage;

/// The site as one moment saw it.
pub(super) fn ledger(db: &mut Connection) -> Result<Ledger> {
    let snapshot = db.transaction()?;
    migrate::check(&snapshot)?;
    let (counters, queues) = (rows::counters(&snapshot)?, rows::queues(&snapshot)?);
    let mut ledger = together::read(&snapshot, counters, &queues, |count, jobs| {
        let ledger = Ledger::of(count, jobs)?;
        if ledger.jobs().count() == count { Ok(ledger) } else { Err(Damage("an index and its table differ").into()) }
    })?;
    ledger.restore(queues, rows::workers(&snapshot)?, rows::stamp(&snapshot)?, counters);
    Ok(ledger)
}

/// What has happened after event `seq`; `None` when not all of it is known any more.
pub(super) fn events_after(db: &mut Connection, seq: u64) -> Result<Option<Vec<Recorded>>> {
    let snapshot = db.transaction()?;
    migrate::check(&snapshot)?;
    let counters = rows::counters(&snapshot)?;
    if seq == counters.seq {
        return Ok(Some(Vec::new()));
    }
    let mut statement =
        snapshot.prepare_cached("SELECT seq, at, body FROM events WHERE seq > ?1 AND body != '' ORDER BY seq")?;
    let read = |row: &Row<'_>| {
        let (Nanos(at), Json(event)) = (row.get(1)?, row.get(2)?);
        Ok(Recorded { seq: row.get::<_, i64>(0)?.cast_unsigned(), at, event })
    };
    let news: Vec<Recorded> = statement.query_map([seq.cast_signed()], read)?.collect::<Result<_>>()?;
    let first = news.first().is_some_and(|first| first.seq == seq + 1);
    Ok((first && news.len() as u64 == counters.seq - seq).then_some(news))
}

/// All runs of a job, first to latest.
pub(super) fn runs(db: &mut Connection, job: JobId) -> Result<Vec<Run>> {
    let snapshot = db.transaction()?;
    let sql = "SELECT id, attempt, worker, started, ended, outcome, exit_code, exit_signal FROM runs \
               WHERE job = ?1 ORDER BY id";
    let mut statement = snapshot.prepare_cached(sql)?;
    let mut runs: Vec<Run> = statement.query_map([job], codec::run)?.collect::<Result<_>>()?;
    runs.extend(rows::find(&snapshot, job)?.and_then(|(job, _)| job.last_run).map(|last| *last));
    Ok(runs)
}
