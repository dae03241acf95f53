//! The files of a site: private, created once, and not changed if they belong to something else.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread;

use rusqlite::Connection;
use setlist::model::{Command, Definition, Phase, WorkerId};
use setlist::store::{SqliteStore, StateDir, Store, StoreError};
use tempfile::TempDir;

use super::{BackendSite, TIMEOUT, accept, add, at, process, run_all, subscribe};

/// Creates a site with some history and closes it.
fn written(backend: &BackendSite) {
    let mut store = backend.connect();
    accept(&mut *store, add(30));
    accept(&mut *store, process());
    run_all(&mut *store);
}

fn open_error(folder: &StateDir) -> StoreError {
    SqliteStore::open(folder).expect_err("it must be refused")
}

/// Opening fails with a message that contains `words`, and does not change the database.
fn refused(folder: &StateDir, words: &str) {
    let before = fs::read(folder.database()).unwrap();
    let error = open_error(folder);
    let output = error.to_string();
    assert!(output.contains(words), "{output}");
    assert!(output.contains(folder.database().to_str().unwrap()), "{output}");
    assert_eq!(fs::read(folder.database()).unwrap(), before);
}

#[test]
fn other_files_are_refused_and_not_changed() {
    let backend = BackendSite::sqlite();
    backend.state_dir().create().unwrap();
    for garbage in [&b"x"[..], b"queues: {}\n", &[0; 5000], b"SQLite format 3\0", b"SQLite format 2\0aaaaaaaaaaaaa"] {
        fs::write(backend.state_dir().database(), garbage).unwrap();
        refused(&backend.state_dir(), "left untouched");
    }
}

#[test]
fn a_truncated_database_is_refused_and_not_changed() {
    let backend = BackendSite::sqlite();
    written(&backend);
    let whole = fs::read(backend.state_dir().database()).unwrap();
    for length in [50, 100, 4096, whole.len() / 2, whole.len() - 4096, whole.len() - 1] {
        fs::write(backend.state_dir().database(), &whole[..length]).unwrap();
        refused(&backend.state_dir(), "left untouched");
    }
    fs::write(backend.state_dir().database(), &whole).unwrap();
    assert_eq!(SqliteStore::open(&backend.state_dir()).unwrap().load().unwrap().jobs().count(), 30);
}

#[test]
fn a_corrupt_page_is_reported_and_nothing_is_written() {
    let backend = BackendSite::sqlite();
    written(&backend);
    let mut bytes = fs::read(backend.state_dir().database()).unwrap();
    bytes[4096..].fill(0xa5);
    fs::write(backend.state_dir().database(), &bytes).unwrap();
    let output = match SqliteStore::open(&backend.state_dir()) {
        Err(error) => error,
        Ok(mut store) => {
            let error = store.execute(&[add(1)], at(0)).expect_err("there is nothing to read");
            assert!(store.load().is_err());
            error
        }
    };
    assert!(matches!(output, StoreError::Unreadable { .. }), "{output}");
    assert_eq!(fs::read(backend.state_dir().database()).unwrap(), bytes);
}

#[test]
fn a_database_of_another_program_is_refused_and_not_changed() {
    let backend = BackendSite::sqlite();
    backend.state_dir().create().unwrap();
    let foreign = Connection::open(backend.state_dir().database()).unwrap();
    foreign.execute_batch("CREATE TABLE t (x); INSERT INTO t VALUES (1)").unwrap();
    foreign.close().unwrap();
    refused(&backend.state_dir(), "not a setlist database");
}

#[test]
fn a_database_of_a_newer_version_is_refused_and_not_changed() {
    let backend = BackendSite::sqlite();
    written(&backend);
    let newer = Connection::open(backend.state_dir().database()).unwrap();
    newer.pragma_update(None, "user_version", 9).unwrap();
    newer.close().unwrap();
    assert!(matches!(open_error(&backend.state_dir()), StoreError::TooNew { found: 9, known: 8, .. }));
    refused(&backend.state_dir(), "upgrade setlist");
}

#[test]
fn a_leftover_wal_is_not_used_for_a_new_database() {
    let backend = BackendSite::sqlite();
    backend.state_dir().create().unwrap();
    let log = backend.state_dir().path().join("state.db-wal");
    fs::write(&log, b"what has not been copied yet").unwrap();
    let output = open_error(&backend.state_dir()).to_string();
    assert!(output.contains("state.db-wal"), "{output}");
    assert!(log.exists() && !backend.state_dir().database().exists());
}

#[test]
fn an_empty_database_file_is_refused() {
    let backend = BackendSite::sqlite();
    backend.state_dir().create().unwrap();
    fs::write(backend.state_dir().database(), b"").unwrap();
    refused(&backend.state_dir(), "is empty");
    fs::remove_file(backend.state_dir().database()).unwrap();
    written(&backend);
    assert_eq!(backend.connect().load().unwrap().jobs().count(), 30);
}

#[test]
fn a_new_site_can_be_opened_concurrently() {
    let backend = BackendSite::sqlite();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| accept(&mut *backend.connect(), add(1)));
        }
    });
    assert_eq!(backend.connect().load().unwrap().jobs().count(), 8);
}

