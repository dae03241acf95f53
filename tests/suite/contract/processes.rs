//! A site shared by several processes, some of which are killed.

use std::collections::BTreeSet;
use std::env;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use rustix::process::{Flock, FlockType, fcntl_getlk};
use setlist::model::{JobId, Outcome, WorkerId};
use setlist::store::{SqliteStore, StateDir, Store};

use super::{
    BackendSite, TIMEOUT, accept, add, at, claim, join, process, reconcile, report, run_all, started, subscribe,
};

/// The environment variable that holds the site's directory in a child process.
const SITE: &str = "SETLIST_TEST_SITE";

/// Starts this test binary again to run only `part` on the same site.
fn child(backend: &BackendSite, part: &str) -> Child {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args([&format!("contract::processes::{part}"), "--exact", "--nocapture"]);
    command.env(SITE, backend.state_dir().path()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

/// The site of a child process; none in the process that runs the tests.
fn site_of_child() -> Option<StateDir> {
    env::var_os(SITE).map(StateDir::new)
}

/// The output lines of a child, without those of the test harness.
fn output(child: &mut Child) -> impl Iterator<Item = String> + use<> {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    lines.filter_map(|line| line.split_once("ack ").map(|(_, what)| what.to_owned()))
}

/// Prints whether another process has locked the database.
#[test]
fn part_that_looks_for_locks() {
    let Some(folder) = site_of_child() else { return };
    let database = File::open(folder.database()).unwrap();
    let wanted = Flock::from(FlockType::WriteLock);
    println!("ack {}", fcntl_getlk(&database, &wanted).unwrap().is_some());
}

/// Its locks show to other processes that a connection is open. While one is being closed and has locked the database,
/// they must not be lost, or others would use the write-ahead log that it is about to delete.
#[test]
fn opening_a_site_again_keeps_the_locks_of_the_first_connection() {
    if site_of_child().is_some() {
        return;
    }
    let backend = BackendSite::sqlite();
    let mut first = backend.connect();
    accept(&mut *first, add(1));
    drop(backend.connect());
    let mut looker = child(&backend, "part_that_looks_for_locks");
    assert_eq!(output(&mut looker).collect::<Vec<_>>(), ["true"]);
    looker.wait().unwrap();
    accept(&mut *first, add(1));
}

/// Adds and runs jobs until it is killed, and prints what was acknowledged.
#[test]
fn part_that_works_until_it_is_killed() {
    let Some(folder) = site_of_child() else { return };
    let mut store = SqliteStore::open(&folder).unwrap();
    let worker = join(&mut store);
    let _alive = folder.lock_worker(worker).unwrap();
    println!("ack worker {worker}");
    loop {
        let added = store.execute(&[add(1), process(), claim(worker)], at(0)).unwrap();
        let (job, run) = started(&added[2]).unwrap();
        println!("ack started {}", job.0);
        accept(&mut store, report(job, run, Outcome::Succeeded));
        println!("ack finished {}", job.0);
    }
}

#[test]
fn acknowledged_changes_survive_a_kill() {
    if site_of_child().is_some() {
        return;
    }
    let backend = BackendSite::sqlite();
    accept(&mut *backend.connect(), reconcile("1", 1_000, Vec::new()));
    let (mut known, mut finished) = (BTreeSet::new(), BTreeSet::new());
    for round in 1..=6 {
        let mut child = child(&backend, "part_that_works_until_it_is_killed");
        let mut worker = None;
        // The pipe still holds what was printed before the kill.
        for (nth, line) in output(&mut child).enumerate() {
            match line.split_once(' ').unwrap() {
                ("worker", id) => worker = Some(WorkerId(id.parse().unwrap())),
                ("finished", job) => drop(finished.insert(JobId(job.parse().unwrap()))),
                (_, job) => drop(known.insert(JobId(job.parse().unwrap()))),
            }
            if nth == round * 7 {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();

        let mut store = backend.connect();
        let worker = worker.unwrap();
        assert!(!backend.state_dir().is_worker_alive(worker), "the kernel has released its lock");
        accept(&mut *store, super::Command::ReapWorker { worker, started_runs: Vec::new(), unreachable_host: None });
        let site_state = store.load().unwrap();
        assert!(known.iter().all(|job| site_state.job(*job).is_some()));
        for job in &finished {
            assert_eq!(site_state.job(*job).unwrap().outcome(), Some(&Outcome::Succeeded));
        }
        assert!(site_state.jobs().all(|job| job.attempts == 1), "nothing ran twice");
        assert_eq!(site_state.queue(&super::queue()).unwrap().running.len(), 0);
    }
    assert!(finished.len() > 20);
}

/// Runs all available jobs and prints them.
#[test]
fn part_that_works_until_nothing_is_left() {
    let Some(folder) = site_of_child() else { return };
    for job in run_all(&mut SqliteStore::open(&folder).unwrap()) {
        println!("ack {}", job.0);
    }
}

#[test]
fn processes_share_a_site() {
    if site_of_child().is_some() {
        return;
    }
    let backend = BackendSite::sqlite();
    let mut store = backend.connect();
    accept(&mut *store, reconcile("1", 1_000, Vec::new()));
    accept(&mut *store, add(200));
    accept(&mut *store, process());
    let mut children = [(); 2].map(|()| child(&backend, "part_that_works_until_nothing_is_left"));
    let mut ran = run_all(&mut *store);
    for child in &mut children {
        ran.extend(output(child).map(|job| JobId(job.parse().unwrap())));
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(ran.len(), 200);
    assert_eq!(ran.into_iter().collect::<BTreeSet<_>>().len(), 200);
}

#[test]
fn a_change_by_another_process_notifies() {
    if site_of_child().is_some() {
        return;
    }
    let backend = BackendSite::sqlite();
    let store = backend.connect();
    let (_listener, notifications) = subscribe(&*store);
    let mut child = child(&backend, "part_that_works_until_nothing_is_left");
    notifications.recv_timeout(TIMEOUT).unwrap();
    assert!(child.wait().unwrap().success());
}
