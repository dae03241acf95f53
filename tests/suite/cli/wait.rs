//! `setlist wait`: when it is over, and what it says then.

use std::process::{Child, Stdio};

use serde_json::{Value, json};

use crate::room::{Room, Said, wait_for};

const GATED: &str = "\
queues:
  q:
    - {id: gate, run: 'while [ ! -e go ]; do sleep 0.01; done'}
    - {id: bad, run: exit 3}
  r: [{id: fine, run: 'true'}]
";

fn waiting(room: &Room, args: &[&str]) -> Child {
    room.command(&[&["wait"], args].concat()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn said(child: Child) -> Said {
    Said::of(&child.wait_with_output().unwrap())
}

#[test]
fn a_job_is_waited_for_whoever_runs_it() {
    let room = Room::with(GATED);
    let mut wait = waiting(&room, &["q/gate"]);
    room.ok(&["retry", "q/gate"]);
    room.until("q/gate", |job| job["state"] == json!("running"));
    assert!(wait.try_wait().unwrap().is_none());
    room.write("go", "");
    let gate = said(wait);
    assert!(gate.code == Some(0) && gate.out.starts_with("q/gate  succeeded  "), "{gate:?}");
    // What is over needs no waiting, and still says how it went.
    room.ok(&["retry", "bad"]);
    room.until("bad", |job| job["outcome"] == json!("failed"));
    let bad = room.run(&["wait", "q/bad", "q/gate"]);
    assert_eq!(bad.code, Some(1));
    assert!(bad.out.contains("q/bad  failed  ") && bad.out.contains("exit code 3\n"), "{bad:?}");
    assert_eq!(room.run(&["wait", "q/bad", "--quiet"]).out, "");
}

#[test]
fn a_queue_is_waited_for_until_nothing_runs_in_it() {
    let room = Room::with(GATED);
    let process = room.command(&["process"]).stdout(Stdio::null()).spawn().unwrap();
    room.until("q/gate", |job| job["state"] == json!("running"));
    let (queue, all) = (waiting(&room, &["r"]), waiting(&room, &[]));
    let queue = said(queue);
    assert_eq!((queue.code, &queue.out[..]), (Some(0), "r  1 succeeded\n"));
    room.write("go", "");
    let all = said(all);
    assert_eq!(all.code, Some(1), "{all:?}");
    assert!(all.out.contains("q  1 succeeded, 1 failed\n") && all.out.contains("r  1 succeeded\n"), "{all:?}");
    let object: Value = serde_json::from_str(&room.run(&["wait", "r", "--json"]).out).unwrap();
    assert_eq!((&object["queue"], &object["finished"]), (&json!("r"), &json!(1)));
    drop(process.wait_with_output());
}

#[test]
fn what_nobody_runs_is_pending_still() {
    let room = Room::with(GATED);
    let idle = room.run(&["wait", "q"]);
    assert_eq!((idle.code, &idle.out[..]), (Some(1), "q  2 pending\n"));
    let job = room.run(&["wait", "q/bad", "--timeout", "10ms"]);
    assert_eq!(job.code, Some(1));
    assert!(job.err.contains("q/bad waits, and nobody processes q; `setlist retry q/bad` runs it"), "{job:?}");
    assert!(job.err.contains("q/bad is not finished after this time"), "{job:?}");
    room.ok(&["pause", "q"]);
    let paused = room.run(&["wait", "q", "--timeout", "10ms"]);
    assert!(paused.err.contains("q waits, since q is paused; `setlist resume q` goes on"), "{paused:?}");
    for (wrong, hint) in [("x", "there is no job \"x\""), ("q/baad", "did you mean \"q/bad\"?"), ("99", "no job #99")] {
        let unknown = room.run(&["wait", wrong]);
        assert!(unknown.code == Some(2) && unknown.err.contains(hint), "{unknown:?}");
    }
}

#[test]
fn a_job_that_is_removed_is_no_longer_waited_for() {
    let room = Room::with(GATED);
    let wait = waiting(&room, &["q/bad"]);
    wait_for("it to be removed while somebody waits", || {
        room.run(&["remove", "q/bad"]);
        Some(())
    });
    let gone = said(wait);
    assert!(gone.code == Some(1) || gone.code == Some(2), "{gone:?}");
    assert!(gone.err.contains("#2 was removed") || gone.err.contains("there is no job"), "{gone:?}");
}
