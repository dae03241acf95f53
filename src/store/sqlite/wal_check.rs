//! Checks that a database and its log contain all pages: `SQLite` reads a missing page as an empty one.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rusqlite::Connection;

use super::db_paths::{PAGE_SIZE, unreadable, wal_path};
use crate::store::error::StoreError;

/// The length of the log's header (<https://sqlite.org/fileformat2.html#the_write_ahead_log>).
const WAL_HEADER_LEN: u64 = 32;
/// The length of a frame's header, which starts with the page number in four bytes.
const FRAME_HEADER_LEN: u64 = 24;

/// Refuses a truncated database. `db` has read the log. Unless the caller keeps others from writing, this can fail for a
/// database that is intact.
pub(super) fn check_pages(db: &Connection, path: &Path) -> Result<(), StoreError> {
    let failed = |error| StoreError::database(path, error);
    let pages: u32 = db.pragma_query_value(None, "page_count", |row| row.get(0)).map_err(failed)?;
    // The file must not be opened: closing it would release this process's locks on it.
    let pages_in_file = fs::metadata(path).map_err(|source| StoreError::io(path, source))?.len() / PAGE_SIZE;
    if pages_in_file >= u64::from(pages) {
        return Ok(());
    }
    // Changes nothing, and returns the number of valid frames in the log; -1 if there is no log.
    let wal_frames: i64 = db.query_row("PRAGMA wal_checkpoint(NOOP)", (), |row| row.get(1)).map_err(failed)?;
    let log = wal_path(path);
    let wal_frames = logged_pages(&log, u64::try_from(wal_frames).unwrap_or_default())
        .map_err(|source| StoreError::io(log, source))?;
    if (pages_in_file + 1..=u64::from(pages)).all(|page| wal_frames.contains(&page)) {
        Ok(())
    } else {
        Err(unreadable(path, "the database is truncated"))
    }
}

/// The page numbers of the first `frames` frames of the log.
fn logged_pages(log: &Path, frames: u64) -> io::Result<HashSet<u64>> {
    let log = File::open(log)?;
    let number = |frame| {
        let mut number = [0; 4];
        log.read_exact_at(&mut number, WAL_HEADER_LEN + frame * (FRAME_HEADER_LEN + PAGE_SIZE))?;
        Ok(u64::from(u32::from_be_bytes(number)))
    };
    (0..frames).map(number).collect()
}
