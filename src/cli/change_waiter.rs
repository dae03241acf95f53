//! Waits for changes of a site, for commands that follow it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use anyhow::Context;

use super::error::{CliError, warn};
use super::open_site::OpenSite;
use crate::store::{LivenessWatch, MAX_OUTAGE, NotifyFn, OutageEvent, Store, Subscription};
use crate::text;

/// The maximum wait, in case a change notification is lost or a worker can't be monitored.
const FALLBACK_INTERVAL: Duration = Duration::from_secs(60);

/// Receives notifications of changes of a site and of dead workers.
pub(super) struct ChangeWaiter {
    notify: NotifyFn,
    notifications: Receiver<()>,
    worker_died: Arc<AtomicBool>,
    _subscriptions: (Subscription, LivenessWatch),
}

/// From now on waits so long while the server of a site is away, and says so when that begins and ends.
pub(super) fn tolerate_outages(store: &mut dyn Store, at_most: Duration) {
    let report = |event: &OutageEvent| match event {
        OutageEvent::Began { host } => warn(&format!("{} can't be reached; trying again", text::sanitize_line(host))),
        OutageEvent::Ended { host } => warn(&format!("{} can be reached again", text::sanitize_line(host))),
    };
    store.tolerate_outages(at_most, Box::new(report));
}

impl ChangeWaiter {
    /// Also waits from now on while the server of the site is away.
    pub(super) fn subscribe(site: &mut OpenSite) -> Result<Self, CliError> {
        tolerate_outages(site.store.as_mut(), MAX_OUTAGE);
        let (sender, notifications) = channel();
        let worker_died = Arc::new(AtomicBool::new(false));
        let notify: NotifyFn = Arc::new(move || {
            // The receiver is dropped when the command ends.
            let _ = sender.send(());
        });
        let subscription = site.store.subscribe(Arc::clone(&notify))?;
        let (flag, notify_death) = (Arc::clone(&worker_died), Arc::clone(&notify));
        let on_death = Arc::new(move || {
            flag.store(true, Ordering::Relaxed);
            notify_death();
        });
        let liveness_watch = LivenessWatch::start(&site.paths.state, on_death).context("cannot monitor the workers")?;
        Ok(Self { notify, notifications, worker_died, _subscriptions: (subscription, liveness_watch) })
    }

    /// A callback that ends the wait, for other sources of changes.
    pub(super) fn notify(&self) -> NotifyFn {
        Arc::clone(&self.notify)
    }

    /// Waits for a change. Returns `Some` if dead workers must be checked for: `true` if one has died.
    pub(super) fn wait(&self, at_most: Option<Duration>) -> Option<bool> {
        let timeout = at_most.map_or(FALLBACK_INTERVAL, |at_most| at_most.min(FALLBACK_INTERVAL));
        // `self` holds a sender, so the channel is open.
        let is_notified = self.notifications.recv_timeout(timeout).is_ok();
        while self.notifications.try_recv().is_ok() {}
        let worker_died = self.worker_died.swap(false, Ordering::Relaxed);
        (worker_died || !is_notified).then_some(worker_died)
    }
}
