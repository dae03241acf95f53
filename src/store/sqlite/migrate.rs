//! Migrations from older formats: the database is backed up first and then changed in one transaction.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, TransactionBehavior};

use super::db_paths::{sync_dir, with_suffix};
use super::queries::counters;
use crate::crash;
use crate::store::error::NewerFormat;
use crate::store::error::StoreError;
use crate::store::private_files::give_to_owner;

/// The format that this version writes, stored in `user_version`.
pub(super) const CURRENT_FORMAT: i64 = 8;

/// The migration from each format to the next, starting with 1 to 2. A released migration is never changed.
const STEPS: [&str; 7] = [
    include_str!("migrate/1-to-2.sql"),
    include_str!("migrate/2-to-3.sql"),
    include_str!("migrate/3-to-4.sql"),
    include_str!("migrate/4-to-5.sql"),
    include_str!("migrate/5-to-6.sql"),
    include_str!("migrate/6-to-7.sql"),
    include_str!("migrate/7-to-8.sql"),
];

/// Migrates the database at `path` from format `found`. The caller holds the write lock, and no worker is running.
pub(super) fn migrate(db: &mut Connection, path: &Path, found: i64) -> Result<(), StoreError> {
    let failed = |error| StoreError::database(path, error);
    back_up(db, path, found)?;
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    for step in STEPS.iter().skip(usize::try_from(found - 1).unwrap_or_default()) {
        transaction.execute_batch(step).map_err(failed)?;
        crash::point("migrating");
    }
    transaction.pragma_update(None, "user_version", CURRENT_FORMAT).map_err(failed)?;
    crash::point("migrated");
    transaction.commit().map_err(failed)?;
    crash::point("moved");
    Ok(())
}

/// Fails if a newer program has migrated the database since it was opened.
pub(super) fn check_format(db: &Connection) -> rusqlite::Result<()> {
    let found = db.prepare_cached("PRAGMA user_version")?.query_row((), |row| row.get(0))?;
    if found > CURRENT_FORMAT { Err(NewerFormat { found, known: CURRENT_FORMAT }.into()) } else { Ok(()) }
}

/// The sequence number of the last event in a database of this format.
pub(super) fn last_seq(db: &Connection, format: i64) -> rusqlite::Result<u64> {
    match format {
        1 | 2 => db.query_row("SELECT seq FROM site", (), |row| row.get(0).map(i64::cast_unsigned)),
        _ => Ok(counters(db)?.seq),
    }
}

/// The path of the backup of a database of this format.
pub(super) fn backup_path(path: &Path, format: i64) -> PathBuf {
    with_suffix(path, &format!(".format-{format}"))
}

/// Backs up the database. An existing backup is older, so it is kept.
fn back_up(db: &Connection, path: &Path, format: i64) -> Result<(), StoreError> {
    let backup = backup_path(path, format);
    if backup.exists() {
        return Ok(());
    }
    let draft = with_suffix(&backup, ".new");
    let failed = |source| StoreError::io(&draft, source);
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    // This includes the contents of the write-ahead log.
    let name = draft.to_string_lossy();
    db.execute("VACUUM INTO ?1", [&name]).map_err(|error| StoreError::database(&draft, error))?;
    make_private(&draft).map_err(failed)?;
    crash::point("copying");
    let copied = File::open(&draft).and_then(|file| file.sync_all()).and_then(|()| fs::rename(&draft, &backup));
    // The backup's name is durable before the database is changed.
    copied.and_then(|()| sync_dir(&backup)).map_err(failed)?;
    crash::point("copied");
    Ok(())
}

fn make_private(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;

    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    give_to_owner(path)
}
