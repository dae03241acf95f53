//! `setlist process` for people and for cron.

use serde_json::{Value, json};

use crate::room::Room;

const MIXED: &str = "\
queues:
  q:
    - {id: fine, run: echo well}
    - {id: bad, run: 'for n in $(seq 1 12); do echo line $n; done; printf \"\\033[2Jred \\033[31mend\" >&2; exit 3'}
    - {id: later, run: sleep 600}
    - {id: last, run: 'true', needs: bad}
";

#[test]
fn a_failure_shows_its_last_lines() {
    let room = Room::with(MIXED);
    room.ok(&["cancel", "later"]);
    let said = room.run(&["process"]);
    let shown: Vec<&str> = said.err.lines().collect();
    assert_eq!(shown[0], "    line 4", "{said:?}");
    assert_eq!(shown[8..], ["    line 12", "    red end", "    (the end of it; `setlist log q/bad` prints all)"]);
    assert!(!said.out.contains("line 4"));
    let small = Room::with("queues: {q: [echo why; exit 1, exit 1]}\n");
    assert_eq!(small.run(&["process"]).err, "    why\n");
}

#[test]
fn quiet_says_nothing_but_what_went_wrong() {
    let room = Room::with("queues: {q: [echo a, echo b]}\n");
    let well = room.run(&["process", "--quiet"]);
    assert_eq!((well.code, &well.out[..], &well.err[..]), (Some(0), "", ""));
    let none = room.run(&["process", "--quiet"]);
    assert_eq!((none.code, &none.out[..], &none.err[..]), (Some(0), "", ""));
    let room = Room::with(MIXED);
    room.run(&["cancel", "q/later"]);
    let ill = room.run(&["process", "-q"]);
    assert_eq!(ill.code, Some(1));
    assert!(!ill.out.contains("q/fine") && ill.out.contains("q/bad  failed"), "{ill:?}");
    assert!(ill.out.contains("1 succeeded, 1 failed, 1 skipped") && ill.err.contains("line 12"), "{ill:?}");
}

#[test]
fn next_runs_one_job() {
    let room = Room::with("queues:\n  a: [{id: held, run: 'true', confirm: Really?}]\n  b: [echo 1, echo 2]\n");
    let first = room.run(&["process", "--next"]);
    assert_eq!(first.code, Some(0));
    assert!(first.out.contains("b/echo-1  succeeded") && first.out.contains("1 succeeded"), "{first:?}");
    assert_eq!(room.job("b/echo-2")["state"], json!("pending"));
    room.ok(&["process", "b", "--next"]);
    let none = room.run(&["process", "--next"]);
    assert_eq!((none.code, &none.err[..]), (Some(0), "setlist: nothing is ready to start\n"));
    assert!(room.ok(&["status", "b"]).contains("idle"));
}

#[test]
fn finished_jobs_are_printed_as_json() {
    let room = Room::with(MIXED);
    room.run(&["cancel", "q/later"]);
    let preview = room.ok(&["process", "--dry-run", "--json"]);
    let waiting: Vec<Value> = preview.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((waiting.len(), &waiting[2]["waiting"]), (3, &json!("needs")));
    let said = room.run(&["process", "--json"]);
    let jobs: Vec<Value> = said.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let outcomes: Vec<_> = jobs.iter().map(|job| (&job["name"], &job["outcome"])).collect();
    assert_eq!(json!(outcomes), json!([["fine", "succeeded"], ["bad", "failed"], ["last", "skipped"]]));
}

#[test]
fn how_many_run_at_once_is_put_back() {
    // Each waits for the other.
    let meet = |a: &str, b: &str| format!("touch {a}; until [ -e {b} ]; do sleep 0.01; done");
    let room = Room::with(&format!("queues:\n  q: [{}, {}]\n", json!(meet("a", "b")), json!(meet("b", "a"))));
    let parallel = || serde_json::from_str::<Value>(&room.ok(&["status", "q", "--json"])).unwrap()["parallel"].clone();
    assert_eq!(room.run(&["process", "--parallel", "2"]).code, Some(0));
    assert_eq!(parallel(), json!(1));
    assert!(room.run(&["process", "--parallel", "2"]).err.contains("nothing is pending"));
    assert_eq!(parallel(), json!(1));
}
