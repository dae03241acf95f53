//! The start of a worker: what is reported, what is undone if it fails, and what an interrupt does meanwhile.

use std::fs;
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use setlist::store::{SqliteStore, StateDir, Store};

use crate::temp_site::{CommandOutput, SETLIST, TempSite, wait_for, wait_until_stopped};

/// Whether the program has points at which a test can interfere.
fn has_crash_points() -> bool {
    if !cfg!(debug_assertions) {
        eprintln!("SKIPPED: a release build has no points at which a test can interfere");
    }
    cfg!(debug_assertions)
}

fn queue(site: &TempSite) -> Value {
    serde_json::from_str(&site.ok(&["status", "q", "--json"])).unwrap()
}

fn has_workers(site: &TempSite) -> bool {
    queue(site)["workers"] != json!(0)
}

#[test]
fn an_interrupt_while_a_worker_joins_is_handled() {
    if !has_crash_points() {
        return;
    }
    for (args, signal, code) in [
        (&["process"][..], Signal::INT, 130),
        (&["process"], Signal::TERM, 130),
        (&["worker"], Signal::INT, 130),
        (&["worker"], Signal::TERM, 0),
    ] {
        let site = TempSite::with("queues: {q: [{id: a, run: 'touch ran'}]}\n");
        let mut command = site.command(args);
        command.env("SETLIST_STOP", "joined").stdout(Stdio::piped()).stderr(Stdio::piped());
        let process = command.spawn().unwrap();
        wait_until_stopped(process.id());
        let pid = Pid::from_child(&process);
        kill_process(pid, signal).unwrap();
        kill_process(pid, Signal::CONT).unwrap();
        let output = CommandOutput::from_output(&process.wait_with_output().unwrap());
        assert_eq!(output.code, Some(code), "{args:?}: {output:?}");
        assert_eq!(queue(&site)["state"], json!("idle"), "{args:?}");
        assert!(!has_workers(&site) && !site.join("ran").exists(), "{args:?}");
        assert_eq!(site.job("q/a")["state"], json!("pending"));
    }
}

/// Ctrl-C signals the process group of the worker, in which each process of a job is for a moment.
#[test]
fn a_job_that_ctrl_c_ends_while_it_starts_is_interrupted() {
    if !has_crash_points() {
        return;
    }
    let site = TempSite::with("queues: {q: [{id: a, run: 'echo $$ > job; exec sleep 300'}]}\n");
    let mut command = site.command(&["process", "q"]);
    command.env("SETLIST_STOP", "started").stdout(Stdio::piped()).stderr(Stdio::piped());
    let process = command.spawn().unwrap();
    wait_until_stopped(process.id());
    let job = wait_for("the job", || site.read("job").trim().parse().ok());
    let job = Pid::from_raw(job).unwrap();
    kill_process(job, Signal::INT).unwrap();
    wait_for("its end", || {
        let stat = fs::read_to_string(format!("/proc/{job}/stat")).unwrap();
        stat.contains(") Z ").then_some(())
    });
    let worker = Pid::from_child(&process);
    kill_process(worker, Signal::INT).unwrap();
    kill_process(worker, Signal::CONT).unwrap();
    let output = CommandOutput::from_output(&process.wait_with_output().unwrap());
    assert_eq!(output.code, Some(130), "{output:?}");
    assert_eq!(site.job("q/a")["outcome"], json!("interrupted"), "{output:?}");
}

#[test]
fn a_process_that_can_not_be_set_up_changes_nothing() {
    if !has_crash_points() {
        return;
    }
    for point in ["join", "subscribe"] {
        let site = TempSite::with("queues: {q: [{id: a, run: 'true'}]}\n");
        let output = site.command(&["process", "--parallel", "3"]).env("SETLIST_FAIL", point).output().unwrap();
        let output = CommandOutput::from_output(&output);
        assert!(matches!(output.code, Some(1 | 3)) && output.stderr.contains("a test requested"), "{output:?}");
        let after = queue(&site);
        assert_eq!((&after["state"], &after["parallel"]), (&json!("idle"), &json!(1)), "{point}");
        assert!(!has_workers(&site), "{point}");
        site.ok(&["process"]);
    }
}

#[test]
fn a_worker_that_can_not_start_is_reported() {
    if !has_crash_points() {
        return;
    }
    let site = TempSite::with("queues: {q: [{id: a, run: 'echo $SETLIST_JOB_ID >> ran'}]}\n");
    for args in [&["retry", "q/a"][..], &["add", "q", "--now", "--script", "echo 2 >> ran"], &["run", "true"]] {
        let output = site.command(args).env("SETLIST_FAIL", "join").output().unwrap();
        let output = CommandOutput::from_output(&output);
        assert_eq!(output.code, Some(1), "{args:?}: {output:?}");
        let reason = "setlist: can't start a worker: can't set up a worker: a test requested an error (see /";
        assert!(output.stderr.starts_with(reason) && output.stderr.contains("worker.log"), "{args:?}: {output:?}");
        assert!(!output.stdout.contains("will run") && !output.stdout.is_empty(), "{args:?}: {output:?}");
    }
    assert_eq!(site.read("ran"), "");
    site.ok(&["worker", "--exit-when-idle"]);
    assert_eq!(site.read("ran"), "1\n2\n", "the requests are kept for the next worker");
}

