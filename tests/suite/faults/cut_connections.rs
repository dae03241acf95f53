//! Connections that break at each message, also between COMMIT and its answer.

use std::thread;

use super::proxy::{Break, Cut, Direction, Mode};
use super::queue::{FaultyQueue, check};
use super::setlist_queue::SetlistQueue;
use crate::rng::{TestRng, iterations};

/// How many messages a worker gets around a job, roughly: each row is one.
const ANSWERS: usize = 60;

/// Runs a job for each message that a worker sends or for some of those that it gets, and cuts a connection there.
fn cut_at_each_message(direction: Direction, first: usize, step: usize) {
    let Some(queue) = SetlistQueue::on_shared_server(1) else { return };
    let mut rng = TestRng::new();
    let mut worker = queue.start_worker(0);
    // Its connections are all made then.
    let mut added = vec![queue.add().unwrap()];
    check(&queue, &added, "no fault");
    for nth in 0..iterations(5) {
        let after = match direction {
            Direction::ToServer => first + nth * step,
            Direction::ToClient => rng.in_range(0..ANSWERS),
        };
        let bytes = rng.in_range(0..6);
        let cut = Cut { direction, after, bytes, text: "", how: Break::Close };
        let what = format!("{cut:?}");
        queue.proxy.cut(cut);
        added.extend(queue.add());
        check(&queue, &added, &what);
        assert!(worker.is_alive(), "{what}: {}", worker.log());
        if !queue.proxy.has_cut() && direction == Direction::ToServer {
            break;
        }
    }
}

#[test]
fn jobs_run_once_wherever_a_message_to_the_server_is_lost() {
    in_parallel(Direction::ToServer);
}

#[test]
fn jobs_run_once_wherever_an_answer_of_the_server_is_lost() {
    in_parallel(Direction::ToClient);
}

fn in_parallel(direction: Direction) {
    const SITES: usize = 4;
    thread::scope(|scope| {
        for first in 0..SITES {
            scope.spawn(move || cut_at_each_message(direction, first, SITES));
        }
    });
}

#[test]
fn a_claim_whose_commit_stays_unknown_for_long_is_started_once_it_is_known() {
    let Some(queue) = SetlistQueue::on_shared_server(1) else { return };
    let mut worker = queue.start_worker(0);
    let mut added = Vec::new();
    // Only the answer is lost, or the COMMIT.
    for (bytes, what) in [(usize::MAX, "committed"), (0, "not committed")] {
        let before = worker.log();
        let (direction, text) = (Direction::ToServer, "COMMIT; NOTIFY");
        queue.proxy.cut(Cut { direction, after: 0, bytes, text, how: Break::CloseAndRefuse });
        added.extend(queue.add());
        worker.wait_for_log(&before, "may or may not have been made");
        queue.proxy.set_mode(Mode::Pass);
        check(&queue, &added, what);
        assert!(worker.is_alive(), "{}", worker.log());
    }
}

#[test]
fn a_connection_that_falls_silent_is_given_up() {
    let Some(queue) = SetlistQueue::on_shared_server(1) else { return };
    let mut worker = queue.start_worker(0);
    let mut added = Vec::new();
    for direction in [Direction::ToServer, Direction::ToClient] {
        for text in ["BEGIN", "COMMIT", "NOTIFY"] {
            let what = format!("{text} {direction:?}");
            queue.proxy.cut(Cut { direction, after: 0, bytes: 0, text, how: Break::Silence });
            added.extend(queue.add());
            check(&queue, &added, &what);
            assert!(worker.is_alive(), "{what}: {}", worker.log());
            queue.proxy.has_cut();
        }
    }
}
