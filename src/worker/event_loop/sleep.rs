//! Sleeping until there is something to do. Debug builds check that a worker does not sleep while a job is ready for it, so
//! that all tests test this.

use std::time::Duration;

use super::EventLoop;
use crate::store::Store;

/// How long the notification of an event by another process may take.
const NOTIFICATION_TIMEOUT: Duration = Duration::from_secs(10);

impl EventLoop {
    /// Sleeps until a message arrives or there is something to do.
    pub(super) fn sleep(&mut self, store: &mut dyn Store) {
        let limit = self.sleep_limit();
        // A notification of a server is late while a connection that has fallen silent is not given up.
        let is_checked = cfg!(debug_assertions) && self.lease.is_none();
        if !is_checked || !self.expects_notification(store) || limit < NOTIFICATION_TIMEOUT {
            self.wait_for_messages(limit);
            return;
        }
        // Twice, because the process may have been suspended.
        let is_notified = self.wait_for_messages(NOTIFICATION_TIMEOUT) || self.wait_for_messages(NOTIFICATION_TIMEOUT);
        assert!(is_notified || !self.expects_notification(store), "a job is ready, and no notification has arrived");
    }

    /// Whether a job is ready because of events that the worker has not read, so that a notification must be under way.
    /// Panics if a job is ready without such events.
    fn expects_notification(&mut self, store: &mut dyn Store) -> bool {
        if self.shutdown.is_some() || self.is_draining || self.may_have_unread_events || self.room_for_runs(1) == 0 {
            return false;
        }
        // An error concerns the next step.
        let Ok((last_seq, Some(job))) = store.next_ready_job(self.id, self.queues.as_deref()) else { return false };
        assert_ne!(last_seq, self.last_seq, "the worker is about to sleep although {job} is ready");
        true
    }
}
