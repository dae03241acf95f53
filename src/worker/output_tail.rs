//! The end of the output of a hook or a condition.

use std::sync::{Arc, Mutex, PoisonError};

use crate::model::Stream;
use crate::runner::Output;
use crate::text::sanitize_line;

/// How many bytes of output are searched for the last line.
const MAX_TAIL_BYTES: usize = 4096;

/// The last bytes that a hook or a condition has printed.
#[derive(Clone, Default)]
pub(super) struct OutputTail(Arc<Mutex<Vec<u8>>>);

impl OutputTail {
    /// The last line with text; empty if there is none.
    pub(super) fn last_line(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&bytes);
        text.lines().rev().map(sanitize_line).find(|line| !line.trim().is_empty()).unwrap_or_default()
    }

    /// Adds output.
    pub(super) fn push(&self, bytes: &[u8]) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend_from_slice(bytes);
        let too_many = kept.len().saturating_sub(MAX_TAIL_BYTES);
        kept.drain(..too_many);
    }
}

impl Output for OutputTail {
    fn write(&mut self, _: Stream, bytes: &[u8]) {
        self.push(bytes);
    }

    fn finish(self: Box<Self>) {}
}
