//! The state of a site is removed, or migrated by a newer version, while processes use it.

use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;

use rusqlite::Connection;
use serde_json::json;
use setlist::model::{Command, WorkerId};
use setlist::store::{SqliteStore, StateDir, Store, StoreError};
use tempfile::TempDir;

use crate::temp_site::{CommandOutput, TempSite, wait_for};

/// A job that cleans up when it is stopped.
const TIDY: &str = "\
queues:
  q:
    - {id: long, run: \"trap 'touch tidied; exit 7' TERM; touch up; while :; do sleep 0.01 || :; done\"}
";

/// A site of format 2. Its worker is dead, and is reaped when the site is opened.
const OLD: &[u8] = include_bytes!("contract/frozen/format-2.db");

/// A foreground worker whose job is running.
fn at_work(site: &TempSite) -> Child {
    let worker = site.command(&["process"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for("the job", || site.join("up").exists().then_some(()));
    worker
}

/// Removes the state folder, although other processes may still create files in it.
fn remove_state(site: &TempSite) {
    wait_for("the folder to be gone", || {
        let _ = fs::remove_dir_all(site.join(".setlist"));
        (!site.join(".setlist").exists()).then_some(())
    });
}

/// The format of this version.
const FORMAT: i64 = 8;

/// Changes the format as a newer version would, and notifies all subscribers.
fn bring_to(folder: &StateDir, format: i64) {
    Connection::open(folder.database()).unwrap().pragma_update(None, "user_version", format).unwrap();
    for bell in fs::read_dir(folder.listeners()).unwrap() {
        fs::write(bell.unwrap().path(), "\n").unwrap();
    }
}

/// Messages about a removed folder. A process that reads it while its files are being removed still finds some of them.
const REMOVED: [&str; 3] = ["removed or replaced", "state.db-wal: its database is missing", "state.db: No such file"];

/// Asserts that the worker exits because the store can't be used, and prints why.
#[track_caller]
fn says_why(mut worker: Child, why: &[&str]) {
    wait_for("the worker to leave", || worker.try_wait().unwrap());
    let output = CommandOutput::from_output(&worker.wait_with_output().unwrap());
    assert_eq!(output.code, Some(3), "{output:?}");
    assert!(why.iter().any(|why| output.stderr.contains(why)), "{output:?}");
}

/// It has left, and said why; its job was stopped, and had the time to tidy up.
#[track_caller]
fn left(site: &TempSite, worker: Child, why: &[&str]) {
    says_why(worker, why);
    assert!(site.join("tidied").exists());
    assert_eq!(site.processes().len(), 0, "{:?}", site.processes());
}

#[test]
fn a_worker_whose_state_is_removed_stops_its_jobs_and_leaves() {
    let site = TempSite::with(TIDY);
    let worker = at_work(&site);
    remove_state(&site);
    left(&site, worker, &REMOVED);
    // And the site starts afresh.
    assert_eq!(site.job("q/long")["id"], json!(1));
    assert_eq!(site.job("q/long")["state"], json!("pending"));
}

#[test]
fn a_worker_with_nothing_to_do_leaves_too() {
    let site = TempSite::with(TIDY);
    let worker = site.command(&["worker"]).stderr(Stdio::piped()).spawn().unwrap();
    wait_for("the worker", || site.ok(&["status", "--json"]).contains("\"workers\":1").then_some(()));
    remove_state(&site);
    says_why(worker, &REMOVED);
}

#[test]
fn a_worker_with_nothing_to_do_notices_that_its_site_was_moved() {
    let site = TempSite::empty();
    fs::create_dir(site.join("site")).unwrap();
    site.write("site/jobs.yaml", TIDY);
    let file = ["--file", "site/jobs.yaml"];
    let worker = site.command(&file).arg("worker").stderr(Stdio::piped()).spawn().unwrap();
    let status = || site.ok(&[&file[..], &["status", "--json"]].concat());
    wait_for("the worker", || status().contains("\"workers\":1").then_some(()));
    fs::rename(site.join("site"), site.join("moved")).unwrap();
    says_why(worker, &REMOVED);
    assert!(!site.join("site").exists());
}

#[test]
fn a_busy_worker_notices_at_once_that_its_state_or_a_folder_above_was_moved() {
    for args in [&["--file", "outer/site/jobs.yaml"][..], &["--file", "site/jobs.yaml", "--state", "outer/state"]] {
        let site = TempSite::empty();
        let folder = if args.len() == 2 { "outer/site" } else { "site" };
        fs::create_dir_all(site.join(folder)).unwrap();
        fs::create_dir_all(site.join("outer")).unwrap();
        site.write(&format!("{folder}/jobs.yaml"), TIDY);
        let worker = site.command(args).arg("process").stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        wait_for("the job", || site.join(&format!("{folder}/up")).exists().then_some(()));
        fs::rename(site.join("outer"), site.join("moved")).unwrap();
        says_why(worker, &REMOVED);
        assert!(site.join(&format!("{}/tidied", folder.replace("outer", "moved"))).exists(), "{args:?}");
        assert_eq!(site.processes().len(), 0, "{:?}", site.processes());
        assert!(!site.join("outer").exists());
    }
}

#[test]
fn a_worker_that_waits_for_its_number_gets_a_file_that_others_find() {
    let home = TempDir::new().unwrap();
    let folder = StateDir::new(home.path().join("state"));
    folder.create().unwrap();
    for _ in 0..20 {
        let earlier = folder.lock_worker(WorkerId(1)).unwrap();
        let waiting = std::thread::spawn({
            let folder = folder.clone();
            move || folder.lock_worker(WorkerId(1)).unwrap()
        });
        // It takes its file away.
        drop(earlier);
        let later = waiting.join().unwrap();
        assert!(later.is_in_place() && folder.is_worker_alive(WorkerId(1)));
    }
}

#[test]
fn a_worker_notices_that_its_site_was_moved_before_it_subscribed() {
    let site = TempSite::empty();
    fs::create_dir(site.join("site")).unwrap();
    site.write("site/jobs.yaml", TIDY);
    let file = ["--file", "site/jobs.yaml"];
    site.ok(&[&file[..], &["status"]].concat());
    let folder = StateDir::new(site.join("site/.setlist"));
    // It joins, but can't take its worker lock while the test holds it.
    let sign = folder.lock_worker(WorkerId(1)).unwrap();
    let worker = site.command(&file).arg("worker").stderr(Stdio::piped()).spawn().unwrap();
    let mut store = SqliteStore::open(&folder).unwrap();
    wait_for("the worker to join", || (store.workers().unwrap().len() == 1).then_some(()));
    fs::rename(site.join("site"), site.join("moved")).unwrap();
    drop(sign);
    says_why(worker, &["removed or replaced"]);
    assert!(!site.join("site").exists());
}

#[test]
fn nothing_is_written_to_a_deleted_database() {
    let home = TempDir::new().unwrap();
    let folder = StateDir::new(home.path().join("state"));
    let mut store = SqliteStore::open(&folder).unwrap();
    let open = |queue: &str| [Command::EnsureQueue { queue: queue.into() }];
    store.execute(&open("before"), chrono::Utc::now()).unwrap();
    fs::rename(folder.path(), home.path().join("moved")).unwrap();
    let gone = |error| matches!(error, StoreError::Removed { .. });
    assert!(gone(store.execute(&open("after"), chrono::Utc::now()).unwrap_err()));
    assert!(gone(store.new_connection().err().unwrap()) && !folder.path().exists());
    let mut another = SqliteStore::open(&folder).unwrap();
    assert!(gone(store.execute(&open("after"), chrono::Utc::now()).unwrap_err()));
    assert!(gone(store.new_connection().err().unwrap()));
    assert!(gone(store.load().unwrap_err()) && gone(store.events_after(0).unwrap_err()));
    assert_eq!(another.queues().unwrap().len(), 0);
    let mut moved = SqliteStore::open(&StateDir::new(home.path().join("moved"))).unwrap();
    assert_eq!(moved.queues().unwrap().len(), 1);
}

/// Copies all files of one folder into another one, like a user who restores a backup. Not done by this process: closing
/// the database would release its locks.
fn copy_files(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    let copied = std::process::Command::new("cp").arg("-a").arg(from.join(".")).arg(to).status();
    assert!(copied.unwrap().success());
}

#[test]
fn older_state_that_is_copied_over_an_open_database_is_found_whatever_the_numbers_of_its_events_are() {
    let queue = |name: &str| [Command::EnsureQueue { queue: name.into() }];
    // How many changes of others follow the older state: the last event is before, at or after the one that was seen.
    for changes in 0..=2 {
        let home = TempDir::new().unwrap();
        let folder = StateDir::new(home.path().join("state"));
        let mut follower = SqliteStore::open(&folder).unwrap();
        let mut writer = SqliteStore::open(&folder).unwrap();
        follower.execute(&queue("before"), chrono::Utc::now()).unwrap();
        copy_files(folder.path(), &home.path().join("backup"));
        follower.execute(&queue("seen"), chrono::Utc::now()).unwrap();
        let seen = follower.last_seq().unwrap();
        copy_files(&home.path().join("backup"), folder.path());
        for change in 0..changes {
            writer.execute(&queue(&format!("other-{change}")), chrono::Utc::now()).unwrap();
        }
        let found = |error| matches!(error, StoreError::Removed { .. });
        assert!(found(follower.events_after(seen).unwrap_err()), "{changes} changes");
        assert!(found(follower.execute(&queue("after"), chrono::Utc::now()).unwrap_err()));
        assert!(found(follower.load().unwrap_err()));
        let queues = SqliteStore::open(&folder).unwrap().queues().unwrap();
        assert_eq!(queues.len(), 1 + changes);
    }
}

#[test]
fn a_subscription_to_a_site_that_is_being_removed_reports_the_removal() {
    let home = TempDir::new().unwrap();
    let folder = StateDir::new(home.path().join("state"));
    let store = SqliteStore::open(&folder).unwrap();
    fs::remove_dir_all(folder.listeners()).unwrap();
    let error = store.subscribe(Arc::new(|| {})).err().expect("there is nothing to listen to");
    assert!(matches!(error, StoreError::Removed { .. }), "{error}");
}

/// The first worker of every site has the same number.
#[test]
fn a_worker_that_leaves_a_removed_site_takes_nothing_from_the_next() {
    let home = TempDir::new().unwrap();
    let folder = StateDir::new(home.path().join("state"));
    folder.create().unwrap();
    let earlier = folder.lock_worker(WorkerId(1)).unwrap();
    fs::remove_dir_all(folder.path()).unwrap();
    folder.create().unwrap();
    let later = folder.lock_worker(WorkerId(1)).unwrap();
    drop(earlier);
    assert!(folder.is_worker_alive(WorkerId(1)));
    drop(later);
    assert!(!folder.has_worker_file(WorkerId(1)), "its own it takes away");
}

#[test]
fn a_site_is_not_migrated_while_an_older_worker_runs() {
    let site = TempSite::with(TIDY);
    let folder = StateDir::new(site.join(".setlist"));
    folder.create().unwrap();
    fs::write(folder.database(), OLD).unwrap();
    site.register_state();
    let older = folder.lock_worker(WorkerId(7)).unwrap();
    let output = site.run(&["status"]);
    assert_eq!(output.code, Some(3), "{output:?}");
    let way_out = format!("kill {}", std::process::id());
    assert!(output.stderr.contains("older setlist is running") && output.stderr.contains(&way_out), "{output:?}");
    assert_eq!(fs::read(folder.database()).unwrap(), OLD, "it is as it was");
    assert!(!folder.path().join("state.db.format-2").exists());
    drop(older);
    site.ok(&["status"]);
    assert!(folder.path().join("state.db.format-2").exists());
}

#[test]
fn a_worker_leaves_a_site_alone_that_was_migrated() {
    let site = TempSite::with(TIDY);
    let folder = StateDir::new(site.join(".setlist"));
    let worker = at_work(&site);
    bring_to(&folder, 99);
    left(&site, worker, &["written by a newer setlist (format 99"]);
    // The newer one, which this one plays, finds that the run was interrupted.
    bring_to(&folder, FORMAT);
    assert_eq!(site.job("q/long")["outcome"], json!("interrupted"));
    assert_eq!(site.job("q/long")["attempt"], json!(1));
}

#[test]
fn a_connection_changes_nothing_in_a_format_that_it_does_not_know() {
    let home = TempDir::new().unwrap();
    let folder = StateDir::new(home.path().join("state"));
    let mut store = SqliteStore::open(&folder).unwrap();
    let open = |queue: &str| [Command::EnsureQueue { queue: queue.into() }];
    store.execute(&open("before"), chrono::Utc::now()).unwrap();
    bring_to(&folder, 99);
    let newer = |error| matches!(error, StoreError::TooNew { found: 99, known: FORMAT, .. });
    assert!(newer(store.execute(&open("after"), chrono::Utc::now()).unwrap_err()));
    assert!(newer(store.load().unwrap_err()) && newer(store.events_after(0).unwrap_err()));
    bring_to(&folder, FORMAT);
    assert_eq!(SqliteStore::open(&folder).unwrap().queues().unwrap().len(), 1);
}

/// A listener takes its own bell away; that says nothing of the folder.
#[test]
fn a_connection_works_after_its_subscription_has_ended() {
    let home = TempDir::new().unwrap();
    let mut store = SqliteStore::open(&StateDir::new(home.path().join("state"))).unwrap();
    // Each is given back a moment later, and there are few for all programs.
    for _ in 0..40 {
        drop(store.subscribe(Arc::new(|| {})).unwrap());
        store.load().unwrap();
    }
}
