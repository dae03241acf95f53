//! Whole queues: `start`, `cancel`, `retry` and `set`.

use std::fs;
use std::process::{Command, Stdio};

use rustix::process::{Signal, kill_process};
use serde_json::{Value, json};

use crate::temp_site::{TempSite, wait_for};

/// `slow` runs until the file `go` exists, and at most one job runs at a time.
const SITE: &str = "\
queues:
  q:
    - {id: slow, run: 'while [ ! -e go ]; do sleep 0.01; done'}
    - {id: second, run: 'echo $TARGET >> second', tags: [quick]}
    - {id: third, run: 'true', needs: [second]}
  other: [{id: one, run: 'true'}]
  empty: []
";

fn states(site: &TempSite, queue: &str) -> Vec<String> {
    let jobs = site.ok(&["list", queue, "--json"]);
    let mut jobs: Vec<Value> = jobs.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    jobs.sort_by_key(|job| job["id"].as_u64());
    let state = |job: &Value| job["outcome"].as_str().or(job["state"].as_str()).unwrap().to_owned();
    jobs.iter().map(state).collect()
}

fn queue(site: &TempSite, name: &str) -> Value {
    serde_json::from_str(&site.ok(&["status", name, "--json"])).unwrap()
}

fn is_running(job: &Value) -> bool {
    job["state"] == json!("running")
}

/// Kills the only worker, and waits until it is dead.
fn kill_worker(site: &TempSite) {
    kill_process(site.worker_pid(), Signal::KILL).unwrap();
    let file = fs::read_dir(site.join(".setlist/workers")).unwrap().next().unwrap().unwrap().path();
    // The kernel releases its lock when its last thread has ended.
    wait_for("the worker to die", || fs::File::open(&file).unwrap().try_lock_shared().is_ok().then_some(()));
}

/// Waits until the worker has left.
fn until_no_worker(site: &TempSite) {
    wait_for("the worker to leave", || {
        fs::read_dir(site.join(".setlist/workers")).is_ok_and(|mut workers| workers.next().is_none()).then_some(())
    });
}

#[test]
fn a_queue_is_started_in_the_background() {
    let site = TempSite::with(SITE);
    let mut start = site.command(&["start", "q"]);
    let output = start.env("TARGET", "mine").output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stdout), "q  runs 3 jobs: slow, second, third\n");
    let hint = "setlist: `setlist wait q` waits for the end, `setlist log -f q` prints the output\n";
    assert_eq!(String::from_utf8_lossy(&output.stderr), hint);
    site.wait_until("q/slow", is_running);
    let again = site.run(&["start", "q"]);
    assert_eq!(
        (again.code, &again.stdout[..]),
        (Some(0), "q  is already being processed, 3 jobs left: slow, second, third\n")
    );
    assert!(again.stderr.contains("its jobs get the environment of that request, not yours"), "{again:?}");
    site.write("go", "");
    assert_eq!(site.ok(&["wait", "q"]), "q  3 succeeded\n");
    // The environment of the command, not that of the worker or of the second request.
    assert_eq!(site.read("second"), "mine\n");

    let nothing = site.run(&["start", "q"]);
    assert_eq!((nothing.code, &nothing.stdout[..]), (Some(0), ""));
    assert_eq!(nothing.stderr, "setlist: no pending jobs; 3 jobs have finished, and `--again` runs them again\n");
    let quiet = site.run(&["start", "q", "--again", "--quiet"]);
    assert_eq!((quiet.code, &quiet.stdout[..], &quiet.stderr[..]), (Some(0), "", ""));
    site.ok(&["wait", "q"]);
    assert_eq!(site.read("second").lines().count(), 2);
}

#[test]
fn process_can_leave_queues_to_a_worker() {
    let site = TempSite::with(SITE);
    site.write("go", "");
    let output = site.ok(&["process", "--detach", "--json"]);
    let queues: Vec<Value> = output.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<_> = queues.iter().map(|queue| (&queue["queue"], &queue["state"])).collect();
    assert_eq!(names, [(&json!("q"), &json!("processing")), (&json!("other"), &json!("processing"))]);
    assert_eq!(site.ok(&["wait", "q", "other"]).lines().count(), 2);
    assert_eq!(site.run(&["process", "--detach", "--next"]).code, Some(2));
    let empty = site.run(&["start", "empty"]);
    assert_eq!((empty.code, &empty.stderr[..]), (Some(0), "setlist: no pending jobs\n"));
}

