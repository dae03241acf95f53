//! Prunes finished jobs and old runs in the background, as the `keep` settings of the queues require.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime};

use chrono::TimeDelta;

use super::trusted_clock::ClockReading;
use crate::site::{SitePaths, forget_unused_environments, forget_unused_snapshots};
use crate::store::{PruneReport, Store, StoreError};

/// How often a site is pruned.
const PRUNE_INTERVAL: Duration = Duration::from_secs(60 * 60);

/// Prunes on its own thread until dropped.
#[derive(Debug)]
pub(super) struct Pruner {
    /// Locked while the store is being pruned.
    pruning: Arc<Mutex<()>>,
    _stop: Sender<()>,
}

impl Pruner {
    /// Prunes at once unless the site was pruned within [`PRUNE_INTERVAL`], and then periodically.
    pub(super) fn start(store: &dyn Store, paths: &SitePaths) -> Result<Self, StoreError> {
        let mut store = store.new_connection()?;
        let paths = paths.clone();
        let state = paths.state.clone();
        let (stop, stopped) = channel();
        let pruning = Arc::new(Mutex::new(()));
        let pruning_lock = Arc::clone(&pruning);
        thread::spawn(move || {
            loop {
                let age = state.last_pruned().map(|(at, _)| SystemTime::now().duration_since(at).unwrap_or_default());
                let remaining = age.map_or(Duration::ZERO, |age| PRUNE_INTERVAL.saturating_sub(age));
                if remaining.is_zero() {
                    // If recording it fails, the site is pruned more often than needed.
                    let _busy = pruning_lock.lock();
                    let now = ClockReading::now();
                    let last = state.last_pruned().map(|(at, record)| ClockReading::parse(&record, at.into()));
                    match last.as_ref().map(|last| now.trusted_after(last)) {
                        Some(Some(trusted)) => {
                            if now.time() - trusted > TimeDelta::hours(1) {
                                tracing::warn!("the clock has jumped ahead; pruning as of {trusted}");
                            }
                            let _ = state.record_pruned(&now.record(trusted));
                            log_result(store.workers().and_then(|_| {
                                // A server has told its time by now.
                                store.prune(trusted.min(store.clock().now()))
                            }));
                            if let Err(error) = forget_unused_environments(store.as_mut(), &state) {
                                tracing::warn!("can't remove the environments of ended requests: {error}");
                            }
                            if let Err(error) = forget_unused_snapshots(store.as_mut(), &paths) {
                                tracing::warn!("can't remove unused snapshots: {error}");
                            }
                        }
                        Some(None) => tracing::warn!("not pruning: the clock is behind the last pruning"),
                        // The first time there is nothing to compare the clock with.
                        None => drop(state.record_pruned(&now.record(now.time()))),
                    }
                }
                let pause = if remaining.is_zero() { PRUNE_INTERVAL } else { remaining };
                if stopped.recv_timeout(pause) == Err(RecvTimeoutError::Disconnected) {
                    return;
                }
            }
        });
        Ok(Self { pruning, _stop: stop })
    }

    /// Waits until no pruning is in progress, and blocks it until the guard is dropped.
    pub(super) fn pause(&self) -> MutexGuard<'_, ()> {
        self.pruning.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn log_result(result: Result<PruneReport, StoreError>) {
    match result {
        Ok(pruned) if pruned.is_empty() => {}
        Ok(PruneReport { jobs, runs, bytes, .. }) => {
            tracing::info!(jobs, runs, bytes, "pruned finished jobs and old runs");
        }
        Err(error) => tracing::error!(%error, "can't prune finished jobs and old runs"),
    }
}
