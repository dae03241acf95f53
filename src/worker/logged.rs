//! The output of a run on its way to its log.

use chrono::Utc;

use crate::model::{RunId, Stream, WindowSize};
use crate::runner::Output;
use crate::store::StoreError;
use crate::store::log::LogWriter;

/// Keeps what a run prints. That a log can't be written doesn't stop the run.
pub(super) struct Logged {
    log: Option<LogWriter>,
    run: RunId,
}

impl Logged {
    /// The output of this run, kept by `log`.
    pub(super) fn new(log: LogWriter, run: RunId) -> Self {
        Self { log: Some(log), run }
    }

    fn noted(&mut self, result: Result<(), StoreError>) {
        if let Err(error) = result {
            tracing::error!(run = %self.run, %error, "output is lost");
            self.log = None;
        }
    }
}

impl Output for Logged {
    fn write(&mut self, stream: Stream, bytes: &[u8]) {
        if let Some(log) = &mut self.log {
            let written = log.write(stream, bytes, Utc::now());
            self.noted(written);
        }
    }

    fn resized(&mut self, size: WindowSize) {
        if let Some(log) = &mut self.log {
            log.resize(size);
        }
    }

    fn finish(mut self: Box<Self>) {
        if let Some(log) = self.log.take() {
            let finished = log.finish();
            self.noted(finished);
        }
    }
}
