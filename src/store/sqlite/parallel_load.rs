//! Loads all jobs of a site, in parallel if there are many: each thread takes the next range of ids when it has loaded
//! one, and the jobs are returned in order of their ids.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::{thread, vec};

use rusqlite::{CachedStatement, Connection, OpenFlags, Result};

use super::definition_columns::BlankDefinitions;
use super::job_rows::{self, select_jobs};
use super::queries as site_queries;
use crate::model::{Counters, Job, JobId, QueueId, QueueInfo};
use crate::store::error::CorruptData;

/// With fewer jobs, loading ends before another connection is open.
const PARALLEL_THRESHOLD: i64 = 10_000;

/// More threads would be limited by memory bandwidth.
const MAX_HELPERS: usize = 3;

/// The shortest range: starting one is cheap, and a short last range keeps the other threads waiting only briefly.
const MIN_RANGE_LEN: u64 = 1_024;

/// An upper limit for the number of ranges when only few of the assigned ids are still in use.
const MAX_RANGES: u64 = 4_096;

/// Calls `consume` with the number of jobs in the snapshot and an iterator over them. `counters` and `queues` are read
/// from the same snapshot.
pub(super) fn read_all<T>(
    snapshot: &Connection,
    counters: Counters,
    queues: &[QueueInfo],
    consume: impl FnOnce(usize, OrderedJobs<'_>) -> Result<T>,
) -> Result<T> {
    let ranges = IdRanges::up_to(counters.job);
    let (sender, received) = channel();
    thread::scope(|scope| {
        if let Some(path) = snapshot.path()
            && exceeds_threshold(snapshot)?
        {
            for _ in 0..helper_count() {
                let (path, ranges, sender) = (path.to_owned(), &ranges, sender.clone());
                // If no second connection sees the same snapshot, this one loads everything.
                scope.spawn(move || {
                    if let Ok(Some(connection)) = open_same_snapshot(&path, counters) {
                        read_ranges(&connection, queues, ranges, &sender);
                    }
                });
            }
        }
        drop(sender);
        consume(count_jobs(snapshot)?, OrderedJobs::new(RangeReader::new(snapshot, queues)?, &ranges, received))
    })
}

/// How many helper threads to start.
fn helper_count() -> usize {
    thread::available_parallelism().map_or(0, |processors| processors.get() - 1).min(MAX_HELPERS)
}

fn exceeds_threshold(db: &Connection) -> Result<bool> {
    let sql = "SELECT 1 FROM jobs INDEXED BY jobs_by_state WHERE removed IS NULL LIMIT 1 OFFSET ?1";
    db.prepare_cached(sql)?.exists([PARALLEL_THRESHOLD])
}

/// The number of jobs according to the index, which includes jobs that the table has lost.
fn count_jobs(db: &Connection) -> Result<usize> {
    let sql = "SELECT count(*) FROM jobs INDEXED BY jobs_by_state WHERE removed IS NULL";
    let count: i64 = db.query_row(sql, (), |row| row.get(0))?;
    Ok(usize::try_from(count).unwrap_or_default())
}

/// Opens another connection to the same snapshot. None if there was a transaction in between.
fn open_same_snapshot(path: &str, counters: Counters) -> Result<Option<Connection>> {
    let connection =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    // The transaction ends with the connection; it changes nothing.
    connection.execute_batch("BEGIN")?;
    Ok((site_queries::counters(&connection)? == counters).then_some(connection))
}

/// Loads ranges until none is left.
fn read_ranges(db: &Connection, queues: &[QueueInfo], ranges: &IdRanges, sender: &Sender<LoadedRange>) {
    // A thread that fails to start has taken no range.
    let Ok(mut reader) = RangeReader::new(db, queues) else { return };
    while let Some(index) = ranges.take() {
        // The receiver is gone when an earlier range failed.
        if sender.send((index, reader.read(ranges.id_range(index)))).is_err() {
            break;
        }
    }
}

/// Boxed as in `SiteState`, so that jobs are not moved.
type BoxedJob = Box<Job>;

/// The index of a range and its jobs.
type LoadedRange = (u64, Result<Vec<BoxedJob>>);

/// All ids ever assigned to jobs, in ranges of which each is taken once.
struct IdRanges {
    /// The number of ids in a range.
    len: u64,
    count: u64,
    /// The first range that is not taken.
    next: AtomicU64,
}

impl IdRanges {
    fn up_to(last: u64) -> Self {
        let len = MIN_RANGE_LEN.max(last / MAX_RANGES);
        Self { len, count: last / len + 1, next: AtomicU64::new(0) }
    }

    fn take(&self) -> Option<u64> {
        Some(self.next.fetch_add(1, Ordering::Relaxed)).filter(|index| *index < self.count)
    }

    /// The first and the last id of a range.
    fn id_range(&self, index: u64) -> (JobId, JobId) {
        let first = index * self.len;
        (JobId(first), JobId(first + (self.len - 1)))
    }
}

/// Loads jobs through one connection. It shares no reference counts with other threads that change for every job.
struct RangeReader<'c> {
    statement: CachedStatement<'c>,
    /// The queue names, which are shared by their jobs.
    queues: BTreeSet<QueueId>,
    blanks: BlankDefinitions,
}

