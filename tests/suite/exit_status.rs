//! The exit status of `process` and `wait`: 0 only if nothing is left and nothing failed.

use std::fs;
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::temp_site::{CommandOutput, SETLIST, TempSite, wait_for};

/// A queue whose first job waits for the file `go`.
const WAITING: &str =
    "queues:\n  q:\n    - {id: a, run: 'until [ -e go ]; do sleep 0.01; done'}\n    - {id: b, run: 'true'}\n";

fn spawn_process(site: &TempSite) -> Child {
    site.command(&["process"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn output(child: Child) -> CommandOutput {
    CommandOutput::from_output(&child.wait_with_output().unwrap())
}

/// Runs a command that may open so many files.
fn with_open_files(site: &TempSite, limit: u32, args: &[&str]) -> CommandOutput {
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "ulimit -n \"$1\"; shift; exec \"$@\"", "sh", &limit.to_string(), SETLIST]);
    site.set_environment(&mut command);
    CommandOutput::from_output(&command.args(args).output().unwrap())
}

#[test]
fn too_few_open_files_are_named_and_nothing_runs() {
    let site = TempSite::with("queues: {q: ['touch ran']}\n");
    site.ok(&["list"]);
    for limit in [8, 10, 12, 14, 16, 18, 20, 22, 24, 26] {
        let refused = with_open_files(&site, limit, &["process"]);
        let names_it = refused.stderr.contains("`ulimit -n`") || refused.stderr.contains("Too many open files");
        assert!(refused.code == Some(3) && names_it && !site.join("ran").exists(), "{limit}: {refused:?}");
        assert!(!refused.stderr.contains("--state"), "{limit}: {refused:?}");
    }
}

#[test]
fn a_very_long_name_is_not_repeated_in_full() {
    let site = TempSite::with("queues: {q: ['true']}\n");
    let name = "n".repeat(5000);
    site.ok(&["add", &name, "--", "true"]);
    let refused = site.run(&["list", &"m".repeat(5000)]);
    assert!(refused.code == Some(2) && refused.stderr.contains("there is no queue \"mmm"), "{refused:?}");
    assert!(refused.stderr.contains("the queues are ") && refused.stderr.len() < 300, "{refused:?}");
}

fn wait_for_workers(site: &TempSite, count: usize) {
    wait_for("the workers", || {
        let workers = fs::read_dir(site.join(".setlist/workers")).map_or(0, Iterator::count);
        (workers == count).then_some(())
    });
}

#[test]
fn an_interrupt_of_one_process_does_not_stop_another() {
    for interrupts_first in [false, true] {
        let site = TempSite::with(WAITING);
        let mut callers = vec![spawn_process(&site)];
        site.wait_until("q/a", |job| job["state"] == json!("running"));
        callers.push(spawn_process(&site));
        wait_for_workers(&site, 2);
        let interrupted = callers.remove(usize::from(!interrupts_first));
        let remaining = callers.remove(0);
        kill_process(Pid::from_child(&interrupted), Signal::INT).unwrap();
        assert_eq!(output(interrupted).code, Some(130));
        site.write("go", "");
        let remaining = output(remaining);
        // The first caller ran `a`, so that its interrupt cancels it.
        let expected = if interrupts_first { Some(1) } else { Some(0) };
        assert_eq!(remaining.code, expected, "{remaining:?}");
        assert_eq!(site.job("q/b")["outcome"], json!("succeeded"), "{remaining:?}");
    }
}

#[test]
fn the_last_interrupted_process_stops_the_queue() {
    let site = TempSite::with(WAITING);
    let process = spawn_process(&site);
    site.wait_until("q/a", |job| job["state"] == json!("running"));
    kill_process(Pid::from_child(&process), Signal::INT).unwrap();
    assert_eq!(output(process).code, Some(130));
    assert!(site.ok(&["status", "q"]).contains("idle"));
    assert_eq!(site.job("q/b")["state"], json!("pending"));
}

#[test]
fn a_pause_during_a_run_leaves_jobs_and_is_not_a_success() {
    let site = TempSite::with(WAITING);
    let process = spawn_process(&site);
    site.wait_until("q/a", |job| job["state"] == json!("running"));
    site.ok(&["pause", "q"]);
    site.write("go", "");
    let paused = output(process);
    assert_eq!((paused.code, &paused.stderr[..]), (Some(1), "setlist: 1 job left in q: paused\n"));
    let again = site.run(&["process"]);
    assert_eq!((again.code, &again.stderr[..]), (Some(1), "setlist: q is paused; --resume processes it\n"));
    site.ok(&["process", "--resume"]);
    assert_eq!(site.job("q/b")["outcome"], json!("succeeded"));
}

#[test]
fn a_job_that_on_finish_adds_to_its_queue_runs() {
    let hook = format!("[ -e added ] || {{ touch added; {SETLIST} add q --script 'echo late >> book'; }}");
    let site = TempSite::with(&format!("queues: {{q: [{{id: a, run: 'true', on_finish: {}}}]}}\n", json!(hook)));
    site.ok(&["process"]);
    assert_eq!(site.read("book"), "late\n");
}

#[test]
fn a_skipped_job_that_is_not_needed_counts_as_a_success() {
    let site = TempSite::with(
        "queues:
  q:
    - {id: backup, run: 'true'}
    - {id: alarm, run: 'false', needs: {job: backup, on: failure}}
    - {id: report, run: 'false', needs: alarm}
",
    );
    site.ok(&["process"]);
    assert_eq!(site.job("q/report")["outcome"], json!("skipped"));
    site.ok(&["wait", "q"]);
    site.ok(&["wait", "q/alarm"]);
    site.ok(&["wait", "q/report"]);
}

#[test]
fn a_job_that_is_skipped_because_of_a_failure_is_a_failure() {
    let site = TempSite::with(
        "queues:
  a: [{id: broken, run: 'false'}]
  b:
    - {id: next, run: 'true', needs: a/broken}
    - {id: last, run: 'true', needs: next}
",
    );
    assert_eq!(site.run(&["process", "a"]).code, Some(1));
    assert_eq!(site.run(&["process", "b"]).code, Some(1));
    assert_eq!(site.run(&["wait", "b/last"]).code, Some(1));
}

#[test]
fn a_job_that_waits_for_another_queue_is_left() {
    let site = TempSite::with(
        "queues:\n  a: [{id: first, run: 'true'}]\n  b: ['true', {id: next, run: 'true', needs: a/first}]\n",
    );
    let process = site.run(&["process", "b"]);
    assert_eq!((process.code, &process.stderr[..]), (Some(1), "setlist: 1 job left in b: needs a/first\n"));
}
