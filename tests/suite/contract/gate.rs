//! The gate that a worker shuts while jobs are reserved for it.

use std::sync::mpsc::channel;
use std::thread;

use setlist::model::{RunId, WorkerId};
use setlist::store::Begun;

use super::{Place, SOON, add, answer, claim, done, join, process};
use crate::room::wait_for;

#[test]
fn whoever_changes_the_site_waits_until_the_gate_is_open_and_a_worker_does_not() {
    let place = Place::sqlite();
    let mut store = place.connect();
    let worker = join(&mut *store);
    done(&mut *store, add(2));
    done(&mut *store, process());
    let gate = store.gate().unwrap().unwrap();
    assert!(gate.shut());
    assert!(!gate.is_wanted());
    assert!(answer(&mut *store, claim(worker)).is_ok(), "a worker goes on");

    let (sender, passed) = channel();
    let mut other = place.connect();
    let waiting = thread::spawn(move || {
        done(&mut *other, add(1));
        sender.send(()).unwrap();
    });
    wait_for("somebody at the gate", || gate.is_wanted().then_some(()));
    assert!(!store.gate().unwrap().unwrap().shut(), "nobody else shuts it when somebody wants to pass");
    assert_eq!(store.load().unwrap().jobs().count(), 2, "it waits");
    gate.open();
    passed.recv_timeout(SOON).unwrap();
    waiting.join().unwrap();
    assert!(gate.shut() && !gate.is_wanted(), "whoever has passed is gone");
    assert!(store.gate().unwrap().unwrap().shut(), "several workers may have it shut");
}

#[test]
fn a_gate_that_is_never_opened_is_not_waited_for_for_ever() {
    let place = Place::sqlite();
    let mut store = place.connect();
    let gate = store.gate().unwrap().unwrap();
    assert!(gate.shut());
    done(&mut *store, add(1));
    assert_eq!(store.load().unwrap().jobs().count(), 1);
    assert!(Place::memory().connect().gate().unwrap().is_none(), "there is nobody to keep out");
}

#[test]
fn what_a_worker_has_begun_is_read_after_its_death_unless_the_machine_has_gone_down() {
    let place = Place::sqlite();
    let folder = place.folder();
    drop(place.connect());
    let worker = WorkerId(3);
    let held = folder.hold_worker(worker).unwrap();
    assert_eq!(folder.begun_by(worker), Begun::Runs(Vec::new()));
    let many: Vec<RunId> = (1_000_000..1_000_020).map(RunId).collect();
    held.note_begun(&many).unwrap();
    assert_eq!(folder.begun_by(worker), Begun::Runs(many));
    held.note_begun(&[RunId(7), RunId(8)]).unwrap();
    assert_eq!(folder.begun_by(worker), Begun::Runs(vec![RunId(7), RunId(8)]), "less is noted over more");
    assert!(folder.worker_lives(worker));

    let sign = folder.workers().join("3");
    let text = std::fs::read_to_string(&sign).unwrap();
    let boot = text.lines().nth(2).unwrap();
    std::fs::write(&sign, text.replace(boot, "another start of the machine")).unwrap();
    assert_eq!(folder.begun_by(worker), Begun::Any);
    std::fs::write(&sign, "").unwrap();
    assert_eq!(folder.begun_by(worker), Begun::Any, "what never reached the disk");
    drop(held);
    std::fs::remove_file(&sign).unwrap_or_default();
    assert_eq!(folder.begun_by(worker), Begun::Any);
}
