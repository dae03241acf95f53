//! Gives up now and then what the queues don't keep any longer, beside the work.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime};

use chrono::Utc;

use super::Office;
use crate::store::{Pruned, Store, StoreError};

/// How often.
const EVERY: Duration = Duration::from_secs(60 * 60);

/// Goes on until it is dropped.
#[derive(Debug)]
pub(super) struct Keeper {
    /// Held while something is given up.
    busy: Arc<Mutex<()>>,
    _stop: Sender<()>,
}

impl Keeper {
    /// Begins at once, unless somebody has done it within the hour.
    pub(super) fn start(store: &dyn Store, office: &Office) -> Result<Self, StoreError> {
        let mut store = store.another()?;
        let state = office.state.clone();
        let (stop, stopped) = channel();
        let busy = Arc::new(Mutex::new(()));
        let is_busy = Arc::clone(&busy);
        thread::spawn(move || {
            loop {
                let ago = state.pruned().map(|at| SystemTime::now().duration_since(at).unwrap_or_default());
                let left = ago.map_or(Duration::ZERO, |ago| EVERY.saturating_sub(ago));
                if left.is_zero() {
                    // Where it can't be noted it is done once more than needed.
                    let _busy = is_busy.lock();
                    let _ = state.note_pruned();
                    tell(store.prune(Utc::now()));
                }
                let pause = if left.is_zero() { EVERY } else { left };
                if stopped.recv_timeout(pause) == Err(RecvTimeoutError::Disconnected) {
                    return;
                }
            }
        });
        Ok(Self { busy, _stop: stop })
    }

    /// Waits until it is not at work, and keeps it so until the guard is dropped.
    pub(super) fn pause(&self) -> MutexGuard<'_, ()> {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn tell(pruned: Result<Pruned, StoreError>) {
    match pruned {
        Ok(pruned) if pruned == Pruned::default() => {}
        Ok(Pruned { jobs, runs, bytes }) => tracing::info!(jobs, runs, bytes, "gave up what is no longer kept"),
        Err(error) => tracing::error!(%error, "can't give up what is no longer kept"),
    }
}
