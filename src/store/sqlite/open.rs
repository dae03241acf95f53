//! Opening a database: it is created atomically, and refused untouched if it is not a setlist database.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::connected_db::{APPLICATION_ID, ConnectedDb};
use super::connection::SqliteStore;
use super::db_paths::{PAGE_SIZE, has_wal, sync_dir, unreadable, wal_path, with_suffix};
use super::history_mark::HistoryMark;
use super::migrate::{CURRENT_FORMAT, last_seq, migrate};
use super::removal_check::DbIdentity;
use super::wal_check;
use super::write_lock::{WriteLock, recorded_seq};
use crate::crash;
use crate::store::error::StoreError;
use crate::store::log::{LostNotes, StoredOutputs};
use crate::store::notifier::Notifier;
use crate::store::private_files::open_private;
use crate::store::reservation_lock::ReservationLock;
use crate::store::state_dir::StateDir;
use crate::store::trust::check_state_dir;

/// How long `SQLite` waits for a lock of another program; setlist's own writers wait for the write lock before.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// The length of the write-ahead log, in pages of 4 KiB, from which on commits checkpoint it. Overwriting the log from its
/// start takes the disk half the time of extending a file; a longer log would save less in checkpoints than that.
pub(super) const CHECKPOINT_PAGES: i64 = 500;

impl SqliteStore {
    /// Opens the site in `dir`; creates the directory and the database if they don't exist. A file that is not a setlist
    /// database, is corrupt or has a newer format is refused and left as it is.
    pub fn open(dir: &StateDir) -> Result<Self, StoreError> {
        dir.refuse_incomplete()?;
        open(dir)
    }

    /// Opens the site in `dir` that another one is being copied into.
    pub fn open_copy(dir: &StateDir) -> Result<Self, StoreError> {
        open(dir)
    }
}

fn open(dir: &StateDir) -> Result<SqliteStore, StoreError> {
    dir.create()?;
    let path = dir.database();
    let write_lock = WriteLock::open(dir)?;
    let file = if let Some(file) = ConnectedDb::find(&path)? {
        file
    } else {
        write_lock.lock()?;
        let file = find_or_create(&path, &write_lock)?;
        write_lock.unlock()?;
        file
    };
    connect_to(dir, file, write_lock)
}

fn find_or_create(path: &Path, write_lock: &WriteLock) -> Result<ConnectedDb, StoreError> {
    // Another process may have created it meanwhile.
    if let Some(file) = ConnectedDb::find(path)? {
        return Ok(file);
    }
    create_database(path)?;
    write_lock.record_seq(0);
    ConnectedDb::find(path)?.ok_or_else(|| StoreError::io(path, io::ErrorKind::NotFound.into()))
}

/// Opens another connection to the site in `dir`. Nothing is created.
pub(super) fn reopen(dir: &StateDir) -> Result<SqliteStore, StoreError> {
    check_state_dir(dir.path())?;
    let path = dir.database();
    let file = ConnectedDb::find(&path)?.ok_or_else(|| StoreError::io(&path, io::ErrorKind::NotFound.into()))?;
    connect_to(dir, file, WriteLock::open(dir)?)
}

/// Finds the output of runs through another connection to the site in `dir`, which is opened by the first of them.
pub(super) fn stored_outputs(dir: StateDir, open: fn(&StateDir) -> Result<SqliteStore, StoreError>) -> StoredOutputs {
    let connection: Mutex<Option<SqliteStore>> = Mutex::new(None);
    StoredOutputs::new(move |run| {
        let mut connection = connection.lock().unwrap_or_else(PoisonError::into_inner);
        // A site that was removed has no output.
        if connection.is_none() && dir.database().exists() {
            *connection = Some(open(&dir)?);
        }
        connection.as_mut().map_or(Ok(None), |store| store.find_output(run))
    })
}

/// Connects to the site, without waiting for a writer.
fn connect_to(dir: &StateDir, file: ConnectedDb, write_lock: WriteLock) -> Result<SqliteStore, StoreError> {
    let path = dir.database();
    let db = connect(dir, &path, &write_lock)?;
    let identity = DbIdentity::of(path)?;
    let (reservation_lock, notifier) = (Some(ReservationLock::open(dir)?), Notifier::new(dir.listeners()));
    Ok(SqliteStore {
        db,
        file,
        dir: dir.clone(),
        identity,
        history: HistoryMark::default(),
        write_lock,
        reservation_lock,
        notifier,
        cache: None,
        outputs: stored_outputs(dir.clone(), reopen),
        lost_notes: LostNotes::default(),
    })
}

