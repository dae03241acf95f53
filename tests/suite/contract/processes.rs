//! A site that several processes share, some of which are killed in the middle of it.

use std::collections::BTreeSet;
use std::env;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use setlist::model::{JobId, Outcome, WorkerId};
use setlist::store::{Folder, Sqlite, Store};

use super::{Place, SOON, add, at, bell, claim, done, file, join, process, report, started, work};

/// Names the folder of the site, in a process that is somebody's child.
const SITE: &str = "SETLIST_TEST_SITE";

/// Starts this test binary once more, to do nothing but `part` on the same site.
fn child(place: &Place, part: &str) -> Child {
    let mut command = Command::new(env::current_exe().unwrap());
    command.args([&format!("contract::processes::{part}"), "--exact", "--nocapture"]);
    command.env(SITE, place.folder().path()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

/// The site of a child; none in the process that runs the tests.
fn site_of_child() -> Option<Folder> {
    env::var_os(SITE).map(Folder::new)
}

/// What a child says, line by line, without what the test harness prints around it.
fn said(child: &mut Child) -> impl Iterator<Item = String> + use<> {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    lines.filter_map(|line| line.split_once("ack ").map(|(_, what)| what.to_owned()))
}

/// Adds and runs jobs for ever, and says what has been acknowledged.
#[test]
fn part_that_works_until_it_is_killed() {
    let Some(folder) = site_of_child() else { return };
    let mut store = Sqlite::open(&folder).unwrap();
    let worker = join(&mut store);
    let _alive = folder.hold_worker(worker).unwrap();
    println!("ack worker {worker}");
    loop {
        let added = store.execute(&[add(1), process(), claim(worker)], at(0)).unwrap();
        let (job, run) = started(&added[2]).unwrap();
        println!("ack started {}", job.0);
        done(&mut store, report(job, run, Outcome::Succeeded));
        println!("ack finished {}", job.0);
    }
}

#[test]
fn what_was_acknowledged_survives_a_kill() {
    if site_of_child().is_some() {
        return;
    }
    let place = Place::sqlite();
    done(&mut *place.connect(), file("1", 1_000, Vec::new()));
    let (mut known, mut finished) = (BTreeSet::new(), BTreeSet::new());
    for round in 1..=6 {
        let mut child = child(&place, "part_that_works_until_it_is_killed");
        let mut worker = None;
        // The pipe still has what was said before the end: that counts.
        for (nth, line) in said(&mut child).enumerate() {
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

        let mut store = place.connect();
        let worker = worker.unwrap();
        assert!(!place.folder().worker_lives(worker), "the kernel has released its lock");
        done(&mut *store, super::Command::Bury { worker, begun: Vec::new() });
        let ledger = store.load().unwrap();
        assert!(known.iter().all(|job| ledger.job(*job).is_some()));
        for job in &finished {
            assert_eq!(ledger.job(*job).unwrap().outcome(), Some(&Outcome::Succeeded));
        }
        assert!(ledger.jobs().all(|job| job.attempts == 1), "nothing ran twice");
        assert_eq!(ledger.queue(&super::queue()).unwrap().running.len(), 0);
    }
    assert!(finished.len() > 20);
}

/// Runs what it can get, and says what it was.
#[test]
fn part_that_works_until_nothing_is_left() {
    let Some(folder) = site_of_child() else { return };
    for job in work(&mut Sqlite::open(&folder).unwrap()) {
        println!("ack {}", job.0);
    }
}

#[test]
fn processes_share_the_work() {
    if site_of_child().is_some() {
        return;
    }
    let place = Place::sqlite();
    let mut store = place.connect();
    done(&mut *store, file("1", 1_000, Vec::new()));
    done(&mut *store, add(200));
    done(&mut *store, process());
    let mut children = [(); 2].map(|()| child(&place, "part_that_works_until_nothing_is_left"));
    let mut ran = work(&mut *store);
    for child in &mut children {
        ran.extend(said(child).map(|job| JobId(job.parse().unwrap())));
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(ran.len(), 200);
    assert_eq!(ran.into_iter().collect::<BTreeSet<_>>().len(), 200);
}

#[test]
fn a_change_by_another_process_rings() {
    if site_of_child().is_some() {
        return;
    }
    let place = Place::sqlite();
    let store = place.connect();
    let (_listener, rings) = bell(&*store);
    let mut child = child(&place, "part_that_works_until_nothing_is_left");
    rings.recv_timeout(SOON).unwrap();
    assert!(child.wait().unwrap().success());
}
