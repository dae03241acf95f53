//! Reaping dead workers of this machine, and starting another worker for their jobs.

use super::{PeerCheck, Worker};
use crate::store::Store;
use crate::worker::error::WorkerError;
use crate::worker::reap::{ReapReport, reap_dead_workers};
use crate::worker::respawn::{Respawn, respawn_worker};

impl Worker {
    /// Reaps dead workers if a check is due, and starts another worker if they have left work that no worker serves.
    pub(super) fn check_peers(&mut self, store: &mut dyn Store) {
        let Some(check) = self.peer_check_due.take() else { return };
        match self.reap_and_respawn(store, check) {
            Ok(None | Some(Respawn::NotNeeded)) => {}
            Ok(Some(Respawn::Spawned)) => tracing::warn!("another worker took over"),
            Ok(Some(Respawn::LimitReached)) => tracing::error!("workers keep crashing; not restarting"),
            Err(error) => tracing::error!(%error, "can't check the other workers"),
        }
    }

    fn reap_and_respawn(&self, store: &mut dyn Store, check: PeerCheck) -> Result<Option<Respawn>, WorkerError> {
        let ReapReport { workers, interrupted_jobs } = reap_dead_workers(store, &self.context)?;
        if workers > 0 {
            tracing::warn!(interrupted = interrupted_jobs, "a worker has died");
        }
        let has_died = check == PeerCheck::PeerDied || workers > 0;
        (has_died && self.shutdown.is_none()).then(|| respawn_worker(store, &self.context)).transpose()
    }
}
