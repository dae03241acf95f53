//! Commands that change jobs and queues, and what they refuse.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::room::{Room, Said};

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
fn states(room: &Room) -> Vec<String> {
    let job = |line: &str| -> Value { serde_json::from_str(line).unwrap() };
    let path = |job: &Value| format!("{}/{} {}", text(job, "queue"), text(job, "name"), text(job, "state"));
    room.ok(&["list", "--json"]).lines().map(|line| path(&job(line))).collect()
}

fn text<'a>(job: &'a Value, field: &str) -> &'a str {
    job[field].as_str().unwrap()
}

fn queue_state(room: &Room, queue: &str) -> String {
    let status: Value = serde_json::from_str(&room.ok(&["status", queue, "--json"])).unwrap();
    text(&status, "state").to_owned()
}

#[test]
fn removed_jobs_leave_and_come_back() {
    let room = Room::with(TWO);
    assert_eq!(room.ok(&["remove", "a/one", "b/one"]), "#1  a/one  removed\n#4  b/one  removed\n");
    assert_eq!(states(&room), ["a/two pending", "a/only pending"]);
    assert_eq!(room.ok(&["restore", "4"]), "#4  b/one  is back\n");
    assert_eq!(states(&room), ["a/two pending", "a/only pending", "b/one pending"]);
    let again = room.run(&["restore", "4"]);
    assert_eq!((again.code, &again.err[..]), (Some(2), "setlist: b/one: nothing to restore\n"));
    let gone = room.run(&["remove", "a/one"]);
    assert_eq!(gone.code, Some(2));
    assert!(gone.err.contains("there is no job \"a/one\""), "{gone:?}");
}

#[test]
fn one_refusal_leaves_the_others_alone() {
    let room = Room::with("queues: {q: [{id: long, run: sleep 600}, {id: next, run: 'true'}]}\n");
    room.ok(&["retry", "q/long"]);
    room.until("q/long", |job| job["state"] == json!("running"));
    let said = room.run(&["remove", "q/long", "q/next"]);
    assert_eq!((said.code, &said.out[..]), (Some(2), "#2  q/next  removed\n"));
    assert_eq!(said.err, "setlist: q/long: #1 is running: cancel it first\n");
    let reset = room.run(&["reset", "q/long"]);
    assert!(reset.err.contains("#1 is running: it can be reset when it has finished"), "{reset:?}");
    room.ok(&["cancel", "long", "--kill"]);
    room.until("q/long", |job| job["outcome"] == json!("cancelled"));
}

#[test]
fn reset_makes_finished_jobs_pending_and_runs_nothing() {
    let room = Room::with(TWO);
    room.run(&["process"]);
    assert_eq!(room.ok(&["reset", "a"]), "#1  a/one  is pending\n#2  a/two  is pending\n#3  a/only  is pending\n");
    assert_eq!(room.ok(&["reset", "b/one"]), "#4  b/one  is pending\n");
    assert!(states(&room).iter().all(|job| job.ends_with("pending")), "{:?}", states(&room));
    assert_eq!(room.job("a/one")["run_count"], json!(1));
    let again = room.run(&["reset", "b"]);
    assert_eq!((again.code, &again.err[..]), (Some(0), "setlist: nothing is finished there\n"));
}

#[test]
fn clear_takes_out_what_is_named_and_only_that() {
    let room = Room::with(TWO);
    room.run(&["process", "a"]);
    assert_eq!(room.ok(&["clear", "--finished", "b"]), "");
    assert_eq!(room.ok(&["clear", "--finished"]), "a  3 finished jobs removed\n");
    assert_eq!(states(&room), ["b/one pending"]);
    let unsaid = room.run(&["clear", "b"]);
    assert_eq!(unsaid.code, Some(2));
    assert!(unsaid.err.contains("--finished"), "{unsaid:?}");
    assert_eq!(room.ok(&["clear", "--pending", "--finished", "b"]), "b  1 pending job removed\n");
    let empty = room.run(&["clear", "--pending"]);
    assert_eq!((empty.code, &empty.err[..]), (Some(0), "setlist: there is nothing to remove\n"));
    // What the file names is back when its entry changes, not before.
    assert!(states(&room).is_empty());
}

