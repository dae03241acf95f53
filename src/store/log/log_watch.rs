//! Notifying about growing logs, at a limited rate.

use std::path::Path;
use std::sync::Arc;

use super::watched_runs::WatchedRuns;
use crate::store::error::StoreError;
use crate::store::notifier::{NotifyFn, Subscription};

/// Calls `notify` when the log of a watched run in `dir` grows, until the subscription is dropped.
#[cfg(target_os = "linux")]
pub(super) fn subscribe(runs: &WatchedRuns, dir: &Path, notify: NotifyFn) -> Result<Subscription, StoreError> {
    rate_limited::subscribe(runs, dir, Arc::clone(&notify))
        // Without a watch, every log may have grown.
        .or_else(|error| Subscription::polling(|| true, notify).ok_or(error))
        .map_err(|error| StoreError::Watch { path: dir.to_owned(), source: notify::Error::io(error) })
}

/// The same, by watching the whole directory.
#[cfg(not(target_os = "linux"))]
pub(super) fn subscribe(runs: &WatchedRuns, dir: &Path, notify: NotifyFn) -> Result<Subscription, StoreError> {
    let runs = runs.clone();
    Subscription::on_dir(dir, move |name| runs.includes_file(name), notify)
}

#[cfg(target_os = "linux")]
mod rate_limited {
    use std::io::{self, PipeReader, pipe};
    use std::path::Path;
    use std::sync::Arc;
    use std::thread;
    use std::time::{Duration, Instant};

    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    use super::super::inotify_watches::LogWatches;
    use super::super::watched_runs::WatchedRuns;
    use crate::store::notifier::{NotifyFn, Subscription};

    /// The shortest time between two notifications.
    const MIN_NOTIFY_INTERVAL: Duration = Duration::from_millis(10);
    /// How often to notify anyway while a file can't be watched.
    const RESCAN_INTERVAL: Duration = Duration::from_secs(1);

    pub(super) fn subscribe(runs: &WatchedRuns, dir: &Path, notify: NotifyFn) -> io::Result<Subscription> {
        let watches = Arc::new(LogWatches::new(dir)?);
        runs.add_watches(&watches)?;
        let (closed, open) = pipe()?;
        let runs = runs.clone();
        let run = move || notify_loop(&watches, &runs, &closed, &notify);
        thread::Builder::new().name("log-watch".to_owned()).spawn(run)?;
        Ok(Subscription::keeping(open))
    }

    fn notify_loop(watches: &LogWatches, runs: &WatchedRuns, closed: &PipeReader, notify: &NotifyFn) {
        let includes_file = |name: &str| runs.includes_file(name);
        let (mut last, mut arming_failed) = (None::<Instant>, false);
        loop {
            if wait_for_close(closed, Some(watches), arming_failed.then_some(RESCAN_INTERVAL)) {
                return;
            }
            if !watches.drain_events(includes_file) && !arming_failed {
                continue;
            }
            if let Some(pause) = last.and_then(|last| MIN_NOTIFY_INTERVAL.checked_sub(last.elapsed()))
                && wait_for_close(closed, None, Some(pause))
            {
                return;
            }
            // The subscriber sees everything written until now; what is written from now on triggers the new watches.
            watches.drain_events(includes_file);
            arming_failed = runs.arm(watches).is_err();
            notify();
            last = Some(Instant::now());
        }
    }

    /// Waits for an event, the timeout or the end of the subscription; returns whether the subscription has ended.
    fn wait_for_close(closed: &PipeReader, watches: Option<&LogWatches>, timeout: Option<Duration>) -> bool {
        let mut fds = vec![PollFd::new(closed, PollFlags::IN)];
        fds.extend(watches.map(|watches| PollFd::new(watches, PollFlags::IN)));
        let timeout = timeout.and_then(|timeout| Timespec::try_from(timeout).ok());
        // An interruption by a signal is treated like an event.
        let _ = poll(&mut fds, timeout.as_ref());
        !fds[0].revents().is_empty()
    }
}
