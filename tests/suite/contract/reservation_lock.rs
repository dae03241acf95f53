//! The gate that a worker shuts while jobs are reserved for it.

use std::sync::mpsc::channel;
use std::thread;

use setlist::model::{RunId, WorkerId};
use setlist::store::StartedRuns;

use super::{BackendSite, TIMEOUT, add, execute, claim, accept, join, process};
use crate::temp_site::wait_for;

#[test]
fn writers_wait_for_the_reservation_lock_and_workers_do_not() {
    let place = BackendSite::sqlite();
    let mut store = place.connect();
    let worker = join(&mut *store);
    accept(&mut *store, add(2));
    accept(&mut *store, process());
    let gate = store.reservation_lock().unwrap().unwrap();
    assert!(gate.try_hold());
    assert!(!gate.has_waiters());
    assert!(execute(&mut *store, claim(worker)).is_ok(), "a worker goes on");

    let (sender, passed) = channel();
    let mut other = place.connect();
    let waiting = thread::spawn(move || {
        accept(&mut *other, add(1));
        sender.send(()).unwrap();
    });
    wait_for("somebody at the gate", || gate.has_waiters().then_some(()));
    assert!(!store.reservation_lock().unwrap().unwrap().try_hold(), "nobody else shuts it when somebody wants to pass");
    assert_eq!(store.load().unwrap().jobs().count(), 2, "it waits");
    gate.release();
    passed.recv_timeout(TIMEOUT).unwrap();
    waiting.join().unwrap();
    assert!(gate.try_hold() && !gate.has_waiters(), "whoever has passed is gone");
    assert!(store.reservation_lock().unwrap().unwrap().try_hold(), "several workers may have it shut");
}

#[test]
fn waiting_for_the_reservation_lock_is_limited() {
    let place = BackendSite::sqlite();
    let mut store = place.connect();
    let gate = store.reservation_lock().unwrap().unwrap();
    assert!(gate.try_hold());
    accept(&mut *store, add(1));
    assert_eq!(store.load().unwrap().jobs().count(), 1);
    assert!(BackendSite::memory().connect().reservation_lock().unwrap().is_none(), "there is nobody to keep out");
}

#[test]
fn started_runs_of_a_dead_worker_are_known_until_a_reboot() {
    let place = BackendSite::sqlite();
    let folder = place.state_dir();
    drop(place.connect());
    let worker = WorkerId(3);
    let held = folder.lock_worker(worker).unwrap();
    assert_eq!(folder.runs_started_by(worker), StartedRuns::Exactly(Vec::new()));
    let many: Vec<RunId> = (1_000_000..1_000_020).map(RunId).collect();
    held.record_started(&many).unwrap();
    assert_eq!(folder.runs_started_by(worker), StartedRuns::Exactly(many));
    held.record_started(&[RunId(7), RunId(8)]).unwrap();
    assert_eq!(folder.runs_started_by(worker), StartedRuns::Exactly(vec![RunId(7), RunId(8)]), "less is noted over more");
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
