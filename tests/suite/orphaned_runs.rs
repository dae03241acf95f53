//! Runs whose worker was killed: they are ended wherever the site has moved to, and not taken for ended where their
//! processes can't be seen.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::temp_site::{CommandOutput, SETLIST, TempSite, wait_for};

/// A job that runs until it is killed. Once the file `second` exists, it reports whether its first run is still alive, and
/// succeeds.
const JOB: &str = r#"queues:
  q:
    jobs:
      - id: a
        retry: {max: 3, delay: 0s, on: [interrupted]}
        run: |
          if [ -e "$BASE/second" ]; then
            grep -q '^State:.[^ZX]' "/proc/$(cat "$BASE/first")/status" && echo "both run" || echo "the first has ended"
            exit 0
          fi
          echo $$ > "$BASE/first.new"; mv "$BASE/first.new" "$BASE/first"
          exec sleep 300
"#;

/// A folder with the site in its subfolder `site`.
fn base() -> TempSite {
    let base = TempSite::empty();
    fs::create_dir(base.join("site")).unwrap();
    base.write("site/jobs.yaml", JOB);
    base
}

fn in_folder(base: &TempSite, folder: &Path, program: &str) -> Command {
    let mut command = Command::new(program);
    base.set_environment(&mut command);
    command.current_dir(folder).env("BASE", base.path());
    command
}

fn setlist(base: &TempSite, folder: &str, args: &[&str]) -> CommandOutput {
    let output = in_folder(base, &base.join(folder), SETLIST).args(args).output().unwrap();
    CommandOutput::from_output(&output)
}

/// Starts a worker that runs the job; returns it with the process of the job.
fn running_job(base: &TempSite) -> (Child, Pid) {
    let mut process = in_folder(base, &base.join("site"), SETLIST);
    let process = process.arg("process").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_for("the job", || base.join("first").exists().then_some(()));
    (process, Pid::from_raw(base.read("first").trim().parse().unwrap()).unwrap())
}

/// Whether a process is alive and not a zombie.
fn is_alive(pid: Pid) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status.lines().any(|line| line.starts_with("State:") && !line.contains(['Z', 'X']))
}

fn kill(mut process: Child) {
    process.kill().unwrap();
    process.wait().unwrap();
}

#[test]
fn a_renamed_site_ends_the_run_of_a_killed_worker_before_the_job_runs_again() {
    let base = base();
    let (worker, job) = running_job(&base);
    kill(worker);
    fs::rename(base.join("site"), base.join("renamed")).unwrap();
    base.write("second", "");
    let process = setlist(&base, "renamed", &["process"]);
    assert_eq!(process.code, Some(0), "{process:?}");
    assert_eq!(setlist(&base, "renamed", &["log", "a", "--stdout"]).stdout, "the first has ended\n");
    assert!(!is_alive(job));
}

#[test]
fn a_copied_site_leaves_the_processes_of_the_original_alone() {
    let base = base();
    let (worker, job) = running_job(&base);
    let copied = Command::new("cp").args(["-a", "site", "copy"]).current_dir(base.path()).status().unwrap();
    assert!(copied.success());
    base.write("second", "");
    let state = base.join("copy/.setlist");
    let copy = |args: &[&str]| setlist(&base, "copy", &[&["--state", state.to_str().unwrap()], args].concat());
    let waited = copy(&["process"]);
    assert!(is_alive(job), "the original's job was killed: {waited:?}");
    let shown = copy(&["show", "a"]);
    assert!(shown.stdout.contains("interrupted (may still be running on "), "{shown:?}");
    // Only an explicit request runs it again.
    let retried = copy(&["retry", "a"]);
    assert_eq!(retried.code, Some(0), "{retried:?}");
    assert_eq!(copy(&["wait", "a"]).code, Some(0));
    assert_eq!(copy(&["log", "a", "--stdout"]).stdout, "both run\n");
    kill(worker);
    kill_process(job, Signal::KILL).unwrap();
}

#[test]
fn a_container_does_not_take_a_run_outside_of_it_for_ended() {
    let options = ["-r", "-p", "-f", "--mount-proc", "--kill-child"];
    if !Command::new("unshare").args(options).arg("true").status().is_ok_and(|status| status.success()) {
        eprintln!("SKIPPED: no container can be made here (unshare -r -p)");
        return;
    }
    let base = base();
    let (worker, job) = running_job(&base);
    kill(worker);
    base.write("second", "");
    let mut process = in_folder(&base, &base.join("site"), "unshare");
    let process = process.args(options).args([SETLIST, "process"]).output().unwrap();
    let process = CommandOutput::from_output(&process);
    let shown = setlist(&base, "site", &["show", "a"]);
    assert!(shown.stdout.contains("interrupted (may still be running on "), "{shown:?}");
    assert!(is_alive(job), "{process:?}");
    kill_process(job, Signal::KILL).unwrap();
}
