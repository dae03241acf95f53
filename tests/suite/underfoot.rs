//! The state of a site is taken away, or brought further by a newer program, while somebody works on it.

use std::fs;
use std::process::{Child, Stdio};
use std::sync::Arc;

use rusqlite::Connection;
use serde_json::json;
use setlist::model::{Command, WorkerId};
use setlist::store::{Folder, Sqlite, Store, StoreError};
use tempfile::TempDir;

use crate::room::{Room, Said, wait_for};

/// A job that tidies up when it is told to stop.
const TIDY: &str = "\
queues:
  q:
    - {id: long, run: \"trap 'touch tidied; exit 7' TERM; touch up; while :; do sleep 0.01 || :; done\"}
";

/// A site as a program wrote it that knew only format 2; its worker is buried by whoever comes next.
const OLD: &[u8] = include_bytes!("contract/frozen/format-2.db");

/// A worker in the foreground with its job under way.
fn at_work(room: &Room) -> Child {
    let worker = room.command(&["process"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for("the job", || room.join("up").exists().then_some(()));
    worker
}

/// Removes the state folder, in which somebody may still be making files.
fn remove_state(room: &Room) {
    wait_for("the folder to be gone", || {
        let _ = fs::remove_dir_all(room.join(".setlist"));
        (!room.join(".setlist").exists()).then_some(())
    });
}

/// Does what a newer program would, as far as an older one can tell; whoever listens hears of it.
fn bring_to(folder: &Folder, format: i64) {
    Connection::open(folder.database()).unwrap().pragma_update(None, "user_version", format).unwrap();
    for bell in fs::read_dir(folder.bells()).unwrap() {
        fs::write(bell.unwrap().path(), "\n").unwrap();
    }
}

/// What is said of a folder that was removed; whoever looks while it is removed file by file finds some of them.
const REMOVED: [&str; 3] =
    ["removed or replaced", "state.db-wal: the database that it belongs to is gone", "state.db: No such file"];

/// It leaves because the store can't be used, and says why.
#[track_caller]
fn says_why(mut worker: Child, why: &[&str]) {
    wait_for("the worker to leave", || worker.try_wait().unwrap());
    let said = Said::of(&worker.wait_with_output().unwrap());
    assert_eq!(said.code, Some(3), "{said:?}");
    assert!(why.iter().any(|why| said.err.contains(why)), "{said:?}");
}

/// It has left, and said why; its job was stopped, and had the time to tidy up.
#[track_caller]
fn left(room: &Room, worker: Child, why: &[&str]) {
    says_why(worker, why);
    assert!(room.join("tidied").exists());
    assert_eq!(room.processes().len(), 0, "{:?}", room.processes());
}

#[test]
fn a_worker_whose_state_is_removed_stops_its_jobs_and_leaves() {
    let room = Room::with(TIDY);
    let worker = at_work(&room);
    remove_state(&room);
    left(&room, worker, &REMOVED);
    // And the site starts afresh.
    assert_eq!(room.job("q/long")["id"], json!(1));
    assert_eq!(room.job("q/long")["state"], json!("pending"));
}

#[test]
fn a_worker_with_nothing_to_do_leaves_too() {
    let room = Room::with(TIDY);
    let worker = room.command(&["worker"]).stderr(Stdio::piped()).spawn().unwrap();
    wait_for("the worker", || room.ok(&["status", "--json"]).contains("\"workers\":1").then_some(()));
    remove_state(&room);
    says_why(worker, &REMOVED);
}

#[test]
fn a_worker_with_nothing_to_do_notices_that_its_site_was_moved() {
    let room = Room::empty();
    fs::create_dir(room.join("site")).unwrap();
    room.write("site/jobs.yaml", TIDY);
    let file = ["--file", "site/jobs.yaml"];
    let worker = room.command(&file).arg("worker").stderr(Stdio::piped()).spawn().unwrap();
    let status = || room.ok(&[&file[..], &["status", "--json"]].concat());
    wait_for("the worker", || status().contains("\"workers\":1").then_some(()));
    fs::rename(room.join("site"), room.join("moved")).unwrap();
    says_why(worker, &REMOVED);
    assert!(!room.join("site").exists());
}

#[test]
fn a_worker_whose_site_is_moved_before_it_listens_says_so_too() {
    let room = Room::empty();
    fs::create_dir(room.join("site")).unwrap();
    room.write("site/jobs.yaml", TIDY);
    let file = ["--file", "site/jobs.yaml"];
    room.ok(&[&file[..], &["status"]].concat());
    let folder = Folder::new(room.join("site/.setlist"));
    // It joins, and can't give its sign of life as long as somebody else does.
    let sign = folder.hold_worker(WorkerId(1)).unwrap();
    let worker = room.command(&file).arg("worker").stderr(Stdio::piped()).spawn().unwrap();
    let mut store = Sqlite::open(&folder).unwrap();
    wait_for("the worker to join", || (store.workers().unwrap().len() == 1).then_some(()));
    fs::rename(room.join("site"), room.join("moved")).unwrap();
    drop(sign);
    says_why(worker, &["removed or replaced"]);
    assert!(!room.join("site").exists());
}

#[test]
fn nothing_is_written_where_nobody_finds_it() {
    let home = TempDir::new().unwrap();
    let folder = Folder::new(home.path().join("state"));
    let mut store = Sqlite::open(&folder).unwrap();
    let open = |queue: &str| [Command::Open { queue: queue.into() }];
    store.execute(&open("before"), chrono::Utc::now()).unwrap();
    fs::rename(folder.path(), home.path().join("moved")).unwrap();
    let gone = |error| matches!(error, StoreError::Gone { .. });
    assert!(gone(store.execute(&open("after"), chrono::Utc::now()).unwrap_err()));
    assert!(gone(store.another().err().unwrap()) && !folder.path().exists());
    let mut another = Sqlite::open(&folder).unwrap();
    assert!(gone(store.execute(&open("after"), chrono::Utc::now()).unwrap_err()));
    assert!(gone(store.another().err().unwrap()));
    assert!(gone(store.load().unwrap_err()) && gone(store.events_after(0).unwrap_err()));
    assert_eq!(another.queues().unwrap().len(), 0);
    let mut moved = Sqlite::open(&Folder::new(home.path().join("moved"))).unwrap();
    assert_eq!(moved.queues().unwrap().len(), 1);
}

#[test]
fn who_begins_to_listen_where_a_site_is_being_removed_hears_of_it() {
    let home = TempDir::new().unwrap();
    let folder = Folder::new(home.path().join("state"));
    let store = Sqlite::open(&folder).unwrap();
    fs::remove_dir_all(folder.bells()).unwrap();
    let heard = store.listen(Arc::new(|| {})).err().expect("there is nothing to listen to");
    assert!(matches!(heard, StoreError::Gone { .. }), "{heard}");
}

/// The first worker of every site has the same number.
#[test]
fn a_worker_that_leaves_a_removed_site_takes_nothing_from_the_next() {
    let home = TempDir::new().unwrap();
    let folder = Folder::new(home.path().join("state"));
    folder.create().unwrap();
    let earlier = folder.hold_worker(WorkerId(1)).unwrap();
    fs::remove_dir_all(folder.path()).unwrap();
    folder.create().unwrap();
    let later = folder.hold_worker(WorkerId(1)).unwrap();
    drop(earlier);
    assert!(folder.worker_lives(WorkerId(1)));
    drop(later);
    assert!(!folder.has_sign_of(WorkerId(1)), "its own it takes away");
}

#[test]
fn a_site_is_not_brought_further_under_an_older_worker() {
    let room = Room::with(TIDY);
    let folder = Folder::new(room.join(".setlist"));
    folder.create().unwrap();
    fs::write(folder.database(), OLD).unwrap();
    let older = folder.hold_worker(WorkerId(7)).unwrap();
    let said = room.run(&["status"]);
    assert_eq!(said.code, Some(3), "{said:?}");
    let way_out = format!("kill {}", std::process::id());
    assert!(said.err.contains("older setlist is at work") && said.err.contains(&way_out), "{said:?}");
    assert_eq!(fs::read(folder.database()).unwrap(), OLD, "it is as it was");
    assert!(!folder.path().join("state.db.format-2").exists());
    drop(older);
    room.ok(&["status"]);
    assert!(folder.path().join("state.db.format-2").exists());
}

#[test]
fn a_worker_under_which_the_site_is_brought_further_leaves_it_alone() {
    let room = Room::with(TIDY);
    let folder = Folder::new(room.join(".setlist"));
    let worker = at_work(&room);
    bring_to(&folder, 99);
    left(&room, worker, &["written by a newer setlist (format 99"]);
    // The newer one, which this one plays, finds that the run was interrupted.
    bring_to(&folder, 4);
    assert_eq!(room.job("q/long")["outcome"], json!("interrupted"));
    assert_eq!(room.job("q/long")["attempt"], json!(1));
}

#[test]
fn a_connection_changes_nothing_in_a_format_that_it_does_not_know() {
    let home = TempDir::new().unwrap();
    let folder = Folder::new(home.path().join("state"));
    let mut store = Sqlite::open(&folder).unwrap();
    let open = |queue: &str| [Command::Open { queue: queue.into() }];
    store.execute(&open("before"), chrono::Utc::now()).unwrap();
    bring_to(&folder, 99);
    let newer = |error| matches!(error, StoreError::TooNew { found: 99, known: 4, .. });
    assert!(newer(store.execute(&open("after"), chrono::Utc::now()).unwrap_err()));
    assert!(newer(store.load().unwrap_err()) && newer(store.events_after(0).unwrap_err()));
    bring_to(&folder, 4);
    assert_eq!(Sqlite::open(&folder).unwrap().queues().unwrap().len(), 1);
}

/// A listener takes its own bell away; that says nothing of the folder.
#[test]
fn who_has_stopped_listening_goes_on_with_the_store() {
    let home = TempDir::new().unwrap();
    let mut store = Sqlite::open(&Folder::new(home.path().join("state"))).unwrap();
    // Each is given back a moment later, and there are few for all programs.
    for _ in 0..40 {
        drop(store.listen(Arc::new(|| {})).unwrap());
        store.load().unwrap();
    }
}
