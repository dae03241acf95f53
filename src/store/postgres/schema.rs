//! The tables: created and migrated under a lock.

use postgres::SimpleQueryRow;

use super::session::ServerSession;
use super::sql_text::{literal, number};
use crate::store::error::StoreError;

/// The statements that create format 1.
const CREATE: &str = include_str!("schema.sql");

/// The statements that change format 1 into 2, and so on.
const MIGRATIONS: [&str; 1] = [include_str!("migrate_to_2.sql")];

/// The format that this version writes.
const CURRENT_FORMAT: usize = 1 + MIGRATIONS.len();

/// The first number of all advisory locks: `sets`. The second is the id of the site, or 0 for migrations.
pub(super) const LOCK_CLASS: i32 = i32::from_be_bytes(*b"sets");

/// The client of a site that is an incomplete copy.
pub(super) const INCOMPLETE: &str = "incomplete copy";

/// Prepares the tables and the row of the site; returns its id, and whether it is an incomplete copy.
pub(super) fn prepare(session: &mut ServerSession) -> Result<(i32, bool), StoreError> {
    let mut format = format(session)?;
    if format < CURRENT_FORMAT {
        // The first of several clients changes it.
        session.run(&format!("BEGIN; SELECT pg_advisory_xact_lock({LOCK_CLASS}, 0)"))?;
        format = self::format(session)?;
        let steps = [CREATE].into_iter().chain(MIGRATIONS).skip(format).collect::<Vec<_>>().join(";\n");
        format = format.max(CURRENT_FORMAT);
        session.run(&format!("{steps}; UPDATE setlist.format SET version = {format}; COMMIT"))?;
    }
    if format > CURRENT_FORMAT {
        let server = session.address().to_string();
        let count = |number| i64::try_from(number).unwrap_or(i64::MAX);
        return Err(StoreError::ServerTooNew { server, found: count(format), known: count(CURRENT_FORMAT) });
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

/// The format of the tables; 0 if there are none.
fn format(session: &mut ServerSession) -> Result<usize, StoreError> {
    // Not by name, which the server may still remember as unknown from before another client has created it.
    let sql = "SELECT 1 FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
               WHERE n.nspname = 'setlist' AND c.relname = 'format'";
    if session.run_again(sql)?.take(0).is_empty() {
        return Ok(0);
    }
    let found = session.run("SELECT version FROM setlist.format")?.take(0);
    found.first().map_or(Ok(0), |row| number(row, 0))
}
