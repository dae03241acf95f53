//! Stopping a job, or the death of its worker, ends all processes of the job, in whatever session they are, and no others.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::temp_site::{SETLIST, TempSite, wait_for};

/// Starts four processes: in the process group, in a new session, in a new session and orphaned, and all of that without
/// an environment. Each writes its process id to a file that is named after the job.
const SPREAD: &str = r#"
sh -c "echo \$\$ > $1.near; exec sleep 300" &
setsid sh -c "echo \$\$ > $1.far; exec sleep 300" &
(setsid sh -c "echo \$\$ > $1.orphan; exec sleep 300" &)
(env -i setsid /bin/sh -c "echo \$\$ > $1.bare; exec /bin/sleep 300" &)
until [ -s $1.near ] && [ -s $1.far ] && [ -s $1.orphan ] && [ -s $1.bare ]; do sleep 0.01; done
touch $1.up
"#;

const WAYS: [&str; 4] = ["near", "far", "orphan", "bare"];

/// A site with these jobs, which can run `sh spread.sh NAME`.
fn site_with(jobs: &str) -> TempSite {
    let site = TempSite::with(&format!("queues:\n  q:\n    parallel: 2\n    jobs:\n{jobs}"));
    site.write("spread.sh", SPREAD);
    site
}

/// Starts a worker in the foreground and waits until it has joined.
fn worker(site: &TempSite) -> Child {
    worker_with(site, &[])
}

/// The same, with these variables.
fn worker_with(site: &TempSite, variables: &[(&str, &str)]) -> Child {
    let mut worker = site.command(&["worker"]);
    worker.envs(variables.iter().copied());
    worker.stdout(Stdio::null()).stderr(Stdio::null());
    let worker = worker.spawn().unwrap();
    let signs = || fs::read_dir(site.join(".setlist/workers")).into_iter().flatten();
    let is_there = || signs().any(|sign| sign.unwrap().metadata().is_ok_and(|sign| sign.len() > 0));
    wait_for("the worker", || is_there().then_some(()));
    worker
}

/// Waits for the four processes of a job.
fn started(site: &TempSite, job: &str) -> [Pid; 4] {
    wait_for("what the job starts", || site.join(&format!("{job}.up")).exists().then_some(()));
    WAYS.map(|way| pid(&site.read(&format!("{job}.{way}"))))
}

fn pid(text: &str) -> Pid {
    Pid::from_raw(text.trim().parse().unwrap()).unwrap()
}

/// Whether a process is alive and not a zombie.
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

const TWO_JOBS: &str =
    "      - {id: one, run: sh spread.sh one; sleep 300}\n      - {id: two, run: sh spread.sh two; sleep 300}\n";

#[test]
fn a_stop_reaches_the_whole_tree_of_a_job_and_no_other() {
    for kill in [false, true] {
        let site = site_with(TWO_JOBS);
        site.ok(&["retry", "q/one", "q/two"]);
        let (one, two) = (started(&site, "one"), started(&site, "two"));
        site.ok(if kill { &["cancel", "--kill", "q/one"] } else { &["cancel", "q/one"] });
        site.wait_until("q/one", |job| job["outcome"] == json!("cancelled"));
        // The run ends only when all processes have ended, so there is nothing to wait for.
        assert_gone(&one);
        assert!(two.iter().all(|pid| lives(*pid)), "{two:?}");
        site.ok(&["cancel", "--kill", "q/two"]);
        site.wait_until("q/two", |job| job["outcome"] == json!("cancelled"));
        assert_gone(&two);
    }
}

#[test]
fn a_timeout_reaches_the_whole_tree_of_a_job() {
    // The root process ends at once on TERM; the others take longer.
    let site = site_with("      - {id: one, run: sh spread.sh one; sleep 300, timeout: 500ms}\n");
    assert_eq!(site.run(&["process"]).code, Some(1));
    let one = started(&site, "one");
    assert_eq!(site.job("q/one")["error"], json!("timed out after 500ms"));
    assert!(site.ok(&["list"]).contains("(timed out after 500ms)"));
    assert_gone(&one);
}

