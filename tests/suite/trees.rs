//! Whole trees die: what a job has started is gone when the job was stopped or its worker died, however it has gone
//! about leaving. And nothing else is.

use std::fs;
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::room::{Room, SETLIST, wait_for};

/// Starts a process on each way out of a process group: none, a session of its own, orphaned besides, and without an
/// environment besides. Each writes its number to a file that is named after the job.
const SPREAD: &str = r#"
sh -c "echo \$\$ > $1.near; exec sleep 300" &
setsid sh -c "echo \$\$ > $1.far; exec sleep 300" &
(setsid sh -c "echo \$\$ > $1.orphan; exec sleep 300" &)
(env -i setsid /bin/sh -c "echo \$\$ > $1.bare; exec /bin/sleep 300" &)
until [ -s $1.near ] && [ -s $1.far ] && [ -s $1.orphan ] && [ -s $1.bare ]; do sleep 0.01; done
touch $1.up
"#;

const WAYS: [&str; 4] = ["near", "far", "orphan", "bare"];

/// A site with these jobs; `sh spread.sh NAME` spreads.
fn site(jobs: &str) -> Room {
    let room = Room::with(&format!("queues:\n  q:\n    parallel: 2\n    jobs:\n{jobs}"));
    room.write("spread.sh", SPREAD);
    room
}

/// A worker in the foreground, once it is there for whoever asks.
fn worker(room: &Room) -> Child {
    let mut worker = room.command(&["worker"]);
    worker.env("PROGRAM", SETLIST).stdout(Stdio::null()).stderr(Stdio::null());
    let worker = worker.spawn().unwrap();
    let signs = || fs::read_dir(room.join(".setlist/workers")).into_iter().flatten();
    let is_there = || signs().any(|sign| sign.unwrap().metadata().is_ok_and(|sign| sign.len() > 0));
    wait_for("the worker", || is_there().then_some(()));
    worker
}

/// What a job has started, once all of it is there.
fn started(room: &Room, job: &str) -> [Pid; 4] {
    wait_for("what the job starts", || room.join(&format!("{job}.up")).exists().then_some(()));
    WAYS.map(|way| pid(&room.read(&format!("{job}.{way}"))))
}

fn pid(text: &str) -> Pid {
    Pid::from_raw(text.trim().parse().unwrap()).unwrap()
}

/// Whether a process runs, as opposed to being gone or waiting for its parent to notice.
fn lives(pid: Pid) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !matches!(stat.rsplit_once(") ").map_or("", |(_, rest)| &rest[..1]), "" | "Z" | "X")
}

#[track_caller]
fn assert_gone(pids: &[Pid]) {
    let left = pids.iter().filter(|pid| lives(**pid));
    let left: Vec<_> = left.map(|pid| fs::read_to_string(format!("/proc/{pid}/stat"))).collect();
    assert!(left.is_empty(), "{left:?} of {pids:?}");
}

fn kill_all(pids: &[Pid]) {
    for pid in pids {
        kill_process(*pid, Signal::KILL).unwrap();
    }
}

const TWO: &str =
    "      - {id: one, run: sh spread.sh one; sleep 300}\n      - {id: two, run: sh spread.sh two; sleep 300}\n";

#[test]
fn a_stop_reaches_all_of_a_job_and_nobody_else() {
    for kill in [false, true] {
        let room = site(TWO);
        room.ok(&["retry", "q/one", "q/two"]);
        let (one, two) = (started(&room, "one"), started(&room, "two"));
        room.ok(if kill { &["cancel", "--kill", "q/one"] } else { &["cancel", "q/one"] });
        room.until("q/one", |job| job["outcome"] == json!("cancelled"));
        // The run is over when nobody is left: there is nothing to wait for.
        assert_gone(&one);
        assert!(two.iter().all(|pid| lives(*pid)), "{two:?}");
        room.ok(&["cancel", "--kill", "q/two"]);
        room.until("q/two", |job| job["outcome"] == json!("cancelled"));
        assert_gone(&two);
    }
}

