//! Reading all jobs of a site, where there are many with several threads: each takes the next stretch of numbers when it
//! has read one, and the jobs come out in the order of their numbers all the same.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::{thread, vec};

use rusqlite::{CachedStatement, Connection, OpenFlags, Result};

use super::codec::{self, select_jobs};
use super::definition::Bare;
use super::rows;
use crate::model::{Counters, Job, JobId, QueueId, QueueView};
use crate::store::error::Damage;

/// Fewer jobs are read before another connection is ready to help.
const WORTH_SHARING: i64 = 10_000;

/// More would wait for memory, not for a processor.
const MOST_HELPERS: usize = 3;

/// So many numbers are in a stretch at least: to begin one costs little, and nobody waits long for the last.
const STRETCH: u64 = 1_024;

/// There are no more stretches than this, however few of the numbers given are still in use.
const MOST_STRETCHES: u64 = 4_096;

/// Passes on how many jobs there are at the moment that `snapshot` sees, and all of them. `counters` and `queues` are
/// those of that moment.
pub(super) fn read<T>(
    snapshot: &Connection,
    counters: Counters,
    queues: &[QueueView],
    pass_on: impl FnOnce(usize, InOrder<'_>) -> Result<T>,
) -> Result<T> {
    let stretches = Stretches::up_to(counters.job);
    let (send, theirs) = channel();
    thread::scope(|scope| {
        if let Some(path) = snapshot.path()
            && are_many(snapshot)?
        {
            for _ in 0..helpers() {
                let (path, stretches, send) = (path.to_owned(), &stretches, send.clone());
                // Where there can't be another connection to the same moment, this one does all.
                scope.spawn(move || {
                    if let Ok(Some(twin)) = twin(&path, counters) {
                        help(&twin, queues, stretches, &send);
                    }
                });
            }
        }
        drop(send);
        pass_on(count(snapshot)?, InOrder::new(Reader::new(snapshot, queues)?, &stretches, theirs))
    })
}

/// How many threads may help.
fn helpers() -> usize {
    thread::available_parallelism().map_or(0, |processors| processors.get() - 1).min(MOST_HELPERS)
}

fn are_many(db: &Connection) -> Result<bool> {
    let sql = "SELECT 1 FROM jobs INDEXED BY jobs_by_state WHERE removed IS NULL LIMIT 1 OFFSET ?1";
    db.prepare_cached(sql)?.exists([WORTH_SHARING])
}

/// How many jobs there are by the index: one that the table has lost is missed.
fn count(db: &Connection) -> Result<usize> {
    let sql = "SELECT count(*) FROM jobs INDEXED BY jobs_by_state WHERE removed IS NULL";
    let count: i64 = db.query_row(sql, (), |row| row.get(0))?;
    Ok(usize::try_from(count).unwrap_or_default())
}

/// Another connection that sees the same moment: one at which as many events have happened. None when there was one
/// in between.
fn twin(path: &str, counters: Counters) -> Result<Option<Connection>> {
    let twin = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    // It ends with the connection, which changes nothing.
    twin.execute_batch("BEGIN")?;
    Ok((rows::counters(&twin)? == counters).then_some(twin))
}

/// Reads stretches as long as there are any.
fn help(db: &Connection, queues: &[QueueView], stretches: &Stretches, send: &Sender<Stretch>) {
    // Who can't begin has taken nothing yet, and isn't missed.
    let Ok(mut reader) = Reader::new(db, queues) else { return };
    while let Some(nth) = stretches.take() {
        // Nobody waits for it when an earlier one could not be read.
        if send.send((nth, reader.read(stretches.numbers(nth)))).is_err() {
            break;
        }
    }
}

/// A job as a ledger keeps it: nobody moves what is large.
type Boxed = Box<Job>;

/// A part of the jobs that has been read, and which one it is.
type Stretch = (u64, Result<Vec<Boxed>>);

/// All numbers ever given to jobs, in parts of which each is taken once.
struct Stretches {
    /// How many numbers are in one.
    len: u64,
    count: u64,
    /// The first that nobody has taken.
    next: AtomicU64,
}

impl Stretches {
    fn up_to(last: u64) -> Self {
        let len = STRETCH.max(last / MOST_STRETCHES);
        Self { len, count: last / len + 1, next: AtomicU64::new(0) }
    }

    fn take(&self) -> Option<u64> {
        Some(self.next.fetch_add(1, Ordering::Relaxed)).filter(|nth| *nth < self.count)
    }

    /// The first and the last number of a stretch.
    fn numbers(&self, nth: u64) -> (JobId, JobId) {
        let first = nth * self.len;
        (JobId(first), JobId(first + (self.len - 1)))
    }
}

/// What reads jobs through one connection, and shares nothing with other threads that is copied for every job.
struct Reader<'c> {
    statement: CachedStatement<'c>,
    /// Jobs of a queue share its name.
    queues: BTreeSet<QueueId>,
    bare: Bare,
}

