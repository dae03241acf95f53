//! Which events are recorded in one transaction, which has one time, and that ended runs do not wait for running ones.

use std::process::Stdio;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use setlist::model::{Event, JobId};
use setlist::store::{SqliteStore, StateDir, Store};

use crate::temp_site::{TempSite, wait_for};

#[test]
fn runs_that_end_together_are_recorded_in_one_transaction_with_the_next_starts() {
    let site = TempSite::with(
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
    let mut worker = site.command(&["process"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_for("both", || (site.join("a").exists() && site.join("b").exists()).then_some(()));
    // Both end while the worker is suspended.
    kill_process(Pid::from_child(&worker), Signal::STOP).unwrap();
    site.write("go", "");
    let jobs = || site.processes().into_iter().filter(|process| process.belongs_to_job).count();
    wait_for("both to end", || (jobs() == 0).then_some(()));
    kill_process(Pid::from_child(&worker), Signal::CONT).unwrap();
    assert!(wait_for("the end", || worker.try_wait().unwrap()).success());

    let mut store = SqliteStore::open(&StateDir::new(site.join(".setlist"))).unwrap();
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
fn an_ended_run_is_recorded_while_a_longer_one_continues() {
    let short = "      - {run: 'true'}\n".repeat(12);
    let site = TempSite::with(&format!(
        "\
queues:
  q:
    parallel: 2
    jobs:
{short}      - {{id: long, run: 'until [ -e go ]; do sleep 0.01; done'}}
{short}"
    ));
    let mut worker = site.command(&["process"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    // After the jobs before it, the worker expects short jobs.
    let finished = || site.ok(&["list", "q", "--state", "finished"]).lines().count();
    wait_for("all the others", || (finished() == 24).then_some(()));
    assert_eq!(site.job("q/long")["state"], json!("running"));
    site.write("go", "");
    assert!(wait_for("the end", || worker.try_wait().unwrap()).success());
}
