//! Fills an empty site in the database with the content of another store, and marks it as incomplete meanwhile.

use chrono::{DateTime, Utc};

use super::connection::{Commit, PostgresStore};
use super::partial_site::{Access, PartialSite, rollback};
use super::row_changes::RowChanges;
use super::schema::INCOMPLETE;
use super::server_failure::unreachable;
use crate::model::Counters;
use crate::store::error::StoreError;
use crate::store::site_export::SiteExport;

impl PostgresStore {
    /// Writes all of `content` in one transaction, which marks the site as an incomplete copy.
    pub(super) fn write_content(&mut self, content: &SiteExport, now: DateTime<Utc>) -> Result<(), StoreError> {
        let site = self.site;
        let mut partial = PartialSite::begin(&mut self.session, site, None, Access::Change, &[])?;
        if partial.seq_before > 0 {
            drop(partial);
            rollback(&mut self.session);
            return Err(StoreError::NotEmpty { store: self.session.address().to_string() });
        }
        let mut changes = RowChanges::default();
        partial.set_counters(Counters { seq: 0, ..content.counters });
        partial.apply(content.events(), now, &mut changes)?;
        changes.add_earlier_runs(&content.earlier_runs);
        // It is never too old.
        let mut rows = format!(
            "INSERT INTO setlist.clients VALUES ({site}, '{INCOMPLETE}', 0, 'infinity') ON CONFLICT DO NOTHING;"
        );
        rows.push_str(&changes.to_sql(site, &partial.known()));
        let seq = partial.known().state.seq();
        drop(partial);
        match self.commit(&rows, seq)? {
            Commit::Done => Ok(()),
            Commit::NotDone => Err(unreachable(self.session.address(), "the connection broke; nothing was copied")),
        }
    }

    /// Marks the site, which is a copy, as complete.
    pub fn mark_complete(&mut self) -> Result<(), StoreError> {
        let sql = format!("DELETE FROM setlist.clients WHERE site = {} AND id = '{INCOMPLETE}'", self.site);
        self.session.run_again(&sql).map(drop)
    }
}
