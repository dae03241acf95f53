//! Machines whose clocks are off: the clock of the server decides.

use chrono::{DateTime, TimeDelta, Utc};
use setlist::store::Store;

use super::queue::{FaultyQueue, check};
use super::setlist_queue::SetlistQueue;

#[test]
fn the_clock_of_the_server_counts_where_those_of_machines_are_off() {
    let Some(queue) = SetlistQueue::on_shared_server(2) else { return };
    let offset = |seconds: &'static str| {
        move |command: &mut std::process::Command| {
            command.env("SETLIST_CLOCK_OFFSET", seconds);
        }
    };
    let began = Utc::now();
    let mut workers = [queue.start_worker_with(0, offset("300")), queue.start_worker_with(1, offset("-300"))];
    let mut added: Vec<u64> = (0..4).map(|_| queue.add().unwrap()).collect();
    check(&queue, &added, "clocks");
    // The job of a machine whose clock is behind is not taken for one that starts later.
    let mut late = queue.machines[1].command(&["run", "-q", "build", "--", "sh", "-c", &queue.effects().command()]);
    let late = late.env("SETLIST_CLOCK_OFFSET", "300").output().unwrap();
    assert!(late.status.success());
    added.push(String::from_utf8(late.stdout).unwrap().trim().trim_start_matches('#').parse().unwrap());
    check(&queue, &added, "a request of a machine whose clock is ahead");
    let mut store = queue.store();
    let jobs: Vec<_> = store.load().unwrap().jobs().cloned().collect();
    let is_now = |at: DateTime<Utc>| at >= began - TimeDelta::seconds(1) && at <= Utc::now() + TimeDelta::seconds(1);
    for job in &jobs {
        assert!(is_now(job.enqueued), "{job:?}");
        for run in store.runs(job.id).unwrap() {
            assert!(is_now(run.started) && run.end.is_some_and(|end| is_now(end.at)), "{job:?}");
        }
    }
    // No worker is taken for dead because of its clock.
    queue.direct.ok(&["status"]);
    let status = queue.machines[1].command(&["status"]).env("SETLIST_CLOCK_OFFSET", "300").output().unwrap();
    assert!(status.status.success());
    assert!(workers.iter_mut().all(super::setlist_queue::WorkerProcess::is_alive));
    assert_eq!(store.workers().unwrap().len(), 2);
}
