//! A disk that is full, a folder that can't be written, a file that may not grow: said, survived, and gone on from when
//! there is room again.

use std::env;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::{Signal, kill_process};
use serde_json::json;

use crate::room::{Room, SETLIST, Said, wait_for};

/// Names the disk, in a process that has one of its own.
const DISK: &str = "SETLIST_TEST_DISK";

/// Runs a test of this file once more, in a namespace of its own where a small disk is mounted.
fn with_a_disk(part: &str) {
    let disk = tempfile::tempdir().unwrap();
    let mount = |then: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["-Urm", "sh", "-c", "mount -t tmpfs -o size=6m disk \"$1\" && shift && exec \"$@\"", "sh"]);
        command.arg(disk.path()).args(then).env(DISK, disk.path());
        command
    };
    if !mount(&["true"]).output().is_ok_and(|output| output.status.success()) {
        // Past the harness, which would swallow what a test prints that passes.
        let skipped =
            "SKIPPED: nobody may mount a disk in a namespace of one's own here, so nothing is shown about one";
        writeln!(io::stderr(), "{part}: {skipped}").unwrap();
        return;
    }
    let this = env::current_exe().unwrap();
    let test = format!("disk::{part}");
    let said = Said::of(&mount(&[this.to_str().unwrap(), &test, "--exact", "--nocapture"]).output().unwrap());
    assert!(said.code == Some(0) && said.out.contains("1 passed"), "{}\n{}", said.out, said.err);
}

/// A room on the disk of this process; none in the process that runs all the tests.
fn room() -> Option<Room> {
    env::var_os(DISK).map(|disk| Room::on(Path::new(&disk), QUEUES))
}

const QUEUES: &str = "\
queues:
  q:
    - {id: a, run: echo done}
    - {id: slow, run: 'echo begun; until [ -e \"$TMPDIR/go\" ]; do sleep 0.01; done; echo \"$SETLIST_ATTEMPT\" >> \"$TMPDIR/book\"'}
";

/// Takes all the room there is.
fn fill(room: &Room) -> PathBuf {
    let path = room.join("ballast");
    let mut ballast = File::create(&path).unwrap();
    let mut size = 1 << 20;
    while size > 0 {
        if ballast.write_all(&vec![0; size]).is_err() {
            size /= 2;
        }
    }
    path
}