/// Creates an empty site in a temporary file and renames it when it is complete.
fn create_database(path: &Path) -> Result<(), StoreError> {
    if has_wal(path) {
        return Err(unreadable(&wal_path(path), "its database is missing"));
    }
    let draft = with_suffix(path, ".new");
    let failed = |source| StoreError::io(&draft, source);
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let file = open_private(&draft)?;
    write_schema(&draft).map_err(|error| StoreError::database(&draft, error))?;
    crash::point("made");
    let synced = file.sync_all();
    // Closed before anyone can connect to it: see `ConnectedDb`.
    drop(file);
    synced.and_then(|()| fs::rename(&draft, path)).and_then(|()| sync_dir(path)).map_err(failed)
}

fn write_schema(path: &Path) -> rusqlite::Result<()> {
    let mut db = Connection::open(path)?;
    db.pragma_update(None, "page_size", PAGE_SIZE.cast_signed())?;
    // Free pages can be given back to the file system, a few at a time.
    db.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    // Two connections that switch to it at the same time would exclude each other, without waiting.
    db.pragma_update(None, "journal_mode", "WAL")?;
    let transaction = db.transaction()?;
    transaction.pragma_update(None, "application_id", i32::from_be_bytes(APPLICATION_ID))?;
    transaction.pragma_update(None, "user_version", CURRENT_FORMAT)?;
    transaction.execute_batch(include_str!("schema.sql"))?;
    transaction.commit()?;
    db.close().map_err(|(_, error)| error)
}

/// Connects to an existing database. Nothing is written before it is known to be intact and to include the last
/// recorded event. Writers need not wait for this: the write lock is taken only if the database looks incomplete.
fn connect(dir: &StateDir, path: &Path, write_lock: &WriteLock) -> Result<Connection, StoreError> {
    let failed = |error| StoreError::database(path, error);
    let mut db = open_connection(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(failed)?;
    let format = check_database(&db, path, recorded_seq(dir))?;
    // A writer may have moved pages meanwhile. One that is active has checked them itself.
    if wal_check::check_pages(&db, path).is_err() && write_lock.try_lock()? {
        wal_check::check_pages(&db, path)?;
        write_lock.unlock()?;
    }
    if format < CURRENT_FORMAT {
        // The registration lock comes before the write lock.
        let _registration_lock = dir.lock_registration()?;
        write_lock.lock()?;
        // Another process may have migrated it meanwhile.
        let format = check_database(&db, path, recorded_seq(dir))?;
        wal_check::check_pages(&db, path)?;
        if format < CURRENT_FORMAT {
            if let Some(process) = dir.live_worker_pid() {
                return Err(StoreError::OlderWorkerRunning { path: path.to_owned(), found: format, process });
            }
            migrate(&mut db, path, format)?;
        }
        write_lock.unlock()?;
    }
    configure(&db).map_err(failed)?;
    Ok(db)
}

/// Opens a connection that does not checkpoint when it is closed.
pub(super) fn open_connection(path: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    // No part of the path may be a link.
    let holder = path.parent().and_then(|holder| holder.canonicalize().ok());
    let path = holder.zip(path.file_name()).map_or_else(|| path.to_owned(), |(holder, name)| holder.join(name));
    let db =
        Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    db.busy_timeout(BUSY_TIMEOUT)?;
    Ok(db)
}

/// Returns the format of the database after checking that it includes the event `recorded`.
pub(super) fn check_database(db: &Connection, path: &Path, recorded: Option<u64>) -> Result<i64, StoreError> {
    let failed = |error| StoreError::database(path, error);
    let format = db.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(failed)?;
    if format > CURRENT_FORMAT {
        return Err(StoreError::TooNew { path: path.to_owned(), found: format, known: CURRENT_FORMAT });
    } else if format < 1 {
        return Err(unreadable(path, &format!("unknown format {format}")));
    }
    let seq = last_seq(db, format).map_err(failed)?;
    match recorded.and_then(|recorded| recorded.checked_sub(seq)) {
        None | Some(0) => Ok(format),
        Some(missing) => Err(StoreError::MissingChanges { path: path.to_owned(), missing }),
    }
}

fn configure(db: &Connection) -> rusqlite::Result<()> {
    db.pragma_update(None, "journal_mode", "WAL")?;
    // A commit waits until the log is on the disk; macOS needs `fullfsync` for that.
    db.pragma_update(None, "synchronous", "FULL")?;
    db.pragma_update(None, "fullfsync", true)?;
    // Deleted values, such as secrets in `env`, are overwritten.
    db.pragma_update(None, "secure_delete", true)?;
    db.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    configure_reads(db)
}

/// Settings that make reading fast.
pub(super) fn configure_reads(db: &Connection) -> rusqlite::Result<()> {
    db.set_prepared_statement_cache_capacity(64);
    // Otherwise a statement is planned again whenever a parameter is bound that the planner wants to examine.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(drop)
}
