//! What a connection keeps of a site between transactions: all but its jobs.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use postgres::SimpleQueryRow;

use super::queue_totals::TotalsByQueue;
use super::sql_text::{ResultSets, number, parsed, required, text};
use crate::model::{Counters, EventRecord, PoolSizes, QueueInfo, RunId, SiteState, WorkerId};
use crate::store::error::StoreError;

/// The tables that a connection keeps, and reads again when they have changed.
pub(super) const KEPT_TABLES: [&str; 4] = ["queues", "workers", "schedules", "expectations"];

/// A site without its jobs.
pub(super) struct SiteFrame {
    pub(super) state: SiteState,
    /// The events that have changed [`KEPT_TABLES`] last.
    pub(super) versions: [u64; 4],
    /// The number of failovers when it was read. Another server may have other events of the same numbers.
    pub(super) failovers: u32,
    /// The totals of the queues as last seen. They tell what to ask for.
    pub(super) totals: TotalsByQueue,
    /// The first run of each of these workers that may still be in progress.
    pub(super) first_runs: HashMap<WorkerId, RunId>,
}

/// The row of a site with its last event, and the time of the server.
pub(super) struct SiteHead {
    pub(super) counters: Counters,
    pub(super) now: DateTime<Utc>,
    pub(super) file: (Option<String>, PoolSizes),
    pub(super) versions: [u64; 4],
}

/// The statement that reads the head of a site.
pub(super) fn head_sql(site: i32) -> String {
    let versions = KEPT_TABLES.map(|table| format!("s.{table}_seq")).join(", ");
    format!(
        "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, s.file_version, s.pools, e.seq, e.job, e.run, \
         e.worker, {versions} FROM setlist.sites s LEFT JOIN LATERAL (SELECT seq, job, run, worker FROM setlist.events \
         WHERE site = s.id ORDER BY seq DESC LIMIT 1) e ON true WHERE s.id = {site}"
    )
}

/// The statement that reads a table of [`KEPT_TABLES`].
pub(super) fn table_sql(site: i32, table: &str) -> String {
    let columns = match table {
        "queues" => "id, settings, mode, environment, inputs",
        "workers" => "body",
        _ => "state",
    };
    format!("SELECT {columns} FROM setlist.{table} WHERE site = {site}")
}

impl SiteHead {
    pub(super) fn read(rows: &[SimpleQueryRow]) -> Result<Self, StoreError> {
        let missing = || StoreError::UnreadableRow { reason: "the site was deleted from the database".to_owned() };
        let row = rows.first().ok_or_else(missing)?;
        // They are in the last event, which a new site doesn't have.
        let counter =
            |column| Ok::<u64, StoreError>(if text(row, column)?.is_some() { number(row, column)? } else { 0 });
        Ok(Self {
            now: DateTime::from_timestamp_micros(number(row, 0)?).unwrap_or_default(),
            file: (parsed(row, 1)?, parsed(row, 2)?.unwrap_or_default()),
            counters: Counters { seq: counter(3)?, job: counter(4)?, run: counter(5)?, worker: counter(6)? },
            versions: [number(row, 7)?, number(row, 8)?, number(row, 9)?, number(row, 10)?],
        })
    }
}

impl SiteFrame {
    /// A frame that knows nothing.
    pub(super) fn empty(failovers: u32) -> Self {
        let state = SiteState::default();
        let (totals, first_runs) = (TotalsByQueue::new(), HashMap::new());
        Self { state, versions: [u64::MAX; 4], failovers, totals, first_runs }
    }

    /// The tables that differ from the head.
    pub(super) fn outdated_tables(&self, head: &SiteHead) -> Vec<usize> {
        (0..KEPT_TABLES.len()).filter(|table| self.versions.get(*table) != head.versions.get(*table)).collect()
    }

    /// Takes over the head, and the outdated tables, whose rows start at `first`.
    pub(super) fn update(
        &mut self,
        head: SiteHead,
        outdated: &[usize],
        sets: &mut ResultSets,
        first: usize,
    ) -> Result<(), StoreError> {
        let mut rows = |table: usize| {
            let place = outdated.iter().position(|outdated| *outdated == table)?;
            Some(sets.take(first + place))
        };
        let queues = rows(0).map(|rows| queues(&rows)).transpose()?.unwrap_or_default();
        let workers = match rows(1) {
            Some(rows) => column(&rows)?,
            None => self.state.workers().cloned().collect(),
        };
        self.state.set_site_info(queues, workers, head.file, head.counters);
        if let Some(rows) = rows(2) {
            self.state.set_schedules(column(&rows)?);
        }
        if let Some(rows) = rows(3) {
            self.state.set_expectations(column(&rows)?);
        }
        self.state.set_due_records([]);
        self.versions = head.versions;
        Ok(())
    }
}

/// The queues of rows.
pub(super) fn queues(rows: &[SimpleQueryRow]) -> Result<Vec<QueueInfo>, StoreError> {
    let queue = |row| {
        let (id, settings, mode) = (required(row, 0)?, required(row, 1)?, required(row, 2)?);
        Ok(QueueInfo { id, settings, mode, environment: parsed(row, 3)?, inputs: parsed(row, 4)? })
    };
    rows.iter().map(queue).collect()
}

/// The first column of all rows.
pub(super) fn column<T: serde::de::DeserializeOwned>(rows: &[SimpleQueryRow]) -> Result<Vec<T>, StoreError> {
    rows.iter().map(|row| required(row, 0)).collect()
}

/// Whether these are all events after `seq`, up to `last` or later.
pub(super) fn reaches(events: &[EventRecord], seq: u64, last: u64) -> bool {
    let is_contiguous = (seq + 1..).zip(events).all(|(seq, event)| event.seq == seq);
    is_contiguous && events.last().map_or(seq, |event| event.seq) >= last
}

/// The statement that reads the events since one.
pub(super) fn events_sql(site: i32, since: u64) -> String {
    format!("SELECT seq, at, body FROM setlist.events WHERE site = {site} AND seq > {since} ORDER BY seq")
}

/// The events of rows with sequence number, time and body.
pub(super) fn events(rows: &[SimpleQueryRow]) -> Result<Vec<EventRecord>, StoreError> {
    let event = |row: &SimpleQueryRow| {
        let at = DateTime::from_timestamp_nanos(number(row, 1)?);
        Ok(EventRecord { seq: number(row, 0)?, at, event: required(row, 2)? })
    };
    rows.iter().map(event).collect()
}
