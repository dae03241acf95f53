//! `setlist log` of several jobs at once.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Stdio};

use serde_json::json;

use crate::room::Room;

fn follow(room: &Room, names: &[&str]) -> (Child, BufReader<ChildStdout>) {
    let mut child = room.command(&[&["log", "-f"], names].concat());
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
fn lines_say_whose_they_are() {
    let room = Room::with(
        "queues:\n  q: [{id: a, run: 'echo one; printf two'}, {id: longer, run: echo three}, {id: not, run: 'true'}]\n",
    );
    room.run(&["process"]);
    assert_eq!(room.ok(&["log", "q"]), "a      | one\na      | two\nlonger | three\n");
    assert_eq!(room.ok(&["log", "longer", "a"]), "longer | three\na      | one\na      | two\n");
    assert_eq!(room.ok(&["log", "a"]), "one\ntwo");
    room.ok(&["add", "other", "--", "echo", "x"]);
    let some = room.run(&["log", "q/a", "4"]);
    assert_eq!((some.code, &some.out[..]), (Some(2), "q/a      | one\nq/a      | two\n"));
    assert_eq!(some.err, "setlist: other/#4 has not run yet\n");
    let unknown = room.run(&["log", "q", "q/b"]);
    assert!(unknown.code == Some(2) && unknown.err.contains("there is no job \"q/b\""), "{unknown:?}");
}

#[test]
fn a_queue_is_followed_from_job_to_job() {
    let gate = |name: &str, next: &str| {
        format!("{{id: {name}, run: 'printf {name}-; echo on; while [ ! -e {next} ]; do sleep 0.01; done; echo off'}}")
    };
    let room = Room::with(&format!("queues:\n  q: [{}, {}]\n", gate("first", "go1"), gate("second", "go2")));
    let mut process = room.command(&["process"]).stdout(Stdio::null()).spawn().unwrap();
    room.until("first", |job| job["state"] == json!("running"));
    let (mut child, mut out) = follow(&room, &["q"]);
    assert_eq!(line(&mut out), "first  | first-on\n");
    room.write("go1", "");
    assert_eq!(line(&mut out), "first  | off\n");
    assert_eq!(line(&mut out), "second | second-on\n");
    room.write("go2", "");
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "second | off\n");
    assert!(child.wait().unwrap().success());
    assert!(process.wait().unwrap().success());
}

#[test]
fn a_job_is_followed_from_before_its_first_run_to_its_last() {
    let room = Room::with(
        "queues:\n  q: [{id: a, run: 'echo try $SETLIST_ATTEMPT; test $SETLIST_ATTEMPT = 2', retry: {max: 2, delay: 1ms}}]\n",
    );
    let (mut child, mut out) = follow(&room, &["q/a"]);
    // It says that nobody runs it, so it has begun to wait.
    let mut hint = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut hint).unwrap();
    assert_eq!(hint, "setlist: q/a waits, and nobody processes q; `setlist retry q/a` runs it\n");
    room.ok(&["retry", "q/a"]);
    let mut all = String::new();
    out.read_to_string(&mut all).unwrap();
    assert_eq!(all, "try 1\ntry 2\n");
    assert!(child.wait().unwrap().success());
}

#[test]
fn who_has_read_enough_ends_it() {
    let room = Room::with("queues:\n  q: [{id: a, run: 'yes'}]\n");
    room.ok(&["retry", "q/a"]);
    let (child, mut out) = follow(&room, &["q"]);
    assert_eq!(line(&mut out), "a | y\n");
    drop(out);
    let said = crate::room::Said::of(&child.wait_with_output().unwrap());
    assert_eq!((said.code, &said.err[..]), (Some(0), ""));
    room.ok(&["cancel", "q/a", "--kill"]);
    room.until("q/a", |job| job["state"] == json!("finished"));
}
