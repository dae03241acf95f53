//! Full disks, read-only directories and file size limits: they are reported, lose nothing, and work continues when
//! there is space again.

use std::env;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use crate::temp_site::{CommandOutput, SETLIST, TempSite, wait_for};

/// The environment variable that names the disk in a process that has one.
const DISK: &str = "SETLIST_TEST_DISK";

/// Runs a test of this file again in a mount namespace with a small disk.
fn with_a_disk(part: &str) {
    let disk = tempfile::tempdir().unwrap();
    let mount = |then: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["-Urm", "sh", "-c", "mount -t tmpfs -o size=6m disk \"$1\" && shift && exec \"$@\"", "sh"]);
        command.arg(disk.path()).args(then).env(DISK, disk.path());
        command
    };
    if !mount(&["true"]).output().is_ok_and(|output| output.status.success()) {
        // Written directly, because the harness captures the output of passing tests.
        let skipped = "SKIPPED: disks can't be mounted in a user namespace here";
        writeln!(io::stderr(), "{part}: {skipped}").unwrap();
        return;
    }
    let this = env::current_exe().unwrap();
    let test = format!("disk::{part}");
    let printed = CommandOutput::from_output(
        &mount(&[this.to_str().unwrap(), &test, "--exact", "--nocapture"]).output().unwrap(),
    );
    assert!(printed.code == Some(0) && printed.stdout.contains("1 passed"), "{}\n{}", printed.stdout, printed.stderr);
}

/// A site on the disk of this process; none in the process that runs all tests.
fn site() -> Option<TempSite> {
    env::var_os(DISK).map(|disk| TempSite::on_disk(Path::new(&disk), QUEUES))
}

const QUEUES: &str = "\
queues:
  q:
    - {id: a, run: echo done}
    - {id: slow, run: 'echo begun; [ ! -d \"$TMPDIR\" ] || : > \"$TMPDIR/begun\"; until [ -e \"$TMPDIR/go\" ]; do sleep 0.01; done; echo \"$SETLIST_ATTEMPT\" >> \"$TMPDIR/book\"'}
";

/// Fills the disk.
fn fill(site: &TempSite) -> PathBuf {
    let path = site.join("ballast");
    let mut ballast = File::create(&path).unwrap();
    let mut chunk = 1 << 20;
    while chunk > 0 {
        if ballast.write_all(&vec![0; chunk]).is_err() {
            chunk /= 2;
        }
    }
    path
}

/// The number of jobs that a read-only command shows.
#[track_caller]
fn count(site: &TempSite) -> usize {
    let output = site.run(&["list"]);
    assert_eq!(output.code, Some(0), "{output:?}");
    output.stdout.lines().count()
}

#[test]
fn a_full_disk_loses_nothing_and_stays_readable() {
    with_a_disk("part_with_a_full_disk");
}

#[test]
fn part_with_a_full_disk() {
    let Some(site) = site() else { return };
    site.ok(&["retry", "q/a"]);
    site.wait_until("q/a", |job| job["outcome"] == json!("succeeded"));
    // The files of an exited worker leave space for others.
    wait_for("the worker to leave", || site.processes().is_empty().then_some(()));
    let mut jobs = count(&site);
    let ballast = fill(&site);
    // A command that finds a little space left succeeds.
    let refused = wait_for("the disk to be full", || {
        let printed = site.run(&["add", "q", "--", "true"]);
        jobs += usize::from(printed.code == Some(0));
        (printed.code != Some(0)).then_some(printed)
    });
    assert_eq!((refused.code, refused.stdout.as_str()), (Some(3), ""), "{refused:?}");
    assert!(refused.stderr.contains("the disk is full") && refused.stderr.contains("make room"), "{refused:?}");
    assert_eq!(count(&site), jobs);
    assert_eq!(site.job("q/a")["outcome"], json!("succeeded"));
    assert_eq!(site.ok(&["log", "q/a"]), "done\n");
    assert!(site.ok(&["status"]).starts_with("QUEUE"));
    site.write("go", "");
    for args in [&["process"][..], &["retry", "q/a"], &["worker", "--exit-when-idle"]] {
        let printed = CommandOutput::from_output(&site.command(args).env("TMPDIR", site.path()).output().unwrap());
        assert_eq!(printed.code, Some(3), "{args:?}: {printed:?}");
        assert!(printed.stderr.contains("the disk is full"), "{args:?}: {printed:?}");
    }
    fs::remove_file(ballast).unwrap();
    assert_eq!(count(&site), jobs);
    site.ok(&["add", "q", "--", "true"]);
    site.ok(&["cancel", "q/slow"]);
    site.ok(&["process"]);
    assert_eq!(site.ok(&["list", "--state", "succeeded"]).lines().count(), jobs);
}

