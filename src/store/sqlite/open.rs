//! Opening a database: made whole or not at all, refused and left alone when it isn't ours.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::migrate::{FORMAT, last_event, migrate};
use super::place::Place;
use super::turn::{Turn, noted};
use super::{Sqlite, whole};
use crate::crash;
use crate::store::bell::Bells;
use crate::store::folder::open_private;
use crate::store::gate::Gate;
use crate::store::{Folder, StoreError};

/// How every database of `SQLite` begins.
const MAGIC: &[u8] = b"SQLite format 3\0";

/// How long its header is, and where in it stands what tells our databases from others (`application_id`).
const HEADER: usize = 100;
const APPLICATION_AT: usize = 68;
const APPLICATION: [u8; 4] = *b"sets";

/// A database is made of whole pages of this many bytes.
pub(super) const PAGE: u64 = 4096;

/// How long `SQLite` waits for another program's lock; our own writers take turns before that.
const PATIENCE: Duration = Duration::from_secs(30);

/// Opens the site in `folder`, or makes it.
pub(super) fn open(folder: &Folder) -> Result<Sqlite, StoreError> {
    folder.create()?;
    let path = folder.database();
    let turn = Turn::at(folder)?;
    turn.begin()?;
    if !is_there(&path)? {
        make(&path)?;
        turn.note(0);
    }
    enter(folder, turn)
}

/// Opens the site in `folder` once more; nothing is made of what isn't there any more.
pub(super) fn open_again(folder: &Folder) -> Result<Sqlite, StoreError> {
    let turn = Turn::at(folder)?;
    turn.begin()?;
    enter(folder, turn)
}

/// Connects to the site, and ends the turn.
fn enter(folder: &Folder, turn: Turn) -> Result<Sqlite, StoreError> {
    let path = folder.database();
    let db = connect(folder, &path, &turn)?;
    let place = Place::of(path)?;
    turn.end()?;
    let (gate, bells) = (Some(Gate::at(folder)?), Bells::new(folder.bells()));
    Ok(Sqlite { db, folder: folder.clone(), place, turn, gate, bells, known: None })
}

/// Whether there is a database of ours; anything else in its place is refused before `SQLite` could touch it.
pub(super) fn is_there(path: &Path) -> Result<bool, StoreError> {
    let failed = |source| StoreError::io(path, source);
    let mut header = Vec::with_capacity(HEADER);
    match File::open(path) {
        Ok(file) => file.take(HEADER as u64).read_to_end(&mut header).map_err(failed)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(failed(error)),
    };
    // While there is a log, the last page may be half written: then it is in the log.
    let cut_off = !has_log(path) && fs::metadata(path).map_err(failed)?.len() % PAGE != 0;
    if header.is_empty() {
        // Nobody makes such a file; this is what is left of one.
        Err(unreadable(path, "the file is empty"))
    } else if !header.starts_with(MAGIC) {
        Err(unreadable(path, "this is no database"))
    } else if header.len() < HEADER || cut_off {
        Err(unreadable(path, "the database is cut off"))
    } else if !header[APPLICATION_AT..].starts_with(&APPLICATION) {
        Err(unreadable(path, "this database is not one of setlist's"))
    } else {
        Ok(true)
    }
}

/// Makes an empty site elsewhere and puts it in its place when it is complete.
fn make(path: &Path) -> Result<(), StoreError> {
    if has_log(path) {
        return Err(unreadable(&log_of(path), "the database that it belongs to is gone"));
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
    file.sync_all().and_then(|()| fs::rename(&draft, path)).and_then(|()| sync_folder(path)).map_err(failed)
}

/// Makes sure that the name of a file is on the disk.
pub(super) fn sync_folder(of: &Path) -> io::Result<()> {
    File::open(of.parent().unwrap_or(Path::new("."))).and_then(|folder| folder.sync_all())
}

fn write_schema(path: &Path) -> rusqlite::Result<()> {
    let mut db = Connection::open(path)?;
    db.pragma_update(None, "page_size", PAGE.cast_signed())?;
    let transaction = db.transaction()?;
    transaction.pragma_update(None, "application_id", i32::from_be_bytes(APPLICATION))?;
    transaction.pragma_update(None, "user_version", FORMAT)?;
    transaction.execute_batch(include_str!("schema.sql"))?;
    transaction.commit()?;
    db.close().map_err(|(_, error)| error)
}

/// Connects to a database that is there. Nothing is written before it is known to be ours and sound, and to have come as
/// far as was noted. The caller has the turn.
fn connect(folder: &Folder, path: &Path, turn: &Turn) -> Result<Connection, StoreError> {
    let failed = |error| StoreError::database(path, error);
    let mut db = opened(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(failed)?;
    if vetted(&db, path, noted(folder))? < FORMAT {
        // Whoever joins has the roll call before its turn, so it comes first here too.
        turn.end()?;
        let _roll_call = folder.roll_call()?;
        turn.begin()?;
        // Somebody may have been quicker.
        let found = vetted(&db, path, noted(folder))?;
        if found < FORMAT {
            if let Some(process) = folder.at_work() {
                return Err(StoreError::AtWork { path: path.to_owned(), found, process });
            }
            migrate(&mut db, path, found)?;
        }
    }
    settle(&db).map_err(failed)?;
    Ok(db)
}

/// A connection that leaves the files as they are when it is closed.
pub(super) fn opened(path: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    let db = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    db.busy_timeout(PATIENCE)?;
    Ok(db)
}

/// The format of a database that is ours and has come as far as was `noted`.
pub(super) fn vetted(db: &Connection, path: &Path, noted: Option<u64>) -> Result<i64, StoreError> {
    let failed = |error| StoreError::database(path, error);
    let found = db.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(failed)?;
    if found > FORMAT {
        return Err(StoreError::TooNew { path: path.to_owned(), found, known: FORMAT });
    } else if found < 1 {
        return Err(unreadable(path, &format!("there is no format {found}")));
    }
    let seq = last_event(db, found).map_err(failed)?;
    match noted.and_then(|noted| noted.checked_sub(seq)) {
        None | Some(0) => {}
        Some(missing) => return Err(StoreError::Behind { path: path.to_owned(), missing }),
    }
    whole::check(db, path)?;
    Ok(found)
}

fn settle(db: &Connection) -> rusqlite::Result<()> {
    db.pragma_update(None, "journal_mode", "WAL")?;
    // An answer is given when the log has reached the disk; on macOS that takes a word of its own.
    db.pragma_update(None, "synchronous", "FULL")?;
    db.pragma_update(None, "fullfsync", true)?;
    // In pages of 4 KiB. What follows overwrites the log from its start, for which the disk needs half the time that it
    // needs for a file that grows; to copy back more at once would save less than that.
    db.pragma_update(None, "wal_autocheckpoint", 500)?;
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    prepare(db)
}

/// What makes reading fast.
pub(super) fn prepare(db: &Connection) -> rusqlite::Result<()> {
    db.set_prepared_statement_cache_capacity(64);
    // Without it a statement is planned anew whenever a parameter is bound that the planner would like to look at.
    db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map(drop)
}

pub(super) fn unreadable(path: &Path, reason: &str) -> StoreError {
    StoreError::Unreadable { path: path.to_owned(), reason: reason.to_owned() }
}

/// Where `SQLite` writes what is not in the database yet.
pub(super) fn log_of(path: &Path) -> PathBuf {
    with_suffix(path, "-wal")
}

pub(super) fn has_log(path: &Path) -> bool {
    fs::metadata(log_of(path)).is_ok_and(|log| log.len() > 0)
}

pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
