//! A schedule whose workers are killed at its due times, run side by side, and are suspended: each due time has one record
//! and at most one run. `SETLIST_SOAK` sets the number of rounds.

use std::collections::HashSet;
use std::process::{Child, Stdio};

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::rng::{TestRng, iterations};
use crate::temp_site::{TempSite, wait_for};

const EVERY_SECOND: &str = "queues: {q: {keep: {runs: all}, jobs: [{id: tick, run: 'echo $SETLIST_RUN_ID >> ticks', schedule: '@every 1s'}]}}\n";

/// The workers of a site. All are gone when this is dropped.
struct Workers<'s> {
    site: &'s TempSite,
    running: Vec<Child>,
}

impl Workers<'_> {
    fn start(&mut self) {
        self.running.push(self.site.command(&["worker"]).stderr(Stdio::null()).spawn().unwrap());
    }

    /// Sends a signal to one of them, and returns it if that ends it.
    fn signal(&self, index: usize, signal: Signal) {
        kill_process(Pid::from_child(&self.running[index]), signal).unwrap();
    }

    fn kill(&mut self, index: usize) {
        let mut worker = self.running.swap_remove(index);
        worker.kill().unwrap();
        worker.wait().unwrap();
    }
}

impl Drop for Workers<'_> {
    fn drop(&mut self) {
        while !self.running.is_empty() {
            self.kill(0);
        }
        // A worker that was killed may have started one for what it left.
        for process in self.site.processes() {
            let _ = kill_process(process.pid, Signal::KILL);
        }
    }
}

/// Waits until about a due time: shortly before, while or after it is decided.
fn wait_until_due(rng: &mut TestRng) {
    let offset = TimeDelta::milliseconds(i64::try_from(rng.in_range(0..60)).unwrap() - 10);
    let moment = Utc::now().trunc_subsecs(0) + TimeDelta::seconds(2) + offset;
    wait_for("the due time", || (Utc::now() >= moment).then_some(()));
}

fn disturb(workers: &mut Workers<'_>, rng: &mut TestRng) {
    match rng.in_range(0..3) {
        0 => {
            wait_until_due(rng);
            workers.kill(0);
            workers.start();
        }
        1 => {
            workers.start();
            wait_until_due(rng);
            workers.kill(rng.in_range(0..2));
        }
        _ => {
            if rng.one_in(2) {
                workers.start();
            }
            workers.signal(0, Signal::STOP);
            wait_until_due(rng);
            workers.signal(0, Signal::CONT);
            while workers.running.len() > 1 {
                workers.kill(1);
            }
        }
    }
}

/// All due times that came, oldest first.
fn past_due_times(site: &TempSite) -> Vec<Value> {
    let lines = site.ok(&["schedule", "--json", "--since", "1d"]);
    let entries = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    entries.filter(|entry| entry["state"] != json!("next")).collect()
}

#[test]
fn a_due_time_has_one_record_and_at_most_one_run_whatever_happens_to_workers() {
    let site = TempSite::with(EVERY_SECOND);
    let mut rng = TestRng::new();
    let mut workers = Workers { site: &site, running: Vec::new() };
    workers.start();
    wait_for("the first run", || (!site.read("ticks").is_empty()).then_some(()));
    for _ in 0..iterations(3) {
        disturb(&mut workers, &mut rng);
    }
    // The schedule ends, and what was started for it.
    site.write("jobs.yaml", &EVERY_SECOND.replace(", schedule: '@every 1s'", ""));
    let job = wait_for("the last run", || {
        let job = site.job("q/tick");
        (job["schedule"].is_null() && job["state"] == json!("finished")).then_some(job)
    });
    let entries = past_due_times(&site);
    let time = |entry: &Value| entry["due_at"].as_str().unwrap().parse::<DateTime<Utc>>().unwrap();
    for pair in entries.windows(2) {
        let expected = time(&pair[0]) + TimeDelta::seconds(1 + pair[1]["earlier"].as_i64().unwrap());
        assert_eq!(time(&pair[1]), expected, "each due time has one record: {pair:?}");
    }
    let ran: Vec<&Value> = entries.iter().filter(|entry| entry["state"] == json!("ran")).collect();
    // The schedule may have ended before its last run.
    let ended = &ran[..ran.len() - 1];
    assert!(ended.iter().all(|entry| !entry["outcome"].is_null()), "each run has ended: {entries:?}");
    assert_eq!(job["run_count"], json!(ran.len()), "a due time that ran has one run: {entries:?}");
    let ticks = site.read("ticks");
    let started: HashSet<&str> = ticks.lines().collect();
    assert_eq!(started.len(), ticks.lines().count(), "no run has started twice: {ticks}");
    let runs = job["runs"].as_array().unwrap();
    for run in runs.iter().filter(|run| run["outcome"] == json!("succeeded")) {
        assert!(started.contains(&*run["id"].to_string()), "{run} is not in {ticks}");
    }
    println!("{} due times, {} runs", entries.len(), runs.len());
}
