//! Whether a database and its log have all pages between them: `SQLite` takes one that is missing for an empty one.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rusqlite::Connection;

use super::open::{PAGE, log_of, unreadable};
use crate::store::StoreError;

/// What stands before the first page in the log (<https://sqlite.org/fileformat2.html#the_write_ahead_log>).
const HEADER: u64 = 32;
/// What stands before each page: first, in four bytes, which one it is.
const FRAME_HEADER: u64 = 24;

/// Refuses a database that was cut off. `db` has read the log, and nobody writes meanwhile.
pub(super) fn check(db: &Connection, path: &Path) -> Result<(), StoreError> {
    let failed = |error| StoreError::database(path, error);
    let pages: u32 = db.pragma_query_value(None, "page_count", |row| row.get(0)).map_err(failed)?;
    // Not opened: whoever closes it would give up the locks that this process has on it.
    let there = fs::metadata(path).map_err(|source| StoreError::io(path, source))?.len() / PAGE;
    if there >= u64::from(pages) {
        return Ok(());
    }
    // Does nothing, and tells how many pages of the log are in force; -1 where there is no log.
    let logged: i64 = db.query_row("PRAGMA wal_checkpoint(NOOP)", (), |row| row.get(1)).map_err(failed)?;
    let log = log_of(path);
    let logged =
        numbers(&log, u64::try_from(logged).unwrap_or_default()).map_err(|source| StoreError::io(log, source))?;
    if (there + 1..=u64::from(pages)).all(|page| logged.contains(&page)) {
        Ok(())
    } else {
        Err(unreadable(path, "the database is cut off"))
    }
}

/// The numbers of the pages that the first so many frames of the log hold.
fn numbers(log: &Path, frames: u64) -> io::Result<HashSet<u64>> {
    let log = File::open(log)?;
    let number = |frame| {
        let mut number = [0; 4];
        log.read_exact_at(&mut number, HEADER + frame * (FRAME_HEADER + PAGE))?;
        Ok(u64::from(u32::from_be_bytes(number)))
    };
    (0..frames).map(number).collect()
}
