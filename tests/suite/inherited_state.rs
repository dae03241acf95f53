//! Jobs and workers inherit no open files, ignored signals or signal mask from the parent process.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};

use crate::temp_site::{CommandOutput, SETLIST, TempSite, wait_for};

/// A site with a job that prints its open files and its signals, and then waits for the end.
fn site() -> TempSite {
    let report = "sh report.sh > report.tmp; mv report.tmp report; until [ -e end ]; do sleep 0.01; done";
    let site = TempSite::with(&format!("queues:\n  q:\n    - {{id: a, run: '{report}'}}\n"));
    // The shell itself reads its script from descriptor 10 or higher.
    site.script(
        "report.sh",
        "ls -l /proc/$PPID/fd | grep -o '[0-9]* -> .*'\ngrep -E '^Sig(Blk|Ign)' /proc/$PPID/status",
    );
    site
}

/// Runs a shell script in which `$SETLIST` is the program.
fn shell(site: &TempSite, script: &str) -> CommandOutput {
    let mut command = Command::new("bash");
    site.set_environment(&mut command);
    command.args(["-c", script]).env("SETLIST", SETLIST);
    CommandOutput::from_output(&command.output().unwrap())
}

/// The report of the job, once it is there.
fn report(site: &TempSite) -> String {
    wait_for("the report of the job", || Some(site.read("report")).filter(|report| !report.is_empty()))
}

#[track_caller]
fn assert_isolated(report: &str) {
    assert!(!report.contains("held"), "the job inherited a file:\n{report}");
    let sets: Vec<_> = report.lines().filter_map(|line| line.strip_prefix("Sig")?.split_once(":\t")).collect();
    assert_eq!(sets.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["Blk", "Ign"], "{report}");
    for (_, set) in sets {
        let set = u64::from_str_radix(set, 16).unwrap() & !RESERVED_SIGNALS;
        assert_eq!(set, 0, "the job ignores or blocks signals:\n{report}");
    }
}

/// Signals 32 and 33, which the C library keeps for itself: no program can change them.
const RESERVED_SIGNALS: u64 = 0b11 << 31;

/// Ignores the signals that `nohup` and a script's `&` ignore, and others, and opens two files.
const PARENT: &str = "trap '' HUP INT QUIT TERM USR1 CHLD XFSZ; exec 3<>held.3 9<>held.9;";

#[test]
fn a_job_of_a_detached_worker_is_isolated_and_so_is_the_worker() {
    let site = site();
    let retry = shell(&site, &format!("{PARENT} exec \"$SETLIST\" retry a"));
    assert_eq!(retry.code, Some(0), "{retry:?}");
    assert_isolated(&report(&site));
    let folder = format!("/proc/{}/fd", site.worker_pid());
    let open = fs::read_dir(folder).unwrap().filter_map(|fd| fs::read_link(fd.unwrap().path()).ok());
    let held: Vec<PathBuf> = open.filter(|file| file.to_string_lossy().contains("held")).collect();
    assert!(held.is_empty(), "the worker holds {held:?}");
    site.write("end", "");
    site.ok(&["wait", "a"]);
}

#[test]
fn a_job_of_a_foreground_process_is_isolated() {
    let site = site();
    site.write("end", "");
    let process = shell(&site, &format!("{PARENT} exec \"$SETLIST\" process"));
    assert_eq!(process.code, Some(0), "{process:?}");
    assert_isolated(&report(&site));
}

#[test]
fn a_lock_that_the_caller_holds_is_free_once_the_command_has_ended() {
    if Command::new("flock").arg("--version").output().is_err() {
        eprintln!("SKIPPED: this machine has no flock");
        return;
    }
    let site = site();
    let locked = shell(&site, "flock -n held \"$SETLIST\" retry a && flock -n held echo free");
    assert!(locked.code == Some(0) && locked.stdout.ends_with("free\n"), "{locked:?}");
    report(&site);
    site.write("end", "");
    site.ok(&["wait", "a"]);
}

#[test]
fn a_command_under_nohup_continues_when_the_terminal_is_closed() {
    let site = site();
    let mut process = Command::new("nohup");
    site.set_environment(&mut process);
    let mut process = process.args([SETLIST, "process"]).spawn().unwrap();
    report(&site);
    kill_process(Pid::from_child(&process), Signal::HUP).unwrap();
    site.write("end", "");
    assert_eq!(process.wait().unwrap().code(), Some(0));
    assert_eq!(site.job("a")["outcome"], "succeeded");
}

#[test]
fn output_beyond_the_file_size_limit_is_reported_and_kills_no_worker() {
    let site = TempSite::with(
        "queues:\n  q:\n    - {id: a, run: 'head -c 3000000 /dev/zero | tr \"\\0\" x'}\n    - {id: b, run: 'true'}\n",
    );
    // 2 MiB: enough for the store, not for the output.
    let process = shell(&site, "ulimit -f 2048; exec \"$SETLIST\" process");
    assert_eq!(process.code, Some(0), "{process:?}");
    assert_eq!(site.job("b")["outcome"], "succeeded");
    assert!(process.stderr.contains("can't write the log of a run"), "{process:?}");
    assert!(process.stderr.contains("can't grow beyond 2.0 MiB, because of `ulimit -f`"), "{process:?}");
}
