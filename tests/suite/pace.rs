//! What is recorded in one transaction, which has one time, and that nothing which has ended waits for what goes on.

use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use setlist::model::{Event, JobId};
use setlist::store::{Folder, Sqlite, Store};

use crate::room::{Room, wait_for};

#[test]
fn what_has_ended_by_then_is_recorded_at_once_together_with_what_starts() {
    let room = Room::with(
        "\
queues:
  q:
    parallel: 2
    jobs:
      - {id: a, run: 'touch a; until [ -e go ]; do sleep 0.01; done'}
      - {id: b, run: 'touch b; until [ -e go ]; do sleep 0.01; done'}
      - {id: c, run: 'true'}
      - {id: d, run: 'true'}
",
    );
    let mut worker = room.command(&["process"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_for("both", || (room.join("a").exists() && room.join("b").exists()).then_some(()));
    // Both end while nobody looks.
    kill_process(Pid::from_child(&worker), Signal::STOP).unwrap();
    room.write("go", "");
    let jobs = || room.processes().into_iter().filter(|process| process.of_a_job).count();
    wait_for("both to end", || (jobs() == 0).then_some(()));
    kill_process(Pid::from_child(&worker), Signal::CONT).unwrap();
    assert!(wait_for("the end", || worker.try_wait().unwrap()).success());

    let mut store = Sqlite::open(&Folder::new(room.join(".setlist"))).unwrap();
    let events = store.events_after(0).unwrap().unwrap();
    let first = events.iter().position(|recorded| matches!(recorded.event, Event::Ended { .. })).unwrap();
    let together: Vec<&Event> =
        events.iter().filter(|recorded| recorded.at == events[first].at).map(|recorded| &recorded.event).collect();
    let [
        Event::Ended { job: JobId(1 | 2), .. },
        Event::Ended { job: JobId(1 | 2), .. },
        Event::Started { job: JobId(3), .. },
        Event::Started { job: JobId(4), .. },
    ] = together[..]
    else {
        panic!("{together:?}");
    };
}

#[test]
fn what_has_ended_does_not_wait_for_what_goes_on() {
    let short = "      - {run: 'true'}\n".repeat(12);
    let room = Room::with(&format!(
        "\
queues:
  q:
    parallel: 2
    jobs:
{short}      - {{id: long, run: 'until [ -e go ]; do sleep 0.01; done'}}
{short}"
    ));
    let mut worker = room.command(&["process"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // Those before it have taught the worker that jobs are short here.
    let finished = || room.ok(&["list", "q", "--state", "finished"]).lines().count();
    wait_for("all the others", || (finished() == 24).then_some(()));
    assert_eq!(room.job("q/long")["state"], json!("running"));
    room.write("go", "");
    assert!(wait_for("the end", || worker.try_wait().unwrap()).success());
}
