//! Faults at random, one after another and before the last one is over.

use rustix::process::Signal;

use super::proxy::{Break, Cut, Direction, Mode};
use super::queue::{FaultyQueue, check};
use super::setlist_queue::SetlistQueue;
use crate::rng::{TestRng, iterations};

#[test]
fn random_faults_lose_nothing() {
    let Some(queue) = SetlistQueue::on_shared_server(2) else { return };
    let mut rng = TestRng::new();
    let mut workers = [queue.start_worker(0), queue.start_worker(1)];
    let (mut added, mut faults) = (Vec::new(), Vec::new());
    for _ in 0..iterations(8) {
        let victim = rng.in_range(0..2);
        let fault = rng.in_range(0..6);
        match fault {
            0 => queue.proxy.break_all(),
            1 => {
                workers[victim].kill();
                // It would not start without a connection.
                queue.proxy.has_cut();
                workers[victim] = queue.start_worker(victim);
            }
            2 => {
                workers[victim].signal(Signal::STOP);
                added.extend(queue.add());
                workers[victim].signal(Signal::CONT);
            }
            3 => {
                queue.proxy.set_mode(*rng.pick(&[Mode::Refuse, Mode::Silence]));
                added.extend(queue.add());
                queue.proxy.set_mode(Mode::Pass);
            }
            _ => queue.proxy.cut(Cut {
                direction: *rng.pick(&[Direction::ToServer, Direction::ToClient]),
                after: rng.in_range(0..20),
                bytes: rng.in_range(0..10),
                text: "",
                how: *rng.pick(&[Break::Close, Break::Silence]),
            }),
        }
        faults.push((fault, victim));
        added.extend((0..rng.in_range(1..4)).filter_map(|_| queue.add()));
    }
    check(&queue, &added, &format!("{faults:?}"));
    assert!(workers.iter_mut().all(super::setlist_queue::WorkerProcess::is_alive), "{}", queue.diagnostics());
}
