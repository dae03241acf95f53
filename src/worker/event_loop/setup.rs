//! Sets up a worker that has registered: its locks, its runner and its channel.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};

use crate::crash;
use crate::model::{Command, WorkerId};
use crate::runner::{Runner, with_sigchld_blocked};
use crate::site::SitePaths;
use crate::store::{LivenessWatch, RegistrationLock, ReservationLock, Store, WorkerLease, WorkerLock};
use crate::worker::error::{WorkerError, site_error_or};
use crate::worker::message::{MessageSender, WorkerMessage};

/// What a worker needs beside its registration.
pub(super) struct WorkerSetup {
    pub(super) lock: WorkerLock,
    pub(super) lease: Option<WorkerLease>,
    pub(super) reservation_lock: Option<ReservationLock>,
    pub(super) runner: Runner,
    pub(super) sender: MessageSender,
    pub(super) messages: Receiver<WorkerMessage>,
    pub(super) liveness_watch: LivenessWatch,
}

impl WorkerSetup {
    /// Sets up a worker that has registered. Until it has locked its file, `registration_lock` keeps it from being considered
    /// dead.
    pub(super) fn of_worker(
        store: &mut dyn Store,
        paths: &SitePaths,
        id: WorkerId,
        registration_lock: RegistrationLock,
    ) -> Result<Self, WorkerError> {
        let lock = paths.state.lock_worker(id).map_err(|error| site_error_or(store, error))?;
        drop(registration_lock);
        let reservation_lock = store.reservation_lock().map_err(|error| site_error_or(store, error))?;
        if crash::fails("join") {
            return Err(WorkerError::Setup(io::Error::other("a test requested an error")));
        }
        let runner = Runner::subreaper().map_err(WorkerError::Setup)?;
        let (channel, messages) = channel();
        let sender = MessageSender { channel, waker: runner.waker(), interrupted: Arc::default() };
        let peer_sender = sender.clone();
        let lease_sender = sender.clone();
        // It has to look whether it is still registered.
        let on_loss = Arc::new(move || lease_sender.send(WorkerMessage::SiteChanged));
        let lease =
            with_sigchld_blocked(|| store.keep_lease(id, on_loss)).map_err(|error| site_error_or(store, error))?;
        let on_death = Arc::new(move || peer_sender.send(WorkerMessage::PeerDied));
        let liveness_watch = with_sigchld_blocked(|| LivenessWatch::start(&paths.state, on_death));
        let liveness_watch = liveness_watch.map_err(WorkerError::Setup)?;
        Ok(Self { lock, lease, reservation_lock, runner, sender, messages, liveness_watch })
    }
}

/// Unregisters a worker that has run nothing. If that fails too, the next process reaps it.
pub(super) fn unregister(store: &mut dyn Store, worker: WorkerId) {
    let leave = Command::ReapWorker { worker, started_runs: Vec::new(), unreachable_host: None };
    let _ = store.execute(&[leave], store.clock().now());
}
