//! The tables: created and migrated under a lock.

use super::session::ServerSession;
use super::sql_text::{literal, number, text};
use crate::store::error::StoreError;

/// The format that this version writes.
const CURRENT_FORMAT: i64 = 1;

/// The first number of all advisory locks: `sets`. The second is the id of the site, or 0 for migrations.
pub(super) const LOCK_CLASS: i32 = i32::from_be_bytes(*b"sets");

/// Prepares the tables and the row of the site; returns its id.
pub(super) fn prepare(session: &mut ServerSession) -> Result<i32, StoreError> {
    let is_missing = |session: &mut ServerSession| -> Result<bool, StoreError> {
        let found = session.run_again("SELECT to_regclass('setlist.format')")?.take(0);
        Ok(found.first().map(|row| text(row, 0)).transpose()?.flatten().is_none())
    };
    if is_missing(session)? {
        // The first of several clients creates them.
        session.run(&format!("BEGIN; SELECT pg_advisory_xact_lock({LOCK_CLASS}, 0)"))?;
        let sql = if is_missing(session)? { include_str!("schema.sql") } else { "" };
        session.run(&format!("{sql}; COMMIT"))?;
    }
    let found = session.run("SELECT version FROM setlist.format")?.take(0);
    let format = found.first().map_or(Ok(0), |row| number(row, 0))?;
    if format != CURRENT_FORMAT {
        let server = session.address().to_string();
        return Err(StoreError::ServerTooNew { server, found: format, known: CURRENT_FORMAT });
    }
    let name = literal(session.address().site());
    // An existing row is not written.
    let sql = format!("SELECT id FROM setlist.sites WHERE name = {name}");
    if let Some(row) = session.run(&sql)?.take(0).first() {
        return number(row, 0);
    }
    session.run(&format!("INSERT INTO setlist.sites (name) VALUES ({name}) ON CONFLICT DO NOTHING"))?;
    let found = session.run(&sql)?.take(0);
    found
        .first()
        .map_or(Err(StoreError::UnreadableRow { reason: "the site is missing".to_owned() }), |row| number(row, 0))
}