/// How many jobs a command that only looks shows.
#[track_caller]
fn count(room: &Room) -> usize {
    let said = room.run(&["list"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    said.out.lines().count()
}

#[test]
fn a_full_disk_loses_nothing_and_can_be_read() {
    with_a_disk("part_with_a_full_disk");
}

#[test]
fn part_with_a_full_disk() {
    let Some(room) = room() else { return };
    room.ok(&["retry", "q/a"]);
    room.until("q/a", |job| job["outcome"] == json!("succeeded"));
    // What a worker leaves behind is room for others.
    wait_for("the worker to leave", || room.processes().is_empty().then_some(()));
    let mut jobs = count(&room);
    let ballast = fill(&room);
    // Whoever finds a little room still is answered for it.
    let refused = wait_for("the disk to be full", || {
        let said = room.run(&["add", "q", "--", "true"]);
        jobs += usize::from(said.code == Some(0));
        (said.code != Some(0)).then_some(said)
    });
    assert_eq!((refused.code, refused.out.as_str()), (Some(3), ""), "{refused:?}");
    assert!(refused.err.contains("the disk is full") && refused.err.contains("make room"), "{refused:?}");
    assert_eq!(count(&room), jobs);
    assert_eq!(room.job("q/a")["outcome"], json!("succeeded"));
    assert_eq!(room.ok(&["log", "q/a"]), "done\n");
    assert!(room.ok(&["status"]).starts_with("QUEUE"));
    room.write("go", "");
    for args in [&["process"][..], &["retry", "q/a"], &["worker", "--exit-when-idle"]] {
        let said = Said::of(&room.command(args).env("TMPDIR", room.path()).output().unwrap());
        assert_eq!(said.code, Some(3), "{args:?}: {said:?}");
        assert!(said.err.contains("the disk is full"), "{args:?}: {said:?}");
    }
    fs::remove_file(ballast).unwrap();
    assert_eq!(count(&room), jobs);
    room.ok(&["add", "q", "--", "true"]);
    room.ok(&["cancel", "q/slow"]);
    room.ok(&["process"]);
    assert_eq!(room.ok(&["list", "--state", "succeeded"]).lines().count(), jobs);
}

#[test]
fn a_job_that_ends_on_a_full_disk_is_recorded_when_there_is_room() {
    with_a_disk("part_with_a_job_on_a_full_disk");
}

#[test]
fn part_with_a_job_on_a_full_disk() {
    let Some(room) = room() else { return };
    let elsewhere = tempfile::tempdir_in("/tmp").unwrap();
    let mut command = room.command(&["worker"]);
    command.env("TMPDIR", elsewhere.path()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut worker = command.spawn().unwrap();
    room.ok(&["retry", "q/slow"]);
    room.until("q/slow", |job| job["state"] == json!("running"));
    let ballast = fill(&room);
    wait_for("the disk to be full", || (room.run(&["add", "q", "--", "true"]).code != Some(0)).then_some(()));
    fs::write(elsewhere.path().join("go"), "").unwrap();
    wait_for("the job's end", || elsewhere.path().join("book").exists().then_some(()));
    assert_eq!(room.job("q/slow")["state"], json!("running"));
    fs::remove_file(ballast).unwrap();
    let job = room.until("q/slow", |job| job["state"] == json!("finished"));
    assert_eq!((&job["outcome"], &job["attempt"]), (&json!("succeeded"), &json!(1)));
    assert_eq!(fs::read_to_string(elsewhere.path().join("book")).unwrap(), "1\n");
    room.ok(&["process"]);
    worker.kill().unwrap();
    let said = Said::of(&worker.wait_with_output().unwrap());
    assert!(said.err.contains("the disk is full"), "{said:?}");
}

#[test]
fn a_folder_that_cannot_be_written_can_be_read() {
    with_a_disk("part_with_a_folder_that_cannot_be_written");
}

#[test]
fn part_with_a_folder_that_cannot_be_written() {
    let Some(room) = room() else { return };
    let remount = |how: &str| {
        let disk = env::var_os(DISK).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-o", &format!("remount,{how}")]).arg(disk);
        // A process that has just died may still hold a file.
        wait_for("nobody to write", || mount.output().unwrap().status.success().then_some(()));
    };
    room.ok(&["retry", "q/a"]);
    room.until("q/a", |job| job["outcome"] == json!("succeeded"));
    wait_for("the worker to leave", || room.processes().is_empty().then_some(()));
    remount("ro");
    look(&room, 2);

    // What was changed last is in the log, since the last one to write was killed.
    remount("rw");
    let mut worker = room.command(&["worker"]).stderr(Stdio::null()).spawn().unwrap();
    wait_for("the worker to join", || fs::read_dir(room.join(".setlist/workers")).unwrap().next().map(drop));
    room.ok(&["add", "q", "--", "true"]);
    kill_process(room.worker(), Signal::KILL).unwrap();
    worker.wait().unwrap();
    remount("ro");
    assert!(room.join(".setlist/state.db-wal").exists());
    look(&room, 3);

    // Without its index the log can't be read here, but elsewhere it can.
    remount("rw");
    fs::remove_file(room.join(".setlist/state.db-shm")).unwrap();
    remount("ro");
    let said = room.run(&["list"]);
    assert_eq!((said.code, said.out.as_str()), (Some(3), ""), "{said:?}");
    assert!(said.err.contains("state.db-wal") && said.err.contains("--state COPY"), "{said:?}");
    let elsewhere = tempfile::tempdir_in("/tmp").unwrap();
    let copy = elsewhere.path().join("copy");
    assert!(Command::new("cp").arg("-r").arg(room.join(".setlist")).arg(&copy).status().unwrap().success());
    assert_eq!(room.ok(&["--state", copy.to_str().unwrap(), "list"]).lines().count(), 3);
}

/// What can be read is read, with a word about it; what would change something is refused.
#[track_caller]
fn look(room: &Room, jobs: usize) {
    let said = room.run(&["list"]);
    assert_eq!((said.code, said.out.lines().count()), (Some(0), jobs), "{said:?}");
    assert!(said.err.contains("Read-only file system") && said.err.contains("how it was left"), "{said:?}");
    assert_eq!(room.job("q/a")["outcome"], json!("succeeded"));
    assert_eq!(room.ok(&["log", "-f", "q/a"]), "done\n");
    assert!(room.ok(&["status"]).contains(" 1 "));
    assert!(room.ok(&["process", "--dry-run"]).starts_with("q/slow"));
    for args in [&["add", "q", "--", "true"][..], &["process"], &["retry", "q/a"], &["worker"], &["cancel", "q/slow"]] {
        let said = room.run(args);
        assert_eq!(said.code, Some(3), "{args:?}: {said:?}");
        let folder = room.join(".setlist").canonicalize().unwrap();
        for words in [folder.to_str().unwrap(), "Read-only file system", "`--state DIR` keeps the state elsewhere"] {
            assert!(said.err.contains(words), "{args:?}: {said:?}");
        }
    }
}

/// Where nobody may mount a disk, this shows as much: a limit on the size of files is the end of them, too.
#[test]
fn a_file_that_may_not_grow_loses_nothing() {
    let room = Room::with(QUEUES);
    room.ok(&["status"]);
    let mut jobs = 2;
    let mut refused = 0;
    for blocks in (0..140).step_by(7) {
        let mut command = Command::new("sh");
        // Ignored, the signal is an error of the write.
        command.args(["-c", "trap '' XFSZ; ulimit -f \"$1\"; shift; exec \"$@\"", "sh", &blocks.to_string(), SETLIST]);
        room.furnish(&mut command);
        let said = Said::of(&command.args(["add", "q", "--", "true"]).output().unwrap());
        match said.code {
            Some(0) => jobs += 1,
            code => {
                refused += 1;
                assert_eq!((code, said.out.as_str()), (Some(3), ""), "{said:?}");
                assert!(said.err.contains(".setlist/"), "{said:?}");
            }
        }
        assert_eq!(count(&room), jobs, "after {said:?}");
    }
    assert!(refused > 3 && jobs > 3, "{refused} refused, {jobs} jobs");
}