#[test]
fn a_queue_that_cannot_start_says_why() {
    let site = TempSite::with(
        "queues:
  paused: [{id: a, run: 'true'}]
  blocked: [{id: b, run: 'true', needs: [idle/c]}]
  idle: [{id: c, run: 'true'}]
  ask: [{id: d, run: 'true', confirm: 'Sure?'}, {id: e, run: 'true', needs: [d]}]
",
    );
    site.ok(&["pause", "paused"]);
    let paused = site.run(&["start", "paused"]);
    assert_eq!((paused.code, &paused.stderr[..]), (Some(1), "setlist: paused is paused; --resume processes it\n"));
    let blocked = site.run(&["start", "blocked"]);
    assert_eq!(blocked.code, Some(1));
    assert_eq!(blocked.stderr, "setlist: nothing in blocked can start: blocked/b needs idle/c\n");
    // The other queues start.
    let both = site.run(&["start", "paused", "blocked", "idle"]);
    assert_eq!((both.code, &both.stdout[..]), (Some(1), "idle  runs 1 job: c\n"), "{both:?}");
    site.ok(&["wait", "idle"]);
    assert_eq!(site.ok(&["start", "--resume", "paused", "--quiet"]), "");
    assert_eq!(site.ok(&["wait", "paused"]), "paused  1 succeeded\n");

    let asks = site.ok(&["start", "ask"]);
    assert_eq!(asks, "ask  2 jobs left: d, e; `setlist approve ask/d` approves it\n");
    let again = site.run(&["process", "ask"]);
    assert!(again.code == Some(1) && !again.stderr.contains("already being processed"), "{again:?}");
    let mut other = site.command(&["start", "ask"]);
    let other = other.env("TARGET", "other").output().unwrap();
    let stderr = String::from_utf8_lossy(&other.stderr);
    assert!(
        stderr.contains("ask only waits for the approval of ask/d by now: its jobs get the environment"),
        "{stderr}"
    );
    site.ok(&["start", "ask", "--yes"]);
    assert_eq!(site.ok(&["wait", "ask"]), "ask  2 succeeded\n");
}

#[test]
fn a_queue_whose_jobs_are_skipped_at_once_says_why() {
    let site = TempSite::with(
        "queues:
  a: [{id: x, run: exit 1}]
  b: [{id: y, run: 'true', needs: [a]}, {id: z, run: 'true', needs: [y]}]
  c: [{id: v, run: 'true', needs: [a]}, {id: w, run: 'true'}]
",
    );
    site.run(&["process", "a"]);
    let none = site.run(&["start", "b"]);
    assert_eq!((none.code, &none.stdout[..]), (Some(1), ""), "{none:?}");
    assert_eq!(none.stderr, "setlist: 2 jobs of b skipped: needs a/x, which failed\n");
    let some = site.run(&["start", "c"]);
    assert_eq!((some.code, &some.stdout[..]), (Some(0), "c  runs 1 job: w\n"), "{some:?}");
    assert!(some.stderr.starts_with("setlist: 1 job of c skipped: needs a/x, which failed\n"), "{some:?}");
    site.run(&["wait", "c"]);
}

#[test]
fn a_queue_is_cancelled_by_several_commands_at_once() {
    let site = TempSite::with(SITE);
    site.ok(&["start", "q", "-q"]);
    site.wait_until("q/slow", is_running);
    let cancels: Vec<_> = (0..5)
        .map(|_| site.command(&["cancel", "q"]).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap())
        .collect();
    let printed: Vec<String> = cancels
        .into_iter()
        .map(|cancel| {
            let output = cancel.wait_with_output().unwrap();
            assert_eq!(output.status.code(), Some(0), "{output:?}");
            String::from_utf8(output.stdout).unwrap()
        })
        .collect();
    let has = |words: &str| printed.iter().filter(|line| line.contains(words)).count();
    assert_eq!((has("stopping 1 running job"), has("2 pending jobs cancelled")), (1, 1), "{printed:?}");
    site.run(&["wait", "q"]);
    assert_eq!(states(&site, "q"), ["cancelled"; 3]);
}

