//! `setlist log` of several jobs at once.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Stdio};

use serde_json::json;

use crate::temp_site::TempSite;

fn follow(site: &TempSite, names: &[&str]) -> (Child, BufReader<ChildStdout>) {
    let mut child = site.command(&[&["log", "-f"], names].concat());
    let mut child = child.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    (child, out)
}

fn line(out: &mut BufReader<ChildStdout>) -> String {
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    line
}

#[test]
fn lines_start_with_the_name_of_their_job() {
    let site = TempSite::with(
        "queues:\n  q: [{id: a, run: 'echo one; printf two'}, {id: longer, run: echo three}, {id: not, run: 'true'}]\n",
    );
    site.run(&["process"]);
    assert_eq!(site.ok(&["log", "q"]), "a      | one\na      | two\nlonger | three\n");
    assert_eq!(site.ok(&["log", "longer", "a"]), "longer | three\na      | one\na      | two\n");
    assert_eq!(site.ok(&["log", "a"]), "one\ntwo");
    site.ok(&["add", "other", "--", "echo", "x"]);
    let some = site.run(&["log", "q/a", "4"]);
    assert_eq!((some.code, &some.stdout[..]), (Some(2), "q/a      | one\nq/a      | two\n"));
    assert_eq!(some.stderr, "setlist: other/#4 has not run yet\n");
    let unknown = site.run(&["log", "q", "q/b"]);
    assert!(unknown.code == Some(2) && unknown.stderr.contains("there is no job \"q/b\""), "{unknown:?}");
}

#[test]
fn a_queue_is_followed_from_job_to_job() {
    let gate = |name: &str, next: &str| {
        format!("{{id: {name}, run: 'printf {name}-; echo on; while [ ! -e {next} ]; do sleep 0.01; done; echo off'}}")
    };
    let site = TempSite::with(&format!("queues:\n  q: [{}, {}]\n", gate("first", "go1"), gate("second", "go2")));
    let mut process = site.command(&["process"]).stdout(Stdio::null()).spawn().unwrap();
    site.wait_until("first", |job| job["state"] == json!("running"));
    let (mut child, mut out) = follow(&site, &["q"]);
    assert_eq!(line(&mut out), "first  | first-on\n");
    site.write("go1", "");
    assert_eq!(line(&mut out), "first  | off\n");
    assert_eq!(line(&mut out), "second | second-on\n");
    site.write("go2", "");
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "second | off\n");
    assert!(child.wait().unwrap().success());
    assert!(process.wait().unwrap().success());
}

#[test]
fn a_job_is_followed_from_before_its_first_run_to_its_last() {
    let site = TempSite::with(
        "queues:\n  q: [{id: a, run: 'echo try $SETLIST_ATTEMPT; test $SETLIST_ATTEMPT = 2', retry: {max: 2, delay: 1ms}}]\n",
    );
    let (mut child, mut out) = follow(&site, &["q/a"]);
    // The hint is printed when it starts to wait.
    let mut hint = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut hint).unwrap();
    assert_eq!(hint, "setlist: q/a waits, and q is not being processed; `setlist retry q/a` runs it\n");
    site.ok(&["retry", "q/a"]);
    let mut all = String::new();
    out.read_to_string(&mut all).unwrap();
    assert_eq!(all, "try 1\ntry 2\n");
    assert!(child.wait().unwrap().success());
}

#[test]
fn following_ends_when_the_pipe_is_closed() {
    let site = TempSite::with("queues:\n  q: [{id: a, run: 'yes'}]\n");
    site.ok(&["retry", "q/a"]);
    let (child, mut out) = follow(&site, &["q"]);
    assert_eq!(line(&mut out), "a | y\n");
    drop(out);
    let output = crate::temp_site::CommandOutput::from_output(&child.wait_with_output().unwrap());
    assert_eq!((output.code, &output.stderr[..]), (Some(0), ""));
    site.ok(&["cancel", "q/a", "--kill"]);
    site.wait_until("q/a", |job| job["state"] == json!("finished"));
}
