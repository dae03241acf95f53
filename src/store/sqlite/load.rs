//! Reading: the whole site for a new follower, the latest events for one that follows, the runs of a job.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::panic::resume_unwind;
use std::sync::mpsc::channel;
use std::thread;

use rusqlite::{Connection, OpenFlags, Result, Row};

use super::codec::{self, Json, Nanos, select_jobs};
use super::definition::Bare;
use super::{migrate, rows};
use crate::model::{Counters, Job, JobId, Ledger, QueueId, QueueView, Recorded, Run};
use crate::store::error::Damage;

/// A site with fewer jobs is loaded before another connection is ready to help.
const WORTH_SHARING: i64 = 10_000;

/// The site as one moment saw it. Where there are many jobs, another thread reads the second half of them.
pub(super) fn ledger(db: &mut Connection) -> Result<Ledger> {
    let snapshot = db.transaction()?;
    migrate::check(&snapshot)?;
    let counters = rows::counters(&snapshot)?;
    let queues = rows::queues(&snapshot)?;
    let count = count(&snapshot)?;
    let size = usize::try_from(count).unwrap_or_default();
    let twin = if count < WORTH_SHARING { None } else { twin(&snapshot, counters).unwrap_or_default() };
    let mut ledger = Ledger::default();
    match twin {
        None => read(&snapshot, &queues, 0..=counters.job, |jobs| ledger.fill(size, jobs))?,
        Some(twin) => {
            let middle = counters.job / 2;
            let second_half = 1 + middle..=counters.job;
            let (send, read_there) = channel::<Vec<Box<Job>>>();
            thread::scope(|scope| -> Result<()> {
                let queues = &queues;
                let helper = scope.spawn(move || {
                    let jobs = read(&twin, queues, second_half, |jobs| jobs.collect())?;
                    // Nobody waits for it when the first half could not be read.
                    let _ = send.send(jobs);
                    Ok(())
                });
                let there = read_there.into_iter().flatten().map(Ok);
                read(&snapshot, queues, 0..=middle, |here| ledger.fill(size, here.chain(there)))?;
                helper.join().unwrap_or_else(|panic| resume_unwind(panic))
            })?;
        }
    }
    if ledger.jobs().count() != size {
        return Err(Damage("an index and its table differ").into());
    }
    ledger.restore(queues, rows::workers(&snapshot)?, rows::stamp(&snapshot)?, counters);
    Ok(ledger)
}

/// How many jobs there are by the index: one that the table has lost is missed.
fn count(db: &Connection) -> Result<i64> {
    let sql = "SELECT count(*) FROM jobs INDEXED BY jobs_by_state WHERE removed IS NULL";
    db.query_row(sql, (), |row| row.get(0))
}

/// Another connection that sees the same moment: one at which as many events have happened. None when there was one
/// in between; where there can't be another connection, this one does all.
fn twin(db: &Connection, counters: Counters) -> Result<Option<Connection>> {
    let Some(path) = db.path() else { return Ok(None) };
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let twin = Connection::open_with_flags(path, flags)?;
    // It ends with the connection, which changes nothing.
    twin.execute_batch("BEGIN")?;
    Ok((rows::counters(&twin)? == counters).then_some(twin))
}

/// Passes on the jobs with these numbers, in their order.
fn read<T>(
    db: &Connection,
    queues: &[QueueView],
    ids: RangeInclusive<u64>,
    pass_on: impl FnOnce(&mut dyn Iterator<Item = Result<Box<Job>>>) -> Result<T>,
) -> Result<T> {
    // Jobs of a queue share its name; the threads share nothing of what is copied for every job.
    let names: BTreeSet<QueueId> = queues.iter().map(|queue| queue.id.as_str().into()).collect();
    let bare = Bare::apart();
    let sql = select_jobs!("WHERE j.id BETWEEN ?1 AND ?2 AND j.removed IS NULL ORDER BY j.id");
    let mut statement = db.prepare_cached(sql)?;
    let mut last = None;
    let mut jobs = statement.query_map((JobId(*ids.start()), JobId(*ids.end())), |row| {
        // Pages that lead back to themselves have no end.
        if last.replace(row.get::<_, JobId>(0)?) >= Some(row.get(0)?) {
            return Err(Damage("rows are out of order").into());
        }
        let name = row.get_ref(1)?.as_str()?;
        codec::job_of(row, names.get(name).cloned().unwrap_or_else(|| name.into()), &bare).map(Box::new)
    })?;
    pass_on(&mut jobs)
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
