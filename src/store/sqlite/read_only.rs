//! Opening a site without writing, for example on a full or read-only disk.

use std::fmt::Write;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::connected_db::ConnectedDb;
use super::connection::SqliteStore;
use super::db_paths::{has_wal, wal_path};
use super::history_mark::HistoryMark;
use super::migrate::CURRENT_FORMAT;
use super::open::{check_database, configure_reads, open_connection, stored_outputs};
use super::removal_check::DbIdentity;
use super::wal_check::check_pages;
use super::write_lock::{WriteLock, recorded_seq};
use crate::store::error::StoreError;
use crate::store::log::LostNotes;
use crate::store::notifier::Notifier;
use crate::store::state_dir::StateDir;
use crate::store::trust::check_state_dir;

impl SqliteStore {
    /// Opens the site in `dir` without writing anything; every change is refused. Changes that are only in the write-ahead
    /// log can't always be read this way.
    pub fn open_to_read(dir: &StateDir) -> Result<Self, StoreError> {
        dir.refuse_incomplete()?;
        open(dir)
    }
}

fn open(dir: &StateDir) -> Result<SqliteStore, StoreError> {
    check_state_dir(dir.path())?;
    let path = dir.database();
    let file = ConnectedDb::find(&path)?.ok_or_else(|| StoreError::io(&path, io::ErrorKind::NotFound.into()))?;
    // Read before the database, to which another process may be writing.
    let recorded = recorded_seq(dir);
    let db = connect(&path, recorded).map_err(|error| match error {
        // Reading the log needs its index, which can't be created or used.
        error if error.prevents_writing() && has_wal(&path) => StoreError::WalNotReadable { path: wal_path(&path) },
        error => error,
    })?;
    let (write_lock, notifier) = (WriteLock::read_only(dir), Notifier::new(dir.listeners()));
    Ok(SqliteStore {
        db,
        file,
        dir: dir.clone(),
        identity: DbIdentity::of(path)?,
        history: HistoryMark::default(),
        write_lock,
        reservation_lock: None,
        notifier,
        cache: None,
        outputs: stored_outputs(dir.clone(), open),
        lost_notes: LostNotes::default(),
    })
}

fn connect(path: &Path, recorded: Option<u64>) -> Result<Connection, StoreError> {
    let failed = |error| StoreError::database(path, error);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    let db = open_connection(Path::new(&uri(path, !has_wal(path))), flags).map_err(failed)?;
    let found = check_database(&db, path, recorded)?;
    check_pages(&db, path)?;
    if found < CURRENT_FORMAT {
        let old =
            format!("written by an older setlist (format {found}): open it where it can be written, to upgrade it");
        return Err(StoreError::io(path, io::Error::new(io::ErrorKind::ReadOnlyFilesystem, old)));
    }
    configure_reads(&db).map_err(failed)?;
    Ok(db)
}

/// The path as an `SQLite` URI. An immutable database is opened without looking for a log and without locks, which
/// would need write access.
fn uri(path: &Path, immutable: bool) -> String {
    let mut uri = "file:".to_owned();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => uri.push(char::from(*byte)),
            // Writing to a string can't fail.
            byte => drop(write!(uri, "%{byte:02X}")),
        }
    }
    if immutable { uri + "?immutable=1" } else { uri }
}
