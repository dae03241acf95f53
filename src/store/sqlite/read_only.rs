//! Opening a site where nothing can be written, on a full or a protected disk say: it is read as it was left.

use std::fmt::Write;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::Sqlite;
use super::migrate::FORMAT;
use super::open::{has_log, is_there, log_of, opened, prepare, vetted};
use super::place::Place;
use super::turn::{Turn, noted};
use crate::store::bell::Bells;
use crate::store::{Folder, StoreError};

/// Opens the site in `folder`, if there is one.
pub(super) fn open(folder: &Folder) -> Result<Sqlite, StoreError> {
    let path = folder.database();
    if !is_there(&path)? {
        return Err(StoreError::io(path, io::ErrorKind::NotFound.into()));
    }
    // Asked before the database is: somebody else may be able to write, and does.
    let noted = noted(folder);
    let db = connect(&path, noted).map_err(|error| match error {
        // It takes an index to read a log, and there is none or it can't be used.
        error if error.forbids_writing() && has_log(&path) => StoreError::OnlyInLog { path: log_of(&path) },
        error => error,
    })?;
    let (turn, bells) = (Turn::none(folder), Bells::new(folder.bells()));
    Ok(Sqlite { db, folder: folder.clone(), place: Place::of(path)?, turn, gate: None, bells, known: None })
}

fn connect(path: &Path, noted: Option<u64>) -> Result<Connection, StoreError> {
    let failed = |error| StoreError::database(path, error);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    let db = opened(Path::new(&uri(path, !has_log(path))), flags).map_err(failed)?;
    let found = vetted(&db, path, noted)?;
    if found < FORMAT {
        let old =
            format!("written by an older setlist (format {found}), it can be read where it can be brought up to date");
        return Err(StoreError::io(path, io::Error::new(io::ErrorKind::ReadOnlyFilesystem, old)));
    }
    prepare(&db).map_err(failed)?;
    Ok(db)
}

/// The path as `SQLite` takes it with a word about the file. Where all is in the database and nothing can be written, it
/// needn't look for a log nor lock anything, for which it would have to write.
fn uri(path: &Path, immutable: bool) -> String {
    let mut uri = "file:".to_owned();
    for byte in path.as_os_str().as_bytes() {
        match byte {
            b'/' | b'.' | b'-' | b'_' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => uri.push(char::from(*byte)),
            // Writing to a string doesn't fail.
            byte => drop(write!(uri, "%{byte:02X}")),
        }
    }
    if immutable { uri + "?immutable=1" } else { uri }
}
