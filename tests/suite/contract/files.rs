//! What lies in a site's folder: private, made once, and left alone when it isn't ours.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread;

use rusqlite::Connection;
use setlist::model::{Command, Definition, Phase, WorkerId};
use setlist::store::{Folder, Sqlite, Store, StoreError};
use tempfile::TempDir;

use super::{Place, SOON, add, at, bell, done, process, work};

/// A site with some history; closed.
fn written(place: &Place) {
    let mut store = place.connect();
    done(&mut *store, add(30));
    done(&mut *store, process());
    work(&mut *store);
}

fn open_error(folder: &Folder) -> StoreError {
    Sqlite::open(folder).expect_err("it must be refused")
}

/// Opening is refused for a reason that has `words`, and leaves the database as it was.
fn refused(folder: &Folder, words: &str) {
    let before = fs::read(folder.database()).unwrap();
    let error = open_error(folder);
    let said = error.to_string();
    assert!(said.contains(words), "{said}");
    assert!(said.contains(folder.database().to_str().unwrap()), "{said}");
    assert_eq!(fs::read(folder.database()).unwrap(), before);
}

#[test]
fn garbage_is_refused_and_left_alone() {
    let place = Place::sqlite();
    place.folder().create().unwrap();
    for garbage in [&b"x"[..], b"queues: {}\n", &[0; 5000], b"SQLite format 3\0", b"SQLite format 2\0aaaaaaaaaaaaa"] {
        fs::write(place.folder().database(), garbage).unwrap();
        refused(&place.folder(), "left untouched");
    }
}

#[test]
fn a_truncated_database_is_refused_and_left_alone() {
    let place = Place::sqlite();
    written(&place);
    let whole = fs::read(place.folder().database()).unwrap();
    for length in [50, 100, 4096, whole.len() / 2, whole.len() - 4096, whole.len() - 1] {
        fs::write(place.folder().database(), &whole[..length]).unwrap();
        refused(&place.folder(), "left untouched");
    }
    fs::write(place.folder().database(), &whole).unwrap();
    assert_eq!(Sqlite::open(&place.folder()).unwrap().load().unwrap().jobs().count(), 30);
}

#[test]
fn a_damaged_page_is_reported_and_nothing_is_written() {
    let place = Place::sqlite();
    written(&place);
    let mut bytes = fs::read(place.folder().database()).unwrap();
    bytes[4096..].fill(0xa5);
    fs::write(place.folder().database(), &bytes).unwrap();
    let said = match Sqlite::open(&place.folder()) {
        Err(error) => error,
        Ok(mut store) => {
            let error = store.execute(&[add(1)], at(0)).expect_err("there is nothing to read");
            assert!(store.load().is_err());
            error
        }
    };
    assert!(matches!(said, StoreError::Unreadable { .. }), "{said}");
    assert_eq!(fs::read(place.folder().database()).unwrap(), bytes);
}

#[test]
fn a_database_of_another_program_is_refused_and_left_alone() {
    let place = Place::sqlite();
    place.folder().create().unwrap();
    let foreign = Connection::open(place.folder().database()).unwrap();
    foreign.execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (1)").unwrap();
    foreign.close().unwrap();
    refused(&place.folder(), "not one of setlist's");
}

#[test]
fn a_database_of_a_newer_program_is_refused_and_left_alone() {
    let place = Place::sqlite();
    written(&place);
    let newer = Connection::open(place.folder().database()).unwrap();
    newer.pragma_update(None, "user_version", 7).unwrap();
    newer.close().unwrap();
    assert!(matches!(open_error(&place.folder()), StoreError::TooNew { found: 7, known: 4, .. }));
    refused(&place.folder(), "upgrade setlist");
}

#[test]
fn the_log_of_a_lost_database_is_not_mixed_into_a_new_one() {
    let place = Place::sqlite();
    place.folder().create().unwrap();
    let log = place.folder().path().join("state.db-wal");
    fs::write(&log, b"what has not been copied yet").unwrap();
    let said = open_error(&place.folder()).to_string();
    assert!(said.contains("state.db-wal"), "{said}");
    assert!(log.exists() && !place.folder().database().exists());
}

#[test]
fn an_empty_file_is_what_is_left_of_a_site() {
    let place = Place::sqlite();
    place.folder().create().unwrap();
    fs::write(place.folder().database(), b"").unwrap();
    refused(&place.folder(), "is empty");
    fs::remove_file(place.folder().database()).unwrap();
    written(&place);
    assert_eq!(place.connect().load().unwrap().jobs().count(), 30);
}