#[test]
fn a_job_that_ends_on_a_full_disk_is_recorded_later() {
    with_a_disk("part_with_a_job_on_a_full_disk");
}

#[test]
fn part_with_a_job_on_a_full_disk() {
    let Some(site) = site() else { return };
    let elsewhere = tempfile::tempdir_in("/tmp").unwrap();
    let mut worker = site.command(&["worker"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    // Otherwise the request starts another worker, which runs the job.
    wait_for("the worker to join", || {
        fs::read_dir(site.join(".setlist/workers")).into_iter().flatten().next().map(drop)
    });
    // The job gets the environment of the request.
    let requested = site.command(&["retry", "q/slow"]).env("TMPDIR", elsewhere.path()).output().unwrap();
    assert!(requested.status.success(), "{requested:?}");
    site.wait_until("q/slow", |job| job["state"] == json!("running"));
    let ballast = fill(&site);
    wait_for("the disk to be full", || (site.run(&["add", "q", "--", "true"]).code != Some(0)).then_some(()));
    fs::write(elsewhere.path().join("go"), "").unwrap();
    wait_for("the job's end", || elsewhere.path().join("book").exists().then_some(()));
    assert_eq!(site.job("q/slow")["state"], json!("running"));
    fs::remove_file(ballast).unwrap();
    let job = site.wait_until("q/slow", |job| job["state"] == json!("finished"));
    assert_eq!((&job["outcome"], &job["attempt"]), (&json!("succeeded"), &json!(1)));
    assert_eq!(fs::read_to_string(elsewhere.path().join("book")).unwrap(), "1\n");
    site.ok(&["process"]);
    worker.kill().unwrap();
    let output = CommandOutput::from_output(&worker.wait_with_output().unwrap());
    assert!(output.stderr.contains("the disk is full"), "{output:?}");
}

#[test]
fn output_that_has_no_room_is_missed_only_until_there_is_room() {
    with_a_disk("part_with_output_without_room");
}

#[test]
fn part_with_output_without_room() {
    let Some(disk) = env::var_os(DISK) else { return };
    // More than a pipe holds: some of it has been read when all of it is printed.
    let run = "echo first; until [ -e \"$TMPDIR/go\" ]; do sleep 0.01; done; head -c 200000 /dev/zero | tr \"\\0\" x; : > \
               \"$TMPDIR/printed\"; until [ -e \"$TMPDIR/last\" ]; do sleep 0.01; done; echo last";
    let jobs = format!("queues: {{q: [{{id: loud, run: '{run}'}}]}}");
    let site = TempSite::on_disk(Path::new(&disk), &jobs);
    let elsewhere = tempfile::tempdir_in("/tmp").unwrap();
    let mut process = site.command(&["process", "--quiet"]);
    let mut process =
        process.env("TMPDIR", elsewhere.path()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // A job is running before its first output has been written.
    wait_for("the first output", || (site.run(&["log", "q/loud"]).stdout == "first\n").then_some(()));
    let ballast = fill(&site);
    fs::write(elsewhere.path().join("go"), "").unwrap();
    wait_for("the output", || elsewhere.path().join("printed").exists().then_some(()));
    fs::remove_file(ballast).unwrap();
    fs::write(elsewhere.path().join("last"), "").unwrap();
    assert_eq!(process.wait().unwrap().code(), Some(0));
    let log = site.ok(&["log", "q/loud"]);
    assert!(log.starts_with("first\n") && log.ends_with("last\n"), "{} bytes", log.len());
    assert!(log.contains("\n[setlist: ") && log.contains(" lost: the disk is full]\n"), "{} bytes", log.len());
}

#[test]
fn a_signal_ends_process_on_a_full_disk() {
    with_a_disk("part_with_a_signal_on_a_full_disk");
}

#[test]
fn part_with_a_signal_on_a_full_disk() {
    let Some(site) = site() else { return };
    let elsewhere = tempfile::tempdir_in("/tmp").unwrap();
    site.ok(&["process", "--dry-run"]);
    for (signal, ends_first) in [(Signal::TERM, false), (Signal::TERM, true), (Signal::INT, true)] {
        let begun = elsewhere.path().join("begun");
        let mut process = site.command(&["process", "q", "--again"]);
        process.env("TMPDIR", elsewhere.path()).stdout(Stdio::null()).stderr(Stdio::piped());
        let process = process.spawn().unwrap();
        site.wait_until("q/slow", |job| job["state"] == json!("running"));
        wait_for("the run", || begun.exists().then_some(()));
        let ballast = fill(&site);
        wait_for("the disk to be full", || (site.run(&["add", "q", "--", "true"]).code != Some(0)).then_some(()));
        let refused = site.run(&["cancel", "q/slow"]);
        assert_eq!(refused.code, Some(3), "{refused:?}");
        assert!(refused.stderr.contains("the disk is full") && refused.stderr.contains("`kill -TERM"), "{refused:?}");
        assert!(site.ok(&["workers"]).contains(&process.id().to_string()));
        if ends_first {
            // It can't be recorded that the job has succeeded.
            fs::write(elsewhere.path().join("go"), "").unwrap();
            wait_for("the job's end", || elsewhere.path().join("book").exists().then_some(()));
        }
        kill_process(Pid::from_child(&process), signal).unwrap();
        // The test would not end if the signal had no effect.
        let output = CommandOutput::from_output(&process.wait_with_output().unwrap());
        assert_eq!(output.code, Some(3), "{signal:?} {ends_first}: {output:?}");
        assert!(output.stderr.contains("the disk is full; nothing was changed"), "{output:?}");
        assert!(output.stderr.contains("without a record of how 1 job ended"), "{output:?}");
        fs::remove_file(ballast).unwrap();
        for name in ["begun", "go", "book"] {
            let _ = fs::remove_file(elsewhere.path().join(name));
        }
        site.ok(&["add", "q", "--", "true"]);
        assert_eq!(site.job("q/slow")["outcome"], json!("interrupted"), "{signal:?} {ends_first}");
    }
}

#[test]
fn a_read_only_directory_can_be_read() {
    with_a_disk("part_with_a_read_only_directory");
}

#[test]
fn part_with_a_read_only_directory() {
    let Some(site) = site() else { return };
    let remount = |how: &str| {
        let disk = env::var_os(DISK).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-o", &format!("remount,{how}")]).arg(disk);
        // A process that has just been killed may still hold a file.
        wait_for("all writers to exit", || mount.output().unwrap().status.success().then_some(()));
    };
    site.ok(&["retry", "q/a"]);
    site.wait_until("q/a", |job| job["outcome"] == json!("succeeded"));
    wait_for("the worker to leave", || site.processes().is_empty().then_some(()));
    remount("ro");
    look(&site, 2);

    // The latest changes are in the log, because the last writer was killed.
    remount("rw");
    let mut worker = site.command(&["worker"]).stderr(Stdio::null()).spawn().unwrap();
    wait_for("the worker to join", || fs::read_dir(site.join(".setlist/workers")).unwrap().next().map(drop));
    site.ok(&["add", "q", "--", "true"]);
    kill_process(site.worker_pid(), Signal::KILL).unwrap();
    worker.wait().unwrap();
    remount("ro");
    assert!(site.join(".setlist/state.db-wal").exists());
    look(&site, 3);

    // Without its index the log can't be read here, but in a copy.
    remount("rw");
    fs::remove_file(site.join(".setlist/state.db-shm")).unwrap();
    remount("ro");
    let printed = site.run(&["list"]);
    assert_eq!((printed.code, printed.stdout.as_str()), (Some(3), ""), "{printed:?}");
    assert!(printed.stderr.contains("state.db-wal") && printed.stderr.contains("--state COPY"), "{printed:?}");
    let elsewhere = tempfile::tempdir_in("/tmp").unwrap();
    let copy = elsewhere.path().join("copy");
    assert!(Command::new("cp").arg("-r").arg(site.join(".setlist")).arg(&copy).status().unwrap().success());
    assert_eq!(site.ok(&["--state", copy.to_str().unwrap(), "list"]).lines().count(), 3);
}

/// Read-only commands work with a note, and changes are refused.
#[track_caller]
fn look(site: &TempSite, jobs: usize) {
    let output = site.run(&["list"]);
    assert_eq!((output.code, output.stdout.lines().count()), (Some(0), jobs), "{output:?}");
    assert!(
        output.stderr.contains("Read-only file system") && output.stderr.contains("showing the last recorded state"),
        "{output:?}"
    );
    assert_eq!(site.job("q/a")["outcome"], json!("succeeded"));
    assert_eq!(site.ok(&["log", "-f", "q/a"]), "done\n");
    assert!(site.ok(&["status"]).contains(" 1 "));
    assert!(site.ok(&["process", "--dry-run"]).starts_with("q/slow"));
    for args in [&["add", "q", "--", "true"][..], &["process"], &["retry", "q/a"], &["worker"], &["cancel", "q/slow"]] {
        let output = site.run(args);
        assert_eq!(output.code, Some(3), "{args:?}: {output:?}");
        let folder = site.join(".setlist").canonicalize().unwrap();
        for words in [folder.to_str().unwrap(), "Read-only file system", "`--state DIR` keeps the state elsewhere"] {
            assert!(output.stderr.contains(words), "{args:?}: {output:?}");
        }
    }
}

/// A command that may write files of so many blocks of 512 bytes.
fn limited(site: &TempSite, blocks: u64, args: &[&str]) -> Command {
    let mut command = Command::new("sh");
    // If the signal is ignored, the write fails with an error.
    command.args(["-c", "trap '' XFSZ; ulimit -f \"$1\"; shift; exec \"$@\"", "sh", &blocks.to_string(), SETLIST]);
    site.set_environment(&mut command);
    command.args(args);
    command
}

/// How many blocks of 512 bytes the files of the database have, at most.
fn blocks_of_database(site: &TempSite) -> u64 {
    let blocks = |name: &str| fs::metadata(site.join(name)).map_or(0, |file| file.len() / 512);
    [".setlist/state.db", ".setlist/state.db-wal", ".setlist/state.db-shm"].into_iter().map(blocks).max().unwrap()
}

#[test]
fn a_worker_exits_when_its_database_reaches_the_file_size_limit() {
    let fill = "seq 1 700";
    let site = TempSite::with(&format!(
        "queues:\n  q:\n    parallel: 2\n    jobs:\n      - {{id: slow, run: 'until [ -e go ]; do sleep 0.01; done'}}\n      \
         - {{id: fill, run: '{fill}', matrix: {{n: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16]}}}}\n"
    ));
    site.ok(&["status"]);
    // The database grows with the output of each job.
    let mut process = limited(&site, blocks_of_database(&site) + 100, &["process", "q"]);
    let log = site.join("process.log");
    let process = process.stdout(Stdio::null()).stderr(File::create(&log).unwrap()).spawn();
    let mut process = process.unwrap();
    wait_for("the limit", || fs::read_to_string(&log).unwrap().contains("`ulimit -f`").then_some(()));
    assert_eq!(process.try_wait().unwrap(), None, "a job is running");
    site.write("go", "");
    let code = process.wait().unwrap().code();
    let said = fs::read_to_string(&log).unwrap();
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("running jobs continue, then this worker exits"), "{said}");
    assert!(said.contains("without a record of how") && said.contains("state.db-wal: the file can't grow"), "{said}");
    assert!(said.contains("raise the limit and try again"), "{said}");
    // Without the limit, everything is there.
    assert_eq!(site.ok(&["list"]).lines().count(), 17);
    assert_eq!(site.job("q/slow")["outcome"], json!("interrupted"));
    site.ok(&["process", "q", "--again"]);
    assert_eq!(site.ok(&["list", "--state", "succeeded"]).lines().count(), 17);
}

#[test]
fn a_log_that_reaches_the_file_size_limit_says_what_is_missing() {
    let site = TempSite::with("queues: {q: [{id: loud, run: 'seq 1 500000'}]}");
    let output = limited(&site, 1200, &["process", "--quiet"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let log = site.ok(&["log", "q/loud"]);
    assert!(log.starts_with("1\n2\n") && log.len() <= 1200 * 512, "{} bytes", log.len());
    assert!(
        log.ends_with(" lost: the limit of file sizes (`ulimit -f`) is reached]\n"),
        "{:?}",
        &log[log.len() - 200..]
    );
}

#[test]
fn a_log_that_can_never_be_written_says_so() {
    // A file in place of the folder, as if nothing could be created in it.
    let site = TempSite::with(
        "queues:\n  q:\n    - {id: silent, run: 'true'}\n    - {id: a, run: 'rm -rf .setlist/logs; : > .setlist/logs; echo done'}\n    \
         - {id: restore, run: rm .setlist/logs}\n",
    );
    site.ok(&["process", "--quiet"]);
    assert_eq!(site.job("q/a")["outcome"], json!("succeeded"));
    assert_eq!(site.ok(&["log", "q/a"]), "[setlist: 5 B lost: Not a directory (os error 20)]\n");
    assert_eq!(site.ok(&["log", "q/silent"]), "");
}

/// A file size limit, for systems on which a disk can't be mounted by users.
#[test]
fn a_file_size_limit_loses_nothing() {
    let site = TempSite::with(QUEUES);
    site.ok(&["status"]);
    let mut jobs = 2;
    let mut refused = 0;
    for blocks in (0..140).step_by(7) {
        let mut command = limited(&site, blocks, &["add", "q", "--", "true"]);
        let printed = CommandOutput::from_output(&command.output().unwrap());
        match printed.code {
            Some(0) => jobs += 1,
            code => {
                refused += 1;
                assert_eq!((code, printed.stdout.as_str()), (Some(3), ""), "{printed:?}");
                assert!(printed.stderr.contains(".setlist/"), "{printed:?}");
            }
        }
        assert_eq!(count(&site), jobs, "after {printed:?}");
    }
    assert!(refused > 3 && jobs > 3, "{refused} refused, {jobs} jobs");
}
