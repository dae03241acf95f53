//! Listens for the notifications of a site on a connection of its own.

use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use postgres::Client;
use postgres::fallible_iterator::FallibleIterator;

use super::server_address::ServerAddress;
use super::session::{NewConnection, answer_timeout, connect, is_answered, spawn_thread};
use crate::store::error::StoreError;
use crate::store::notifier::{NotifyFn, Subscription};

/// How often to look without a notification: one may get lost while the connection is made again. Also how long the
/// connection of a dropped subscription stays open at most.
static LOOK_INTERVAL: LazyLock<Duration> = LazyLock::new(|| Duration::from_secs(30).min(answer_timeout()));
/// How often to look where notifications don't arrive.
const LOOK_INTERVAL_WITHOUT: Duration = Duration::from_secs(1);
/// How long a notification may take.
const MAX_DELIVERY_TIME: Duration = Duration::from_secs(5);
/// How long to wait before connecting again, at first and at most.
const MIN_RECONNECT_INTERVAL: Duration = Duration::from_secs(1);
const MAX_RECONNECT_INTERVAL: Duration = Duration::from_secs(5);

/// A callback, until its subscription is dropped.
struct Callback(Mutex<Option<NotifyFn>>);

/// Removes the callback when it is dropped.
struct ActiveCallback(Arc<Callback>);

impl Drop for ActiveCallback {
    fn drop(&mut self) {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// Calls `notify` when another client than `own` sends a notification on a channel.
pub(super) fn subscribe(
    address: &ServerAddress,
    channel: &str,
    own: &str,
    notify: NotifyFn,
) -> Result<Subscription, StoreError> {
    let client = listen(address, channel, own)?;
    let callback = Arc::new(Callback(Mutex::new(Some(notify))));
    let listener = Listener {
        address: address.clone(),
        channel: channel.to_owned(),
        own: own.to_owned(),
        callback: Arc::downgrade(&callback),
    };
    spawn_thread("listener", address, move || listener.run(client))?;
    Ok(Subscription::keeping(ActiveCallback(callback)))
}

fn listen(address: &ServerAddress, channel: &str, own: &str) -> Result<Client, StoreError> {
    let NewConnection { client, .. } = connect(address, &format!("LISTEN {channel}; LISTEN setlist_{own}"))?;
    Ok(client)
}

struct Listener {
    address: ServerAddress,
    channel: String,
    /// The name of the connection whose own changes are no news.
    own: String,
    callback: Weak<Callback>,
}

impl Listener {
    fn run(self, mut client: Client) {
        let mut look_interval = *LOOK_INTERVAL;
        if !self.is_notified(&mut client) {
            tracing::warn!(
                "notifications don't arrive from {}, as behind a pooler that shares connections between transactions; \
                 looking for changes each second instead",
                self.address
            );
            look_interval = LOOK_INTERVAL_WITHOUT;
        }
        // It may have been a notification of a change.
        let mut is_news = true;
        loop {
            if is_news && !self.notify() {
                return;
            }
            is_news = match client.notifications().timeout_iter(look_interval).next() {
                Ok(Some(notification)) => !notification.payload().ends_with(&self.own),
                Ok(None) | Err(_) => true,
            };
            let is_silent = is_news && look_interval == *LOOK_INTERVAL;
            let mut is_broken = client.is_closed() || (is_silent && !is_answered(&mut client));
            let mut wait = MIN_RECONNECT_INTERVAL;
            while is_broken {
                if !self.notify() {
                    return;
                }
                thread::sleep(wait);
                wait = MAX_RECONNECT_INTERVAL.min(wait * 2);
                match listen(&self.address, &self.channel, &self.own) {
                    // What happened meanwhile was not notified.
                    Ok(again) => (client, is_broken, is_news) = (again, false, true),
                    Err(error) => {
                        tracing::debug!(%error, "can't listen for changes");
                    }
                }
            }
        }
    }

    /// Whether a notification that another connection sends arrives here.
    fn is_notified(&self, client: &mut Client) -> bool {
        let sent = connect(&self.address, &format!("NOTIFY setlist_{0}, '{0}'", self.own));
        // A connection that breaks meanwhile is made again later.
        sent.is_err() || !matches!(client.notifications().timeout_iter(MAX_DELIVERY_TIME).next(), Ok(None))
    }

    /// Calls the callback. Returns whether the subscription still exists.
    fn notify(&self) -> bool {
        let callback = self.callback.upgrade().and_then(|callback| {
            let callback = callback.0.lock().unwrap_or_else(PoisonError::into_inner);
            callback.clone()
        });
        callback.map(|notify| notify()).is_some()
    }
}
