//! Databases of older formats, brought to the present one: a copy is kept first, then all is changed at once or nothing.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, TransactionBehavior};

use super::open::{sync_folder, with_suffix};
use super::rows::counters;
use crate::crash;
use crate::store::StoreError;
use crate::store::error::Newer;

/// The format that this program writes, kept in `user_version`.
pub(super) const FORMAT: i64 = 4;

/// From each format to the next, the first from 1 to 2. A step is never changed again.
const STEPS: [&str; 3] =
    [include_str!("migrate/1-to-2.sql"), include_str!("migrate/2-to-3.sql"), include_str!("migrate/3-to-4.sql")];

/// Brings the database at `path` from format `found` to the present one. The caller has the turn, and nobody is at work.
pub(super) fn migrate(db: &mut Connection, path: &Path, found: i64) -> Result<(), StoreError> {
    let failed = |error| StoreError::database(path, error);
    back_up(db, path, found)?;
    let transaction = db.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    for step in STEPS.iter().skip(usize::try_from(found - 1).unwrap_or_default()) {
        transaction.execute_batch(step).map_err(failed)?;
        crash::point("migrating");
    }
    transaction.pragma_update(None, "user_version", FORMAT).map_err(failed)?;
    crash::point("migrated");
    transaction.commit().map_err(failed)?;
    crash::point("moved");
    Ok(())
}

/// Makes sure that nobody has brought the database further since it was opened, a newer program say.
pub(super) fn check(db: &Connection) -> rusqlite::Result<()> {
    let found = db.prepare_cached("PRAGMA user_version")?.query_row((), |row| row.get(0))?;
    if found > FORMAT { Err(Newer { found, known: FORMAT }.into()) } else { Ok(()) }
}

/// Whether this is what [`check`] says.
pub(super) fn is_newer(error: &rusqlite::Error) -> bool {
    matches!(error, rusqlite::Error::ToSqlConversionFailure(error) if error.is::<Newer>())
}

/// The number of the last event in a database of that format.
pub(super) fn last_event(db: &Connection, format: i64) -> rusqlite::Result<u64> {
    match format {
        1 | 2 => db.query_row("SELECT seq FROM site", (), |row| row.get(0).map(i64::cast_unsigned)),
        _ => Ok(counters(db)?.seq),
    }
}

/// Where the copy of a database of that format is kept.
pub(super) fn backup_of(path: &Path, format: i64) -> PathBuf {
    with_suffix(path, &format!(".format-{format}"))
}

/// Copies the database as it is. A copy that is there already is older, and worth more than another one.
fn back_up(db: &Connection, path: &Path, format: i64) -> Result<(), StoreError> {
    let backup = backup_of(path, format);
    if backup.exists() {
        return Ok(());
    }
    let draft = with_suffix(&backup, ".new");
    let failed = |source| StoreError::io(&draft, source);
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    // It holds what the log holds, too.
    let name = draft.to_string_lossy();
    db.execute("VACUUM INTO ?1", [&name]).map_err(|error| StoreError::database(&draft, error))?;
    make_private(&draft).map_err(failed)?;
    crash::point("copying");
    let copied = File::open(&draft).and_then(|file| file.sync_all()).and_then(|()| fs::rename(&draft, &backup));
    // The copy has its name on the disk before anything is changed.
    copied.and_then(|()| sync_folder(&backup)).map_err(failed)?;
    crash::point("copied");
    Ok(())
}

fn make_private(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;

    fs::set_permissions(path, fs::Permissions::from_mode(0o600))
}