#[test]
fn a_timeout_reaches_all_of_a_job() {
    // The job itself ends at once: those that stay decide how long it takes.
    let room = site("      - {id: one, run: sh spread.sh one; sleep 300, timeout: 500ms}\n");
    assert_eq!(room.run(&["process"]).code, Some(1));
    let one = started(&room, "one");
    assert_eq!(room.job("q/one")["error"], json!("ran longer than 500ms"));
    assert_gone(&one);
}

#[test]
fn what_has_left_the_group_is_asked_first_and_killed_after_the_grace() {
    let tidy = r#"$SIG{TERM} = sub { open my $out, ">", "tidied"; print $out "well\n"; exit }; open my $up, ">", "up";
        close $up; sleep 300 while 1"#;
    let deaf = r#"$SIG{TERM} = sub { open my $out, ">", "refused" }; open my $up, ">", "deaf"; print $up $$; close $up;
        sleep 300 while 1"#;
    let room = site("      - {id: a, run: 'setsid perl tidy.pl & setsid perl deaf.pl & wait', grace: 1s}\n");
    room.write("tidy.pl", tidy);
    room.write("deaf.pl", deaf);
    room.ok(&["retry", "q/a"]);
    let deaf = wait_for("the one that refuses", || Some(room.read("deaf")).filter(|text| !text.is_empty()));
    wait_for("the tidy one", || room.join("up").exists().then_some(()));
    room.ok(&["cancel", "q/a"]);
    room.until("q/a", |job| job["outcome"] == json!("cancelled"));
    assert_eq!(room.read("tidied"), "well\n");
    assert!(room.join("refused").exists());
    assert!(!lives(pid(&deaf)));
}

#[test]
fn a_worker_that_has_to_go_takes_all_with_it() {
    for signal in [Signal::TERM, Signal::INT] {
        let room = site(TWO);
        let mut worker = worker(&room);
        room.ok(&["retry", "q/one", "q/two"]);
        let all = [started(&room, "one"), started(&room, "two")].concat();
        kill_process(Pid::from_child(&worker), signal).unwrap();
        worker.wait().unwrap();
        assert_gone(&all);
        assert_eq!(room.job("q/one")["outcome"], json!("interrupted"));
    }
}

#[test]
fn nothing_is_left_of_a_dead_workers_jobs_when_they_are_told_to_be_interrupted() {
    let room = site(TWO);
    room.ok(&["retry", "q/one", "q/two"]);
    let all = [started(&room, "one"), started(&room, "two")].concat();
    kill_process(room.worker(), Signal::KILL).unwrap();
    wait_for("the death to be noticed", || (room.job("q/one")["outcome"] == json!("interrupted")).then_some(()));
    assert_gone(&all);
    assert_eq!(fs::read_dir(room.join(".setlist/workers")).unwrap().count(), 0);
}

/// `daemon &` in a script: the job has succeeded, and what it has left in the background is the user's.
#[test]
fn what_a_job_leaves_behind_on_purpose_dies_with_nobody() {
    let chatty = "echo $$ > daemon; while sleep 0.01; do echo chatter; echo x >> beats; done";
    let room = site(
        "      - {id: a, run: 'sh chatty & until [ -s daemon ]; do sleep 0.01; done'}\n      \
         - {id: b, run: sh spread.sh b; sleep 300}\n",
    );
    room.write("chatty", chatty);
    room.ok(&["retry", "q/b"]);
    let b = started(&room, "b");
    let worker = room.worker();
    room.ok(&["retry", "q/a"]);
    room.until("q/a", |job| job["outcome"] == json!("succeeded"));
    let daemon = pid(&room.read("daemon"));
    let goes_on = |when: &str| {
        let before = room.read("beats").len();
        wait_for(&format!("it to go on {when}"), || (room.read("beats").len() > before + 20).then_some(()));
        assert!(lives(daemon), "{when}");
    };
    goes_on("after its job");
    room.ok(&["cancel", "q/b"]);
    room.until("q/b", |job| job["outcome"] == json!("cancelled"));
    assert_gone(&b);
    goes_on("after another job was stopped");
    wait_for("the worker to leave", || (!lives(worker)).then_some(()));
    goes_on("after the worker has left");
    assert_eq!(room.ok(&["log", "q/a"]).lines().filter(|line| *line != "chatter").count(), 0);
    kill_all(&[daemon]);
}

