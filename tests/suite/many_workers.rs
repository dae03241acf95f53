//! Four workers on one site with thousands of jobs: each job runs once, within the limits of its queue.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Child, Stdio};

use serde_json::{Value, json};
use setlist::model::{Event, JobId, QueueId};
use setlist::store::{SqliteStore, StateDir, Store};

use crate::temp_site::{TempSite, wait_for};

/// Jobs are added in batches, so that all workers are idle and race for each batch.
const BATCHES: usize = 50;
/// The queues, with their parallelism and the number of jobs per batch.
const QUEUES: [(&str, usize, usize); 2] = [("many", 24, 80), ("few", 2, 20)];
const JOBS: usize = BATCHES * (QUEUES[0].2 + QUEUES[1].2);

/// A job that logs its start and its end without starting a process.
const JOB: &str =
    "echo \"+ $SETLIST_QUEUE $SETLIST_JOB_ID\" >> book; echo \"- $SETLIST_QUEUE $SETLIST_JOB_ID\" >> book\n";

#[test]
fn four_workers_run_each_of_5000_jobs_once() {
    let queues = QUEUES.map(|(name, parallel, _)| format!("  {name}: {{parallel: {parallel}, jobs: []}}\n"));
    let site = TempSite::with(&format!("queues:\n{}", queues.concat()));
    let worker = || site.command(&["worker"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut workers: [Child; 4] = std::array::from_fn(|_| worker());
    let mut checker = EventChecker::of(&site);
    for batch in 1..=BATCHES {
        for (queue, _, count) in QUEUES {
            add(&site, queue, count);
        }
        wait_for("the batch to end", || {
            let ends = site.read("book").lines().filter(|line| line.starts_with('-')).count();
            (ends == batch * JOBS / BATCHES).then_some(())
        });
        checker.follow();
    }
    wait_for("the last checker", || site.ok(&["list", "--state", "running"]).is_empty().then_some(()));
    for worker in &mut workers {
        worker.kill().unwrap();
        worker.wait().unwrap();
    }
    checker.follow();
    assert!(checker.jobs.len() == JOBS && checker.running.values().all(BTreeSet::is_empty));
    for (queue, parallel, count) in QUEUES {
        check_job_output(&site.read("book"), queue, parallel, count * BATCHES);
        check_listed_jobs(&site.ok(&["list", queue, "--json"]), count * BATCHES);
    }
}

fn add(site: &TempSite, queue: &str, count: usize) {
    let mut command = site.command(&["add", queue, "--stdin", "--now"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(JOB.repeat(count).as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

/// The jobs append to the file, so its lines are in order of time.
fn check_job_output(book: &str, queue: &str, parallel: usize, count: usize) {
    let mut running = BTreeSet::new();
    let mut seen = BTreeSet::new();
    for line in book.lines() {
        let [what, of, job] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        match what {
            _ if of != queue => {}
            "+" => {
                assert!(seen.insert(job), "#{job} ran twice");
                running.insert(job);
                assert!(running.len() <= parallel, "{} at once in {queue}: {running:?}", running.len());
            }
            _ => assert!(running.remove(job), "#{job} ended twice"),
        }
    }
    assert_eq!(seen.len(), count);
}

fn check_listed_jobs(list: &str, count: usize) {
    let jobs: Vec<Value> = list.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(jobs.len(), count);
    let mut shares = BTreeMap::new();
    for job in &jobs {
        assert_eq!((&job["outcome"], &job["attempt"]), (&json!("succeeded"), &json!(1)), "{job}");
        *shares.entry(job["worker"].as_u64()).or_insert(0) += 1;
    }
    println!("the workers' shares: {shares:?}");
    assert!(shares.len() > 1, "one worker had it all: {shares:?}");
}

/// The events of the site, in order. (Their times are not in order: the clock is read before the write lock is held.)
struct EventChecker {
    store: SqliteStore,
    seen: u64,
    jobs: BTreeMap<JobId, QueueId>,
    running: BTreeMap<QueueId, BTreeSet<JobId>>,
}

impl EventChecker {
    fn of(site: &TempSite) -> Self {
        let store = SqliteStore::open(&StateDir::new(site.join(".setlist"))).unwrap();
        Self { store, seen: 0, jobs: BTreeMap::new(), running: BTreeMap::new() }
    }

    /// Reads and checks new events.
    fn follow(&mut self) {
        for recorded in self.store.events_after(self.seen).unwrap().expect("not so much has happened") {
            self.seen = recorded.seq;
            match recorded.event {
                Event::Added { job } => drop(self.jobs.insert(job.id, job.queue)),
                Event::Started { job, .. } => {
                    let queue = &self.jobs[&job];
                    let running = self.running.entry(queue.clone()).or_default();
                    assert!(running.insert(job), "{job} was started twice");
                    let (_, parallel, _) = QUEUES.into_iter().find(|(name, ..)| *name == queue.as_str()).unwrap();
                    assert!(running.len() <= parallel, "{} of {queue} at once", running.len());
                }
                Event::Ended { job, .. } => {
                    let ours = self.running.get_mut(&self.jobs[&job]).unwrap();
                    assert!(ours.remove(&job), "{job} was not running");
                }
                _ => {}
            }
        }
    }
}
