//! Notices when the store thread waits for a server that doesn't answer.

use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use chrono::TimeDelta;

use crate::clock;
use crate::store::StoreError;

use super::message::Message;
use super::server_outage::ServerOutage;

/// After how long a request is shown as waiting for the server.
const MAX_RESPONSE_TIME: Duration = Duration::from_secs(3);

/// Watches how long requests take. It ends when this is dropped.
pub(super) struct ResponseWatch(Arc<Shared>);

struct Shared {
    state: Mutex<WatchState>,
    changed: Condvar,
}

#[derive(Default)]
struct WatchState {
    /// When the current request began, until it has ended or was reported.
    begun: Option<Instant>,
    is_reported: bool,
    is_over: bool,
}

impl ResponseWatch {
    /// Starts to watch the requests to this server.
    pub(super) fn start(host: String, messages: Sender<Message>) -> Result<Self, StoreError> {
        let shared = Arc::new(Shared { state: Mutex::default(), changed: Condvar::new() });
        let watched = Arc::clone(&shared);
        let watch = move || watched.watch(&host, &messages);
        let started = thread::Builder::new().name("response-watch".to_owned()).spawn(watch);
        started.map_err(|error| StoreError::io("thread", error))?;
        Ok(Self(shared))
    }

    /// A request begins.
    pub(super) fn begin(&self) {
        self.0.lock().begun = Some(Instant::now());
        self.0.changed.notify_one();
    }

    /// The request has ended. Returns whether it was reported.
    pub(super) fn end(&self) -> bool {
        let mut state = self.0.lock();
        state.begun = None;
        std::mem::take(&mut state.is_reported)
    }
}

impl Drop for ResponseWatch {
    fn drop(&mut self) {
        self.0.lock().is_over = true;
        self.0.changed.notify_one();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, WatchState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn watch(&self, host: &str, messages: &Sender<Message>) {
        let mut state = self.lock();
        while !state.is_over {
            let Some(begun) = state.begun else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = MAX_RESPONSE_TIME.saturating_sub(begun.elapsed());
            if left.is_zero() {
                let since = clock::now() - TimeDelta::from_std(begun.elapsed()).unwrap_or_default();
                let outage = ServerOutage { host: host.to_owned(), since, is_silent: true };
                // While the lock is held, so that it is sent before the end of the request.
                let _ = messages.send(Message::ServerOutage(Some(outage)));
                (state.begun, state.is_reported) = (None, true);
            } else {
                state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
            }
        }
    }
}