#[test]
fn a_queue_is_cancelled_with_all_of_its_jobs() {
    let site = TempSite::with(SITE);
    site.ok(&["start", "q", "other", "-q"]);
    site.wait_until("q/slow", is_running);
    assert_eq!(site.ok(&["cancel", "q"]), "q  stopping 1 running job, 2 pending jobs cancelled\n");
    assert_eq!(queue(&site, "q")["state"], json!("idle"));
    assert_eq!(site.run(&["wait", "q"]).stdout, "q  3 cancelled\n");
    assert_eq!(states(&site, "q"), ["cancelled"; 3], "what needs a cancelled job is cancelled, not skipped");
    let nothing = site.run(&["cancel", "q"]);
    assert_eq!((nothing.code, &nothing.stdout[..]), (Some(0), ""));
    assert_eq!(nothing.stderr, "setlist: q has no pending or running jobs\n");
    // Other queues are untouched.
    assert_eq!(site.ok(&["wait", "other"]), "other  1 succeeded\n");
    // It can be processed again.
    site.write("go", "");
    site.ok(&["start", "q", "--again", "-q"]);
    assert_eq!(site.ok(&["wait", "q"]), "q  3 succeeded\n");
}

#[test]
fn what_needs_a_job_of_a_cancelled_queue_is_skipped() {
    let site = TempSite::with("queues:\n  a: [{id: x, run: 'true'}]\n  b: [{id: y, run: 'true', needs: [a]}]\n");
    assert_eq!(site.ok(&["cancel", "a"]), "a  1 pending job cancelled\n");
    assert_eq!(states(&site, "b"), ["pending"]);
    site.run(&["process", "b"]);
    assert_eq!(states(&site, "b"), ["skipped"]);
    assert_eq!(site.ok(&["start", "a", "b", "--again"]), "a  runs 1 job: x\nb  runs 1 job: y\n");
    assert_eq!(site.ok(&["wait", "a", "b"]), "a  1 succeeded\nb  1 succeeded\n");
}

#[test]
fn a_job_that_ignores_the_signal_is_killed_by_a_second_cancel() {
    let site = TempSite::with(
        "queues: {q: [{id: a, run: \"trap '' TERM; touch on; while :; do sleep 0.05; done\", grace: 1h}]}\n",
    );
    site.ok(&["start", "q", "-q"]);
    wait_for("the trap", || site.join("on").exists().then_some(()));
    assert_eq!(site.ok(&["cancel", "q"]), "q  stopping 1 running job\n");
    assert_eq!(site.ok(&["cancel", "q"]), "q  1 running job is already stopping (`--kill` kills)\n");
    let killed: Value = serde_json::from_str(&site.ok(&["cancel", "q", "--kill", "--json"])).unwrap();
    assert_eq!(killed["id"], json!(1));
    assert_eq!(site.run(&["wait", "q"]).stdout, "q  1 cancelled\n");
}

#[test]
fn the_running_jobs_of_a_queue_are_cancelled_and_the_others_stay() {
    let site = TempSite::with(SITE);
    site.ok(&["start", "q", "-q"]);
    site.wait_until("q/slow", is_running);
    let cancelled = site.ok(&["cancel", "q", "--running"]);
    assert_eq!(cancelled, "q  stopping 1 running job, paused with 2 pending jobs; `setlist resume q` continues\n");
    site.wait_until("q/slow", |job| job["outcome"] == json!("cancelled"));
    assert_eq!(states(&site, "q"), ["cancelled", "pending", "pending"]);
    let nothing = site.run(&["cancel", "q", "--running"]);
    assert_eq!((nothing.code, &nothing.stderr[..]), (Some(0), "setlist: q has no running jobs\n"));
    let pending = site.run(&["cancel", "q/second", "--running"]);
    assert_eq!((pending.code, &pending.stderr[..]), (Some(2), "setlist: q/second: not running but pending\n"));
    site.ok(&["resume", "q"]);
    assert_eq!(site.run(&["wait", "q"]).stdout, "q  2 succeeded, 1 cancelled\n");
}

