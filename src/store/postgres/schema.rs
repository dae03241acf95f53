//! The tables: created and migrated under a lock.

use postgres::SimpleQueryRow;

use super::job_columns;
use super::session::{AnswerLimit, ServerSession};
use super::sql_text::{insert, literal, number, parsed, required};
use crate::model::Job;
use crate::store::error::StoreError;

/// The statements that create format 1.
const CREATE: &str = include_str!("schema.sql");

/// The statements that change format 1 into 2, and so on.
const MIGRATIONS: [&str; 2] = [include_str!("migrate_to_2.sql"), include_str!("migrate_to_3.sql")];

/// The statements after the columns of format 3 were filled.
const AFTER_FILLING: &str = include_str!("fill_format_3.sql");

/// How many jobs are read at once to fill these.
const JOBS_AT_ONCE: usize = 5_000;

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
        if format < CURRENT_FORMAT {
            session.run_within(&steps, AnswerLimit::Load)?;
            fill_columns(session)?;
            session.run_within(AFTER_FILLING, AnswerLimit::Load)?;
            session.run(&format!("UPDATE setlist.format SET version = {CURRENT_FORMAT}"))?;
        }
        format = format.max(CURRENT_FORMAT);
        session.run("COMMIT")?;
    }
    if format > CURRENT_FORMAT {
        let server = session.address().place();
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

/// Fills the columns of jobs and the table of needs, which format 3 has added, from the bodies of the jobs.
fn fill_columns(session: &mut ServerSession) -> Result<(), StoreError> {
    let mut last = (0, 0);
    loop {
        let mut rows = session.run_within(
            &format!(
                "SELECT site, id, removed, body FROM setlist.jobs WHERE (site, id) > ({}, {}) ORDER BY site, id \
                 LIMIT {JOBS_AT_ONCE}",
                last.0, last.1
            ),
            AnswerLimit::Load,
        )?;
        let rows = rows.take(0);
        let (mut columns, mut needs) = (Vec::new(), Vec::new());
        for row in &rows {
            last = (number(row, 0)?, number(row, 1)?);
            let job: Job = required(row, 3)?;
            columns.push(format!("({}, {}::bigint, {})", last.0, last.1, job_columns::values(&job, parsed(row, 2)?)));
            needs.extend(job_columns::need_rows(&job).map(|need| format!("{}, {need}", last.0)));
        }
        if columns.is_empty() {
            return Ok(());
        }
        // The body stays as it is.
        let names = job_columns::COLUMNS.join(", ");
        let filled =
            job_columns::COLUMNS.iter().filter(|column| !["body", "queue", "removed", "settled"].contains(column));
        let set = filled.map(|column| format!("{column} = v.{column}")).collect::<Vec<_>>().join(", ");
        let mut sql = format!(
            "UPDATE setlist.jobs j SET {set} FROM (VALUES {}) v (site, id, {names}) \
             WHERE j.site = v.site AND j.id = v.id;",
            columns.join(", ")
        );
        insert("needs", &needs, "ON CONFLICT DO NOTHING", &mut sql);
        session.run_within(&sql, AnswerLimit::Load)?;
    }
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
