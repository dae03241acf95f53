//! Commands that change jobs and queues, and what they refuse.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::temp_site::{CommandOutput, TempSite};

const TWO: &str = "\
queues:
  a:
    - {id: one, run: echo 1}
    - {id: two, run: exit 2}
    - {id: only, run: 'true'}
  b:
    - {id: one, run: 'true'}
";

/// The state of each job of the site, as `path state`.
fn states(site: &TempSite) -> Vec<String> {
    let job = |line: &str| -> Value { serde_json::from_str(line).unwrap() };
    let path = |job: &Value| format!("{}/{} {}", text(job, "queue"), text(job, "name"), text(job, "state"));
    site.ok(&["list", "--json"]).lines().map(|line| path(&job(line))).collect()
}

fn text<'a>(job: &'a Value, field: &str) -> &'a str {
    job[field].as_str().unwrap()
}

fn queue_state(site: &TempSite, queue: &str) -> String {
    let status: Value = serde_json::from_str(&site.ok(&["status", queue, "--json"])).unwrap();
    text(&status, "state").to_owned()
}

#[test]
fn removed_jobs_leave_and_come_back() {
    let site = TempSite::with(TWO);
    assert_eq!(site.ok(&["remove", "a/one", "b/one"]), "#1  a/one  removed\n#4  b/one  removed\n");
    assert_eq!(states(&site), ["a/two pending", "a/only pending"]);
    assert_eq!(site.ok(&["restore", "4"]), "#4  b/one  restored\n");
    assert_eq!(states(&site), ["a/two pending", "a/only pending", "b/one pending"]);
    let again = site.run(&["restore", "4"]);
    assert_eq!((again.code, &again.stderr[..]), (Some(2), "setlist: b/one: nothing to restore\n"));
    let gone = site.run(&["remove", "a/one"]);
    assert_eq!(gone.code, Some(2));
    assert!(gone.stderr.contains("there is no job \"a/one\""), "{gone:?}");
}

#[test]
fn one_refusal_leaves_the_others_alone() {
    let site = TempSite::with("queues: {q: [{id: long, run: sleep 600}, {id: next, run: 'true'}]}\n");
    site.ok(&["retry", "q/long"]);
    site.wait_until("q/long", |job| job["state"] == json!("running"));
    let output = site.run(&["remove", "q/long", "q/next"]);
    assert_eq!((output.code, &output.stdout[..]), (Some(2), "#2  q/next  removed\n"));
    assert_eq!(output.stderr, "setlist: q/long is running: cancel it first\n");
    let reset = site.run(&["reset", "q/long"]);
    assert!(reset.stderr.contains("q/long is running: it can be reset when it has finished"), "{reset:?}");
    site.ok(&["cancel", "long", "--kill"]);
    site.wait_until("q/long", |job| job["outcome"] == json!("cancelled"));
}

#[test]
fn reset_makes_finished_jobs_pending_and_runs_nothing() {
    let site = TempSite::with(TWO);
    site.run(&["process"]);
    assert_eq!(site.ok(&["reset", "a"]), "#1  a/one  pending\n#2  a/two  pending\n#3  a/only  pending\n");
    assert_eq!(site.ok(&["reset", "b/one"]), "#4  b/one  pending\n");
    assert!(states(&site).iter().all(|job| job.ends_with("pending")), "{:?}", states(&site));
    assert_eq!(site.job("a/one")["run_count"], json!(1));
    let again = site.run(&["reset", "b"]);
    assert_eq!((again.code, &again.stderr[..]), (Some(0), "setlist: there are no finished jobs in b\n"));
}

#[test]
fn clear_removes_only_the_named_jobs() {
    let site = TempSite::with(TWO);
    site.run(&["process", "a"]);
    assert_eq!(site.ok(&["clear", "--finished", "b"]), "");
    assert_eq!(site.ok(&["clear", "--finished"]), "a  3 finished jobs removed\n");
    assert_eq!(states(&site), ["b/one pending"]);
    let unsaid = site.run(&["clear", "b"]);
    assert_eq!(unsaid.code, Some(2));
    assert!(unsaid.stderr.contains("<--finished|--pending>"), "{unsaid:?}");
    assert_eq!(site.ok(&["clear", "--pending", "--finished", "b"]), "b  1 pending job removed\n");
    let empty = site.run(&["clear", "--pending"]);
    assert_eq!((empty.code, &empty.stderr[..]), (Some(0), "setlist: there are no jobs to remove\n"));
    // What the file names is back when its entry changes, not before.
    assert!(states(&site).is_empty());
}

