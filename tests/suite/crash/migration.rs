//! Kills during a migration: the result is the complete old or new state, and a backup exists before anything is
//! changed.

use std::fs;
use std::path::Path;

use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags};
use setlist::model::SiteState;
use setlist::store::{SqliteStore, StateDir, Store};
use tempfile::TempDir;

use super::crash_points::has_crash_points;
use super::crash_site::{CrashSite, wait_with_output};

/// Sites written by older versions.
pub(crate) const OLD_FORMATS: [(i64, &[u8]); 7] = [
    (1, include_bytes!("../contract/frozen/format-1.db")),
    (2, include_bytes!("../contract/frozen/format-2.db")),
    (3, include_bytes!("../contract/frozen/format-3.db")),
    (4, include_bytes!("../contract/frozen/format-4.db")),
    (5, include_bytes!("../contract/frozen/format-5.db")),
    (6, include_bytes!("../contract/frozen/format-6.db")),
    (7, include_bytes!("../contract/frozen/format-7.db")),
];

/// The crash points of a migration with this many steps.
fn points(steps: i64) -> Vec<String> {
    let steps = (1..=steps).map(|step| format!("migrating:{step}"));
    let before = ["copying", "copied"].map(str::to_owned).into_iter();
    before.chain(steps).chain(["migrated", "moved"].map(str::to_owned)).collect()
}

/// Writes a site of an older format to a directory.
fn write_site(folder: &StateDir, old: &[u8]) {
    folder.create().unwrap();
    fs::write(folder.database(), old).unwrap();
}

fn load(folder: &StateDir) -> SiteState {
    SqliteStore::open(folder).unwrap().load().unwrap()
}

/// A table's definition and its rows.
type Table = (String, Vec<Vec<Value>>);

/// The contents and format of a database, read without changing it.
fn content(path: &Path) -> (i64, Vec<Table>) {
    let db = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let texts = |sql: &str| -> Vec<(String, String)> {
        let mut statement = db.prepare(sql).unwrap();
        statement.query_map((), |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect()
    };
    let tables = texts("SELECT name, sql FROM sqlite_master WHERE type = 'table' ORDER BY name").into_iter();
    let rows = |(name, definition): (String, String)| {
        let mut statement = db.prepare(&format!("SELECT * FROM {name}")).unwrap();
        let columns = statement.column_count();
        let read = statement.query_map((), |row| (0..columns).map(|nth| row.get(nth)).collect()).unwrap();
        (definition, read.map(Result::unwrap).collect())
    };
    (db.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap(), tables.map(rows).collect())
}

#[test]
fn a_killed_migration_leaves_the_old_or_new_state_and_a_backup() {
    if !has_crash_points() {
        return;
    }
    for (format, old) in OLD_FORMATS {
        let home = TempDir::new().unwrap();
        let undisturbed = StateDir::new(home.path().join("undisturbed"));
        write_site(&undisturbed, old);
        let before = content(&undisturbed.database());
        assert_eq!(before.0, format);
        let expected = load(&undisturbed);
        let (newest, _) = content(&undisturbed.database());
        assert!(
            OLD_FORMATS.iter().map(|(format, _)| *format).eq(1..newest),
            "a frozen site of every format before {newest}"
        );

        for point in points(newest - format) {
            let copied = point != "copying";
            let scene = CrashSite::new();
            fs::remove_dir_all(scene.site.join(".setlist")).unwrap();
            let folder = StateDir::new(scene.site.join(".setlist"));
            write_site(&folder, old);
            scene.site.register_state();
            let copy = scene.site.join(&format!(".setlist/state.db.format-{format}"));

            let killed = wait_with_output(scene.start(&point, &["status"]));
            assert_eq!(killed.code, None, "never came to {point}: {killed:?}");
            assert_eq!(copy.exists(), copied, "at {point}");
            if copied {
                assert_eq!(content(&copy), before, "the copy at {point}");
            }
            let found = content(&folder.database());
            if point == "moved" {
                assert_eq!(found.0, newest);
            } else {
                assert!(found == before, "the old state at {point}");
            }

            // The next process completes the migration, whatever is left of the first attempt.
            assert!(load(&folder) == expected, "the new state after {point}");
            assert_eq!(content(&copy), before, "the copy after {point}");
            let drafts = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
            let drafts: Vec<_> = drafts.filter(|name| name.to_string_lossy().ends_with(".new")).collect();
            assert!(drafts.is_empty(), "left over after {point}: {drafts:?}");
        }
    }
}