impl<'c> RangeReader<'c> {
    fn new(db: &'c Connection, queues: &[QueueInfo]) -> Result<Self> {
        let sql = select_jobs!("WHERE j.id BETWEEN ?1 AND ?2 AND j.removed IS NULL ORDER BY j.id");
        let queues = queues.iter().map(|queue| queue.id.as_str().into()).collect();
        Ok(Self { statement: db.prepare_cached(sql)?, queues, blanks: BlankDefinitions::unshared() })
    }

    /// The jobs in a range of ids, in order.
    fn read(&mut self, ids: (JobId, JobId)) -> Result<Vec<BoxedJob>> {
        let Self { statement, queues, blanks } = self;
        let (mut rows, mut jobs) = (statement.query(ids)?, Vec::<BoxedJob>::new());
        while let Some(row) = rows.next()? {
            let name = row.get_ref(1)?.as_str()?;
            let queue = queues.get(name).cloned().unwrap_or_else(|| name.into());
            let job = Box::new(job_rows::job_in_queue(row, queue, blanks)?);
            // A page cycle would never end.
            if jobs.last().is_some_and(|last| last.id >= job.id) {
                return Err(CorruptData("rows are out of order").into());
            }
            jobs.push(job);
        }
        Ok(jobs)
    }
}

/// All jobs in order of their ids. The consumer loads ranges too instead of waiting.
pub(super) struct OrderedJobs<'r> {
    reader: RangeReader<'r>,
    ranges: &'r IdRanges,
    received: Receiver<LoadedRange>,
    /// Loaded ranges that are not due yet.
    pending: BTreeMap<u64, Result<Vec<BoxedJob>>>,
    /// The index of the next range to return.
    next: u64,
    jobs: vec::IntoIter<BoxedJob>,
}

impl<'r> OrderedJobs<'r> {
    fn new(reader: RangeReader<'r>, ranges: &'r IdRanges, received: Receiver<LoadedRange>) -> Self {
        Self { reader, ranges, received, pending: BTreeMap::new(), next: 0, jobs: Vec::new().into_iter() }
    }

    /// The next range; none after the last, or if its thread has died.
    fn next_range(&mut self) -> Option<Result<Vec<BoxedJob>>> {
        if self.next == self.ranges.count {
            return None;
        }
        loop {
            self.pending.extend(self.received.try_iter());
            if let Some(jobs) = self.pending.remove(&self.next) {
                self.next += 1;
                return Some(jobs);
            }
            let (index, jobs) = match self.ranges.take() {
                Some(index) => (index, self.reader.read(self.ranges.id_range(index))),
                None => self.received.recv().ok()?,
            };
            self.pending.insert(index, jobs);
        }
    }
}

impl Iterator for OrderedJobs<'_> {
    type Item = Result<BoxedJob>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(job) = self.jobs.next() {
                return Some(Ok(job));
            }
            match self.next_range()? {
                Ok(jobs) => self.jobs = jobs.into_iter(),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}
