//! What a connection knows of the site from its last transaction, which holds as long as nobody else has changed it.
//!
//! A worker that is alone with its site changes it hundreds of times a second; what it would read anew every time is
//! what it has just written.

use std::collections::HashMap;

use rusqlite::{Connection, Result};

use super::{migrate, rows};
use crate::model::{Counters, Job, JobId, QueueView, Worker};

/// The few things of a site that every transaction needs, and the jobs that run.
#[derive(Debug)]
pub(super) struct Known {
    /// `SQLite`'s number for the data as they are; it changes when another connection has written.
    version: i64,
    pub(super) counters: Counters,
    pub(super) stamp: Option<String>,
    /// In their order.
    pub(super) queues: Vec<QueueView>,
    pub(super) workers: Vec<Worker>,
    /// Jobs that run or are reserved, of those that were changed through this connection.
    pub(super) at_hand: HashMap<JobId, Job>,
}

impl Known {
    /// What is known in a transaction: `earlier` if that still holds, else what the rows say.
    pub(super) fn now(db: &Connection, earlier: Option<Self>) -> Result<Self> {
        let version = db.prepare_cached("PRAGMA data_version")?.query_row((), |row| row.get(0))?;
        if let Some(still) = earlier.filter(|earlier| earlier.version == version) {
            return Ok(still);
        }
        migrate::check(db)?;
        Ok(Self {
            version,
            counters: rows::counters(db)?,
            stamp: rows::stamp(db)?,
            queues: rows::queues(db)?,
            workers: rows::workers(db)?,
            at_hand: HashMap::new(),
        })
    }
}
