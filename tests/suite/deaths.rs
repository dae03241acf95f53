//! A worker that dies is noticed at once by whoever is there on its machine, and somebody goes on with its work.

use std::fs;
use std::io::Read;
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use setlist::model::Outcome;
use setlist::store::{Folder, Sqlite, Store};

use crate::room::{Room, wait_for};
use crate::terminal::Terminal;

/// One job that runs until it is stopped, and others that are done at once.
const DEADLY: &str = "\
queues:
  q:
    - {id: long, run: 'touch up; exec sleep 300'}
    - {id: next, run: 'true'}
    - {id: last, run: 'true'}
  other: ['true']
";

/// Jobs that take their worker with them.
const FATAL: &str = "\
queues:
  q:
    - {id: a, run: kill -KILL $PPID; sleep 300}
    - {id: b, run: kill -KILL $PPID; sleep 300}
    - {id: c, run: kill -KILL $PPID; sleep 300}
    - {id: d, run: kill -KILL $PPID; sleep 300}
    - {id: e, run: kill -KILL $PPID; sleep 300}
    - {id: f, run: 'true'}
";

/// Processes the queue `q` in the foreground, until its first job runs.
fn process(room: &Room) -> Child {
    let process = room.command(&["process", "q"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_for("the first job", || room.join("up").exists().then_some(()));
    process
}

fn kill(mut process: Child) {
    process.kill().unwrap();
    process.wait().unwrap();
}

/// The outcome of a job, read by nobody who would look after the workers besides.
fn outcome(room: &Room, name: &str) -> Option<Outcome> {
    let ledger = Sqlite::open(&Folder::new(room.join(".setlist"))).unwrap().load().unwrap();
    ledger.named(&"q".into(), name).unwrap().outcome().cloned()
}

fn status(room: &Room) -> Value {
    serde_json::from_str(&room.ok(&["status", "q", "--json"])).unwrap()
}

#[test]
fn a_fellow_notices_at_once() {
    let room = Room::with(DEADLY);
    let doomed = process(&room);
    // It serves another queue only.
    let fellow = room.command(&["worker", "other"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for("the fellow", || (fs::read_dir(room.join(".setlist/workers")).unwrap().count() == 2).then_some(()));
    kill(doomed);
    wait_for("the end of the run", || (outcome(&room, "long") == Some(Outcome::Interrupted)).then_some(()));
    // Nobody serves the queue that is still being processed: somebody was hired.
    room.until("q/last", |job| job["outcome"] == json!("succeeded"));
    kill_process(Pid::from_child(&fellow), Signal::TERM).unwrap();
    let said = String::from_utf8(fellow.wait_with_output().unwrap().stderr).unwrap();
    assert!(said.contains("a worker has died") && said.contains("another worker goes on"), "{said}");
}

#[test]
fn one_that_joins_later_is_watched_too() {
    let room = Room::with(DEADLY);
    let fellow = room.command(&["worker", "other"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let signs = || fs::read_dir(room.join(".setlist/workers")).into_iter().flatten().count();
    wait_for("the fellow", || (signs() == 1).then_some(()));
    kill(process(&room));
    wait_for("the end of the run", || (outcome(&room, "long") == Some(Outcome::Interrupted)).then_some(()));
    kill(fellow);
}

#[test]
fn one_that_is_suspended_is_not_dead() {
    let room = Room::with("queues: {q: [{id: a, run: 'touch up; until [ -e go ]; do sleep 0.01; done'}]}\n");
    let process = process(&room);
    let pid = Pid::from_child(&process);
    kill_process(pid, Signal::STOP).unwrap();
    let stat = || fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    wait_for("it to be stopped", || stat().contains(") T ").then_some(()));
    let said = room.run(&["status", "--json"]);
    assert_eq!(said.err, "");
    assert_eq!(room.job("q/a")["state"], json!("running"));
    room.write("go", "");
    kill_process(pid, Signal::CONT).unwrap();
    assert_eq!(room.until("q/a", |job| job["state"] == json!("finished"))["outcome"], json!("succeeded"));
    assert!(process.wait_with_output().unwrap().status.success());
}

/// After a boot the number of a worker that died may be anybody's.
#[test]
fn the_number_of_a_dead_worker_protects_nobody() {
    let room = Room::with(DEADLY);
    kill(process(&room));
    let sign = fs::read_dir(room.join(".setlist/workers")).unwrap().next().unwrap().unwrap();
    let text = fs::read_to_string(sign.path()).unwrap();
    let (_, rest) = text.split_once('\n').unwrap();
    fs::write(sign.path(), format!("{}\n{rest}", std::process::id())).unwrap();
    assert_eq!(room.job("q/long")["outcome"], json!("interrupted"));
}

#[test]
fn whoever_follows_a_log_has_the_work_go_on() {
    let room = Room::with(DEADLY);
    let doomed = process(&room);
    let mut follower =
        room.command(&["log", "-f", "q/long"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    // It watches when it has begun to wait.
    let threads = || {
        fs::read_dir(format!("/proc/{}/task", follower.id()))
            .unwrap()
            .filter_map(|task| fs::read_to_string(task.unwrap().path().join("comm")).ok())
    };
    wait_for("somebody to watch", || threads().any(|name| name == "vigil\n").then_some(()));
    kill(doomed);
    let mut said = String::new();
    follower.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(follower.wait().unwrap().success());
    assert!(said.contains("1 job interrupted") && said.contains("another worker goes on"), "{said}");
    room.until("q/last", |job| job["outcome"] == json!("succeeded"));
}

#[test]
fn an_open_screen_has_the_work_go_on() {
    let room = Room::with(DEADLY);
    let mut screen = Terminal::open(&room, &["q"]);
    screen.until_shows("Pending 3");
    screen.keys("p");
    screen.until_shows("Running 1");
    wait_for("the first job", || room.join("up").exists().then_some(()));
    kill_process(room.worker(), Signal::KILL).unwrap();
    screen.until_shows("a worker has died: 1 job interrupted, another goes on");
    screen.until_shows("Finished 3");
    screen.keys("q");
}

#[test]
fn a_job_that_kills_its_workers_does_not_have_them_hired_for_ever() {
    let room = Room::with(FATAL);
    let mut screen = Terminal::open(&room, &["q"]);
    screen.until_shows("Pending 6");
    screen.keys("p");
    screen.until_shows("workers keep dying");
    // The one that was asked for, and three in place of others.
    let text = screen.until_shows("processing, no worker");
    assert!(text.contains("Pending 2") && text.contains("Finished 4"), "{text}");
    assert_eq!((&status(&room)["state"], &status(&room)["workers"]), (&json!("processing"), &json!(0)));
    // Somebody asks, so somebody is hired.
    screen.keys("p");
    screen.until_shows("Finished 5");
    screen.keys("p");
    screen.keys("q");
}

#[test]
fn opening_a_site_whose_worker_died_starts_nothing_until_somebody_asks() {
    let room = Room::with(&DEADLY.replace("  q:\n", "  q:\n    - {id: first, run: echo $((40+2))nd}\n"));
    kill(process(&room));
    let said = room.run(&["status", "q"]);
    assert!(said.out.contains("processing") && said.out.contains("no worker; `setlist process` goes on"), "{said:?}");
    let mut screen = Terminal::open(&room, &["q"]);
    let text = screen.until_shows("processing, no worker");
    assert!(text.contains("Pending 2") && text.contains("nobody runs the jobs of q; p starts a worker"), "{text}");
    // Whoever opens an output has looked after the workers before.
    screen.keys("\t\tj");
    screen.until_shows("42nd");
    assert!(!room.join(".setlist/replacements").exists());
    assert_eq!(room.job("q/next")["state"], json!("pending"));
    screen.keys("p");
    screen.until_shows("Finished 4");
    assert_eq!(room.job("q/last")["outcome"], json!("succeeded"));
    screen.keys("q");
}
