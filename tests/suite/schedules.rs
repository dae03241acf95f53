//! Schedules with real workers: they stay, wake up in time, and are missed when they are not there.

use std::collections::HashSet;
use std::path::Path;
use std::process::{Child, Stdio};

use chrono::{DateTime, TimeDelta, Utc};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use setlist::definition;
use setlist::model::Command;
use setlist::store::{SqliteStore, StateDir, Store};

use crate::temp_site::{TempSite, wait_for};

const EVERY_SECOND: &str = "queues: {q: [{id: tick, run: 'echo x >> ticks', schedule: '@every 1s'}]}\n";
const NIGHTLY: &str =
    "queues: {nightly: {schedule: TZ=UTC 0 2 * * *, jobs: [{id: backup, run: 'echo x >> backups'}]}}\n";
const YEARLY: &str = "queues: {q: {schedule: TZ=UTC 0 0 29 2 *, jobs: [{id: a, run: 'true'}]}}\n";

/// The output of `setlist schedule --json`.
fn due_times(site: &TempSite, args: &[&str]) -> Vec<Value> {
    let output = site.ok(&[&["schedule", "--json"], args].concat());
    output.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn start_worker(site: &TempSite) -> Child {
    site.command(&["worker"]).stderr(Stdio::null()).spawn().unwrap()
}

fn stop_worker(worker: &mut Child) {
    kill_process(Pid::from_child(worker), Signal::TERM).unwrap();
    assert!(worker.wait().unwrap().success());
}

/// Applies the file at an earlier time, as if the site had not been used since.
fn apply_file_at(site: &TempSite, time: DateTime<Utc>) {
    site.ok(&["list"]);
    let file = site.join("jobs.yaml");
    let mut desired = definition::read(&file).unwrap();
    let mut store = SqliteStore::open(&StateDir::new(Path::new(&site.join(".setlist")))).unwrap();
    // Removing the schedule and adding it again makes it begin at that time.
    let version = desired.version.clone();
    let mut without = desired.clone();
    without.version = "without".to_owned();
    without.queues.iter_mut().for_each(|queue| queue.settings.schedule = None);
    desired.version = version;
    for desired in [without, desired] {
        store.execute(&[Command::Reconcile(Box::new(desired))], time).unwrap().remove(0).unwrap();
    }
}

#[test]
fn process_says_that_jobs_with_a_schedule_run_now() {
    let site = TempSite::with(NIGHTLY);
    let plan = site.run(&["process", "--dry-run"]);
    assert!(
        plan.stdout.contains("nightly/backup  echo x >> backups  (runs now; its schedule is next due "),
        "{plan:?}"
    );
    let ran = site.run(&["process"]);
    assert!(ran.stderr.contains("setlist: nightly/backup runs now; its schedule is next due "), "{ran:?}");
    assert_eq!(site.read("backups"), "x\n");
    let named = site.run(&["process", "nightly", "--again"]);
    assert!(named.code == Some(0) && !named.stderr.contains("runs now"), "{named:?}");
}

#[test]
fn a_worker_runs_a_job_at_its_due_times() {
    let site = TempSite::with(EVERY_SECOND);
    let mut worker = start_worker(&site);
    wait_for("three runs", || (site.read("ticks").lines().count() >= 3).then_some(()));
    stop_worker(&mut worker);
    let ran: Vec<_> =
        due_times(&site, &["--since", "1h"]).into_iter().filter(|entry| entry["state"] == json!("ran")).collect();
    let times: HashSet<_> = ran.iter().map(|entry| entry["due_at"].as_str().unwrap().to_owned()).collect();
    assert_eq!(times.len(), ran.len(), "each due time once");
    assert!(ran.len() >= 3 && ran.len() as u64 >= site.job("q/tick")["run_count"].as_u64().unwrap(), "{ran:?}");
}

#[test]
fn a_worker_that_was_not_there_makes_up_for_the_latest_due_time() {
    let site = TempSite::with(NIGHTLY);
    apply_file_at(&site, Utc::now() - TimeDelta::days(14));
    assert_eq!(site.read("backups"), "", "nothing has started it");
    let mut worker = start_worker(&site);
    wait_for("the backup", || (!site.read("backups").is_empty()).then_some(()));
    wait_for("the queue", || site.ok(&["status"]).contains("idle").then_some(()));
    stop_worker(&mut worker);
    assert_eq!(site.read("backups"), "x\n", "once for two weeks");
    let entries = due_times(&site, &["nightly", "--since", "30d", "--next", "2"]);
    let count = |state: &str| entries.iter().filter(|entry| entry["state"] == json!(state)).count();
    assert_eq!((count("missed"), count("ran"), count("next")), (13, 1, 2), "{entries:?}");
    let text = site.ok(&["schedule", "--since", "30d"]);
    assert_eq!(text.matches("missed   nightly  no worker was running").count(), 13, "{text}");
    assert!(text.contains(" next     nightly  in ") && text.contains("0 2 * * * (UTC)"), "{text}");
    let job = site.job("nightly/backup");
    assert_eq!(job["schedule"], json!(["0 2 * * * (UTC)"]));
    assert!(job["next_due_at"].as_str().unwrap().ends_with("T02:00:00.000Z"), "{job}");
    let shown = site.ok(&["show", "nightly/backup"]);
    assert!(shown.contains("\n  schedule  0 2 * * * (UTC)\n            next  "), "{shown}");
}

const FAILING: &str =
    "queues: {nightly: {on_failure: continue, schedule: TZ=UTC 0 2 * * *, jobs: [{id: a, run: 'false'}]}}\n";

#[test]
fn a_due_time_whose_run_failed_is_shown_as_failed() {
    let site = TempSite::with(FAILING);
    apply_file_at(&site, Utc::now() - TimeDelta::days(3));
    let mut worker = start_worker(&site);
    let entries = wait_for("the failure", || {
        let entries = due_times(&site, &["--since", "7d"]);
        entries.iter().any(|entry| entry["outcome"] == json!("failed")).then_some(entries)
    });
    stop_worker(&mut worker);
    let failed = entries.iter().find(|entry| entry["outcome"] == json!("failed")).unwrap();
    assert_eq!((&failed["state"], &failed["queue"], &failed["late"]), (&json!("ran"), &json!("nightly"), &json!(true)));
    let text = site.ok(&["schedule", "--since", "7d"]);
    assert_eq!(text.matches("  failed   nightly  ").count(), 1, "{text}");
    assert_eq!(text.matches("  missed   nightly  no worker was running\n").count(), 2, "{text}");
    assert!(text.lines().all(|line| line.len() <= 80), "{text}");
}

#[test]
fn the_due_times_of_a_removed_job_keep_its_queue() {
    let site = TempSite::with(EVERY_SECOND);
    let mut worker = start_worker(&site);
    wait_for("a run", || (!site.read("ticks").is_empty()).then_some(()));
    site.write("jobs.yaml", "queues: {q: [{id: other, run: 'true'}]}\n");
    wait_for("the end of the schedule", || {
        due_times(&site, &[]).iter().all(|entry| entry["schedule"].is_null()).then_some(())
    });
    stop_worker(&mut worker);
    let entries = due_times(&site, &["--since", "1h"]);
    assert!(!entries.is_empty());
    assert!(entries.iter().all(|entry| entry["queue"] == json!("q") && entry["job"] == json!("q/tick")), "{entries:?}");
    assert_eq!(due_times(&site, &["q", "--since", "1h"]), entries);
}

#[test]
fn using_a_site_leaves_a_worker_for_its_schedules() {
    let site = TempSite::with(YEARLY);
    let hint =
        "setlist: no worker keeps the schedules: `setlist service install` keeps one, and `setlist process` leaves one";
    assert_eq!(site.run(&["check"]).stderr.lines().next(), Some(hint));
    let status = site.run(&["status"]);
    assert_eq!(status.stderr.lines().next(), Some(hint));
    assert!(status.stdout.contains("  next 2028-02-29 00:00"), "{}", status.stdout);
    assert_eq!(site.job("q/a")["waiting"], json!("schedule"));
    site.ok(&["process"]);
    let worker = wait_for("a worker", || {
        let listed = std::fs::read_dir(site.join(".setlist/workers")).ok()?.count();
        (listed == 1 && site.run(&["status"]).stderr.is_empty()).then(|| site.worker_pid())
    });
    assert_eq!(site.run(&["check"]).stderr, "");
    assert_eq!(site.run(&["schedule"]).stderr, "");
    site.ok(&["process"]);
    assert_eq!(site.worker_pid(), worker, "one is enough");
    kill_process(worker, Signal::KILL).unwrap();
    wait_for("the notice", || (site.run(&["status"]).stderr.lines().last() == Some(hint)).then_some(()));
    wait_for("no process", || site.processes().is_empty().then_some(()));
}

#[test]
fn a_schedule_that_is_removed_lets_the_worker_go() {
    let site = TempSite::with(YEARLY);
    let mut worker = site.command(&["worker", "--exit-when-idle"]).stderr(Stdio::null()).spawn().unwrap();
    wait_for("the worker", || site.run(&["status"]).stderr.is_empty().then_some(()));
    assert!(worker.try_wait().unwrap().is_none(), "it stays");
    site.write("jobs.yaml", &YEARLY.replace("schedule: TZ=UTC 0 0 29 2 *, ", ""));
    assert!(wait_for("the end", || worker.try_wait().unwrap()).success());
    assert_eq!(site.run(&["schedule"]).stderr, "setlist: no queue and no job has a schedule\n");
}

/// A `systemctl` that notes how it was called, and a `loginctl`.
fn fake_systemd(site: &TempSite) -> String {
    std::fs::create_dir_all(site.join("bin")).unwrap();
    site.script("bin/systemctl", "echo \"$@\" >> calls\ncase \"$*\" in *is-active*) echo active;; esac");
    site.script("bin/loginctl", "echo no");
    format!("{}:{}", site.join("bin").display(), std::env::var("PATH").unwrap())
}

#[test]
fn a_service_is_installed_shown_and_removed() {
    let site = TempSite::with(YEARLY);
    let path = fake_systemd(&site);
    let run = |args: &[&str]| {
        let output = site.command(args).env("PATH", &path).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(run(&["service", "status"]).0, Some(1));
    let (code, stdout, stderr) = run(&["service", "install"]);
    assert_eq!((code, &*stderr), (Some(0), ""));
    assert!(stdout.contains("loginctl enable-linger"), "{stdout}");
    let units: Vec<_> = std::fs::read_dir(site.join("config/systemd/user")).unwrap().collect();
    let [Ok(unit)] = &units[..] else { panic!("{units:?}") };
    let name = unit.file_name().into_string().unwrap();
    let text = std::fs::read_to_string(unit.path()).unwrap();
    let file = site.join("jobs.yaml").canonicalize().unwrap();
    assert!(text.contains(&format!(" --file {} worker\n", file.display())), "{text}");
    assert!(site.read("calls").ends_with(&format!("--user daemon-reload\n--user enable --now {name}\n")));
    assert_eq!(
        run(&["service", "status"]),
        (Some(0), format!("{name}: active, starts when you log in (`loginctl enable-linger`)\n"), String::new())
    );
    assert_eq!(run(&["service", "remove"]).0, Some(0));
    assert!(site.read("calls").ends_with(&format!("--user disable --now {name}\n--user daemon-reload\n")));
    assert!(!unit.path().exists());
}

#[test]
fn without_systemd_a_service_says_what_to_do_instead() {
    let site = TempSite::with(YEARLY);
    std::fs::create_dir_all(site.join("empty")).unwrap();
    let output = site.command(&["service", "install"]).env("PATH", site.join("empty")).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(
        stderr.contains("there is no `systemctl`") && stderr.contains("@reboot ") && stderr.contains("container:"),
        "{stderr}"
    );
    assert!(!site.join("config/systemd").exists(), "nothing was written");
}
