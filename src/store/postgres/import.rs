//! Fills an empty site in the database with the content of another store, and marks it as incomplete meanwhile.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::connection::{Commit, PostgresStore};
use super::row_changes::RowChanges;
use super::schema::INCOMPLETE;
use crate::model::{Counters, EventRecord, SiteState};
use crate::store::error::StoreError;
use crate::store::site_export::SiteExport;

impl PostgresStore {
    /// Writes all of `content` in one transaction.
    pub(super) fn write_content(&mut self, content: &SiteExport, now: DateTime<Utc>) -> Result<(), StoreError> {
        self.begin()?;
        let state = self.state()?;
        if state.seq() > 0 {
            self.rollback();
            return Err(StoreError::NotEmpty { store: self.session.address().to_string() });
        }
        state.set_site_info([], [], (None, BTreeMap::default()), Counters { seq: 0, ..content.counters });
        let mut changes = RowChanges::default();
        for event in content.events() {
            let record = EventRecord { seq: state.seq() + 1, at: now, event };
            changes.record(state, &record);
            SiteState::apply(state, &record);
        }
        changes.add_earlier_runs(&content.earlier_runs);
        match self.commit(&changes)? {
            Commit::Done => Ok(()),
            Commit::NotDone => Err(StoreError::Server {
                server: self.session.address().to_string(),
                reason: "the connection broke".to_owned(),
            }),
        }
    }

    /// Marks the site as an incomplete copy, or as a complete one.
    pub fn mark_incomplete(&mut self, is_incomplete: bool) -> Result<(), StoreError> {
        let site = self.site;
        let sql = if is_incomplete {
            // It is never too old.
            format!("INSERT INTO setlist.clients VALUES ({site}, '{INCOMPLETE}', 0, 'infinity') ON CONFLICT DO NOTHING")
        } else {
            format!("DELETE FROM setlist.clients WHERE site = {site} AND id = '{INCOMPLETE}'")
        };
        self.session.run_again(&sql).map(drop)
    }
}
