//! `expect`, `stall` and `status --check` with real workers.

use std::path::Path;
use std::process::{Child, Stdio};

use chrono::{DateTime, TimeDelta, Utc};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use setlist::definition;
use setlist::model::Command;
use setlist::store::{SqliteStore, StateDir, Store};

use crate::temp_site::{TempSite, wait_for};

/// A job of which a success is expected soon after the file is read, and a hook that records each call.
const SOON: &str = "\
queues:
  q:
    env: {GREETING: hello}
    jobs:
      - id: backup
        run: test -e good
        expect: {within: 1s}
        on_overdue: echo \"$GREETING $SETLIST_EVENT $SETLIST_JOB ${SETLIST_RUN_ID-none} $SETLIST_MESSAGE\" >> reported
";
const NIGHTLY: &str = "\
queues:
  nightly:
    title: Every night
    expect: 04:00 UTC
    on_overdue: echo \"$SETLIST_QUEUE ${SETLIST_JOB-none} $SETLIST_TITLE $SETLIST_SINCE ${SETLIST_LAST_SUCCESS-never}\" >> reported
    jobs: [{id: a, run: 'true'}, {id: b, run: 'true'}]
";

fn start_worker(site: &TempSite) -> Child {
    site.command(&["worker"]).stderr(Stdio::null()).spawn().unwrap()
}

fn stop_worker(worker: &mut Child) {
    kill_process(Pid::from_child(worker), Signal::TERM).unwrap();
    assert!(worker.wait().unwrap().success());
}

fn store(site: &TempSite) -> SqliteStore {
    SqliteStore::open(&StateDir::new(Path::new(&site.join(".setlist")))).unwrap()
}

/// Applies the file at an earlier time, as if the site had not been used since.
fn apply_file_at(site: &TempSite, time: DateTime<Utc>) {
    site.ok(&["list"]);
    let desired = definition::read(&site.join("jobs.yaml")).unwrap();
    // Removing the expectations and adding them again makes them begin at that time.
    let mut without = desired.clone();
    without.version = "without".to_owned();
    for queue in &mut without.queues {
        queue.settings.expect = None;
        queue.jobs.clear();
    }
    for desired in [without, desired] {
        store(site).execute(&[Command::Reconcile(Box::new(desired))], time).unwrap().remove(0).unwrap();
    }
}

/// The problems that `status --check` prints.
fn problems(site: &TempSite) -> Vec<Value> {
    let output = site.run(&["status", "--check", "--json"]);
    let problems: Vec<Value> = output.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(output.code, Some(i32::from(!problems.is_empty())), "{output:?}");
    problems
}