#[test]
fn processes_outside_the_group_get_term_and_kill_after_the_grace_period() {
    let tidy = r#"$SIG{TERM} = sub { open my $out, ">", "tidied"; print $out "well\n"; exit }; open my $up, ">", "up";
        close $up; sleep 300 while 1"#;
    let deaf = r#"$SIG{TERM} = sub { open my $out, ">", "refused" }; open my $up, ">", "deaf"; print $up $$; close $up;
        sleep 300 while 1"#;
    let site = site_with("      - {id: a, run: 'setsid perl tidy.pl & setsid perl deaf.pl & wait', grace: 1s}\n");
    site.write("tidy.pl", tidy);
    site.write("deaf.pl", deaf);
    site.ok(&["retry", "q/a"]);
    let deaf = wait_for("the one that refuses", || Some(site.read("deaf")).filter(|text| !text.is_empty()));
    wait_for("the tidy one", || site.join("up").exists().then_some(()));
    site.ok(&["cancel", "q/a"]);
    site.wait_until("q/a", |job| job["outcome"] == json!("cancelled"));
    assert_eq!(site.read("tidied"), "well\n");
    assert!(site.join("refused").exists());
    assert!(!lives(pid(&deaf)));
}

#[test]
fn a_signalled_worker_stops_the_trees_of_its_jobs() {
    for signal in [Signal::TERM, Signal::INT] {
        let site = site_with(TWO_JOBS);
        let mut worker = worker(&site);
        site.ok(&["retry", "q/one", "q/two"]);
        let all = [started(&site, "one"), started(&site, "two")].concat();
        kill_process(Pid::from_child(&worker), signal).unwrap();
        worker.wait().unwrap();
        assert_gone(&all);
        assert_eq!(site.job("q/one")["outcome"], json!("interrupted"));
    }
}

#[test]
fn the_trees_of_a_dead_workers_jobs_are_gone_when_the_jobs_are_interrupted() {
    let site = site_with(TWO_JOBS);
    site.ok(&["retry", "q/one", "q/two"]);
    let all = [started(&site, "one"), started(&site, "two")].concat();
    kill_process(site.worker_pid(), Signal::KILL).unwrap();
    wait_for("the death to be noticed", || (site.job("q/one")["outcome"] == json!("interrupted")).then_some(()));
    assert_gone(&all);
    assert_eq!(fs::read_dir(site.join(".setlist/workers")).unwrap().count(), 0);
}

/// `daemon &` in a script: after the job has succeeded, its background processes belong to the user.
#[test]
fn a_daemon_of_a_finished_job_keeps_running() {
    let chatty = "echo $$ > daemon; while sleep 0.01; do echo chatter; echo x >> beats; done";
    let site = site_with(
        "      - {id: a, run: 'sh chatty & until [ -s daemon ]; do sleep 0.01; done'}\n      \
         - {id: b, run: sh spread.sh b; sleep 300}\n",
    );
    site.write("chatty", chatty);
    site.ok(&["retry", "q/b"]);
    let b = started(&site, "b");
    let worker = site.worker_pid();
    site.ok(&["retry", "q/a"]);
    site.wait_until("q/a", |job| job["outcome"] == json!("succeeded"));
    let daemon = pid(&site.read("daemon"));
    let assert_running = |when: &str| {
        let before = site.read("beats").len();
        wait_for(&format!("it to keep running {when}"), || (site.read("beats").len() > before + 20).then_some(()));
        assert!(lives(daemon), "{when}");
    };
    assert_running("after its job");
    site.ok(&["cancel", "q/b"]);
    site.wait_until("q/b", |job| job["outcome"] == json!("cancelled"));
    assert_gone(&b);
    assert_running("after another job was stopped");
    wait_for("the worker to leave", || (!lives(worker)).then_some(()));
    assert_running("after the worker has left");
    assert_eq!(site.ok(&["log", "q/a"]).lines().filter(|line| *line != "chatter").count(), 0);
    kill_all(&[daemon]);
}

#[test]
fn a_daemon_of_a_finished_job_outlives_a_dead_worker() {
    let site = site_with(
        "      - {id: a, run: 'sh -c \"echo \\$\\$ > daemon; exec sleep 300\" & until [ -s daemon ]; do sleep 0.01; done'}\n      \
         - {id: b, run: sh spread.sh b; sleep 300}\n",
    );
    site.ok(&["retry", "q/b", "q/a"]);
    let b = started(&site, "b");
    site.wait_until("q/a", |job| job["outcome"] == json!("succeeded"));
    let daemon = pid(&site.read("daemon"));
    kill_process(site.worker_pid(), Signal::KILL).unwrap();
    wait_for("the death to be noticed", || (site.job("q/b")["outcome"] == json!("interrupted")).then_some(()));
    assert_gone(&b);
    assert!(lives(daemon));
    kill_all(&[daemon]);
}

