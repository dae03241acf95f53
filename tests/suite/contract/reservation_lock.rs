//! The lock that a worker holds while jobs are reserved for it.

use std::sync::mpsc::channel;
use std::thread;

use setlist::model::{RunId, WorkerId};
use setlist::store::StartedRuns;

use super::{BackendSite, TIMEOUT, accept, add, claim, execute, join, process};
use crate::temp_site::wait_for;

#[test]
fn writers_wait_for_the_reservation_lock_and_workers_do_not() {
    let backend = BackendSite::sqlite();
    let mut store = backend.connect();
    let worker = join(&mut *store);
    accept(&mut *store, add(2));
    accept(&mut *store, process());
    let lock = store.reservation_lock().unwrap().unwrap();
    assert!(lock.try_hold());
    assert!(!lock.has_waiters());
    assert!(execute(&mut *store, claim(worker)).is_ok(), "workers don't wait");

    let (sender, passed) = channel();
    let mut other = backend.connect();
    let waiting = thread::spawn(move || {
        accept(&mut *other, add(1));
        sender.send(()).unwrap();
    });
    wait_for("a writer to wait", || lock.has_waiters().then_some(()));
    assert!(!store.reservation_lock().unwrap().unwrap().try_hold(), "it can't be taken while a writer waits");
    assert_eq!(store.load().unwrap().jobs().count(), 2, "it waits");
    lock.release();
    passed.recv_timeout(TIMEOUT).unwrap();
    waiting.join().unwrap();
    assert!(lock.try_hold() && !lock.has_waiters(), "the writer has finished");
    assert!(store.reservation_lock().unwrap().unwrap().try_hold(), "several workers can hold it");
}

#[test]
fn waiting_for_the_reservation_lock_is_limited() {
    let backend = BackendSite::sqlite();
    let mut store = backend.connect();
    let lock = store.reservation_lock().unwrap().unwrap();
    assert!(lock.try_hold());
    accept(&mut *store, add(1));
    assert_eq!(store.load().unwrap().jobs().count(), 1);
    assert!(BackendSite::memory().connect().reservation_lock().unwrap().is_none(), "memory has no such lock");
}

#[test]
fn started_runs_of_a_dead_worker_are_known_until_a_reboot() {
    let backend = BackendSite::sqlite();
    let folder = backend.state_dir();
    drop(backend.connect());
    let worker = WorkerId(3);
    let held = folder.lock_worker(worker).unwrap();
    assert_eq!(folder.runs_started_by(worker), StartedRuns::Exactly(Vec::new()));
    let many: Vec<RunId> = (1_000_000..1_000_020).map(RunId).collect();
    held.record_started(&many).unwrap();
    assert_eq!(folder.runs_started_by(worker), StartedRuns::Exactly(many));
    held.record_started(&[RunId(7), RunId(8)]).unwrap();
    assert_eq!(
        folder.runs_started_by(worker),
        StartedRuns::Exactly(vec![RunId(7), RunId(8)]),
        "less is noted over more"
    );
    assert!(folder.is_worker_alive(worker));

    let sign = folder.workers().join("3");
    let text = std::fs::read_to_string(&sign).unwrap();
    let boot = text.lines().nth(2).unwrap();
    std::fs::write(&sign, text.replace(boot, "another start of the machine")).unwrap();
    assert_eq!(folder.runs_started_by(worker), StartedRuns::Unknown);
    std::fs::write(&sign, "").unwrap();
    assert_eq!(folder.runs_started_by(worker), StartedRuns::Unknown, "what never reached the disk");
    drop(held);
    std::fs::remove_file(&sign).unwrap_or_default();
    assert_eq!(folder.runs_started_by(worker), StartedRuns::Unknown);
}