#[test]
fn a_dead_worker_takes_no_daemon_with_it() {
    let room = site(
        "      - {id: a, run: 'sh -c \"echo \\$\\$ > daemon; exec sleep 300\" & until [ -s daemon ]; do sleep 0.01; done'}\n      \
         - {id: b, run: sh spread.sh b; sleep 300}\n",
    );
    room.ok(&["retry", "q/b", "q/a"]);
    let b = started(&room, "b");
    room.until("q/a", |job| job["outcome"] == json!("succeeded"));
    let daemon = pid(&room.read("daemon"));
    kill_process(room.worker(), Signal::KILL).unwrap();
    wait_for("the death to be noticed", || (room.job("q/b")["outcome"] == json!("interrupted")).then_some(()));
    assert_gone(&b);
    assert!(lives(daemon));
    kill_all(&[daemon]);
}

/// A job asks for work; whoever is hired for it is no part of the job.
#[test]
fn a_worker_that_a_job_has_hired_outlives_the_job() {
    let room = site("      - {id: a, run: '\"$PROGRAM\" -f other/jobs.yaml retry q/long; touch asked; sleep 300'}\n");
    fs::create_dir(room.join("other")).unwrap();
    let long = "queues: {q: [{id: long, run: 'touch begun; until [ -e go ]; do sleep 0.01; done'}]}\n";
    room.write("other/jobs.yaml", long);
    let mut worker = worker(&room);
    room.ok(&["retry", "q/a"]);
    wait_for("the other job", || (room.join("other/begun").exists() && room.join("asked").exists()).then_some(()));
    room.ok(&["cancel", "q/a"]);
    room.until("q/a", |job| job["outcome"] == json!("cancelled"));
    kill_process(Pid::from_child(&worker), Signal::TERM).unwrap();
    worker.wait().unwrap();
    room.write("other/go", "");
    let other = || room.ok(&["-f", "other/jobs.yaml", "list", "--state", "succeeded"]);
    wait_for("the other job to succeed", || other().contains("q/long").then_some(()));
}

/// A job that processes another site in the foreground: all of that is the job's.
#[test]
fn a_site_within_a_job_dies_with_it() {
    let room = site("      - {id: a, run: '\"$PROGRAM\" -f inner/jobs.yaml process'}\n");
    let mut worker = worker(&room);
    fs::create_dir(room.join("inner")).unwrap();
    room.write("inner/jobs.yaml", "queues: {q: [{id: deep, run: sh ../spread.sh deep; sleep 300}]}\n");
    room.ok(&["retry", "q/a"]);
    wait_for("what the inner job starts", || room.join("inner/deep.up").exists().then_some(()));
    let deep = WAYS.map(|way| pid(&room.read(&format!("inner/deep.{way}"))));
    room.ok(&["cancel", "--kill", "q/a"]);
    room.until("q/a", |job| job["outcome"] == json!("cancelled"));
    assert_gone(&deep);
    kill_process(Pid::from_child(&worker), Signal::TERM).unwrap();
    worker.wait().unwrap();
}

#[test]
fn a_worker_collects_what_falls_to_it() {
    let room = site("      - {id: a, run: 'for n in 1 2 3 4 5; do (setsid sh -c \"echo $n >> ended\" &) ; done'}\n");
    let mut worker = worker(&room);
    room.ok(&["retry", "q/a"]);
    room.until("q/a", |job| job["outcome"] == json!("succeeded"));
    wait_for("all five to end", || (room.read("ended").lines().count() == 5).then_some(()));
    let children = || fs::read_to_string(format!("/proc/{0}/task/{0}/children", worker.id())).unwrap();
    wait_for("all five to be collected", || children().is_empty().then_some(()));
    worker.kill().unwrap();
    worker.wait().unwrap();
}

/// What a job's processes inherit; a shell whose signals are blocked waits for its children in vain.
#[cfg(target_os = "linux")]
#[test]
fn a_job_blocks_no_signals() {
    let room = site("      - grep SigBlk /proc/self/status\n      - {pty: true, run: grep SigBlk /proc/self/status}\n");
    let said = room.ok(&["process", "q"]);
    assert_eq!(said.matches("0000000000000000").count(), 2, "{said}");
}
