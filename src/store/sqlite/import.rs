//! Fills an empty database with the content of another store.

use chrono::{DateTime, Utc};
use rusqlite::TransactionBehavior;

use super::connection::SqliteStore;
use super::db_paths::unreadable;
use super::tx_state::TxState;
use crate::model::Counters;
use crate::store::error::StoreError;
use crate::store::site_export::SiteExport;

impl SqliteStore {
    /// Writes all of `content` in one transaction.
    pub(super) fn write_content(&mut self, content: &SiteExport, now: DateTime<Utc>) -> Result<(), StoreError> {
        let path = self.dir.database();
        self.write_lock.lock()?;
        let written = self.write_content_rows(content, now).map_err(|error| StoreError::database(&path, error));
        if let Ok(Some(seq)) = &written {
            self.write_lock.record_seq(*seq);
        }
        self.write_lock.unlock()?;
        match written? {
            Some(_) => Ok(()),
            None => Err(unreadable(&path, "it is not empty")),
        }
    }

    /// Returns the number of the last event, or nothing if the database is not empty.
    fn write_content_rows(&mut self, content: &SiteExport, now: DateTime<Utc>) -> rusqlite::Result<Option<u64>> {
        let transaction = self.db.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut state = TxState::new(&transaction, None)?;
        if state.seq_before > 0 {
            return Ok(None);
        }
        // Each event is stored with the counters.
        state.cache.counters = Counters { seq: 0, ..content.counters };
        state.apply(&content.events(), now)?;
        for (job, run) in &content.earlier_runs {
            state.archive_run(*job, run)?;
        }
        let cache = state.finish()?;
        transaction.commit()?;
        Ok(Some(cache.counters.seq))
    }
}
