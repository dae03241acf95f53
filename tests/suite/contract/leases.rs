//! Leases: how a store that machines share finds out which workers are alive.

use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use setlist::model::{Command, WorkerId};
use setlist::store::{LEASE_GRACE, LEASE_TERM, Store};

use super::{BackendSite, accept, join};

/// Sites of all backends that have leases.
fn sites() -> impl Iterator<Item = BackendSite> {
    [Some(BackendSite::memory_with_leases()), BackendSite::postgres()].into_iter().flatten()
}

/// Renews the lease of a worker once; returns whether it was lost.
fn renew(store: &dyn Store, worker: WorkerId) -> bool {
    let (lost, losses) = channel();
    let on_loss = Arc::new(move || lost.send(()).unwrap());
    drop(store.keep_lease(worker, on_loss).unwrap().expect("this store has leases"));
    losses.try_recv().is_ok()
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_worker_is_taken_for_dead_some_time_after_its_lease_was_seen_to_have_run_out() {
    for site in sites() {
        let mut store = site.connect();
        let (dead, alive) = (join(&mut *store), join(&mut *store));
        site.pass(LEASE_TERM / 2);
        assert_eq!(store.workers_without_lease().unwrap(), []);
        assert!(!renew(&*store, alive));
        site.pass(LEASE_TERM / 2 + SECOND);
        assert_eq!(store.workers_without_lease().unwrap(), [], "now it is seen");
        site.pass(LEASE_GRACE / 2);
        assert_eq!(site.connect().workers_without_lease().unwrap(), [], "it may still renew it");
        site.pass(LEASE_GRACE / 2 + SECOND);
        assert_eq!(site.connect().workers_without_lease().unwrap(), [dead]);
        accept(&mut *store, Command::ReapWorker { worker: dead, started_runs: Vec::new(), unreachable_host: None });
        assert_eq!(store.workers_without_lease().unwrap(), []);
        assert!(renew(&*store, dead), "a worker that was reaped is told when it comes back");
        assert!(!renew(&*store, alive));
    }
}

#[test]
fn after_a_long_outage_all_workers_can_renew_their_leases() {
    for site in sites() {
        let mut store = site.connect();
        let workers = [join(&mut *store), join(&mut *store)];
        site.pass(100 * LEASE_TERM);
        assert_eq!(store.workers_without_lease().unwrap(), [], "nobody could renew a lease");
        for worker in workers {
            assert!(!renew(&*store, worker));
        }
        site.pass(LEASE_GRACE + SECOND);
        assert_eq!(store.workers_without_lease().unwrap(), []);
    }
}
