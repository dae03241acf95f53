//! `setlist process --again`, and what `process` says when there is nothing to do or when it has to wait.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::temp_site::TempSite;

const NIGHTLY: &str = "\
queues:
  nightly:
    - {id: report, run: 'cat backup >> reports', needs: backup}
    - {id: backup, run: 'echo saved >> backup'}
  other: [{id: once, run: 'echo x >> once'}]
";

#[test]
fn finished_jobs_run_again_every_night() {
    let site = TempSite::with(NIGHTLY);
    for night in 1..=3 {
        let output = site.run(&["process", "nightly", "--again", "--quiet"]);
        assert_eq!((output.code, &output.stdout[..], &output.stderr[..]), (Some(0), "", ""), "night {night}");
        assert_eq!(site.read("backup").lines().count(), night);
    }
    // The report needs the backup of the same night.
    assert_eq!(site.read("reports").lines().count(), 1 + 2 + 3);
    assert_eq!(site.job("nightly/report")["run_count"], json!(3));
    assert_eq!(site.job("other/once")["state"], json!("pending"), "only the named queues");
}

#[test]
fn a_failed_job_is_among_those_that_run_again() {
    let site = TempSite::with("queues: {q: [{id: a, run: '[ -e good ]'}]}\n");
    assert_eq!(site.run(&["process", "--quiet"]).code, Some(1));
    site.write("good", "");
    assert_eq!(site.run(&["process", "--again", "--quiet"]).code, Some(0));
    assert_eq!(site.job("q/a")["outcome"], json!("succeeded"));
}

#[test]
fn process_says_that_finished_jobs_are_not_run_again() {
    let site = TempSite::with(NIGHTLY);
    site.ok(&["process", "nightly"]);
    let hint = "setlist: no pending jobs; 2 jobs have finished, and `--again` runs them again\n";
    for args in [&["process", "nightly"][..], &["process", "nightly", "--quiet"]] {
        let output = site.run(args);
        assert_eq!((output.code, &output.stdout[..], &output.stderr[..]), (Some(0), "", hint), "{args:?}");
    }
    let empty = TempSite::with("queues: {q: []}\n");
    assert_eq!(empty.run(&["process"]).stderr, "setlist: no pending jobs\n");
    assert_eq!(empty.run(&["process", "--quiet"]).stderr, "");
}

#[test]
fn process_says_until_when_it_waits() {
    let site = TempSite::with("queues: {q: [{id: later, run: 'true', after: 19h}]}\n");
    let mut process = site.command(&["process"]).stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(process.stderr.take().unwrap()).read_line(&mut line).unwrap();
    let (until, job) = line.strip_prefix("setlist: waiting until ").unwrap().split_once(" to start ").unwrap();
    assert_eq!(job, "q/later\n");
    assert!(until.ends_with(" (19h)") || until.contains(" (18h 59m)"), "{line}");
    kill_process(Pid::from_child(&process), Signal::INT).unwrap();
    assert_eq!(process.wait().unwrap().code(), Some(130));
}

#[test]
fn retry_says_that_a_failed_job_is_pending_since_it_was_changed() {
    let site = TempSite::with("queues: {q: [{id: a, run: exit 4}]}\n");
    assert_eq!(site.run(&["process"]).code, Some(1));
    site.write("jobs.yaml", "queues: {q: [{id: a, run: 'true'}]}\n");
    let output = site.run(&["retry", "--failed"]);
    let hint =
        "there are no failed jobs; pending again after a failure: 1 job (`setlist process` runs what is pending)\n";
    assert_eq!((output.code, output.stderr), (Some(0), format!("setlist: {hint}")));
    assert_eq!(site.run(&["process"]).code, Some(0));
    assert_eq!(site.run(&["retry", "--failed"]).stderr, "setlist: there are no failed jobs\n");
}

