//! Workers that are killed, frozen or cut off from the server.

use rustix::process::Signal;
use setlist::store::{LEASE_GRACE, LEASE_TERM};

use super::proxy::Mode;
use super::queue::{FaultyQueue, RunEnd, check, wait_until};
use super::setlist_queue::{SetlistQueue, WorkerProcess};
use crate::postgres_server;
use crate::temp_site::{wait_for, wait_until_stopped};

/// Waits until a job has had its effect, and runs on.
fn wait_for_effect(queue: &SetlistQueue, job: u64) {
    wait_for("the effect", || queue.effects().read().iter().any(|(of, _)| *of == job).then_some(()));
}

/// Lets the leases of all workers run out that can't renew it, and the others notice that.
fn let_leases_run_out(queue: &SetlistQueue, job: u64) {
    postgres_server::pass(&queue.direct.address, 2 * LEASE_TERM);
    queue.direct.ok(&["status"]);
    postgres_server::pass(&queue.direct.address, 2 * LEASE_GRACE);
    queue.direct.ok(&["status"]);
    wait_until(queue, "leases", "the job to be interrupted", |records| {
        records[&job].runs.values().next() == Some(&RunEnd::Interrupted)
    });
}

fn assert_may_still_run(queue: &SetlistQueue, job: u64) {
    let shown = queue.direct.ok(&["show", &format!("#{job}")]);
    assert!(shown.contains("interrupted (may still be running on "), "{shown}");
}

/// A worker comes back whose job was given away: its late report is refused, and it takes other jobs.
fn comes_back(queue: &SetlistQueue, worker: &mut WorkerProcess, before: &str, job: u64) {
    worker.wait_for_log(before, "joining again");
    worker.wait_for_log(before, "ready");
    assert!(worker.is_alive(), "{}", worker.log());
    let next = queue.add().unwrap();
    check(queue, &[job, next], "it is back");
}

#[test]
fn a_worker_frozen_beyond_its_lease_stops_its_job_and_joins_again() {
    let Some(queue) = SetlistQueue::on_shared_server(1) else { return };
    let mut worker = queue.start_worker(0);
    let job = queue.add_long();
    wait_for_effect(&queue, job);
    worker.signal(Signal::STOP);
    wait_until_stopped(worker.id());
    let_leases_run_out(&queue, job);
    assert_may_still_run(&queue, job);
    // Its process ends well meanwhile, which is not recorded.
    queue.effects().finish();
    let before = worker.log();
    worker.signal(Signal::CONT);
    comes_back(&queue, &mut worker, &before, job);
}

#[test]
fn a_worker_that_is_cut_off_beyond_its_lease_joins_again() {
    let Some(queue) = SetlistQueue::on_shared_server(1) else { return };
    let mut worker = queue.start_worker(0);
    let job = queue.add_long();
    wait_for_effect(&queue, job);
    queue.proxy.set_mode(Mode::Silence);
    let_leases_run_out(&queue, job);
    assert_may_still_run(&queue, job);
    let before = worker.log();
    queue.proxy.set_mode(Mode::Pass);
    queue.effects().finish();
    comes_back(&queue, &mut worker, &before, job);
}

#[test]
fn a_worker_that_is_cut_off_for_a_while_records_what_has_happened() {
    let Some(queue) = SetlistQueue::on_shared_server(1) else { return };
    for mode in [Mode::Silence, Mode::Refuse] {
        let mut worker = queue.start_worker(0);
        let job = queue.add_long();
        wait_for_effect(&queue, job);
        let before = worker.log();
        queue.proxy.set_mode(mode);
        queue.effects().finish();
        worker.wait_for_log(&before, "the store failed; running jobs continue");
        let next = queue.add().unwrap();
        queue.proxy.set_mode(Mode::Pass);
        check(&queue, &[job, next], &format!("{mode:?}"));
        assert!(worker.is_alive());
        assert_eq!(queue.records()[&job].runs.len(), 1, "it was not interrupted");
    }
}

#[test]
fn the_jobs_of_a_killed_worker_are_interrupted_and_run_again_on_request() {
    let Some(queue) = SetlistQueue::on_shared_server(2) else { return };
    let mut killed = queue.start_worker(0);
    let job = queue.add_long();
    wait_for_effect(&queue, job);
    killed.kill();
    let _other = queue.start_worker(1);
    let next = queue.add().unwrap();
    wait_until(&queue, "another machine", "the next job to end", |records| {
        records[&next].runs.values().next() == Some(&RunEnd::Succeeded)
    });
    assert_eq!(queue.records()[&job].runs.values().next(), Some(&RunEnd::Open), "its worker may be alive");
    let_leases_run_out(&queue, job);
    queue.effects().finish();
    check(&queue, &[job, next], "killed");
    assert_eq!(queue.records()[&job].runs.len(), 2);
}