#[test]
fn a_paused_queue_starts_nothing_until_it_is_resumed() {
    let room = Room::with(
        "queues:\n  q: [{id: wait, run: 'touch up; while [ ! -e go ]; do sleep 0.01; done'}, {id: b, run: 'true'}]\n  idle: ['true']\n",
    );
    let nothing = room.run(&["pause"]);
    assert_eq!((nothing.code, &nothing.err[..]), (Some(0), "setlist: no queue is processed\n"));
    let mut process = room.command(&["process", "q"]).stdout(Stdio::null()).spawn().unwrap();
    room.until("q/wait", |job| job["state"] == json!("running"));
    assert_eq!(room.ok(&["pause"]), "q  paused; 1 running job goes on to the end\n");
    let again = room.run(&["pause", "q"]);
    assert_eq!((again.code, &again.err[..]), (Some(2), "setlist: q is paused already\n"));
    room.write("go", "");
    assert!(process.wait().unwrap().success());
    assert_eq!((queue_state(&room, "q"), room.job("q/b")["waiting"].clone()), ("paused".to_owned(), json!("paused")));
    let idle = room.run(&["resume", "idle"]);
    assert_eq!(idle.code, Some(2));
    assert_eq!(idle.err, "setlist: idle: it is not paused but idle; `setlist process` runs its jobs\n");
    assert_eq!(room.ok(&["resume"]), "q  goes on\n");
    room.until("q/b", |job| job["outcome"] == json!("succeeded"));
    let none = room.run(&["resume"]);
    assert_eq!((none.code, &none.err[..]), (Some(0), "setlist: no queue is paused\n"));
}

#[test]
fn a_name_alone_will_do_where_one_job_has_it() {
    let room = Room::with(TWO);
    assert_eq!(room.job("only")["id"], json!(3));
    let two = room.run(&["remove", "one"]);
    assert_eq!(two.code, Some(2));
    assert_eq!(two.err, "setlist: \"one\" is the name of several jobs: say a/one or b/one\n");
    let queue = room.run(&["show", "a"]);
    assert!(queue.err.contains("\"a\" is a queue; a job is queue/name or a number"), "{queue:?}");
    assert_eq!(states(&room).len(), 4);
}

#[test]
fn failed_jobs_of_one_queue_are_retried() {
    let room = Room::with("queues: {a: [exit 1], b: [exit 1]}\n");
    room.run(&["process"]);
    assert_eq!(room.ok(&["retry", "--failed", "b"]), "#2  b/exit-1  will run\n");
    let unknown = room.run(&["retry", "--failed", "c"]);
    assert!(unknown.code == Some(2) && unknown.err.contains("there is no queue \"c\""), "{unknown:?}");
}

#[test]
fn what_changes_jobs_prints_them_as_json_too() {
    let room = Room::with(TWO);
    let job = |said: &str| -> Value { serde_json::from_str(said).unwrap() };
    assert_eq!(text(&job(&room.ok(&["cancel", "a/one", "--json"])), "outcome"), "cancelled");
    assert_eq!(text(&job(&room.ok(&["reset", "a/one", "--json"])), "state"), "pending");
    assert_eq!(job(&room.ok(&["remove", "a/one", "--json"]))["id"], json!(1));
    assert_eq!(job(&room.ok(&["restore", "1", "--json"]))["id"], json!(1));
    assert_eq!(text(&job(&room.ok(&["add", "a", "--json", "--", "echo", "x"])), "command"), "echo x");
    assert_eq!(job(&room.ok(&["retry", "b/one", "--json"]))["queue"], json!("b"));
}