#[test]
fn a_worker_that_is_slow_to_start_is_reported() {
    if !has_crash_points() {
        return;
    }
    let site = TempSite::with("queues: {q: [{id: a, run: 'true'}]}\n");
    let output = site.command(&["retry", "q/a"]).env("SETLIST_STOP", "joined").output().unwrap();
    let output = CommandOutput::from_output(&output);
    let process = output.stderr.strip_prefix("setlist: the worker (process ").and_then(|text| text.split_once(')'));
    let (process, rest) = process.unwrap_or_else(|| panic!("{output:?}"));
    assert!(rest.contains("has not started") && rest.contains("worker.log"), "{output:?}");
    assert_eq!((output.code, &output.stdout[..]), (Some(1), "#1  q/a  requested\n"));
    kill_process(Pid::from_raw(process.parse().unwrap()).unwrap(), Signal::CONT).unwrap();
    site.ok(&["wait", "q/a"]);
}

#[test]
fn a_worker_that_a_job_starts_does_not_belong_to_the_job() {
    // The job is killed at once after the command has returned.
    let script = format!("{SETLIST} retry other/b && touch returned && sleep 600");
    let jobs = json!({"queues": {"q": [{"id": "a", "run": script}], "other": [{"id": "b", "run": "until [ -e go ]; do sleep 0.01; done"}]}});
    let site = TempSite::with(&jobs.to_string());
    let process = site.command(&["process", "q"]).stdout(Stdio::null()).spawn().unwrap();
    wait_for("the command to return", || site.join("returned").exists().then_some(()));
    site.ok(&["cancel", "--kill", "q/a"]);
    assert_eq!(process.wait_with_output().unwrap().status.code(), Some(1));
    site.write("go", "");
    site.ok(&["wait", "other/b"]);
    assert_eq!(site.job("other/b")["outcome"], json!("succeeded"));
}

#[test]
fn a_limit_of_a_killed_process_ends_with_it() {
    let job = "mkdir run-$SETLIST_JOB_ID; ls -d run-* | wc -l >> counts; until [ -e go ]; do sleep 0.01; done; \
               rmdir run-$SETLIST_JOB_ID";
    let jobs: Vec<_> = (1..=4).map(|nth| json!({"id": format!("j{nth}"), "run": job})).collect();
    let file = |title: &str| json!({"queues": {"q": {"title": title, "jobs": jobs}}}).to_string();
    let site = TempSite::with(&file(""));
    let mut process = site.command(&["process", "--parallel", "4"]).stdout(Stdio::null()).spawn().unwrap();
    site.wait_until("q/j4", |job| job["state"] == json!("running"));
    assert_eq!(queue(&site)["parallel"], json!(4));
    site.write("jobs.yaml", &file("new"));
    let after = queue(&site);
    assert_eq!((&after["title"], &after["parallel"]), (&json!("new"), &json!(4)), "a change of the file keeps it");
    process.kill().unwrap();
    process.wait().unwrap();
    assert_eq!(queue(&site)["parallel"], json!(1));
    for nth in 1..=4 {
        fs::remove_dir(site.join(&format!("run-{nth}"))).unwrap();
        site.ok(&["reset", &format!("q/j{nth}")]);
    }
    fs::remove_file(site.join("counts")).unwrap();
    site.write("go", "");
    site.ok(&["process"]);
    assert_eq!(site.read("counts").split_whitespace().collect::<Vec<_>>(), ["1"; 4], "one at a time");
}

#[test]
fn a_file_that_is_saved_while_a_worker_starts_is_read() {
    if !has_crash_points() {
        return;
    }
    let site = TempSite::with("queues: {q: [{id: a, run: 'true'}]}\n");
    let mut worker = site.command(&["worker"]).env("SETLIST_STOP", "joined").stderr(Stdio::null()).spawn().unwrap();
    wait_until_stopped(worker.id());
    site.write("jobs.yaml", "queues: {q: [{id: a, run: 'true'}, {id: b, run: 'true'}]}\n");
    kill_process(Pid::from_child(&worker), Signal::CONT).unwrap();
    // A command would read the file itself.
    wait_for("the worker to read the file", || {
        let mut store = SqliteStore::open(&StateDir::new(site.join(".setlist"))).unwrap();
        store.load().unwrap().job_named(&"q".into(), "b").map(drop)
    });
    kill_process(Pid::from_child(&worker), Signal::TERM).unwrap();
    worker.wait().unwrap();
}