#[test]
fn a_paused_queue_starts_nothing_until_it_is_resumed() {
    let site = TempSite::with(
        "queues:\n  q: [{id: wait, run: 'touch up; while [ ! -e go ]; do sleep 0.01; done'}, {id: b, run: 'true'}]\n  idle: ['true']\n",
    );
    let nothing = site.run(&["pause"]);
    assert_eq!((nothing.code, &nothing.stderr[..]), (Some(0), "setlist: no queue is being processed\n"));
    let mut process = site.command(&["process", "q"]).stdout(Stdio::null()).spawn().unwrap();
    site.wait_until("q/wait", |job| job["state"] == json!("running"));
    assert_eq!(site.ok(&["pause"]), "q  paused; 1 running job will finish\n");
    let again = site.run(&["pause", "q"]);
    assert_eq!((again.code, &again.stderr[..]), (Some(2), "setlist: q is already paused\n"));
    site.write("go", "");
    assert_eq!(process.wait().unwrap().code(), Some(1), "a job is left");
    assert_eq!((queue_state(&site, "q"), site.job("q/b")["waiting"].clone()), ("paused".to_owned(), json!("paused")));
    let idle = site.run(&["resume", "idle"]);
    assert_eq!(idle.code, Some(2));
    assert_eq!(idle.stderr, "setlist: idle: not paused but idle; `setlist process` runs its jobs\n");
    assert_eq!(site.ok(&["resume"]), "q  resumed\n");
    site.wait_until("q/b", |job| job["outcome"] == json!("succeeded"));
    let none = site.run(&["resume"]);
    assert_eq!((none.code, &none.stderr[..]), (Some(0), "setlist: no queue is paused\n"));
}

#[test]
fn a_unique_name_needs_no_queue() {
    let site = TempSite::with(TWO);
    assert_eq!(site.job("only")["id"], json!(3));
    let two = site.run(&["remove", "one"]);
    assert_eq!(two.code, Some(2));
    assert_eq!(two.stderr, "setlist: \"one\" is the name of several jobs; use a/one or b/one\n");
    let queue = site.run(&["show", "a"]);
    assert!(
        queue.stderr.contains("\"a\" is a queue; `setlist status a` shows it, `setlist list a` its jobs"),
        "{queue:?}"
    );
    assert_eq!(states(&site).len(), 4);
}

#[test]
fn failed_jobs_of_one_queue_are_retried() {
    let site = TempSite::with("queues: {a: [exit 1], b: [exit 1]}\n");
    site.run(&["process"]);
    assert_eq!(site.ok(&["retry", "--failed", "b"]), "#2  b/exit-1  will run\n");
    let unknown = site.run(&["retry", "--failed", "c"]);
    assert!(unknown.code == Some(2) && unknown.stderr.contains("there is no queue \"c\""), "{unknown:?}");
}

#[test]
fn what_changes_jobs_prints_them_as_json_too() {
    let site = TempSite::with(TWO);
    let job = |output: &str| -> Value { serde_json::from_str(output).unwrap() };
    assert_eq!(text(&job(&site.ok(&["cancel", "a/one", "--json"])), "outcome"), "cancelled");
    assert_eq!(text(&job(&site.ok(&["reset", "a/one", "--json"])), "state"), "pending");
    assert_eq!(job(&site.ok(&["remove", "a/one", "--json"]))["id"], json!(1));
    assert_eq!(job(&site.ok(&["restore", "1", "--json"]))["id"], json!(1));
    assert_eq!(text(&job(&site.ok(&["add", "a", "--json", "--", "echo", "x"])), "command"), "echo x");
    assert_eq!(job(&site.ok(&["retry", "b/one", "--json"]))["queue"], json!("b"));
}