impl<'c> Reader<'c> {
    fn new(db: &'c Connection, queues: &[QueueView]) -> Result<Self> {
        let sql = select_jobs!("WHERE j.id BETWEEN ?1 AND ?2 AND j.removed IS NULL ORDER BY j.id");
        let queues = queues.iter().map(|queue| queue.id.as_str().into()).collect();
        Ok(Self { statement: db.prepare_cached(sql)?, queues, bare: Bare::apart() })
    }

    /// The jobs with these numbers, in their order.
    fn read(&mut self, numbers: (JobId, JobId)) -> Result<Vec<Boxed>> {
        let Self { statement, queues, bare } = self;
        let (mut rows, mut jobs) = (statement.query(numbers)?, Vec::<Boxed>::new());
        while let Some(row) = rows.next()? {
            let name = row.get_ref(1)?.as_str()?;
            let queue = queues.get(name).cloned().unwrap_or_else(|| name.into());
            let job = Box::new(codec::job_of(row, queue, bare)?);
            // Pages that lead back to themselves have no end.
            if jobs.last().is_some_and(|last| last.id >= job.id) {
                return Err(Damage("rows are out of order").into());
            }
            jobs.push(job);
        }
        Ok(jobs)
    }
}

/// All jobs in the order of their numbers. Whoever asks for the next one reads too, rather than wait for it.
pub(super) struct InOrder<'r> {
    own: Reader<'r>,
    stretches: &'r Stretches,
    theirs: Receiver<Stretch>,
    /// Read before their turn.
    early: BTreeMap<u64, Result<Vec<Boxed>>>,
    /// Which stretch comes next.
    next: u64,
    jobs: vec::IntoIter<Boxed>,
}

impl<'r> InOrder<'r> {
    fn new(own: Reader<'r>, stretches: &'r Stretches, theirs: Receiver<Stretch>) -> Self {
        Self { own, stretches, theirs, early: BTreeMap::new(), next: 0, jobs: Vec::new().into_iter() }
    }

    /// The next stretch; none after the last, or when nobody will ever read it.
    fn stretch(&mut self) -> Option<Result<Vec<Boxed>>> {
        if self.next == self.stretches.count {
            return None;
        }
        loop {
            self.early.extend(self.theirs.try_iter());
            if let Some(jobs) = self.early.remove(&self.next) {
                self.next += 1;
                return Some(jobs);
            }
            let (nth, jobs) = match self.stretches.take() {
                Some(nth) => (nth, self.own.read(self.stretches.numbers(nth))),
                None => self.theirs.recv().ok()?,
            };
            self.early.insert(nth, jobs);
        }
    }
}

impl Iterator for InOrder<'_> {
    type Item = Result<Boxed>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(job) = self.jobs.next() {
                return Some(Ok(job));
            }
            match self.stretch()? {
                Ok(jobs) => self.jobs = jobs.into_iter(),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}
