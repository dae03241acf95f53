//! Turns many change notifications into one message.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;

use crate::store::NotifyFn;

/// Sends one message, however often it is notified before the receiver calls [`reset`](Self::reset).
#[derive(Clone, Default)]
pub struct Coalescer(Arc<AtomicBool>);

impl Coalescer {
    /// A callback that sends `message()` once until the next [`reset`](Self::reset).
    pub fn callback<T: Send + 'static>(&self, sender: Sender<T>, message: fn() -> T) -> NotifyFn {
        let pending = Arc::clone(&self.0);
        Arc::new(move || {
            if !pending.swap(true, Ordering::AcqRel) {
                // The receiver is gone while the screen closes.
                let _ = sender.send(message());
            }
        })
    }

    /// Lets the next notification send a message again. Call this before reading what has changed, so that no later
    /// change is missed.
    pub fn reset(&self) {
        self.0.store(false, Ordering::Release);
    }
}

impl fmt::Debug for Coalescer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Coalescer")
    }
}
