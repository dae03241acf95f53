//! `add --save`: jobs that are written into `jobs.yaml` as they are added.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Stdio;

use serde_json::json;

use crate::temp_site::TempSite;

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
fn a_saved_job_is_in_the_file_and_runs_once() {
    let site = TempSite::with(FILE);
    let output = site.ok(&["add", "build", "--save", "--title", "Unit tests", "--needs", "lint", "--", "echo", "fine"]);
    assert_eq!(output, "#3\n");
    let item = "      - title: Unit tests\n        command: [echo, fine]\n        needs: [lint]\n";
    assert_eq!(site.read("jobs.yaml"), FILE.replace("# first\n", &format!("# first\n{item}")));
    assert_eq!(site.ok(&["add", "new", "--save", "--script", "echo $0"]), "#4\n");
    assert!(site.read("jobs.yaml").ends_with("  nightly: [./backup.sh]\n  new:\n    - echo $0\n"));
    assert_eq!(site.run(&["process", "build", "new"]).stdout.lines().count(), 4);
    let job = site.job("build/unit-tests");
    assert_eq!((&job["id"], &job["outcome"], &job["run_count"]), (&json!(3), &json!("succeeded"), &json!(1)));
    assert_eq!(
        site.run(&["process", "build", "new"]).stderr,
        "setlist: no pending jobs; 3 jobs have finished, and `--again` runs them again\n"
    );
    assert_eq!(site.ok(&["check"]), "jobs.yaml: 3 queues, 4 jobs\n");
}

#[test]
fn a_need_given_by_number_is_saved_by_name() {
    let site = TempSite::with(FILE);
    site.ok(&["add", "build", "--save", "--needs", "#1", "--", "make"]);
    assert!(
        site.read("jobs.yaml").contains("      - command: [make]\n        needs: [lint]\n"),
        "{}",
        site.read("jobs.yaml")
    );
    site.ok(&["add", "nightly", "--", "echo"]);
    let output = site.run(&["add", "build", "--save", "--needs", "#4", "--", "make"]);
    assert_eq!((output.code, output.stderr.as_str()), (Some(2), "setlist: it needs #4, which isn't in a jobs.yaml\n"));
}

#[test]
fn the_file_keeps_its_mode_and_what_links_to_it() {
    let site = TempSite::empty();
    fs::create_dir(site.join("real")).unwrap();
    site.write("real/jobs.yaml", "queues: {q: [a]}\n");
    fs::set_permissions(site.join("real/jobs.yaml"), PermissionsExt::from_mode(0o640)).unwrap();
    symlink("real/jobs.yaml", site.join("jobs.yaml")).unwrap();
    site.ok(&["add", "q", "--save", "--", "b"]);
    assert!(site.join("jobs.yaml").symlink_metadata().unwrap().is_symlink());
    assert_eq!(site.read("real/jobs.yaml"), "queues: {q: [a, {command: [b]}]}\n");
    assert_eq!(site.join("real/jobs.yaml").metadata().unwrap().permissions().mode() & 0o7777, 0o640);
    assert_eq!(fs::read_dir(site.join("real")).unwrap().count(), 1, "no draft is left");
}

#[test]
fn a_file_with_errors_is_left_as_it_is() {
    let site = TempSite::with("queues:\n  q:\n    - {run: a, tiemout: 1m}\n");
    let output = site.run(&["add", "q", "--save", "--", "b"]);
    assert_eq!((output.code, output.stdout.as_str()), (Some(2), ""));
    assert!(output.stderr.contains("did you mean `timeout`?"), "{output:?}");
    assert_eq!(site.read("jobs.yaml"), "queues:\n  q:\n    - {run: a, tiemout: 1m}\n");

    site.write("jobs.yaml", "x-all: &all [a]\nqueues: {q: *all, r: *all}\n");
    let output = site.run(&["add", "q", "--save", "--", "b"]);
    assert_eq!((output.code, output.stdout.as_str()), (Some(2), ""));
    assert!(output.stderr.contains("without changing other jobs; add it yourself:\n- command: [b]\n"), "{output:?}");
    assert_eq!(site.ok(&["list"]).lines().count(), 2, "nothing was added");
}

#[test]
fn concurrent_saves_are_all_kept() {
    let site = TempSite::with("queues:\n  q: []\n");
    let add = |n: i32| {
        let mut command = site.command(&["add", "q", "--save", "--script", &format!("echo {n}")]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    for mut child in (0..8).map(add).collect::<Vec<_>>() {
        assert!(child.wait().unwrap().success());
    }
    let file = site.read("jobs.yaml");
    for n in 0..8 {
        assert_eq!(file.matches(&format!("echo {n}")).count(), 1, "{file}");
    }
    assert_eq!(site.ok(&["list", "--state", "pending"]).lines().count(), 8);
}
