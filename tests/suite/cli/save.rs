//! `add --save`: jobs that are written into `jobs.yaml` as they are added.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Stdio;

use serde_json::json;

use crate::room::Room;

const FILE: &str = "\
# Ours.
queues:
  build:
    jobs:
      - {id: lint, run: 'true'}   # first
  # The night.
  nightly: [./backup.sh]
";

#[test]
fn the_job_stands_in_the_file_and_runs_once() {
    let room = Room::with(FILE);
    let said = room.ok(&["add", "build", "--save", "--title", "Unit tests", "--needs", "lint", "--", "echo", "fine"]);
    assert_eq!(said, "#3\n");
    let item = "      - title: Unit tests\n        command: [echo, fine]\n        needs: [lint]\n";
    assert_eq!(room.read("jobs.yaml"), FILE.replace("# first\n", &format!("# first\n{item}")));
    assert_eq!(room.ok(&["add", "new", "--save", "--script", "echo $0"]), "#4\n");
    assert!(room.read("jobs.yaml").ends_with("  nightly: [./backup.sh]\n  new:\n    - echo $0\n"));
    assert_eq!(room.run(&["process", "build", "new"]).out.lines().count(), 4);
    let job = room.job("build/unit-tests");
    assert_eq!((&job["id"], &job["outcome"], &job["run_count"]), (&json!(3), &json!("succeeded"), &json!(1)));
    assert_eq!(room.run(&["process", "build", "new"]).err, "setlist: nothing is pending\n");
    assert_eq!(room.ok(&["check"]), "jobs.yaml: 3 queues, 4 jobs\n");
}

#[test]
fn a_need_that_is_told_by_its_number_is_named() {
    let room = Room::with(FILE);
    room.ok(&["add", "build", "--save", "--needs", "#1", "--", "make"]);
    assert!(
        room.read("jobs.yaml").contains("      - command: [make]\n        needs: [lint]\n"),
        "{}",
        room.read("jobs.yaml")
    );
    room.ok(&["add", "nightly", "--", "echo"]);
    let said = room.run(&["add", "build", "--save", "--needs", "#4", "--", "make"]);
    assert_eq!((said.code, said.err.as_str()), (Some(2), "setlist: it needs #4, which stands in no jobs.yaml\n"));
}

#[test]
fn the_file_keeps_its_mode_and_what_links_to_it() {
    let room = Room::empty();
    fs::create_dir(room.join("real")).unwrap();
    room.write("real/jobs.yaml", "queues: {q: [a]}\n");
    fs::set_permissions(room.join("real/jobs.yaml"), PermissionsExt::from_mode(0o640)).unwrap();
    symlink("real/jobs.yaml", room.join("jobs.yaml")).unwrap();
    room.ok(&["add", "q", "--save", "--", "b"]);
    assert!(room.join("jobs.yaml").symlink_metadata().unwrap().is_symlink());
    assert_eq!(room.read("real/jobs.yaml"), "queues: {q: [a, {command: [b]}]}\n");
    assert_eq!(room.join("real/jobs.yaml").metadata().unwrap().permissions().mode() & 0o7777, 0o640);
    assert_eq!(fs::read_dir(room.join("real")).unwrap().count(), 1, "no draft is left");
}

#[test]
fn a_file_with_errors_is_left_as_it_is() {
    let room = Room::with("queues:\n  q:\n    - {run: a, tiemout: 1m}\n");
    let said = room.run(&["add", "q", "--save", "--", "b"]);
    assert_eq!((said.code, said.out.as_str()), (Some(2), ""));
    assert!(said.err.contains("did you mean `timeout`?"), "{said:?}");
    assert_eq!(room.read("jobs.yaml"), "queues:\n  q:\n    - {run: a, tiemout: 1m}\n");

    room.write("jobs.yaml", "x-all: &all [a]\nqueues: {q: *all, r: *all}\n");
    let said = room.run(&["add", "q", "--save", "--", "b"]);
    assert_eq!((said.code, said.out.as_str()), (Some(2), ""));
    assert!(said.err.contains("something else changing; by hand it is\n- command: [b]\n"), "{said:?}");
    assert_eq!(room.ok(&["list"]).lines().count(), 2, "nothing was added");
}

#[test]
fn many_who_save_at_once_are_all_heard() {
    let room = Room::with("queues:\n  q: []\n");
    let add = |n: i32| {
        let mut command = room.command(&["add", "q", "--save", "--script", &format!("echo {n}")]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    for mut child in (0..8).map(add).collect::<Vec<_>>() {
        assert!(child.wait().unwrap().success());
    }
    let file = room.read("jobs.yaml");
    for n in 0..8 {
        assert_eq!(file.matches(&format!("echo {n}")).count(), 1, "{file}");
    }
    assert_eq!(room.ok(&["list", "--state", "pending"]).lines().count(), 8);
}
