//! The copy of a site that a connection keeps: loaded from the rows once, then kept up to date by events.

use chrono::{DateTime, Utc};
use postgres::SimpleQueryRow;

use super::sql_text::{ResultSets, number, parsed, required};
use crate::model::{
    Counters, DueRecord, EventRecord, Job, JobId, PoolSizes, QueueInfo, RemovalReason, ScheduleTarget, SiteState,
};
use crate::store::error::StoreError;

/// A copy of a site.
pub(super) struct SiteCopy {
    pub(super) state: SiteState,
    /// The generation of the site when it was loaded.
    generation: i64,
}

/// The row of a site, and the time of the server.
pub(super) struct SiteRow {
    pub(super) counters: Counters,
    generation: i64,
    pub(super) now: DateTime<Utc>,
    file_version: Option<String>,
    pools: PoolSizes,
}

/// How many statements [`load_sql`] has.
pub(super) const LOAD_STATEMENTS: usize = 7;

fn site_sql(site: i32) -> String {
    format!(
        "SELECT seq, generation, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, job, run, worker, \
         file_version, pools FROM setlist.sites WHERE id = {site}"
    )
}

/// The statements that read a whole site.
pub(super) fn load_sql(site: i32) -> String {
    format!(
        "{}; SELECT id, settings, mode, environment, inputs FROM setlist.queues WHERE site = {site}; \
         SELECT body FROM setlist.workers WHERE site = {site}; \
         SELECT body, removed FROM setlist.jobs WHERE site = {site} ORDER BY id; \
         SELECT state FROM setlist.schedules WHERE site = {site}; \
         SELECT state FROM setlist.expectations WHERE site = {site}; \
         SELECT target, body FROM setlist.due_times WHERE site = {site}",
        site_sql(site)
    )
}

/// The statements that read what is new since an event: the row of the site, and the events.
pub(super) fn news_sql(site: i32, since: u64) -> String {
    let events = format!("SELECT seq, at, body FROM setlist.events WHERE site = {site} AND seq > {since} ORDER BY seq");
    format!("{}; {events}", site_sql(site))
}

impl SiteRow {
    pub(super) fn read(rows: &[SimpleQueryRow]) -> Result<Self, StoreError> {
        let missing = || StoreError::UnreadableRow { reason: "the site was deleted from the database".to_owned() };
        let row = rows.first().ok_or_else(missing)?;
        Ok(Self {
            counters: Counters {
                seq: number(row, 0)?,
                job: number(row, 3)?,
                run: number(row, 4)?,
                worker: number(row, 5)?,
            },
            generation: number(row, 1)?,
            now: DateTime::from_timestamp_micros(number(row, 2)?).unwrap_or_default(),
            file_version: parsed(row, 6)?,
            pools: parsed(row, 7)?.unwrap_or_default(),
        })
    }
}

impl SiteCopy {
    /// Builds a copy from the results of [`load_sql`], which start at `first`. Also returns the time of the server.
    pub(super) fn load(sets: &mut ResultSets, first: usize) -> Result<(Self, DateTime<Utc>), StoreError> {
        let site = SiteRow::read(&sets.take(first))?;
        let queues = sets.take(first + 1);
        let queues = queues.iter().map(|row| {
            let (id, settings, mode) = (required(row, 0)?, required(row, 1)?, required(row, 2)?);
            Ok(QueueInfo { id, settings, mode, environment: parsed(row, 3)?, inputs: parsed(row, 4)? })
        });
        let queues = queues.collect::<Result<Vec<_>, StoreError>>()?;
        let workers = column(&sets.take(first + 2))?;
        let rows = sets.take(first + 3);
        let mut removed: Vec<(JobId, RemovalReason)> = Vec::new();
        let jobs = rows.iter().map(|row| {
            let job: Box<Job> = required(row, 0)?;
            if let Some(reason) = parsed(row, 1)? {
                removed.push((job.id, reason));
            }
            Ok::<_, StoreError>(job)
        });
        let mut state = SiteState::from_jobs(rows.len(), jobs)?;
        state.set_removed_jobs(removed);
        state.set_site_info(queues, workers, (site.file_version, site.pools), site.counters);
        state.set_schedules(column(&sets.take(first + 4))?);
        state.set_expectations(column(&sets.take(first + 5))?);
        let due = sets.take(first + 6);
        let due =
            due.iter().map(|row| Ok::<(ScheduleTarget, DueRecord), StoreError>((required(row, 0)?, required(row, 1)?)));
        state.set_due_records(due.collect::<Result<Vec<_>, _>>()?);
        Ok((Self { state, generation: site.generation }, site.now))
    }

    /// Applies the events since the last one of the copy. Returns whether it is up to date now; if not, it has to be
    /// loaded again.
    pub(super) fn follow(&mut self, site: &SiteRow, events: &[EventRecord]) -> bool {
        let seq = self.state.seq();
        let is_same_history = site.generation == self.generation && seq <= site.counters.seq;
        if !is_same_history || !reaches(events, seq, site.counters.seq) {
            return false;
        }
        for event in events {
            self.state.apply(event);
        }
        true
    }
}

/// Whether these are all events after `seq`, up to `last` or later.
pub(super) fn reaches(events: &[EventRecord], seq: u64, last: u64) -> bool {
    let is_contiguous = (seq + 1..).zip(events).all(|(seq, event)| event.seq == seq);
    is_contiguous && events.last().map_or(seq, |event| event.seq) >= last
}

/// The first column of all rows.
fn column<T: serde::de::DeserializeOwned>(rows: &[SimpleQueryRow]) -> Result<Vec<T>, StoreError> {
    rows.iter().map(|row| required(row, 0)).collect()
}

/// The events of rows with sequence number, time and body.
pub(super) fn events(rows: &[SimpleQueryRow]) -> Result<Vec<EventRecord>, StoreError> {
    let event = |row: &SimpleQueryRow| {
        let at = DateTime::from_timestamp_nanos(number(row, 1)?);
        Ok(EventRecord { seq: number(row, 0)?, at, event: required(row, 2)? })
    };
    rows.iter().map(event).collect()
}
