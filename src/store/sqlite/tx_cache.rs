//! What a connection caches between transactions; it is valid until another connection writes.
//!
//! A worker that is the only writer runs hundreds of transactions a second, and would otherwise read back what it has
//! just written.

use std::collections::HashMap;

use rusqlite::{Connection, Result};

use super::{migrate, queries, schedule_rows};
use crate::model::{Counters, ExpectationState, Job, JobId, PoolSizes, QueueInfo, ScheduleState, WorkerInfo};

/// The data that every transaction needs, and the active jobs.
#[derive(Debug)]
pub(super) struct TxCache {
    /// `SQLite`'s `data_version`, which changes when another connection has written.
    data_version: i64,
    pub(super) counters: Counters,
    pub(super) file_version: Option<String>,
    pub(super) pools: PoolSizes,
    /// In order.
    pub(super) queues: Vec<QueueInfo>,
    pub(super) workers: Vec<WorkerInfo>,
    /// By target.
    pub(super) schedules: Vec<ScheduleState>,
    /// By target.
    pub(super) expectations: Vec<ExpectationState>,
    /// Jobs that are running or reserved, of those that this connection has changed.
    pub(super) active_jobs: HashMap<JobId, Job>,
}

impl TxCache {
    /// Returns `earlier` if it is still valid, else loads the data.
    pub(super) fn reuse_or_load(db: &Connection, earlier: Option<Self>) -> Result<Self> {
        let version = db.prepare_cached("PRAGMA data_version")?.query_row((), |row| row.get(0))?;
        if let Some(still) = earlier.filter(|earlier| earlier.data_version == version) {
            return Ok(still);
        }
        migrate::check_format(db)?;
        Ok(Self {
            data_version: version,
            counters: queries::counters(db)?,
            file_version: queries::file_version(db)?,
            pools: queries::pools(db)?,
            queues: queries::queues(db)?,
            workers: queries::workers(db)?,
            schedules: schedule_rows::schedules(db)?,
            expectations: schedule_rows::expectations(db)?,
            active_jobs: HashMap::new(),
        })
    }
}
