//! A crashed worker is noticed at once by every setlist process of its machine, and another worker continues its work.

use std::fs;
use std::io::Read;
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use setlist::model::Outcome;
use setlist::store::{SqliteStore, StateDir, Store};

use crate::temp_site::{CommandOutput, TempSite, wait_for};
use crate::terminal::Terminal;

/// One job that runs until it is stopped, and others that end at once.
const LONG_THEN_SHORT: &str = "\
queues:
  q:
    - {id: long, run: 'touch up; exec sleep 300'}
    - {id: next, run: 'true'}
    - {id: last, run: 'true'}
  other: ['true']
";

/// Jobs that kill their worker.
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

/// Processes the queue `q` in the foreground, and waits until its first job runs.
fn process(site: &TempSite) -> Child {
    let process = site.command(&["process", "q"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_for("the first job", || site.join("up").exists().then_some(()));
    process
}

fn kill(mut process: Child) {
    process.kill().unwrap();
    process.wait().unwrap();
}

/// The outcome of a job, read without reaping dead workers.
fn outcome(site: &TempSite, name: &str) -> Option<Outcome> {
    let site_state = SqliteStore::open(&StateDir::new(site.join(".setlist"))).unwrap().load().unwrap();
    site_state.job_named(&"q".into(), name).unwrap().outcome().cloned()
}

fn status(site: &TempSite) -> Value {
    serde_json::from_str(&site.ok(&["status", "q", "--json"])).unwrap()
}

#[test]
fn another_worker_notices_at_once() {
    let site = TempSite::with(LONG_THEN_SHORT);
    let doomed = process(&site);
    // It serves only another queue.
    let peer = site.command(&["worker", "other"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for("the peer", || (fs::read_dir(site.join(".setlist/workers")).unwrap().count() == 2).then_some(()));
    kill(doomed);
    wait_for("the end of the run", || (outcome(&site, "long") == Some(Outcome::Interrupted)).then_some(()));
    // No worker serves the queue that is still being processed, so one was started.
    site.wait_until("q/last", |job| job["outcome"] == json!("succeeded"));
    kill_process(Pid::from_child(&peer), Signal::TERM).unwrap();
    let output = String::from_utf8(peer.wait_with_output().unwrap().stderr).unwrap();
    assert!(output.contains("a worker has died") && output.contains("another worker took over"), "{output}");
}

/// Waits until so many workers have joined.
fn wait_for_workers(site: &TempSite, count: usize) {
    let joined = || fs::read_dir(site.join(".setlist/workers")).into_iter().flatten().count();
    wait_for("the workers to join", || (joined() == count).then_some(()));
}

#[test]
fn a_worker_that_reaps_another_one_starts_its_ready_jobs() {
    let site = TempSite::with("queues: {q: [{id: a, run: 'touch up; exec sleep 300'}, {id: b, run: 'true'}]}\n");
    let worker = || site.command(&["worker"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let doomed = worker();
    wait_for_workers(&site, 1);
    site.ok(&["retry", "q/a"]);
    wait_for("the first job", || site.join("up").exists().then_some(()));
    let successor = worker();
    wait_for_workers(&site, 2);
    // There is only one slot, so this job waits.
    site.ok(&["retry", "q/b"]);
    kill(doomed);
    wait_for("the second job", || (outcome(&site, "b") == Some(Outcome::Succeeded)).then_some(()));
    assert_eq!(site.job("q/b")["worker"], json!(2));
    kill(successor);
}

#[test]
fn of_two_processes_on_a_queue_one_does_the_work_of_the_other_after_a_crash() {
    let site = TempSite::with(LONG_THEN_SHORT);
    let doomed = process(&site);
    let mut survivor = site.command(&["process", "q"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_for_workers(&site, 2);
    kill(doomed);
    assert_eq!(wait_for("the other process to end", || survivor.try_wait().unwrap()).code(), Some(1));
    let outcomes = ["long", "next", "last"].map(|job| outcome(&site, job));
    assert_eq!(outcomes, [Some(Outcome::Interrupted), Some(Outcome::Succeeded), Some(Outcome::Succeeded)]);
}

#[test]
fn an_interrupted_job_is_retried_by_a_process_that_was_watching() {
    let retry = "retry: {max: 1, delay: 1ms, on: [interrupted]}";
    let run = "touch up; [ $SETLIST_ATTEMPT = 2 ] || sleep 300";
    let site = TempSite::with(&format!("queues: {{q: [{{id: a, run: '{run}', {retry}}}]}}\n"));
    let doomed = process(&site);
    let mut survivor = site.command(&["process", "q"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_for_workers(&site, 2);
    kill(doomed);
    assert_eq!(wait_for("the other process to end", || survivor.try_wait().unwrap()).code(), Some(0));
    assert_eq!(outcome(&site, "a"), Some(Outcome::Succeeded));
}

#[test]
fn a_worker_that_joins_later_is_watched_too() {
    let site = TempSite::with(LONG_THEN_SHORT);
    let peer = site.command(&["worker", "other"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let signs = || fs::read_dir(site.join(".setlist/workers")).into_iter().flatten().count();
    wait_for("the peer", || (signs() == 1).then_some(()));
    kill(process(&site));
    wait_for("the end of the run", || (outcome(&site, "long") == Some(Outcome::Interrupted)).then_some(()));
    kill(peer);
}

#[test]
fn a_suspended_worker_is_not_dead() {
    let site = TempSite::with("queues: {q: [{id: a, run: 'touch up; until [ -e go ]; do sleep 0.01; done'}]}\n");
    let process = process(&site);
    let pid = Pid::from_child(&process);
    kill_process(pid, Signal::STOP).unwrap();
    let stat = || fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    wait_for("it to be stopped", || stat().contains(") T ").then_some(()));
    let output = site.run(&["status", "--json"]);
    assert_eq!(output.stderr, "");
    assert_eq!(site.job("q/a")["state"], json!("running"));
    site.write("go", "");
    kill_process(pid, Signal::CONT).unwrap();
    assert_eq!(site.wait_until("q/a", |job| job["state"] == json!("finished"))["outcome"], json!("succeeded"));
    assert!(process.wait_with_output().unwrap().status.success());
}

/// After a reboot another process may have the id of a worker that died.
#[test]
fn a_reused_process_id_does_not_keep_a_dead_worker_alive() {
    let site = TempSite::with(LONG_THEN_SHORT);
    kill(process(&site));
    let sign = fs::read_dir(site.join(".setlist/workers")).unwrap().next().unwrap().unwrap();
    let text = fs::read_to_string(sign.path()).unwrap();
    let (_, rest) = text.split_once('\n').unwrap();
    fs::write(sign.path(), format!("{}\n{rest}", std::process::id())).unwrap();
    assert_eq!(site.job("q/long")["outcome"], json!("interrupted"));
}

#[test]
fn following_a_log_respawns_a_dead_worker() {
    let site = TempSite::with(LONG_THEN_SHORT);
    let doomed = process(&site);
    let mut follower =
        site.command(&["log", "-f", "q/long"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    // The watch thread starts when the follower begins to wait.
    let threads = || {
        fs::read_dir(format!("/proc/{}/task", follower.id()))
            .unwrap()
            .filter_map(|task| fs::read_to_string(task.unwrap().path().join("comm")).ok())
    };
    wait_for("the liveness watch", || threads().any(|name| name == "liveness-watch\n").then_some(()));
    kill(doomed);
    let mut output = String::new();
    follower.stderr.take().unwrap().read_to_string(&mut output).unwrap();
    assert!(follower.wait().unwrap().success());
    assert!(output.contains("1 job interrupted") && output.contains("started another worker"), "{output}");
    site.wait_until("q/last", |job| job["outcome"] == json!("succeeded"));
}

#[test]
fn waiting_starts_another_worker_though_another_command_has_noticed_the_death() {
    let site = TempSite::with(LONG_THEN_SHORT);
    kill(process(&site));
    let list = site.run(&["list"]);
    assert!(list.stderr.contains("1 job interrupted"), "{list:?}");
    let wait = site.run(&["wait", "q", "--timeout", "20s"]);
    assert!(wait.stderr.contains("started another worker"), "{wait:?}");
    assert_eq!(site.job("q/last")["outcome"], json!("succeeded"));
}

#[test]
fn an_open_screen_respawns_a_dead_worker() {
    let site = TempSite::with(LONG_THEN_SHORT);
    let mut screen = Terminal::open(&site, &["q"]);
    screen.wait_for_text("Pending 3");
    screen.keys("p");
    screen.wait_for_text("Running 1");
    wait_for("the first job", || site.join("up").exists().then_some(()));
    kill_process(site.worker_pid(), Signal::KILL).unwrap();
    screen.wait_for_text("A worker died: 1 job interrupted; another one took over.");
    screen.wait_for_text("Finished 3");
    screen.keys("q");
}

#[test]
fn a_job_that_kills_its_workers_does_not_cause_endless_respawns() {
    let site = TempSite::with(FATAL);
    let mut screen = Terminal::open(&site, &["q"]);
    screen.wait_for_text("Pending 6");
    screen.keys("p");
    screen.wait_for_text("Workers keep crashing");
    // The requested worker, and three respawned ones.
    let text = screen.wait_for_text("processing, no worker");
    assert!(text.contains("Pending 2") && text.contains("Finished 4"), "{text}");
    assert_eq!((&status(&site)["state"], &status(&site)["workers"]), (&json!("processing"), &json!(0)));
    // A request starts a worker.
    screen.keys("p");
    screen.wait_for_text("Finished 5");
    screen.keys("p");
    screen.keys("q");
}

#[test]
fn opening_a_site_whose_worker_died_starts_nothing_until_work_is_requested() {
    let site = TempSite::with(&LONG_THEN_SHORT.replace("  q:\n", "  q:\n    - {id: first, run: echo $((40+2))nd}\n"));
    kill(process(&site));
    let output = site.run(&["status", "q"]);
    assert!(
        output.stdout.contains("processing") && output.stdout.contains("no worker; `setlist process` starts one"),
        "{output:?}"
    );
    let mut screen = Terminal::open(&site, &["q"]);
    let text = screen.wait_for_text("processing, no worker");
    assert!(
        text.contains("Pending 2") && text.contains("No worker is running the jobs of q. Press p to start one."),
        "{text}"
    );
    // Opening an output checks the workers first.
    screen.keys("\t\tj");
    screen.wait_for_text("42nd");
    assert!(!site.join(".setlist/replacements").exists());
    assert_eq!(site.job("q/next")["state"], json!("pending"));
    screen.keys("p");
    screen.wait_for_text("Finished 4");
    assert_eq!(site.job("q/last")["outcome"], json!("succeeded"));
    screen.keys("q");
}

/// The process has ended with an error because the site has lost it, and none of its jobs runs any more.
#[track_caller]
fn left_with(site: &TempSite, mut process: Child, code: i32, message: &str) {
    wait_for("it to leave", || process.try_wait().unwrap());
    let output = CommandOutput::from_output(&process.wait_with_output().unwrap());
    assert!(output.code == Some(code) && output.stderr.contains(message), "{output:?}");
    wait_for("other workers to leave", || site.processes().is_empty().then_some(()));
}

#[test]
fn a_worker_whose_file_was_removed_stops_its_jobs_and_leaves() {
    for args in [&["process"][..], &["worker"]] {
        let site = TempSite::with("queues: {q: [{id: a, run: 'touch up; sleep 600'}]}\n");
        let process = site.command(args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        if args == ["process"] {
            wait_for("the job", || site.join("up").exists().then_some(()));
        }
        wait_for("the worker", || site.ok(&["status", "--json"]).contains("\"workers\":1").then_some(()));
        fs::remove_file(site.join(".setlist/workers/1")).unwrap();
        // Any command takes it for dead.
        assert!(site.ok(&["status", "--json"]).contains("\"workers\":0"));
        left_with(&site, process, 1, "no longer registered");
        assert_eq!(site.job("q/a")["outcome"], if args == ["process"] { json!("interrupted") } else { json!(null) });
    }
}

#[test]
fn a_worker_under_which_older_state_is_restored_stops_its_jobs_and_leaves() {
    let job = |name: &str| json!({"id": name, "run": format!("echo {name} >> ran; [ -e go ] || sleep 600")});
    let file = |names: &[&str]| {
        let jobs: Vec<_> = names.iter().map(|name| job(name)).collect();
        json!({"queues": {"q": {"parallel": 2, "jobs": jobs}}}).to_string()
    };
    let site = TempSite::with(&file(&["a"]));
    let process = site.command(&["process"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for("the first job", || (site.read("ran") == "a\n").then_some(()));
    let copy = |from: &str, to: &str| {
        let copied = std::process::Command::new("cp").arg("-a").args([site.join(from), site.join(to)]).status();
        assert!(copied.unwrap().success());
    };
    copy(".setlist", "backup");
    site.write("jobs.yaml", &file(&["a", "b"]));
    wait_for("the second job", || (site.read("ran") == "a\nb\n").then_some(()));
    copy("backup/.", ".setlist");
    // A change notifies the worker.
    site.ok(&["pause", "q"]);
    left_with(&site, process, 3, "removed or replaced while it was in use");
    site.write("go", "");
    site.ok(&["process", "--again", "--resume"]);
    let mut ran: Vec<_> = site.read("ran").lines().map(str::to_owned).collect();
    ran.sort();
    assert_eq!(ran, ["a", "a", "b", "b"]);
}
