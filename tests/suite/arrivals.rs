//! `for_each: {watch: PATTERN}`: files that arrive become jobs, which a worker that stays runs.

use std::fs::{self, FileTimes};
use std::process::Child;
use std::time::{Duration, SystemTime};

use rustix::process::{Pid, Signal, kill_process};

use crate::temp_site::{TempSite, wait_for};

const SITE: &str = r#"
queues:
  in:
    - {id: load, for_each: {watch: "in/*.csv", settle: 300ms}, run: 'cat "$SETLIST_ITEM" >> loaded'}
    - {id: check, for_each: {watch: "in/*.csv", settle: 300ms}, needs: "load[${item}]", run: echo}
    - {id: other, run: touch other}
"#;

fn site() -> TempSite {
    let site = TempSite::with(SITE);
    fs::create_dir(site.join("in")).unwrap();
    site.write("loaded", "");
    site
}

fn start_worker(site: &TempSite) -> Child {
    site.command(&["worker"]).spawn().unwrap()
}

fn stop(mut worker: Child) {
    kill_process(Pid::from_child(&worker), Signal::TERM).unwrap();
    worker.wait().unwrap();
}

/// Waits until the jobs have read this. No command opens the site meanwhile: the worker has to notice the files.
fn wait_for_loaded(site: &TempSite, text: &str) {
    wait_for(text, || (site.read("loaded") == text).then_some(()));
}

/// Waits until a job is listed. Each command reads the folder.
fn wait_for_job(site: &TempSite, name: &str) {
    wait_for(name, || site.ok(&["list", "in"]).contains(name).then_some(()));
}

/// Moves a complete file into the folder.
fn arrive(site: &TempSite, name: &str, text: &str) {
    site.write(name, text);
    fs::rename(site.join(name), site.join(&format!("in/{name}"))).unwrap();
}

#[test]
fn a_worker_that_stays_runs_the_jobs_of_files_that_arrive() {
    let site = site();
    arrive(&site, "before.csv", "1");
    wait_for_job(&site, "load[before.csv]");
    let worker = start_worker(&site);
    wait_for_loaded(&site, "1");
    arrive(&site, "ignored.txt", "x");
    arrive(&site, "b.csv", "2");
    wait_for_loaded(&site, "12");
    site.wait_until("in/check[b.csv]", |job| job["outcome"] == "succeeded");
    assert!(!site.join("other").exists(), "the queue was not processed");
    // The same name with other content is another arrival.
    arrive(&site, "b.csv", "three");
    wait_for_loaded(&site, "12three");
    stop(worker);
    assert_eq!(site.job("in/load[b.csv]")["run_count"], 2);
}

#[test]
fn a_file_that_goes_and_comes_back_unchanged_does_not_run_again() {
    let site = site();
    let worker = start_worker(&site);
    arrive(&site, "a.csv", "1");
    wait_for_loaded(&site, "1");
    site.wait_until("in/check[a.csv]", |job| job["outcome"] == "succeeded");
    fs::rename(site.join("in/a.csv"), site.join("away")).unwrap();
    site.ok(&["reload"]);
    assert_eq!(site.job("in/load[a.csv]")["outcome"], "succeeded", "its record stays");
    fs::rename(site.join("away"), site.join("in/a.csv")).unwrap();
    arrive(&site, "b.csv", "2");
    wait_for_loaded(&site, "12");
    stop(worker);
    assert_eq!((site.read("loaded").as_str(), &site.job("in/load[a.csv]")["run_count"]), ("12", &1.into()));
}

#[test]
fn a_paused_queue_keeps_the_jobs_of_arrivals_pending() {
    let site = site();
    site.ok(&["pause", "in"]);
    let worker = start_worker(&site);
    arrive(&site, "a.csv", "1");
    wait_for_job(&site, "load[a.csv]");
    assert_eq!(site.job("in/load[a.csv]")["state"], "pending");
    site.ok(&["resume", "in"]);
    site.ok(&["start", "in"]);
    wait_for_loaded(&site, "1");
    stop(worker);
}

#[test]
fn process_runs_what_has_settled_and_ends() {
    let site = TempSite::with(&SITE.replace("300ms", "1h"));
    fs::create_dir(site.join("in")).unwrap();
    site.write("loaded", "");
    site.write("in/fresh.csv", "1");
    let dry_run = site.run(&["process", "--dry-run"]);
    assert!(!dry_run.stdout.contains("fresh"), "{dry_run:?}");
    site.ok(&["process", "--quiet"]);
    let nothing = site.run(&["process"]);
    assert!(nothing.stderr.contains("1 file of in/*.csv is still settling, for "), "{nothing:?}");
    assert!(nothing.stderr.contains("; `setlist process` runs it then"), "{nothing:?}");
    assert_eq!(site.read("loaded"), "");
    assert!(!site.run(&["process", "--quiet"]).stderr.contains("settling"));
    // A time of modification in the past is not enough: the file was just written.
    let file = fs::File::options().append(true).open(site.join("in/fresh.csv")).unwrap();
    file.set_times(FileTimes::new().set_modified(SystemTime::now() - Duration::from_secs(7200))).unwrap();
    site.ok(&["process", "--quiet"]);
    assert_eq!(site.read("loaded"), "");
    site.write("jobs.yaml", &SITE.replace("300ms", "0s"));
    assert!(site.run(&["process", "--dry-run"]).stdout.contains("in/load[fresh.csv]"));
    let why = site.ok(&["explain", "in/load[fresh.csv]"]);
    assert!(
        why.contains("not being processed; `setlist worker` and `setlist service` run files as they arrive"),
        "{why}"
    );
    site.ok(&["process", "--quiet"]);
    assert_eq!(site.read("loaded"), "1");
}
