//! The folders of jobs: `$SETLIST_STATE_DIR` over the attempts of a job, and `$SETLIST_ARTIFACTS` of each run.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::{Child, Stdio};

use chrono::{TimeDelta, Utc};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use setlist::store::{SqliteStore, StateDir, Store};

use crate::temp_site::{TempSite, wait_for};

/// A job that counts its attempts in its state, and succeeds at the third.
const COUNTS: &str = "\
queues:
  q:
    - id: count
      retry: {max: 1, delay: 1ms}
      run: |
        echo x >> \"$SETLIST_STATE_DIR/attempts\"
        stat -c %a \"$SETLIST_STATE_DIR\"
        echo \"$(wc -l < \"$SETLIST_STATE_DIR/attempts\")\"
        test \"$(wc -l < \"$SETLIST_STATE_DIR/attempts\")\" -ge 3
";

/// The folders in one of the folders of the state.
fn folders(site: &TempSite, name: &str) -> Vec<String> {
    // It is made with the first of them.
    let entries = fs::read_dir(site.join(".setlist").join(name)).into_iter().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The ids of the runs of these jobs; numbers may be left out between them.
fn run_ids(site: &TempSite, jobs: &[&str]) -> Vec<String> {
    let runs = jobs.iter().flat_map(|job| site.job(job)["runs"].as_array().unwrap().clone());
    let mut ids: Vec<String> = runs.map(|run| run["id"].to_string()).collect();
    ids.sort();
    ids
}

fn wait_until_empty(site: &TempSite, name: &str) {
    wait_for("the folders to be removed", || folders(site, name).is_empty().then_some(()));
}

fn start_worker(site: &TempSite, options: &[&str]) -> Child {
    site.command(&[&["worker"], options].concat()).stderr(Stdio::null()).spawn().unwrap()
}

fn kill(mut child: Child) {
    kill_process(Pid::from_child(&child), Signal::KILL).unwrap();
    child.wait().unwrap();
}

#[test]
fn the_state_of_a_job_is_kept_over_its_attempts_until_it_succeeds() {
    let site = TempSite::with(COUNTS);
    assert_eq!(site.run(&["process"]).code, Some(1), "two attempts are not enough");
    assert_eq!(site.ok(&["log", "q/count"]), "700\n2\n", "the second has found what the first has left");
    assert_eq!(folders(&site, "jobs"), ["1"]);
    site.ok(&["retry", "q/count"]);
    site.ok(&["wait", "q/count"]);
    assert_eq!(site.job("q/count")["value"], json!("3"), "an explicit retry resumes, too");
    wait_until_empty(&site, "jobs");
    assert_eq!(site.run(&["process", "--again"]).code, Some(1));
    assert_eq!(site.ok(&["log", "q/count", "--run", "4"]), "700\n1\n", "after a success it begins anew");
}

#[test]
fn a_job_resumes_after_its_worker_was_killed_and_has_all_its_attempts() {
    let site = TempSite::with(
        "\
queues:
  q:
    - id: long
      retry: {interrupted: free, delay: 1ms}
      run: |
        echo \"$SETLIST_ATTEMPT\" >> \"$SETLIST_STATE_DIR/steps\"
        echo partial > \"$SETLIST_ARTIFACTS/result\"
        test \"$(wc -l < \"$SETLIST_STATE_DIR/steps\")\" -ge 4 || exec sleep 1000
        cat \"$SETLIST_STATE_DIR/steps\"
        cp \"$SETLIST_STATE_DIR/steps\" \"$SETLIST_ARTIFACTS/result\"
",
    );
    site.ok(&["list"]);
    let steps = site.join(".setlist/jobs/1/steps");
    let mut worker = start_worker(&site, &[]);
    site.ok(&["retry", "q/long"]);
    for run in 1..=3 {
        wait_for("the step", || (fs::read_to_string(&steps).ok()?.lines().count() == run).then_some(()));
        kill(worker);
        worker = start_worker(&site, &[]);
    }
    let job = site.wait_until("q/long", |job| job["state"] == json!("finished"));
    assert_eq!((&job["outcome"], &job["run_count"], &job["max_attempts"]), (&json!("succeeded"), &json!(4), &json!(1)));
    assert_eq!(site.ok(&["log", "q/long"]), "1\n1\n1\n1\n", "each is the first attempt");
    wait_until_empty(&site, "jobs");
    assert_eq!(folders(&site, "artifacts"), run_ids(&site, &["q/long"]), "each run keeps its own");
    kill_process(Pid::from_child(&worker), Signal::TERM).unwrap();
    assert!(worker.wait().unwrap().success());
}

#[test]
fn state_that_a_killed_worker_could_not_remove_is_not_seen_by_the_next_run() {
    let site =
        TempSite::with("queues: {q: [{id: a, run: 'ls \"$SETLIST_STATE_DIR\"; touch \"$SETLIST_STATE_DIR/old\"'}]}\n");
    let died = site.command(&["process"]).env("SETLIST_CRASH", "recorded").output().unwrap();
    assert_eq!(died.status.code(), None, "it was killed after the success was recorded: {died:?}");
    assert_eq!(
        (site.job("q/a")["outcome"].clone(), folders(&site, "jobs")),
        (json!("succeeded"), vec!["1".to_owned()])
    );
    site.ok(&["process", "--again"]);
    assert_eq!(site.ok(&["log", "q/a"]), "", "the folder was empty");
}

/// A run leaves a file, a folder that can't be changed, and a link to a folder outside.
const LEAVES: &str = "\
queues:
  q:
    keep: {runs: 1}
    jobs:
      - id: report
        run: |
          cd \"$SETLIST_ARTIFACTS\"
          echo 'ok' > summary.txt
          mkdir -p pages/locked
          echo '<p>' > pages/locked/index.html
          chmod 500 pages/locked
          ln -s \"$SETLIST_SITE/outside\" link
      - {id: quiet, run: 'test -d \"$SETLIST_ARTIFACTS\"'}
      - {id: program, command: [./program]}
";

fn site_with_artifacts() -> TempSite {
    let site = TempSite::with(LEAVES);
    site.script("program", "mkdir -p \"$SETLIST_ARTIFACTS\" && echo done > \"$SETLIST_ARTIFACTS/result\"");
    fs::create_dir(site.join("outside")).unwrap();
    site.write("outside/precious", "keep me\n");
    site.ok(&["process"]);
    site
}

#[test]
fn the_artifacts_of_a_run_are_kept_and_listed() {
    let site = site_with_artifacts();
    let artifacts = site.job("q/report")["artifacts"].clone();
    let folder = site.join(".setlist/artifacts/1");
    let files: Vec<(&str, &Value)> = artifacts[0]["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| (file["path"].as_str().unwrap(), &file["bytes"]))
        .collect();
    assert_eq!(files[1..], [("pages/locked/index.html", &json!(4)), ("summary.txt", &json!(3))]);
    assert_eq!((files[0].0, files.len()), ("link", 3), "what is behind a link is not listed");
    let listed = PathBuf::from(artifacts[0]["folder"].as_str().unwrap());
    assert_eq!(listed.canonicalize().unwrap(), folder.canonicalize().unwrap());
    assert_eq!((&artifacts[0]["run_id"], &artifacts[0]["count"]), (&json!(1), &json!(3)));
    assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
    let shown = site.ok(&["show", "q/report"]);
    assert!(shown.contains("/.setlist/artifacts/1  3 files, ") && shown.contains("summary.txt  3 B\n"), "{shown}");
    // A run that leaves nothing has no folder, and a program can make its own.
    assert_eq!(site.job("q/quiet")["artifacts"], json!([]));
    assert_eq!(site.job("q/program")["artifacts"][0]["files"], json!([{"path": "result", "bytes": 5}]));
    assert_eq!(folders(&site, "artifacts"), run_ids(&site, &["q/report", "q/program"]));
}

#[test]
fn artifacts_are_pruned_with_their_run_and_nothing_behind_a_link_is_removed() {
    let site = site_with_artifacts();
    site.ok(&["process", "--again"]);
    assert_eq!(folders(&site, "artifacts"), run_ids(&site, &["q/report", "q/program"]), "of both runs of each");
    let mut store = SqliteStore::open(&StateDir::new(site.join(".setlist"))).unwrap();
    assert_eq!(store.prune(Utc::now()).unwrap().runs, 3);
    assert_eq!(folders(&site, "artifacts"), run_ids(&site, &["q/report", "q/program"]), "of the last runs");
    assert_eq!(site.read("outside/precious"), "keep me\n");
}

#[test]
fn artifacts_count_for_the_size_that_is_kept() {
    let site = site_with_artifacts();
    site.write("jobs.yaml", &LEAVES.replace("{runs: 1}", "{size: 1kB}"));
    site.script("program", "mkdir -p \"$SETLIST_ARTIFACTS\"; head -c 2000 /dev/zero > \"$SETLIST_ARTIFACTS/result\"");
    site.ok(&["process", "--again"]);
    let mut store = SqliteStore::open(&StateDir::new(site.join(".setlist"))).unwrap();
    assert!(store.prune(Utc::now()).unwrap().bytes > 2000);
    assert_eq!(folders(&site, "artifacts"), [""; 0], "the last one alone is too large");
    assert_eq!(site.job("q/program")["run_count"], json!(2), "their runs are kept");
}

#[test]
fn the_state_of_a_job_that_no_longer_exists_is_removed() {
    let site = TempSite::with("queues: {q: {keep: {age: 1d}, jobs: []}}\n");
    site.run(&["run", "--wait", "-q", "q", "sh", "-c", "touch \"$SETLIST_STATE_DIR/x\"; exit 1"]);
    site.ok(&["remove", "1"]);
    // A removal that a killed process has left.
    fs::create_dir_all(site.join(".setlist/jobs/.removed-1-0-7/deep")).unwrap();
    let mut store = SqliteStore::open(&StateDir::new(site.join(".setlist"))).unwrap();
    store.prune(Utc::now()).unwrap();
    assert_eq!(folders(&site, "jobs"), ["1"], "it can be restored");
    store.prune(Utc::now() + TimeDelta::days(2)).unwrap();
    wait_until_empty(&site, "jobs");
}

#[test]
fn a_folder_that_a_job_replaces_by_a_link_is_removed_without_following_it() {
    let site = TempSite::with(
        "queues: {q: [{id: a, run: 'rm -r \"$SETLIST_STATE_DIR\"; ln -s \"$SETLIST_SITE/outside\" \"$SETLIST_STATE_DIR\"; test -e again'}]}\n",
    );
    fs::create_dir(site.join("outside")).unwrap();
    site.write("outside/precious", "keep me\n");
    assert_eq!(site.run(&["process"]).code, Some(1));
    // The next attempt gets a folder of its own in its place.
    site.write("again", "");
    site.ok(&["process", "--again"]);
    wait_until_empty(&site, "jobs");
    assert_eq!(site.read("outside/precious"), "keep me\n");
    // A link that is there before the first run is not used, either.
    symlink(site.join("outside"), site.join(".setlist/jobs/2")).unwrap();
    site.ok(&["run", "--wait", "-q", "q", "sh", "-c", "touch \"$SETLIST_STATE_DIR/new\""]);
    assert!(!site.join("outside/new").exists());
}

#[test]
fn a_folder_that_cannot_be_made_fails_the_job_with_its_path() {
    let site = TempSite::with("queues: {q: [{id: a, run: 'ls \"$SETLIST_ARTIFACTS\"'}]}\n");
    site.ok(&["list"]);
    site.write(".setlist/artifacts", "");
    assert_eq!(site.run(&["process"]).code, Some(1));
    let error = site.job("q/a")["error"].as_str().unwrap().to_owned();
    assert!(
        error.starts_with("can't make the folder $SETLIST_ARTIFACTS (") && error.contains("artifacts/1): "),
        "{error}"
    );
}

#[test]
fn a_job_that_runs_again_at_once_keeps_its_new_state() {
    // Each due time comes while the job runs, so that it is due again the moment it ends.
    let site = TempSite::with(
        "\
queues:
  q:
    - id: tick
      schedule: {cron: '@every 1s', overlap: wait}
      run: |
        test ! -e \"$SETLIST_STATE_DIR/old\"
        touch \"$SETLIST_STATE_DIR/old\"
        sleep 1.1
        test -e \"$SETLIST_STATE_DIR/old\"
        echo fine >> \"$SETLIST_SITE/ticks\"
",
    );
    let mut worker = start_worker(&site, &[]);
    wait_for("four runs", || (site.read("ticks").lines().count() >= 4).then_some(()));
    kill_process(Pid::from_child(&worker), Signal::TERM).unwrap();
    assert!(worker.wait().unwrap().success());
    let job = site.job("q/tick");
    let ended = job["runs"].as_array().unwrap().iter().map(|run| run["outcome"].as_str().unwrap_or("running"));
    assert!(ended.clone().all(|outcome| outcome != "failed"), "{job}");
}
