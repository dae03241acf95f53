//! A job shows the time, duration, value and exit code of its last run since it became pending, or none.

use chrono::Utc;
use serde_json::{Value, json};

use crate::temp_site::{TempSite, wait_for};

/// The line of a job in `setlist list`, in words.
fn row(site: &TempSite, args: &[&str], name: &str) -> Vec<String> {
    let list = site.ok(&[&["list"], args].concat());
    let line = list.lines().find(|line| line.contains(name)).unwrap_or_else(|| panic!("no {name} in\n{list}"));
    line.split_whitespace().map(str::to_owned).collect()
}

/// Makes the times of a job's run different from every later time.
fn wait_for_another_second(site: &TempSite, job: &str) {
    let executed = site.job(job)["executed_at"].as_str().unwrap()[..19].to_owned();
    let now = || Utc::now().format("%Y-%m-%dT%H:%M:%S").to_string();
    wait_for("another second", || (now() != executed).then_some(()));
}

#[test]
fn a_refused_job_shows_nothing_of_the_run_before() {
    let site = TempSite::with("queues: {q: [{id: gate, title: Gate, confirm: true, run: echo 41}]}\n");
    site.ok(&["process", "q", "--yes"]);
    let ran = row(&site, &[], "q/gate");
    assert!(site.ok(&["show", "q/gate"]).contains("  value     41  (the last line of its output)\n"));
    wait_for_another_second(&site, "q/gate");
    site.ok(&["reset", "q/gate"]);
    for state in ["pending", "finished"] {
        let job = site.job("q/gate");
        assert_eq!(job["state"], json!(state));
        for field in ["executed_at", "started_at", "run_ms", "exit_code", "value", "error"] {
            assert_eq!(job[field], Value::Null, "{field} of {job}");
        }
        assert_eq!(job["runs"][0]["value"], json!("41"), "the run keeps its value");
        let shown = site.ok(&["show", "q/gate"]);
        assert!(!shown.contains("  value ") && !shown.contains("  added ") && shown.contains("  requeued "), "{shown}");
        for query in ["took:>0s", "exit:0", "value:41"] {
            assert_eq!(site.ok(&["list", "q", "-q", query]), "", "{query}");
        }
        if state == "pending" {
            assert_eq!(row(&site, &[], "q/gate"), ["#1", "q/gate", "pending", "needs", "approval", "Gate"]);
            site.ok(&["approve", "--refuse", "q/gate"]);
        }
    }
    let refused = row(&site, &[], "q/gate");
    assert_eq!((refused.len(), &*refused[2], &*refused[5]), (6, "cancelled", "Gate"), "{refused:?}");
    assert_ne!(refused[3..5], ran[3..5], "the time is when it was refused");
}

#[test]
fn a_job_that_never_ran_shows_when_it_was_cancelled() {
    let site = TempSite::with("queues: {q: [{id: a, title: A, run: 'true'}]}\n");
    site.ok(&["cancel", "q/a"]);
    let row = row(&site, &[], "q/a");
    assert_eq!((row.len(), &*row[2], &*row[5]), (6, "cancelled", "A"), "{row:?}");
    assert_eq!(site.job("q/a")["executed_at"], Value::Null);
}

#[test]
fn a_running_job_shows_when_it_started_and_how_to_kill_it() {
    let wait = "while [ ! -e go ]; do sleep 0.01; done";
    let site = TempSite::with(&format!("queues: {{q: [{{id: a, title: A, run: 'trap : TERM; {wait}'}}]}}\n"));
    site.ok(&["retry", "q/a"]);
    site.wait_until("q/a", |job| job["state"] == json!("running"));
    let row = row(&site, &[], "q/a");
    assert_eq!((row.len(), &*row[2], &*row[5]), (6, "running", "A"), "{row:?}");
    assert_eq!(site.ok(&["cancel", "q/a"]), "#1  q/a  stopping; `setlist cancel --kill q/a` kills it\n");
    site.write("go", "");
    site.run(&["wait", "q"]);
}

#[test]
fn the_failed_job_that_stopped_its_queue_is_found_as_failed() {
    let jobs = "[{id: bad, title: Bad, run: echo 7; exit 3}, {id: rest, run: 'true'}]";
    let site = TempSite::with(&format!("queues: {{q: {{on_failure: stop, jobs: {jobs}}}, r: ['false']}}\n"));
    assert_eq!(site.run(&["process", "--quiet"]).code, Some(1));
    for args in [&["q", "--failed"][..], &["q", "--state", "failed"], &["q", "-q", "state:failed"]] {
        let list = site.ok(&[&["list"], args].concat());
        assert_eq!(list.lines().count(), 1, "{args:?}: {list}");
        let row = row(&site, args, "q/bad");
        assert_eq!((&row[2..6], &*row[7]), (&["pending", "exit", "code", "3"].map(String::from)[..], "Bad"), "{row:?}");
    }
    assert_eq!(site.ok(&["list", "--failed"]).lines().count(), 2, "r/false, too");
    let status = site.ok(&["status"]);
    assert!(status.lines().next().unwrap().ends_with("PENDING  RUNNING  FINISHED  FAILED OF THESE"), "{status}");
    // Once it has succeeded, it is no failure any more.
    site.write("jobs.yaml", "queues: {q: {on_failure: stop, jobs: [{id: bad, title: Bad, run: echo 7}]}}\n");
    site.ok(&["process", "q"]);
    assert_eq!(site.ok(&["list", "q", "--failed"]), "");
}