#[test]
fn files_of_a_site_are_private() {
    let backend = BackendSite::sqlite();
    let store = backend.connect();
    let folder = backend.state_dir();
    let _worker = folder.lock_worker(WorkerId(1)).unwrap();
    let (_subscription, _) = subscribe(&*store);
    let _registration_lock = folder.lock_registration().unwrap();
    accept(&mut *backend.connect(), add(1));
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
    assert!(seen >= 6, "the database, its log, a subscription and the locks");
    assert_eq!(fs::read_to_string(folder.path().join(".gitignore")).unwrap(), "*\n");
    drop(store);
}

#[test]
fn a_change_notifies_other_connections_only() {
    let backend = BackendSite::sqlite();
    let (mut store, other) = (backend.connect(), backend.connect());
    let listener_files = || {
        let listener_files = fs::read_dir(backend.state_dir().listeners()).unwrap().map(|entry| entry.unwrap().path());
        listener_files.collect::<BTreeSet<_>>()
    };
    let own = subscribe(&*store);
    let own_files = listener_files();
    let others = subscribe(&*other);
    accept(&mut *store, add(1));
    others.1.recv_timeout(TIMEOUT).unwrap();
    for path in listener_files() {
        let is_notified = fs::metadata(&path).unwrap().len() > 0;
        assert_eq!(is_notified, !own_files.contains(&path), "{}", path.display());
    }
    drop(own);
    drop(others);
    assert_eq!(listener_files(), BTreeSet::new(), "a dropped subscription removes its file");
    fs::write(backend.state_dir().listeners().join("of-the-dead"), "").unwrap();
    let _subscription = subscribe(&*store);
    assert_eq!(listener_files().len(), 1, "the file of a dead process is removed");
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn an_existing_directory_keeps_its_files_and_mode() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("notes"), "mine").unwrap();
    fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let folder = StateDir::new(dir.path());
    folder.create().unwrap();
    folder.create().unwrap();
    assert_eq!(mode(dir.path()), 0o755);
    assert!(!dir.path().join(".gitignore").exists(), "git would forget the notes");
    assert_eq!(fs::read_to_string(dir.path().join("notes")).unwrap(), "mine");
}

#[test]
fn errors_name_a_directory_that_cannot_be_created() {
    let dir = TempDir::new().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    for path in [file.clone(), file.join("below")] {
        let output = open_error(&StateDir::new(&path)).to_string();
        assert!(output.contains(path.to_str().unwrap()), "{output}");
    }
}

#[test]
fn a_function_cannot_be_stored() {
    let backend = BackendSite::sqlite();
    let mut store = backend.connect();
    let function = Definition::new(|| 1);
    let commands = [add(1), Command::Add { queue: "build".into(), jobs: vec![function.into()] }];
    let error = store.execute(&commands, at(0)).expect_err("functions live in one process");
    assert!(matches!(error, StoreError::NotAScript { .. }));
    assert_eq!(store.load().unwrap().jobs().count(), 0, "all or nothing");
    accept(&mut *store, add(1));
    accept(&mut *store, Command::Clear { queue: "build".into(), phase: Phase::Pending });
}

#[test]
fn a_worker_is_alive_while_its_lock_is_held() {
    let dir = TempDir::new().unwrap();
    let folder = StateDir::new(dir.path().join("state"));
    folder.create().unwrap();
    let worker = WorkerId(3);
    assert!(!folder.is_worker_alive(worker));
    let held = folder.lock_worker(worker).unwrap();
    assert!(folder.is_worker_alive(worker));
    assert!(!folder.is_worker_alive(WorkerId(4)));
    let word = fs::read_to_string(folder.workers().join("3")).unwrap();
    assert_eq!(word.lines().next(), Some(std::process::id().to_string().as_str()));
    drop(held);
    assert!(!folder.is_worker_alive(worker));
    assert_eq!(fs::read_dir(folder.workers()).unwrap().count(), 0);
}

#[test]
fn a_site_has_one_id_that_moves_with_its_directory() {
    let home = TempDir::new().unwrap();
    let state = StateDir::new(home.path().join("state"));
    assert!(state.find_site_id().is_err() || state.find_site_id().unwrap().is_none());
    let ids: BTreeSet<String> = thread::scope(|scope| {
        let open = || {
            SqliteStore::open(&state).unwrap();
            state.site_id().unwrap().to_string()
        };
        let openers: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
        openers.into_iter().map(|opener| opener.join().unwrap()).collect()
    });
    assert_eq!(ids.len(), 1, "{ids:?}");
    let moved = StateDir::new(home.path().join("moved"));
    fs::rename(state.path(), moved.path()).unwrap();
    assert!(ids.contains(moved.site_id().unwrap().as_str()));
    let other = StateDir::new(home.path().join("other"));
    other.create().unwrap();
    assert_ne!(other.site_id().unwrap(), moved.site_id().unwrap());
    fs::write(other.path().join("id"), "../../x\n").unwrap();
    assert!(matches!(other.site_id(), Err(StoreError::Unreadable { .. })));
}
