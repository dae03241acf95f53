//! Listens for the notifications of a site on a connection of its own.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use postgres::Client;
use postgres::fallible_iterator::FallibleIterator;

use super::server_address::ServerAddress;
use super::session::{connect, server_error};
use crate::store::error::StoreError;
use crate::store::notifier::{NotifyFn, Subscription};

/// How often to look without a notification: one may get lost while the connection is made again. Also how long the
/// connection of a dropped subscription stays open at most.
const LOOK_INTERVAL: Duration = Duration::from_secs(30);
/// How long to wait before connecting again, at first and at most.
const MIN_RECONNECT_INTERVAL: Duration = Duration::from_secs(1);
const MAX_RECONNECT_INTERVAL: Duration = Duration::from_secs(30);

/// A callback, until its subscription is dropped.
struct Callback(Mutex<Option<NotifyFn>>);

/// Removes the callback when it is dropped.
struct ActiveCallback(Arc<Callback>);

impl Drop for ActiveCallback {
    fn drop(&mut self) {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// Calls `notify` when another client than `own` changes the site.
pub(super) fn subscribe(
    address: &ServerAddress,
    site: i32,
    own: &str,
    notify: NotifyFn,
) -> Result<Subscription, StoreError> {
    let client = listen(address, site)?;
    let callback = Arc::new(Callback(Mutex::new(Some(notify))));
    let listener =
        Listener { address: address.clone(), site, own: own.to_owned(), callback: Arc::downgrade(&callback) };
    let failed = |source| StoreError::Server { server: address.to_string(), reason: format!("can't listen: {source}") };
    thread::Builder::new().name("listener".to_owned()).spawn(move || listener.run(client)).map_err(failed)?;
    Ok(Subscription::keeping(ActiveCallback(callback)))
}

fn listen(address: &ServerAddress, site: i32) -> Result<Client, StoreError> {
    let mut client = connect(address)?;
    client.batch_execute(&format!("LISTEN setlist_{site}")).map_err(|error| server_error(address, &error))?;
    Ok(client)
}

struct Listener {
    address: ServerAddress,
    site: i32,
    /// The name of the connection whose own changes are no news.
    own: String,
    callback: Weak<Callback>,
}

impl Listener {
    fn run(self, mut client: Client) {
        loop {
            let is_news = match client.notifications().timeout_iter(LOOK_INTERVAL).next() {
                Ok(Some(notification)) => !notification.payload().ends_with(&self.own),
                Ok(None) | Err(_) => true,
            };
            if is_news && !self.notify() {
                return;
            }
            let mut wait = MIN_RECONNECT_INTERVAL;
            while client.is_closed() {
                thread::sleep(wait);
                wait = MAX_RECONNECT_INTERVAL.min(wait * 2);
                match listen(&self.address, self.site) {
                    Ok(again) => client = again,
                    Err(error) => {
                        tracing::debug!(%error, "can't listen for changes");
                    }
                }
                // What happened meanwhile was not notified.
                if !self.notify() {
                    return;
                }
            }
        }
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