fn kinds(site: &TempSite) -> Vec<String> {
    problems(site).iter().map(|problem| problem["problem"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn workers_report_once_what_is_overdue_until_it_succeeds() {
    let site = TempSite::with(SOON);
    let mut workers = [start_worker(&site), start_worker(&site), start_worker(&site)];
    wait_for("the hook", || site.read("reported").ends_with('\n').then_some(()));
    assert_eq!(kinds(&site), ["overdue"]);
    let job = site.job("q/backup");
    let text = site.ok(&["list"]);
    assert!(job["overdue_since"].is_string() && text.contains("  overdue "), "{text} {job}");
    assert!(site.ok(&["status"]).contains("  overdue: q/backup"), "{}", site.ok(&["status"]));
    assert!(site.ok(&["show", "q/backup"]).contains("\n            overdue: no success by "));
    site.run(&["retry", "q/backup"]);
    assert_eq!(site.run(&["wait", "q/backup"]).code, Some(1));
    assert_eq!(kinds(&site), ["overdue"], "a failure does not clear it");
    site.write("good", "");
    site.ok(&["retry", "q/backup"]);
    wait_for("the second time", || (site.read("reported").lines().count() == 2).then_some(()));
    let reported = site.read("reported");
    let line = reported.lines().next().unwrap();
    assert!(line.starts_with("hello overdue backup none q/backup is overdue: no success by "), "{reported}");
    workers.iter_mut().for_each(stop_worker);
    assert_eq!(site.read("reported"), reported, "no worker repeats it");
}

#[test]
fn a_killed_worker_leaves_what_is_overdue_to_the_next() {
    let site = TempSite::with(SOON);
    let mut killed = start_worker(&site);
    wait_for("the worker", || site.run(&["status", "--json"]).stdout.contains("\"workers\":1").then_some(()));
    kill_process(Pid::from_child(&killed), Signal::KILL).unwrap();
    killed.wait().unwrap();
    wait_for("the expected time", || kinds(&site).contains(&"overdue".to_owned()).then_some(()));
    assert!(kinds(&site).contains(&"not_kept".to_owned()), "{:?}", problems(&site));
    let mut next = start_worker(&site);
    wait_for("the record", || store(&site).expectations().unwrap()[0].overdue);
    assert_eq!(kinds(&site), ["overdue"]);
    stop_worker(&mut next);
    let state = store(&site).expectations().unwrap().remove(0);
    assert_eq!(state.overdue.unwrap().missed, 1);
    assert!(site.read("reported").lines().count() <= 1, "{}", site.read("reported"));
}

#[test]
fn a_queue_is_overdue_without_a_worker_too() {
    let site = TempSite::with(NIGHTLY);
    apply_file_at(&site, Utc::now() - TimeDelta::days(3));
    let found = problems(&site);
    assert_eq!(found.iter().map(|found| &found["problem"]).collect::<Vec<_>>(), ["not_kept", "overdue"], "{found:?}");
    assert_eq!((&found[1]["queue"], &found[1]["job"]), (&json!("nightly"), &json!(null)));
    assert!(found[1]["message"].as_str().unwrap().starts_with("no success by 2"), "{found:?}");
    let mut worker = start_worker(&site);
    wait_for("the hook", || site.read("reported").ends_with('\n').then_some(()));
    let reported = site.read("reported");
    assert!(
        reported.starts_with("nightly none Every night 2") && reported.ends_with("T04:00:00Z never\n"),
        "{reported}"
    );
    site.ok(&["process"]);
    wait_for("the success", || kinds(&site).is_empty().then_some(()));
    let status: Value = serde_json::from_str(&site.ok(&["status", "--json"])).unwrap();
    assert_eq!(status["overdue"], json!([]));
    stop_worker(&mut worker);
    assert_eq!(site.read("reported"), reported, "once for three days");
}

#[test]
fn status_check_prints_problems_only() {
    let site = TempSite::with(
        "queues: {fine: [{id: a, run: 'true'}], bad: {on_failure: stop, jobs: [{id: b, run: exit 3}]}, \
         lone: [{id: c, run: 'false'}]}\n",
    );
    site.ok(&["process", "fine"]);
    site.run(&["process", "lone"]);
    let output = site.run(&["status", "--check"]);
    assert_eq!(
        (output.code, output.stdout.as_str(), output.stderr.as_str()),
        (Some(0), "", ""),
        "a failure alone is none"
    );
    site.run(&["process", "bad"]);
    let output = site.run(&["status", "--check"]);
    assert_eq!((output.code, output.stdout.as_str()), (Some(1), "stopped: bad: stopped by bad/b\n"));
    assert_eq!(output.stderr, "");
    assert_eq!(site.run(&["status", "--check", "fine"]).code, Some(0));
    assert_eq!(site.run(&["status", "--check", "none"]).code, Some(2));
    site.write("jobs.yaml", "queues: {fine: [");
    let output = site.run(&["status", "--check"]);
    assert_eq!((output.code, output.stdout.as_str()), (Some(2), "stopped: bad: stopped by bad/b\n"), "it says both");
}

#[test]
fn a_missed_due_time_is_a_problem() {
    let site = TempSite::with(
        "queues: {q: {schedule: {cron: TZ=UTC 0 2 * * *, missed: skip}, jobs: [{id: a, run: 'true'}]}}\n",
    );
    site.ok(&["list"]);
    let desired = definition::read(&site.join("jobs.yaml")).unwrap();
    let mut without = desired.clone();
    without.version = "without".to_owned();
    without.queues[0].settings.schedule = None;
    for desired in [without, desired] {
        let earlier = Utc::now() - TimeDelta::days(2);
        store(&site).execute(&[Command::Reconcile(Box::new(desired))], earlier).unwrap().remove(0).unwrap();
    }
    assert_eq!(kinds(&site), ["not_kept", "missed"]);
    assert!(problems(&site)[1]["message"].as_str().unwrap().ends_with(": not started yet"));
    store(&site).execute(&[Command::PromoteDue], Utc::now()).unwrap().remove(0).unwrap();
    let message = problems(&site)[1]["message"].as_str().unwrap().to_owned();
    // Within two minutes of the due time, it would still run.
    assert!(message.contains("no worker was running"), "{message}");
}

#[test]
fn a_failed_run_of_a_schedule_is_a_problem_until_it_succeeds() {
    let site = TempSite::with(
        "queues: {q: [{id: tick, run: 'test -e good', schedule: '@every 1s'}, {id: expected, run: 'false', schedule: \
         '@every 1s', expect: {within: 2h}}], all: {schedule: '@every 1s', jobs: [{id: a, run: 'test -e good'}]}}\n",
    );
    let mut worker = start_worker(&site);
    wait_for("the failures", || (kinds(&site) == ["failed", "failed"]).then_some(()));
    let failed = wait_for("them again", || Some(problems(&site)).filter(|found| found.len() == 2));
    let named: Vec<_> = failed.iter().map(|found| (&found["queue"], &found["job"])).collect();
    assert!(named.contains(&(&json!("q"), &json!("q/tick"))), "{failed:?}");
    assert!(named.contains(&(&json!("all"), &json!(null))), "{failed:?}");
    assert!(failed[0]["message"].as_str().unwrap().ends_with(" failed, and has not succeeded since"), "{failed:?}");
    site.write("good", "");
    wait_for("the successes", || kinds(&site).is_empty().then_some(()));
    stop_worker(&mut worker);
}

#[test]
fn a_silent_run_is_stalled_until_it_prints_again() {
    let site = TempSite::with(
        "queues: {q: [{id: a, stall: 1s, on_stall: 'echo \"$SETLIST_EVENT $SETLIST_JOB $SETLIST_MESSAGE\" >> reported', \
         run: 'while ! test -e go; do sleep 0.05; done; echo again; while ! test -e end; do sleep 0.05; echo on; done'}]}\n",
    );
    let mut process = site.command(&["process"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let job = site.wait_until("q/a", |job| job["stalled_since"].is_string());
    assert_eq!(job["state"], json!("running"));
    assert_eq!(kinds(&site), ["stalled"]);
    assert!(site.ok(&["list"]).contains("  stalled "), "{}", site.ok(&["list"]));
    assert!(site.ok(&["show", "q/a"]).contains("  state     running, stalled "), "{}", site.ok(&["show", "q/a"]));
    assert!(site.ok(&["status"]).contains("  stalled: q/a"), "{}", site.ok(&["status"]));
    wait_for("the hook", || site.read("reported").ends_with('\n').then_some(()));
    assert!(site.read("reported").starts_with("stall a q/a is stalled: no output for 1"), "{}", site.read("reported"));
    site.write("go", "");
    site.wait_until("q/a", |job| job["stalled_since"].is_null());
    assert_eq!(kinds(&site), [""; 0]);
    site.write("end", "");
    assert!(process.wait().unwrap().success());
    assert_eq!(site.read("reported").lines().count(), 1);
    assert_eq!(site.job("q/a")["outcome"], json!("succeeded"));
}

#[test]
fn a_stalled_run_can_be_stopped_and_retried() {
    let site = TempSite::with(
        "queues: {q: [{id: soft, stall: {after: 1s, then: cancel}, retry: {max: 1, delay: 0, on: [stalled]}, \
         run: 'trap \"echo stopping; exit 0\" TERM; echo run $SETLIST_ATTEMPT; sleep 600 & wait'}, \
         {id: hard, stall: {after: 1s, then: kill}, run: \"trap '' TERM; sleep 600; sleep 600\"}]}\n",
    );
    assert_eq!(site.run(&["process"]).code, Some(1));
    let soft = site.job("q/soft");
    assert_eq!((&soft["outcome"], &soft["run_count"]), (&json!("failed"), &json!(2)), "{soft}");
    assert_eq!(soft["error"], json!("stalled: no output for 1s"));
    assert_eq!(site.ok(&["log", "q/soft"]), "run 2\nstopping\n");
    let hard = site.job("q/hard");
    assert_eq!((&hard["error"], &hard["signal"]), (&json!("stalled: no output for 1s"), &json!(9)), "{hard}");
    assert!(site.processes().is_empty(), "{:?}", site.processes());
}
