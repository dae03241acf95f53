//! The tables: created and migrated under a lock.

use postgres::SimpleQueryRow;

use super::session::ServerSession;
use super::sql_text::{literal, number, text};
use crate::store::error::StoreError;

/// The format that this version writes.
const CURRENT_FORMAT: i64 = 1;

/// The first number of all advisory locks: `sets`. The second is the id of the site, or 0 for migrations.
pub(super) const LOCK_CLASS: i32 = i32::from_be_bytes(*b"sets");

/// The client of a site that is an incomplete copy.
pub(super) const INCOMPLETE: &str = "incomplete copy";

/// Prepares the tables and the row of the site; returns its id, and whether it is an incomplete copy.
pub(super) fn prepare(session: &mut ServerSession) -> Result<(i32, bool), StoreError> {
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
    let sql = format!(
        "SELECT id, (SELECT count(*) FROM setlist.clients c WHERE c.site = s.id AND c.id = '{INCOMPLETE}') \
         FROM setlist.sites s WHERE name = {name}"
    );
    let read = |row: &SimpleQueryRow| Ok((number(row, 0)?, number::<i64>(row, 1)? > 0));
    if let Some(row) = session.run(&sql)?.take(0).first() {
        return read(row);
    }
    session.run(&format!("INSERT INTO setlist.sites (name) VALUES ({name}) ON CONFLICT DO NOTHING"))?;
    let found = session.run(&sql)?.take(0);
    found.first().map_or(Err(StoreError::UnreadableRow { reason: "the site is missing".to_owned() }), read)
}