#[test]
fn what_has_read_enough_or_cannot_write_harms_nothing() {
    let room = Room::with(TWO);
    // More than a pipe holds.
    room.write("lines", &"true\n".repeat(5_000));
    let mut add = room.command(&["add", "a", "--stdin"]);
    add.stdin(fs::File::open(room.join("lines")).unwrap()).stdout(Stdio::null());
    assert!(add.status().unwrap().success());
    let numbers: Vec<String> = (5..5_005).map(|number: u32| number.to_string()).collect();
    let remove: Vec<&str> = std::iter::once("remove").chain(numbers.iter().map(String::as_str)).collect();
    let mut remove = room.command(&remove).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(remove.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let said = Said::of(&remove.wait_with_output().unwrap());
    assert_eq!((said.code, &said.err[..]), (Some(0), ""));
    assert_eq!(states(&room).len(), 4);
}

#[test]
fn a_state_that_may_not_be_written_is_said_to_be_so() {
    // Whoever is root may write everywhere.
    if rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: root may write everywhere");
        return;
    }
    let room = Room::with(TWO);
    room.ok(&["status"]);
    fs::set_permissions(room.join(".setlist/state.db"), fs::Permissions::from_mode(0o400)).unwrap();
    let said = room.run(&["remove", "a/one"]);
    assert_eq!(said.code, Some(3), "{said:?}");
    assert!(said.err.contains("state.db"), "{said:?}");
}

#[test]
fn pending_jobs_are_moved_all_or_none() {
    let room = Room::with(
        "queues:\n  q: [{id: a, run: 'true'}, {id: b, run: 'true'}, {id: c, run: 'true'}]\n  r: [{id: d, run: 'true'}]\n",
    );
    assert_eq!(room.ok(&["move", "q/c", "--before", "q/a"]), "#3  q/c  before q/a\n");
    assert_eq!(states(&room)[..3], ["q/c pending", "q/a pending", "q/b pending"]);
    room.ok(&["move", "q/c", "q/a", "--after", "b"]);
    assert_eq!(states(&room)[..3], ["q/b pending", "q/c pending", "q/a pending"]);
    room.ok(&["process", "q", "--next"]);
    assert_eq!(room.job("q/b")["outcome"], json!("succeeded"));
    for (args, why) in [
        (&["move", "q/c", "q/b", "--after", "q/a"][..], "#2 is finished: only a pending job has a place to move to"),
        (&["move", "q/c", "--before", "r/d"], "can't be put beside #4: it is in another queue"),
        (&["move", "q/c", "--before", "q/c"], "it is the same job"),
        (&["move", "q/c"], "--before"),
        (&["move", "q/x", "--before", "q/c"], "there is no job \"q/x\""),
    ] {
        let said = room.run(args);
        assert!(said.code == Some(2) && said.err.contains(why), "{args:?}: {said:?}");
    }
    assert_eq!(states(&room)[1..3], ["q/c pending", "q/a pending"]);
}

#[test]
fn list_takes_the_filter_of_the_screen() {
    let room = Room::with(TWO);
    room.run(&["process"]);
    let named = |query: &str| -> Vec<String> {
        let said = room.ok(&["list", "--json", "--query", query]);
        said.lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["name"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(named("state:failed"), ["two"]);
    assert_eq!(named("queue:a !state:failed on"), ["one", "only"]);
    assert_eq!(room.ok(&["list", "--state", "failed,pending", "-q", "since:1h"]).lines().count(), 1);
    let wrong = room.run(&["list", "--query", "state:nothing"]);
    assert!(wrong.code == Some(2) && wrong.err.starts_with("setlist: --query: "), "{wrong:?}");
    assert_eq!(room.run(&["list", "--state", "failing"]).code, Some(2));
}

#[test]
fn parallel_may_be_said_on_the_command_line() {
    let room = Room::with(
        "queues:\n  q: [{id: a, run: 'touch a; while [ ! -e b ]; do sleep 0.01; done'}, {id: b, run: 'touch b; while [ ! -e a ]; do sleep 0.01; done', timeout: 20s}]\n",
    );
    room.ok(&["process", "--parallel", "2"]);
    assert_eq!(room.run(&["process", "--parallel", "0"]).code, Some(2));
}
