//! Exhausted resources: too few descriptors, processes or memory are not failures of a job.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::temp_site::{CommandOutput, SETLIST, TempSite, wait_for};

/// A command of a shell in which `limits` were set before.
fn limited(site: &TempSite, limits: &str, args: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{limits}; exec \"$0\" {args}"), SETLIST]).stdin(Stdio::null());
    site.set_environment(&mut command);
    command
}

/// A site with so many jobs that run at once.
fn site_of(count: usize, run: &str) -> TempSite {
    let jobs = format!("      - {{run: '{run}'}}\n").repeat(count);
    TempSite::with(&format!("queues:\n  q:\n    parallel: {count}\n    jobs:\n{jobs}"))
}

#[test]
fn the_soft_limit_on_descriptors_is_raised_for_many_jobs_and_restored_in_them() {
    let site = site_of(
        120,
        "until [ $(ulimit -Sn) = 256 ]; do sleep 0.01; done; touch up-$SETLIST_JOB_ID; until [ -e go ]; do sleep 0.1; done",
    );
    let mut process = limited(&site, "ulimit -Sn 256", "process --quiet");
    let mut process = process.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let started = || (1..=120).filter(|id| site.join(&format!("up-{id}")).exists()).count();
    wait_for("all jobs to run at once", || (started() == 120).then_some(()));
    site.write("go", "");
    assert!(wait_for("the end", || process.try_wait().unwrap()).success());
}

#[test]
fn no_more_jobs_start_than_a_hard_limit_on_descriptors_allows() {
    let site = site_of(150, "sleep 0.2");
    let output = limited(&site, "ulimit -n 256", "process --quiet").output().unwrap();
    let output = CommandOutput::from_output(&output);
    assert_eq!(output.code, Some(0), "{output:?}");
    assert!(output.stderr.contains("as many as the limit on open files allows"), "{output:?}");
}

#[test]
fn a_job_that_can_not_start_for_lack_of_resources_is_started_later() {
    if !cfg!(debug_assertions) {
        eprintln!("SKIPPED: a release build has no points at which operations fail");
        return;
    }
    let site = TempSite::with("queues: {q: [{id: a, run: 'true'}, {id: b, run: 'true'}]}\n");
    for nth in ["1", "2"] {
        let output = site.command(&["process", "q"]).env("SETLIST_FAIL", format!("spawn:{nth}")).output().unwrap();
        let output = CommandOutput::from_output(&output);
        assert_eq!(output.code, Some(0), "{output:?}");
        let job = if nth == "1" { "a" } else { "b" };
        let message = format!("can't start q/{job} yet: too many open files; retrying");
        assert_eq!(output.stderr.matches(&message).count(), 1, "{output:?}");
        assert_eq!(site.job("q/b")["outcome"], json!("succeeded"));
        site.ok(&["reset", "q/a", "q/b"]);
    }
}

#[test]
fn a_job_that_waits_for_resources_can_be_cancelled() {
    if !cfg!(debug_assertions) {
        eprintln!("SKIPPED: a release build has no points at which operations fail");
        return;
    }
    // The second job runs until the first one, which could not start, was cancelled.
    let site = TempSite::with(
        "queues: {q: {parallel: 2, jobs: [{id: a, run: sleep 300}, {id: b, run: '\"$SETLIST\" cancel q/a'}]}}\n",
    );
    let mut process = site.command(&["process", "q"]);
    let process = process.env("SETLIST_FAIL", "spawn:1").env("SETLIST", SETLIST);
    let output = CommandOutput::from_output(&process.output().unwrap());
    assert_eq!(site.job("q/b")["outcome"], json!("succeeded"), "{output:?}");
    let outcome = site.job("q/a")["outcome"].clone();
    assert!(outcome == json!("cancelled"), "{outcome} {output:?}");
}

#[test]
fn suspending_a_process_suspends_its_jobs() {
    let site = TempSite::with(
        "queues: {q: [{id: a, run: 'echo $$ > pid; setsid sh -c \"echo \\$\\$ > far; until [ -e go ]; do sleep 0.01; done\" & until [ -e go ]; do sleep 0.01; done; wait'}]}\n",
    );
    let mut command = site.command(&["process"]);
    // The kernel discards SIGTSTP in an orphaned process group, which that of the tests may be.
    command.process_group(0).stdout(Stdio::null()).stderr(Stdio::piped());
    let process = command.spawn().unwrap();
    let pids = ["pid", "far"].map(|file| {
        wait_for("the job", || {
            fs::read_to_string(site.join(file)).ok().and_then(|text| text.trim().parse::<u32>().ok())
        })
    });
    // A shell whose child was suspended between vfork and exec is in state D.
    let is_suspended = |pid: &u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        [") T ", ") D "].iter().any(|state| stat.contains(state))
    };
    let are_suspended = || pids.iter().all(is_suspended);
    let own = Pid::from_child(&process);
    kill_process(own, Signal::TSTP).unwrap();
    let stat = format!("/proc/{}/stat", own.as_raw_pid());
    wait_for("the process to be suspended", || fs::read_to_string(&stat).unwrap().contains(") T ").then_some(()));
    wait_for("the jobs to be suspended", || are_suspended().then_some(()));
    kill_process(own, Signal::CONT).unwrap();
    wait_for("the jobs to continue", || (!are_suspended()).then_some(()));
    site.write("go", "");
    let output = CommandOutput::from_output(&process.wait_with_output().unwrap());
    assert_eq!(output.code, Some(0), "{output:?}");
    assert!(output.stderr.contains("suspended with 1 running job; their timeouts are suspended too"), "{output:?}");
}
