//! Notifications of changes of a store.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};

use setlist::store::{Store, Subscription};

use super::{BackendSite, TIMEOUT, accept, add};

/// A subscription, and a channel that receives its notifications.
pub(super) fn subscribe(store: &dyn Store) -> (Subscription, Receiver<()>) {
    let (send, notifications) = channel();
    let ring = Arc::new(move || {
        // The receiver is gone when the test is over.
        let _ = send.send(());
    });
    (store.subscribe(ring).unwrap(), notifications)
}

pub(super) fn a_change_notifies_subscribers(backend: &BackendSite) {
    let mut store = backend.connect();
    let (_subscription, notifications) = subscribe(&*backend.connect());
    accept(&mut *store, add(1));
    notifications.recv_timeout(TIMEOUT).expect("a change right after subscribing notifies");
    while notifications.try_recv().is_ok() {}
    accept(&mut *backend.connect(), add(1));
    notifications.recv_timeout(TIMEOUT).expect("and the next one, by another connection");
}

pub(super) fn a_dropped_subscription_is_not_notified(backend: &BackendSite) {
    let mut store = backend.connect();
    let follower = backend.connect();
    let (dropped, silent) = subscribe(&*follower);
    let (_subscription, notifications) = subscribe(&*follower);
    drop(dropped);
    // A notification in progress may still arrive; then the callback and with it the sender is dropped.
    let end = std::iter::repeat_with(|| silent.recv_timeout(TIMEOUT)).find_map(Result::err);
    assert_eq!(end, Some(RecvTimeoutError::Disconnected));
    accept(&mut *store, add(1));
    notifications.recv_timeout(TIMEOUT).unwrap();
}
