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
    /// Writes all of `content` in one transaction, which marks the site as an incomplete copy.
    pub(super) fn write_content(&mut self, content: &SiteExport, now: DateTime<Utc>) -> Result<(), StoreError> {
        self.begin()?;
        if self.state()?.seq() > 0 {
            self.rollback();
            return Err(StoreError::NotEmpty { store: self.session.address().to_string() });
        }
        let site = self.site;
        // It is never too old.
        self.session.run(&format!(
            "INSERT INTO setlist.clients VALUES ({site}, '{INCOMPLETE}', 0, 'infinity') ON CONFLICT DO NOTHING"
        ))?;
        let state = self.state()?;
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
            Commit::NotDone => Err(StoreError::Unreachable {
                server: self.session.address().to_string(),
                reason: "the connection broke".to_owned(),
            }),
        }
    }

    /// Marks the site, which is a copy, as complete.
    pub fn mark_complete(&mut self) -> Result<(), StoreError> {
        let sql = format!("DELETE FROM setlist.clients WHERE site = {} AND id = '{INCOMPLETE}'", self.site);
        self.session.run_again(&sql).map(drop)
    }
}
