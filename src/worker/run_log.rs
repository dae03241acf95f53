//! Writes the output of a run to its log, and tells the worker when a run stalls.

use std::mem;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use crate::clock;
use crate::model::{RunId, Stream, WindowSize};
use crate::runner::Output;
use crate::store::log::LogWriter;

/// Writes output to a log. What can't be written is lost; the log says how much when there is room again.
pub(super) struct RunLog {
    log: LogWriter,
    run: RunId,
    is_failing: bool,
    on_stall: StallCallback,
}

/// The log of a run to which first its conditions write, then its job.
#[derive(Clone)]
pub(super) struct SharedLog(Arc<Mutex<Option<RunLog>>>);

/// Called when a run is stalled, with the time since when it has printed nothing, and without a time when it prints again.
pub(super) type StallCallback = Box<dyn Fn(Option<DateTime<Utc>>) + Send>;

impl RunLog {
    pub(super) fn new(log: LogWriter, run: RunId, on_stall: StallCallback) -> Self {
        Self { log, run, is_failing: false, on_stall }
    }
}

impl Output for RunLog {
    fn write(&mut self, stream: Stream, bytes: &[u8]) {
        let written = self.log.write(stream, bytes, clock::now());
        let was_failing = mem::replace(&mut self.is_failing, written.is_err());
        if let Err(error) = written
            && !was_failing
        {
            tracing::error!(run = %self.run, error = error.cause(), "can't write the log of a run; its output is lost");
        }
    }

    fn resized(&mut self, size: WindowSize) {
        self.log.resize(size);
    }

    fn stalled(&mut self, silent_for: Option<Duration>) {
        let since = |silent: Duration| TimeDelta::from_std(silent).map_or(clock::now(), |silent| clock::now() - silent);
        (self.on_stall)(silent_for.map(since));
    }

    fn finish(self: Box<Self>) {
        if let Err(error) = self.log.finish() {
            tracing::error!(run = %self.run, error = error.cause(), "can't finish the log of a run; some of its output may be lost");
        }
    }
}

impl SharedLog {
    pub(super) fn new(log: RunLog) -> Self {
        Self(Arc::new(Mutex::new(Some(log))))
    }

    /// Finishes the log.
    pub(super) fn close(&self) {
        if let Some(log) = self.with(Option::take) {
            Box::new(log).finish();
        }
    }

    fn with<T>(&self, change: impl FnOnce(&mut Option<RunLog>) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Output for SharedLog {
    fn write(&mut self, stream: Stream, bytes: &[u8]) {
        self.with(|log| log.iter_mut().for_each(|log| log.write(stream, bytes)));
    }

    fn resized(&mut self, size: WindowSize) {
        self.with(|log| log.iter_mut().for_each(|log| log.resized(size)));
    }

    fn stalled(&mut self, silent_for: Option<Duration>) {
        self.with(|log| log.iter_mut().for_each(|log| log.stalled(silent_for)));
    }

    fn finish(self: Box<Self>) {
        self.close();
    }
}