#[test]
fn the_failed_jobs_of_a_queue_are_retried() {
    let site = TempSite::with(
        "queues:
  q:
    - {id: good, run: 'echo x >> good'}
    - {id: bad, run: 'test -e fixed'}
    - {id: after, run: 'true', needs: [bad]}
  stop: {on_failure: stop, jobs: [{id: a, run: 'test -e fixed'}, {id: b, run: 'true'}]}
  idle: [{id: one, run: 'true'}]
",
    );
    site.run(&["process", "q", "stop"]);
    assert_eq!(states(&site, "q"), ["succeeded", "failed", "skipped"]);
    site.write("fixed", "");
    assert_eq!(site.ok(&["retry", "q"]), "#2  q/bad  will run\n");
    // What was skipped because of it runs as well, and nothing else.
    site.wait_until("q/after", |job| job["outcome"] == json!("succeeded"));
    assert_eq!((states(&site, "q"), site.read("good")), (vec!["succeeded".to_owned(); 3], "x\n".to_owned()));

    let stopped = site.run(&["retry", "stop"]);
    assert_eq!((stopped.code, &stopped.stdout[..]), (Some(0), "#4  stop/a  will run\n"));
    assert_eq!(stopped.stderr, "setlist: stop was stopped and is processed again\n");
    assert_eq!(site.ok(&["wait", "stop"]), "stop  2 succeeded\n");

    let none = site.run(&["retry", "q"]);
    assert_eq!((none.code, &none.stdout[..]), (Some(0), ""));
    assert_eq!(none.stderr, "setlist: there are no failed jobs; `setlist start q --again` runs all jobs again\n");
    let pending = site.run(&["retry", "idle"]);
    assert_eq!(pending.stderr, "setlist: there are no failed jobs; `setlist start idle` runs what is pending\n");
}

