//! `setlist log -f` of jobs and logs that disappear.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use serde_json::json;

use crate::temp_site::TempSite;

#[test]
fn following_a_removed_job_says_so_and_fails() {
    let site = TempSite::with("queues: {q: [{id: a, run: 'true'}]}\n");
    let mut child = site.command(&["log", "-f", "q/a"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut errors = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    errors.read_line(&mut line).unwrap();
    assert!(line.contains("q/a waits"), "{line}");
    site.ok(&["remove", "q/a"]);
    let mut rest = String::new();
    errors.read_to_string(&mut rest).unwrap();
    assert_eq!((child.wait().unwrap().code(), &rest[..]), (Some(1), "setlist: q/a was removed\n"));
}

#[test]
fn every_command_says_that_a_job_was_removed_and_how_it_returns() {
    let site = TempSite::with("queues: {q: [{id: a, run: 'true'}]}\n");
    site.ok(&["add", "q", "--", "echo", "hi"]);
    site.ok(&["process"]);
    site.ok(&["remove", "2"]);
    let removed = "setlist: q/#2 was removed; `setlist restore 2` brings it back\n";
    for command in ["explain", "retry", "cancel", "remove", "reset", "approve", "wait"] {
        let refused = site.run(&[command, "2"]);
        assert_eq!((refused.code, &refused.stderr[..]), (Some(2), removed), "{command}");
    }
    // Its record can still be read.
    for (command, printed) in [("show", "succeeded"), ("log", "hi\n")] {
        let read = site.run(&[command, "2"]);
        assert_eq!((read.code, &read.stderr[..]), (Some(0), removed), "{command}");
        assert!(read.stdout.contains(printed), "{read:?}");
    }
    site.ok(&["restore", "2"]);
    let restored = site.run(&["show", "2"]);
    assert!(restored.stderr.is_empty() && restored.stdout.contains("succeeded"), "{restored:?}");
}

#[test]
fn a_deleted_log_file_is_reported() {
    let site = TempSite::with(
        "queues: {q: [{id: a, run: 'echo one; while [ ! -e go ]; do sleep 0.01; done; echo two'}, {id: silent, run: 'true'}]}\n",
    );
    site.ok(&["retry", "q/a"]);
    site.wait_until("q/a", |job| job["state"] == json!("running"));
    let mut child = site.command(&["log", "-f", "q/a"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    assert_eq!(line, "one\n");
    let run = site.job("q/a")["run_id"].as_u64().unwrap();
    fs::remove_file(site.join(&format!(".setlist/logs/{run}.log"))).unwrap();
    site.write("go", "");
    let mut errors = String::new();
    child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    let deleted = "setlist: q/a: its log file was deleted; the output may be incomplete\n";
    assert_eq!((child.wait().unwrap().code(), &errors[..]), (Some(1), deleted));
    let later = site.run(&["log", "q/a"]);
    assert_eq!((later.code, &later.stderr[..]), (Some(1), deleted), "{later:?}");
    // Also if nothing is left of it.
    fs::remove_file(site.join(&format!(".setlist/logs/{run}.marks"))).unwrap();
    let later = site.run(&["log", "q/a"]);
    assert_eq!((later.code, &later.stderr[..]), (Some(1), deleted), "{later:?}");
    // A job without output has no log file.
    site.ok(&["retry", "q/silent"]);
    site.ok(&["wait", "q/silent"]);
    let silent = site.run(&["log", "q/silent"]);
    assert_eq!((silent.code, &silent.stderr[..]), (Some(0), ""), "{silent:?}");
}