#[test]
fn many_may_open_a_new_site_at_once() {
    let place = Place::sqlite();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| done(&mut *place.connect(), add(1)));
        }
    });
    assert_eq!(place.connect().load().unwrap().jobs().count(), 8);
}

#[test]
fn nobody_else_can_read_a_site() {
    let place = Place::sqlite();
    let store = place.connect();
    let folder = place.folder();
    let _worker = folder.hold_worker(WorkerId(1)).unwrap();
    let (_listener, _) = bell(&*store);
    let _roll_call = folder.roll_call().unwrap();
    done(&mut *place.connect(), add(1));
    assert_eq!(mode(folder.path()), 0o700);
    let mut seen = 0;
    let mut folders = vec![folder.path().to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                assert_eq!(mode(&path), 0o700, "{}", path.display());
                folders.push(path);
            } else {
                assert_eq!(mode(&path), 0o600, "{}", path.display());
                seen += 1;
            }
        }
    }
    assert!(seen >= 6, "the database, its log, a bell and the locks");
    assert_eq!(fs::read_to_string(folder.path().join(".gitignore")).unwrap(), "*\n");
    drop(store);
}

#[test]
fn a_change_rings_the_bells_of_others_and_no_other() {
    let place = Place::sqlite();
    let (mut store, other) = (place.connect(), place.connect());
    let bells = || {
        let bells = fs::read_dir(place.folder().bells()).unwrap().map(|entry| entry.unwrap().path());
        bells.collect::<BTreeSet<_>>()
    };
    let own = bell(&*store);
    let own_bell = bells();
    let others = bell(&*other);
    done(&mut *store, add(1));
    others.1.recv_timeout(SOON).unwrap();
    for path in bells() {
        let rung = fs::metadata(&path).unwrap().len() > 0;
        assert_eq!(rung, !own_bell.contains(&path), "{}", path.display());
    }
    drop(own);
    drop(others);
    assert_eq!(bells(), BTreeSet::new(), "whoever ceases to listen takes its bell away");
    fs::write(place.folder().bells().join("of-the-dead"), "").unwrap();
    let _listener = bell(&*store);
    assert_eq!(bells().len(), 1, "a bell that nobody holds any more is taken away");
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_folder_of_somebody_else_keeps_what_it_has() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("notes"), "mine").unwrap();
    fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let folder = Folder::new(dir.path());
    folder.create().unwrap();
    folder.create().unwrap();
    assert_eq!(mode(dir.path()), 0o755);
    assert!(!dir.path().join(".gitignore").exists(), "git would forget the notes");
    assert_eq!(fs::read_to_string(dir.path().join("notes")).unwrap(), "mine");
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    for path in [file.clone(), file.join("below")] {
        let said = open_error(&Folder::new(&path)).to_string();
        assert!(said.contains(path.to_str().unwrap()), "{said}");
    }
}

#[test]
fn a_function_cannot_be_stored() {
    let place = Place::sqlite();
    let mut store = place.connect();
    let function = Definition::new(|| 1);
    let commands = [add(1), Command::Add { queue: "build".into(), jobs: vec![function.into()] }];
    let error = store.execute(&commands, at(0)).expect_err("functions live in one process");
    assert!(matches!(error, StoreError::NotAScript { .. }));
    assert_eq!(store.load().unwrap().jobs().count(), 0, "all or nothing");
    done(&mut *store, add(1));
    done(&mut *store, Command::Clear { queue: "build".into(), phase: Phase::Pending });
}

#[test]
fn a_worker_lives_as_long_as_it_is_held() {
    let dir = TempDir::new().unwrap();
    let folder = Folder::new(dir.path().join("state"));
    folder.create().unwrap();
    let worker = WorkerId(3);
    assert!(!folder.worker_lives(worker));
    let held = folder.hold_worker(worker).unwrap();
    assert!(folder.worker_lives(worker));
    assert!(!folder.worker_lives(WorkerId(4)));
    let word = fs::read_to_string(folder.workers().join("3")).unwrap();
    assert_eq!(word.lines().next(), Some(std::process::id().to_string().as_str()));
    drop(held);
    assert!(!folder.worker_lives(worker));
    assert_eq!(fs::read_dir(folder.workers()).unwrap().count(), 0);
}
