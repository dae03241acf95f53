//! Waits for news of a site, for commands that go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use anyhow::Context;

use super::CliError;
use super::site::OpenSite;
use crate::store::{LivenessWatch, NotifyFn, Subscription};

/// How long to wait at most: a fallback for workers whose death nobody can watch.
const HEARTBEAT: Duration = Duration::from_secs(60);

/// Hears of changes of a site, and of the death of its workers.
pub(super) struct Listening {
    ring: NotifyFn,
    rings: Receiver<()>,
    died: Arc<AtomicBool>,
    _held: (Subscription, LivenessWatch),
}

impl Listening {
    pub(super) fn to(site: &OpenSite) -> Result<Self, CliError> {
        let (sender, rings) = channel();
        let died = Arc::new(AtomicBool::new(false));
        let ring: NotifyFn = Arc::new(move || {
            // Nobody listens any more when the command is about to end.
            let _ = sender.send(());
        });
        let listener = site.store.subscribe(Arc::clone(&ring))?;
        let (one_has, bell) = (Arc::clone(&died), Arc::clone(&ring));
        let knell = Arc::new(move || {
            one_has.store(true, Ordering::Relaxed);
            bell();
        });
        let vigil = LivenessWatch::start(&site.context.state, knell).context("the workers can't be watched")?;
        Ok(Self { ring, rings, died, _held: (listener, vigil) })
    }

    /// What rings when there is other news to wait for.
    pub(super) fn ring(&self) -> NotifyFn {
        Arc::clone(&self.ring)
    }

    /// Waits for something to happen, at most so long; tells whether a worker has died, if that is worth a look.
    pub(super) fn wait(&self, at_most: Option<Duration>) -> Option<bool> {
        let patience = at_most.map_or(HEARTBEAT, |at_most| at_most.min(HEARTBEAT));
        // We hold a sender while we wait.
        let rung = self.rings.recv_timeout(patience).is_ok();
        while self.rings.try_recv().is_ok() {}
        let died = self.died.swap(false, Ordering::Relaxed);
        (died || !rung).then_some(died)
    }
}