#[test]
fn a_job_whose_entry_was_removed_does_not_run_again() {
    let site = TempSite::empty();
    let file =
        "queues:\n  q:\n    - {id: kept, run: echo kept >>calls}\n    - {id: dropped, run: echo dropped >>calls}\n";
    site.write("jobs.yaml", file);
    site.ok(&["process", "q", "--quiet"]);
    site.write("jobs.yaml", &file.replace("    - {id: dropped, run: echo dropped >>calls}\n", ""));
    assert_eq!(site.ok(&["reload"]), "1 job only kept as a record\n");
    site.ok(&["process", "q", "--again", "--quiet"]);
    assert_eq!(site.read("calls"), "kept\ndropped\nkept\n");
    // Its record stays, and with its entry it is the same job again.
    assert_eq!(site.job("q/dropped")["id"], 2);
    site.write("jobs.yaml", file);
    site.ok(&["process", "q", "--again", "--quiet"]);
    assert_eq!(site.read("calls"), "kept\ndropped\nkept\nkept\ndropped\n");
}

#[test]
fn commands_that_were_added_or_run_once_are_not_repeated() {
    let site = TempSite::with("queues: {q: [{id: a, run: echo a >>ran}]}\n");
    site.ok(&["add", "q", "--script", "echo added >>ran"]);
    site.ok(&["process", "q"]);
    site.ok(&["run", "--wait", "sh", "-c", "echo once >>ran"]);
    let none = site.run(&["process", "q", "adhoc"]);
    assert_eq!(none.stderr, "setlist: no pending jobs; 1 job has finished, and `--again` runs it again\n");
    site.ok(&["process", "--again"]);
    assert_eq!(site.read("ran"), "a\nadded\nonce\na\n");
}

#[test]
fn a_failed_job_whose_entry_was_removed_runs_only_by_name() {
    let site = TempSite::with("queues: {q: [{id: a, run: 'false'}, {id: b, run: 'false'}]}\n");
    assert_eq!(site.run(&["process"]).code, Some(1));
    site.write("jobs.yaml", "queues: {q: [{id: b, run: 'false'}]}\n");
    assert_eq!(site.ok(&["reload"]), "1 job only kept as a record\n");
    assert!(site.ok(&["show", "q/a"]).contains("  state     failed, no longer in jobs.yaml\n"));
    assert_eq!(
        (&site.job("q/a")["removed_from_file"], &site.job("q/b")["removed_from_file"]),
        (&json!(true), &json!(false))
    );
    let retry = site.run(&["retry", "--failed"]);
    assert_eq!(retry.stdout, "#2  q/b  will run\n");
    assert!(
        retry.stderr.contains("1 failed job is no longer in jobs.yaml; `setlist retry q/a` runs one of these\n"),
        "{retry:?}"
    );
    site.run(&["wait"]);
    assert_eq!((&site.job("q/a")["run_count"], &site.job("q/b")["run_count"]), (&json!(1), &json!(2)));
}

#[test]
fn a_job_that_is_found_interrupted_is_a_failure_and_is_named_later() {
    let site = TempSite::with("queues: {q: [{id: a, run: 'sleep 600'}, {id: b, run: 'true'}]}\n");
    let mut killed = site.command(&["process"]).stdout(Stdio::null()).spawn().unwrap();
    site.wait_until("q/a", |job| job["state"] == json!("running"));
    killed.kill().unwrap();
    killed.wait().unwrap();
    let found = site.run(&["process"]);
    assert_eq!(found.code, Some(1), "{found:?}");
    assert!(
        found.stdout.contains("1 succeeded, 1 interrupted") || found.stdout.contains("1 interrupted, 1 succeeded"),
        "{found:?}"
    );
    let later = site.run(&["process", "--quiet"]);
    assert_eq!(
        (later.code, later.stderr.as_str()),
        (
            Some(0),
            "setlist: no pending jobs; 2 jobs have finished, and `--again` runs them again; 1 job has failed earlier: \
         `setlist retry --failed` runs only it\n"
        )
    );
}