#[test]
fn a_closed_pipe_does_not_stop_a_command() {
    let site = TempSite::with(TWO);
    // More than a pipe holds.
    site.write("lines", &"true\n".repeat(5_000));
    let mut add = site.command(&["add", "a", "--stdin"]);
    add.stdin(fs::File::open(site.join("lines")).unwrap()).stdout(Stdio::null());
    assert!(add.status().unwrap().success());
    let numbers: Vec<String> = (5..5_005).map(|number: u32| number.to_string()).collect();
    let remove: Vec<&str> = std::iter::once("remove").chain(numbers.iter().map(String::as_str)).collect();
    let mut remove = site.command(&remove).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(remove.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let output = CommandOutput::from_output(&remove.wait_with_output().unwrap());
    assert_eq!((output.code, &output.stderr[..]), (Some(0), ""));
    assert_eq!(states(&site).len(), 4);
}

#[test]
fn a_read_only_state_is_reported() {
    // Root can write everywhere.
    if rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: root may write everywhere");
        return;
    }
    let site = TempSite::with(TWO);
    site.ok(&["status"]);
    fs::set_permissions(site.join(".setlist/state.db"), fs::Permissions::from_mode(0o400)).unwrap();
    let output = site.run(&["remove", "a/one"]);
    assert_eq!(output.code, Some(3), "{output:?}");
    assert!(output.stderr.contains("state.db"), "{output:?}");
}

#[test]
fn pending_jobs_are_moved_all_or_none() {
    let site = TempSite::with(
        "queues:\n  q: [{id: a, run: 'true'}, {id: b, run: 'true'}, {id: c, run: 'true'}]\n  r: [{id: d, run: 'true'}]\n",
    );
    assert_eq!(site.ok(&["move", "q/c", "--before", "q/a"]), "#3  q/c  before q/a\n");
    assert_eq!(states(&site)[..3], ["q/c pending", "q/a pending", "q/b pending"]);
    site.ok(&["move", "q/c", "q/a", "--after", "b"]);
    assert_eq!(states(&site)[..3], ["q/b pending", "q/c pending", "q/a pending"]);
    site.ok(&["process", "q", "--next"]);
    assert_eq!(site.job("q/b")["outcome"], json!("succeeded"));
    for (args, why) in [
        (&["move", "q/c", "q/b", "--after", "q/a"][..], "#2 is finished: only pending jobs can be moved"),
        (&["move", "q/c", "--before", "r/d"], "next to #4: it is in another queue"),
        (&["move", "q/c", "--before", "q/c"], "it is the same job"),
        (&["move", "q/c"], "--before"),
        (&["move", "q/x", "--before", "q/c"], "there is no job \"q/x\""),
    ] {
        let output = site.run(args);
        assert!(output.code == Some(2) && output.stderr.contains(why), "{args:?}: {output:?}");
    }
    assert_eq!(states(&site)[1..3], ["q/c pending", "q/a pending"]);
}

#[test]
fn list_takes_the_filter_of_the_screen() {
    let site = TempSite::with(TWO);
    site.run(&["process"]);
    let named = |query: &str| -> Vec<String> {
        let output = site.ok(&["list", "--json", "--query", query]);
        output
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(named("state:failed"), ["two"]);
    assert_eq!(named("queue:a !state:failed on"), ["one", "only"]);
    assert_eq!(site.ok(&["list", "--state", "failed,pending", "-q", "since:1h"]).lines().count(), 1);
    let wrong = site.run(&["list", "--query", "state:nothing"]);
    assert!(wrong.code == Some(2) && wrong.stderr.starts_with("setlist: --query: "), "{wrong:?}");
    assert_eq!(site.run(&["list", "--state", "failing"]).code, Some(2));
}

#[test]
fn parallel_overrides_the_file_while_process_runs() {
    let site = TempSite::with(
        "queues:\n  q: [{id: a, run: 'touch a; while [ ! -e b ]; do sleep 0.01; done'}, {id: b, run: 'touch b; while [ ! -e a ]; do sleep 0.01; done', timeout: 20s}]\n",
    );
    site.ok(&["process", "--parallel", "2"]);
    assert_eq!(site.run(&["process", "--parallel", "0"]).code, Some(2));
}
