//! Reading: the whole site for a new follower, the latest events for one that follows, the runs of a job.

use std::collections::BTreeSet;
use std::mem::replace;
use std::panic::resume_unwind;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use rusqlite::{Connection, Result, Row};

use super::codec::{self, Json, Nanos, select_jobs};
use super::rows;
use crate::model::{Job, JobId, Ledger, QueueId, QueueView, Recorded, Run};

/// How many jobs are handed over at once, and how often before somebody has to wait.
const CHUNK: usize = 1_000;
const CHUNKS_AHEAD: usize = 4;

/// The site as one moment saw it. While this thread reads jobs, another one puts them where they belong.
pub(super) fn ledger(db: &mut Connection) -> Result<Ledger> {
    let snapshot = db.transaction()?;
    let (counters, stamp) = rows::site(&snapshot)?;
    let queues = rows::queues(&snapshot)?;
    let count: i64 = snapshot.query_row("SELECT count(*) FROM jobs WHERE removed IS NULL", (), |row| row.get(0))?;
    let (send, chunks) = sync_channel::<Vec<Job>>(CHUNKS_AHEAD);
    let mut ledger = Ledger::default();
    thread::scope(|scope| -> Result<()> {
        let filled = scope.spawn(|| {
            ledger.fill(usize::try_from(count).unwrap_or_default(), chunks.into_iter().flatten());
        });
        read(&snapshot, &queues, &send)?;
        drop(send);
        filled.join().unwrap_or_else(|panic| resume_unwind(panic));
        Ok(())
    })?;
    ledger.restore(queues, rows::workers(&snapshot)?, stamp, counters);
    Ok(ledger)
}

/// Hands over all jobs in chunks.
fn read(db: &Connection, queues: &[QueueView], chunks: &SyncSender<Vec<Job>>) -> Result<()> {
    // Jobs of a queue share its name.
    let names: BTreeSet<QueueId> = queues.iter().map(|queue| queue.id.clone()).collect();
    let mut statement = db.prepare_cached(select_jobs!("WHERE j.removed IS NULL ORDER BY j.id"))?;
    let mut rows = statement.query(())?;
    let mut chunk = Vec::with_capacity(CHUNK);
    while let Some(row) = rows.next()? {
        let name = row.get_ref(1)?.as_str()?;
        let queue = names.get(name).cloned().unwrap_or_else(|| name.into());
        chunk.push(codec::job_of(row, queue)?);
        if chunk.len() == CHUNK {
            // Nobody listens any more only when the other thread has panicked; its panic is passed on.
            let _ = chunks.send(replace(&mut chunk, Vec::with_capacity(CHUNK)));
        }
    }
    let _ = chunks.send(chunk);
    Ok(())
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
