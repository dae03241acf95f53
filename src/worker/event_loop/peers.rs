//! Reaping dead workers of this machine, and starting another worker for their jobs.

use super::{EventLoop, PeerCheck};
use crate::site::{Respawn, SiteError, WorkerCheck, check_workers, reap_dead_workers};
use crate::store::Store;

impl EventLoop {
    /// Reaps dead workers if a check is due, and starts another worker if they have left work that no worker serves.
    pub(super) fn check_peers(&mut self, store: &mut dyn Store) {
        let Some(check) = self.peer_check_due.take() else { return };
        // Reaping frees jobs and slots, and a connection is not notified of its own changes.
        self.may_have_unread_events = true;
        match self.reap_and_respawn(store, check) {
            Ok(Respawn::NotNeeded) => {}
            Ok(Respawn::Spawned) => tracing::warn!("another worker took over"),
            Ok(Respawn::LimitReached) => tracing::error!("workers keep crashing; not restarting"),
            // The next step reports it.
            Err(SiteError::Store(error)) if error.is_permanent() => {}
            Err(error) => tracing::error!(%error, "can't check the other workers"),
        }
        // If that can't be read, the next step fails.
        self.is_unregistered |= self.is_registered(store).is_ok_and(|is_registered| !is_registered);
    }

    fn reap_and_respawn(&self, store: &mut dyn Store, check: PeerCheck) -> Result<Respawn, SiteError> {
        let WorkerCheck { reaped, respawn } = match self.shutdown {
            None => check_workers(store, &self.paths, check == PeerCheck::PeerDied)?,
            // A worker that shuts down starts no other.
            Some(_) => WorkerCheck { reaped: reap_dead_workers(store, &self.paths)?, respawn: Respawn::NotNeeded },
        };
        if reaped.workers > 0 {
            tracing::warn!(interrupted = reaped.interrupted_jobs.len(), "a worker has died");
        }
        Ok(respawn)
    }
}