#[test]
fn a_queue_is_retried_by_several_commands_at_once() {
    let site = TempSite::with(
        "queues: {q: {on_failure: stop, jobs: [{id: a, run: 'test -e fixed && echo x >> ran'}, {id: b, run: 'true'}]}}\n",
    );
    site.run(&["process"]);
    site.write("fixed", "");
    let retries: Vec<_> = (0..5)
        .map(|_| site.command(&["retry", "q"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
        .collect();
    for mut retry in retries {
        assert_eq!(retry.wait().unwrap().code(), Some(0));
    }
    assert_eq!(site.ok(&["wait", "q"]), "q  2 succeeded\n");
    assert_eq!(site.read("ran"), "x\n", "a success doesn't run again");
}

#[test]
fn a_setting_counts_until_the_file_is_saved() {
    let site = TempSite::with(SITE);
    site.ok(&["start", "q", "-q"]);
    site.wait_until("q/slow", is_running);
    assert_eq!(site.ok(&["set", "q", "parallel=2"]), "q  runs up to 2 jobs at once, until jobs.yaml is saved again\n");
    // Also for the worker that runs its jobs already.
    site.wait_until("q/third", |job| job["outcome"] == json!("succeeded"));
    assert_eq!(queue(&site, "q")["parallel"], json!(2));
    for value in ["file", "default"] {
        let set = site.ok(&["set", "q", &format!("parallel={value}")]);
        assert_eq!(set, "q  runs up to 1 job at once, as in jobs.yaml\n");
    }
    let twice = site.ok(&["set", "q", "parallel=3", "--json"]);
    assert_eq!(twice, site.ok(&["set", "q", "parallel=3", "--json"]));
    assert_eq!(serde_json::from_str::<Value>(&twice).unwrap()["parallel"], json!(3));
    site.write("jobs.yaml", &SITE.replace("  empty", "  # changed\n  empty"));
    assert_eq!(queue(&site, "q")["parallel"], json!(1));
    site.write("go", "");
    site.ok(&["wait", "q"]);

    site.ok(&["add", "adhoc", "true"]);
    assert_eq!(site.ok(&["set", "adhoc", "parallel=4"]), "adhoc  runs up to 4 jobs at once\n");
    for (setting, problem) in [
        (&["paralel=2"][..], "unknown setting \"paralel\"; did you mean \"parallel\"?"),
        (&["title=x"], "unknown setting \"title\"; only `parallel` can be set, other fields are in jobs.yaml"),
        (&["parallel"], "`parallel` has no value; write parallel=N"),
        (&["parallel="], "`parallel` has no value; write parallel=N"),
        (&["3"], "expected SETTING=VALUE, such as parallel=3"),
        (&["parallel=0"], "expected a number from 1 to 4294967295, or `file` for that of jobs.yaml"),
        (&["parallel=4294967296"], "expected a number from 1 to 4294967295"),
        (&["parallel=-1"], "expected a number from 1 to 4294967295"),
        (&["parallel=file"], "adhoc is not in jobs.yaml; write parallel=N"),
        (&[], "required"),
    ] {
        let output = site.run(&[&["set", "adhoc"], setting].concat());
        assert!(output.code == Some(2) && output.stderr.contains(problem), "{setting:?}: {output:?}");
    }
    assert_eq!(queue(&site, "adhoc")["parallel"], json!(4), "a refused setting changes nothing");
}

#[test]
fn an_unknown_queue_or_a_job_gets_what_to_write() {
    let site = TempSite::with(SITE);
    for args in [&["start", "ohter"][..], &["set", "ohter", "parallel=2"], &["process", "--detach", "ohter"]] {
        let output = site.run(args);
        assert_eq!((output.code, &output.stdout[..]), (Some(2), ""), "{args:?}");
        assert_eq!(output.stderr, "setlist: there is no queue \"ohter\"; did you mean \"other\"?\n", "{args:?}");
    }
    for args in [&["cancel", "ohter"][..], &["retry", "ohter"]] {
        let output = site.run(args);
        assert!(output.code == Some(2) && output.stderr.contains("there is no job \"ohter\""), "{args:?}: {output:?}");
        assert!(output.stderr.contains("did you mean the queue \"other\"?"), "{args:?}: {output:?}");
    }
    for name in ["q/slow", "1", "slow", "#1"] {
        for command in ["start", "process"] {
            let output = site.run(&[command, name]);
            assert_eq!(output.code, Some(2), "{command} {name}");
            assert_eq!(output.stderr, "setlist: q/slow is a job, not a queue; `setlist retry q/slow` runs it\n");
        }
        let output = site.run(&["pause", name]);
        assert_eq!(output.stderr, "setlist: q/slow is a job, not a queue; its queue is q\n");
    }
    // All jobs of a queue are the queue.
    assert_eq!(site.ok(&["pause", "other/*"]), "other  paused\n");
    assert_eq!(site.ok(&["set", "other/*", "parallel=2"]).split("  ").next(), Some("other"));
}

#[test]
fn output_that_cannot_be_written_stops_no_command() {
    let site = TempSite::with(SITE);
    site.write("go", "");
    let full = || fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let start = site.command(&["start", "q"]).stdout(full()).output().unwrap();
    assert_eq!(start.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&start.stderr).contains("cannot write the output"), "{start:?}");
    assert_eq!(site.ok(&["wait", "q"]), "q  3 succeeded\n");
    for args in [&["set", "q", "parallel=2"][..], &["start", "q", "--again", "--json"]] {
        let output = site.command(args).stdout(full()).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{args:?}: {output:?}");
    }
    assert_eq!(
        (queue(&site, "q")["parallel"].clone(), site.ok(&["wait", "q"])),
        (json!(2), "q  3 succeeded\n".to_owned())
    );

    for args in [&["start", "q", "--again"][..], &["set", "q", "parallel=3"], &["cancel", "other"], &["retry", "other"]]
    {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = site.command(args).stdout(Stdio::from(writer)).output().unwrap();
        assert_eq!(
            (output.status.code(), String::from_utf8_lossy(&output.stderr).contains("cannot")),
            (Some(0), false),
            "{args:?}"
        );
    }
    assert_eq!(states(&site, "other"), ["cancelled"]);
    site.ok(&["wait", "q"]);
    assert_eq!(site.read("second").lines().count(), 3);
}

#[test]
fn the_site_of_another_place_is_refused() {
    let site = TempSite::with(SITE);
    site.ok(&["status"]);
    let copy = site.join("copy");
    fs::create_dir(&copy).unwrap();
    let mut cp = Command::new("cp");
    assert!(cp.args(["-a", "jobs.yaml", ".setlist", "copy"]).current_dir(site.path()).status().unwrap().success());
    for args in [&["start", "q"][..], &["cancel", "q"], &["retry", "q"], &["set", "q", "parallel=2"], &["approve"]] {
        let output = site.command(args).current_dir(&copy).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(3) && stderr.contains("`setlist adopt`"), "{args:?}: {stderr}");
    }
    assert_eq!(states(&site, "q"), ["pending"; 3]);
}

#[test]
fn a_site_whose_worker_died_is_started_again() {
    let site = TempSite::with(SITE);
    site.ok(&["start", "q", "-q"]);
    site.wait_until("q/slow", is_running);
    kill_worker(&site);
    site.write("go", "");
    let output = site.run(&["start", "q"]);
    assert_eq!(output.code, Some(0), "{output:?}");
    assert!(output.stderr.contains("a worker died: 1 job interrupted"), "{output:?}");
    assert_eq!(output.stdout, "q  is already being processed, 2 jobs left: second, third\n");
    assert_eq!(site.run(&["wait", "q"]).stdout, "q  2 succeeded, 1 interrupted\n");
    assert_eq!(site.ok(&["retry", "q"]), "#1  q/slow  will run\n");
    assert_eq!(site.ok(&["wait", "q"]), "q  3 succeeded\n");
    until_no_worker(&site);

    // A queue that nothing runs any more is cancelled all the same.
    fs::remove_file(site.join("go")).unwrap();
    site.ok(&["start", "q", "--again", "-q"]);
    site.wait_until("q/slow", is_running);
    kill_worker(&site);
    let cancelled = site.run(&["cancel", "q"]);
    assert_eq!((cancelled.code, &cancelled.stdout[..]), (Some(0), "q  2 pending jobs cancelled\n"), "{cancelled:?}");
    assert_eq!(states(&site, "q"), ["interrupted", "cancelled", "cancelled"]);
}

#[test]
fn a_queue_is_started_from_a_job_and_from_many_commands_at_once() {
    let site = TempSite::with(
        "queues:\n  first: [{id: a, run: '$SETLIST start second -q'}]\n  second: [{id: b, run: 'echo x >> ran'}, {id: c, run: 'echo x >> ran'}]\n",
    );
    site.command(&["start", "first"]).env("SETLIST", crate::temp_site::SETLIST).output().unwrap();
    site.wait_until("second/c", |job| job["outcome"] == json!("succeeded"));
    assert_eq!(site.ok(&["wait"]).lines().count(), 2);
    let starts: Vec<_> = (0..6)
        .map(|_| site.command(&["start", "second", "--again", "-q"]).stderr(Stdio::null()).spawn().unwrap())
        .collect();
    for mut start in starts {
        assert!(start.wait().unwrap().success());
    }
    site.ok(&["wait", "second"]);
    let ran = site.read("ran").lines().count();
    assert!((4..=14).contains(&ran), "{ran}");
    assert_eq!(states(&site, "second"), ["succeeded"; 2]);
}

#[test]
fn a_needed_queue_includes_jobs_that_are_added_to_the_file() {
    let site = TempSite::with(
        "queues:\n  build: [{id: a, run: 'true'}]\n  ship: [{id: s, run: 'test -e b', needs: [build]}]\n",
    );
    assert_eq!(site.job("ship/s")["needs"], json!(["build/a"]));
    site.write(
        "jobs.yaml",
        "queues:\n  build: [{id: a, run: 'true'}, {id: b, run: 'touch b'}]\n  ship: [{id: s, run: 'test -e b', needs: [build]}]\n",
    );
    assert_eq!(site.job("ship/s")["needs"], json!(["build/a", "build/b"]));
    site.ok(&["start", "-q"]);
    assert_eq!(site.ok(&["wait"]), "build  2 succeeded\nship  1 succeeded\n");
    // Of an added job, all jobs that the queue has now.
    let added = site.ok(&["add", "ship", "--needs", "build:finish", "true"]).trim().to_owned();
    assert_eq!(site.job(&added)["needs"], json!(["build/a", "build/b"]));
    for (needs, problem) in [
        ("ship", "ship is the queue of the job, which can't need itself"),
        ("ship/*", "ship is the queue of the job, which can't need itself"),
        ("nope/*", "there is no job \"nope/*\""),
    ] {
        let output = site.run(&["add", "ship", "--needs", needs, "true"]);
        assert!(output.code == Some(2) && output.stderr.contains(problem), "{output:?}");
    }
}