/// Requests the job `q/a`, which sees the environment of the request.
fn request(site: &TempSite) {
    let output = site.command(&["retry", "q/a"]).env("PROGRAM", SETLIST).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// A job requests work at another site. The worker that this starts is not part of the job.
#[test]
fn a_worker_that_was_started_by_a_job_outlives_the_job() {
    let site =
        site_with("      - {id: a, run: '\"$PROGRAM\" -f other/jobs.yaml retry q/long; touch asked; sleep 300'}\n");
    fs::create_dir(site.join("other")).unwrap();
    let long = "queues: {q: [{id: long, run: 'touch begun; until [ -e go ]; do sleep 0.01; done'}]}\n";
    site.write("other/jobs.yaml", long);
    let mut worker = worker(&site);
    request(&site);
    wait_for("the other job", || (site.join("other/begun").exists() && site.join("asked").exists()).then_some(()));
    site.ok(&["cancel", "q/a"]);
    site.wait_until("q/a", |job| job["outcome"] == json!("cancelled"));
    kill_process(Pid::from_child(&worker), Signal::TERM).unwrap();
    worker.wait().unwrap();
    site.write("other/go", "");
    let other = || site.ok(&["-f", "other/jobs.yaml", "list", "--state", "succeeded"]);
    wait_for("the other job to succeed", || other().contains("q/long").then_some(()));
}

/// A job that processes another site in the foreground. All of that belongs to the job.
#[test]
fn a_worker_inside_a_job_is_stopped_with_it() {
    let site = site_with("      - {id: a, run: '\"$PROGRAM\" -f inner/jobs.yaml process'}\n");
    let mut worker = worker(&site);
    fs::create_dir(site.join("inner")).unwrap();
    site.write("inner/jobs.yaml", "queues: {q: [{id: deep, run: sh ../spread.sh deep; sleep 300}]}\n");
    request(&site);
    wait_for("what the inner job starts", || site.join("inner/deep.up").exists().then_some(()));
    let deep = WAYS.map(|way| pid(&site.read(&format!("inner/deep.{way}"))));
    site.ok(&["cancel", "--kill", "q/a"]);
    site.wait_until("q/a", |job| job["outcome"] == json!("cancelled"));
    assert_gone(&deep);
    kill_process(Pid::from_child(&worker), Signal::TERM).unwrap();
    worker.wait().unwrap();
}

#[test]
fn a_worker_reaps_adopted_orphans() {
    let site =
        site_with("      - {id: a, run: 'for n in 1 2 3 4 5; do (setsid sh -c \"echo $n >> ended\" &) ; done'}\n");
    let mut worker = worker(&site);
    site.ok(&["retry", "q/a"]);
    site.wait_until("q/a", |job| job["outcome"] == json!("succeeded"));
    wait_for("all five to end", || (site.read("ended").lines().count() == 5).then_some(()));
    let children = || fs::read_to_string(format!("/proc/{0}/task/{0}/children", worker.id())).unwrap();
    wait_for("all five to be collected", || children().is_empty().then_some(()));
    worker.kill().unwrap();
    worker.wait().unwrap();
}

/// A shell that inherits a blocked SIGCHLD would wait for its children for ever.
#[cfg(target_os = "linux")]
#[test]
fn a_job_blocks_no_signals() {
    let site =
        site_with("      - grep SigBlk /proc/self/status\n      - {pty: true, run: grep SigBlk /proc/self/status}\n");
    let output = site.ok(&["process", "q"]);
    assert_eq!(output.matches("0000000000000000").count(), 2, "{output}");
}

/// Whether runs get a cgroup here.
fn has_cgroups() -> bool {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mount = mounts.lines().find(|line| line.contains(" - cgroup2 ")).and_then(|line| line.split(' ').nth(4));
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let own = own.lines().find_map(|line| line.strip_prefix("0::/"));
    let probe = mount.zip(own).map(|(mount, own)| format!("{mount}/{own}/setlist-test-{}", std::process::id()));
    probe.is_some_and(|probe| fs::create_dir(&probe).and_then(|()| fs::remove_dir(&probe)).is_ok())
}

/// Waits until the run is in its cgroup, and starts a process that has no variable, session, limit or parent of its job,
/// like what `su -` leaves in the background.
const SHED: &str = r#"
until grep -q /setlist-run- /proc/$$/cgroup; do sleep 0.01; done
(env -i PATH="$PATH" setsid prlimit --locks=unlimited:unlimited sh -c 'echo $$ > shed.new; mv shed.new shed; exec sleep 300' &)
until [ -s shed ]; do sleep 0.01; done
"#;

#[test]
fn a_process_that_has_shed_all_marks_is_stopped_by_its_cgroup() {
    if !has_cgroups() {
        eprintln!("SKIPPED: this user may not create cgroups (version 2) here");
        return;
    }
    for kills_worker in [false, true] {
        let site = site_with("      - {id: one, run: sh shed.sh; sleep 300}\n      - {id: two, run: 'true'}\n");
        site.write("shed.sh", SHED);
        let mut worker = worker_with(&site, &[("SETLIST_CGROUP_AFTER", "50")]);
        site.ok(&["retry", "q/one"]);
        let shed = wait_for("the process", || Some(site.read("shed")).filter(|pid| !pid.is_empty()));
        if kills_worker {
            worker.kill().unwrap();
            worker.wait().unwrap();
            site.ok(&["retry", "q/two"]);
            site.ok(&["wait", "q/two"]);
        } else {
            site.ok(&["cancel", "q/one"]);
            site.wait_until("q/one", |job| job["outcome"] == "cancelled");
            kill_process(Pid::from_child(&worker), Signal::TERM).unwrap();
            worker.wait().unwrap();
        }
        assert_gone(&[pid(&shed)]);
    }
}

#[test]
fn a_worker_that_dies_while_it_moves_a_run_into_its_cgroup_leaves_no_process() {
    if !has_cgroups() {
        eprintln!("SKIPPED: this user may not create cgroups (version 2) here");
        return;
    }
    for visit in 1..=3 {
        let site = site_with("      - {id: one, run: sh spread.sh one; sleep 300}\n      - {id: two, run: 'true'}\n");
        let crash = format!("entering:{visit}");
        let mut worker = worker_with(&site, &[("SETLIST_CGROUP_AFTER", "50"), ("SETLIST_CRASH", &crash)]);
        site.ok(&["retry", "q/one"]);
        let one = started(&site, "one");
        assert_eq!(worker.wait().unwrap().signal(), Some(9));
        site.ok(&["retry", "q/two"]);
        site.ok(&["wait", "q/two"]);
        assert_eq!(site.job("q/one")["outcome"], json!("interrupted"));
        assert_gone(&one);
    }
}

/// Starts processes, the later ones in new sessions and orphaned, until it is in the cgroup of the run itself.
const FORKING: &str = r"
: > forked
until grep -q /setlist-run- /proc/$$/cgroup; do
    sleep 300 & echo $! >> forked
    (setsid sh -c 'echo $$ >> forked; exec sleep 300' &)
done
touch up
exec sleep 300
";

#[test]
fn what_a_run_forks_while_it_is_moved_into_its_cgroup_is_moved_too() {
    if !has_cgroups() {
        eprintln!("SKIPPED: this user may not create cgroups (version 2) here");
        return;
    }
    let site = site_with("      - {id: one, run: sh forking.sh}\n");
    site.write("forking.sh", FORKING);
    let mut worker = worker_with(&site, &[("SETLIST_CGROUP_AFTER", "50")]);
    site.ok(&["retry", "q/one"]);
    wait_for("the cgroup", || site.join("up").exists().then_some(()));
    let forked: Vec<Pid> = site.read("forked").lines().map(pid).collect();
    for pid in &forked {
        let is_in = || fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap().contains("/setlist-run-");
        wait_for("each process to be moved", || is_in().then_some(()));
    }
    site.ok(&["cancel", "--kill", "q/one"]);
    site.wait_until("q/one", |job| job["outcome"] == json!("cancelled"));
    assert_gone(&forked);
    kill_process(Pid::from_child(&worker), Signal::TERM).unwrap();
    worker.wait().unwrap();
}
