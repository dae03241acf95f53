//! Watches for files that arrive (`for_each: {watch: PATTERN}`), on a thread.
//!
//! The folders of the patterns are watched. They are also looked at regularly, because changes by other machines on a
//! network file system are not reported.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use super::coalescer::Coalescer;
use crate::definition::look_for_arrivals;
use crate::model::ArrivalRule;
use crate::store::{NotifyFn, StoreError, Subscription};

/// How often to look where changes are reported.
const WATCHED_INTERVAL: Duration = Duration::from_secs(60);
/// How often to look where they may not be.
const UNWATCHED_INTERVAL: Duration = Duration::from_secs(5);
/// The shortest time between two looks, however often files change.
const MIN_INTERVAL: Duration = Duration::from_millis(200);
/// The most folders that are watched.
const MAX_WATCHED: usize = 256;

/// Watches for files that arrive until it is dropped.
pub struct ArrivalWatch {
    requests: Sender<()>,
    watched: Arc<Mutex<WatchedRules>>,
}

/// What is watched. It holds senders, so the thread has no strong reference.
struct WatchedRules {
    rules: Vec<ArrivalRule>,
    notify: NotifyFn,
    subscriptions: BTreeMap<PathBuf, Option<Subscription>>,
}

impl ArrivalWatch {
    /// Starts a thread that calls `on_change` when a file has arrived, has changed, or has gone. Patterns are relative to
    /// `folder`.
    pub fn start(folder: PathBuf, on_change: impl Fn() + Send + 'static) -> Result<Self, StoreError> {
        let (requests, inbox) = channel();
        let changes = Coalescer::default();
        let notify = changes.callback(requests.clone(), || ());
        let watched = Arc::new(Mutex::new(WatchedRules { rules: Vec::new(), notify, subscriptions: BTreeMap::new() }));
        let weak = Arc::downgrade(&watched);
        let work = move || serve(&folder, &weak, &inbox, &changes, on_change);
        thread::Builder::new()
            .name("arrivals".to_owned())
            .spawn(work)
            .map_err(|error| StoreError::io("thread", error))?;
        Ok(Self { requests, watched })
    }

    /// Watches for the files of these rules from now on.
    pub fn set_rules(&self, rules: &[ArrivalRule]) {
        let mut watched = lock(&self.watched);
        if watched.rules != rules {
            rules.clone_into(&mut watched.rules);
            // Fails only if the thread has panicked.
            let _ = self.requests.send(());
        }
    }
}

fn lock(watched: &Mutex<WatchedRules>) -> MutexGuard<'_, WatchedRules> {
    watched.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(
    folder: &Path,
    watched: &Weak<Mutex<WatchedRules>>,
    inbox: &Receiver<()>,
    changes: &Coalescer,
    on_change: impl Fn(),
) {
    let (mut wait, mut last) = (None, None);
    loop {
        let request = match wait {
            Some(wait) => inbox.recv_timeout(wait),
            None => inbox.recv().map_err(RecvTimeoutError::from),
        };
        let Some(shared) = watched.upgrade().filter(|_| request != Err(RecvTimeoutError::Disconnected)) else { return };
        let began = Instant::now();
        // Before looking, so that no later change is missed.
        changes.reset();
        let rules = lock(&shared).rules.clone();
        let found: Vec<_> = rules.iter().map(|rule| look_for_arrivals(folder, rule)).collect();
        let folders: BTreeSet<PathBuf> = found.iter().flat_map(|arrivals| arrivals.folders.iter().cloned()).collect();
        let (all_reported, any_new) = lock(&shared).subscribe(&folders);
        drop(shared);
        let fingerprints: Vec<u64> = found.iter().map(|arrivals| arrivals.fingerprint).collect();
        let is_first = !rules.is_empty() && last.as_ref().is_none_or(|(known, _)| *known != rules);
        if is_first || last.as_ref().is_some_and(|(_, known)| *known != fingerprints) {
            on_change();
        }
        let settles_in = found.iter().filter_map(|arrivals| arrivals.settles_in).min();
        let interval = if all_reported { WATCHED_INTERVAL } else { UNWATCHED_INTERVAL };
        // A file may have arrived in a folder before it was watched.
        let due = if any_new { Some(Duration::ZERO) } else { settles_in };
        wait = (!rules.is_empty()).then(|| due.map_or(interval, |due| due.min(interval)));
        last = Some((rules, fingerprints));
        // Looking at many files must not take all of the time.
        if wait_out(inbox, MIN_INTERVAL.max(began.elapsed() * 4)) {
            wait = Some(Duration::ZERO);
        }
    }
}

/// Waits for this time; returns whether there were requests.
fn wait_out(inbox: &Receiver<()>, pause: Duration) -> bool {
    let (until, mut any) = (Instant::now() + pause, false);
    while inbox.recv_timeout(until.saturating_duration_since(Instant::now())) == Ok(()) {
        any = true;
    }
    any
}

impl WatchedRules {
    /// Subscribes to these folders and no others. Returns whether all changes in them are reported, and whether a
    /// subscription is new.
    fn subscribe(&mut self, folders: &BTreeSet<PathBuf>) -> (bool, bool) {
        let Self { notify, subscriptions, .. } = self;
        subscriptions.retain(|folder, _| folders.contains(folder));
        let mut any_new = false;
        for folder in folders.iter().take(MAX_WATCHED) {
            subscriptions.entry(folder.clone()).or_insert_with(|| {
                any_new = true;
                let local = is_local(folder).then(|| Subscription::on_dir(folder, |_| true, Arc::clone(notify)));
                local.and_then(Result::ok)
            });
        }
        let all = subscriptions.len() == folders.len() && subscriptions.values().all(Option::is_some);
        (all, any_new)
    }
}

/// Whether a folder is on a file system of this machine, so that all changes are reported.
#[cfg(target_os = "linux")]
fn is_local(folder: &Path) -> bool {
    // ext, XFS, btrfs, F2FS, tmpfs, overlayfs and ZFS.
    const LOCAL: [u64; 7] = [0xEF53, 0x5846_5342, 0x9123_683E, 0xF2F5_2010, 0x0102_1994, 0x794C_7630, 0x2FC1_2FC1];
    rustix::fs::statfs(folder).is_ok_and(|found| u64::try_from(found.f_type).is_ok_and(|kind| LOCAL.contains(&kind)))
}

#[cfg(not(target_os = "linux"))]
fn is_local(_folder: &Path) -> bool {
    true
}
