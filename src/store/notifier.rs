//! Change notifications between processes: the writer touches a file that the subscriber watches.
//!
//! Every subscription has a file of its own in the site's `bells` directory. A connection that changes the site touches
//! all files but its own. So a change costs nothing while there is no other subscriber, and a connection is not woken
//! by its own changes.

use crate::clock;
use std::any::Any;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use notify::{EventKind, RecursiveMode, Watcher};
use rustix::io::Errno;

use super::error::StoreError;
use super::private_files;

/// How often to look for changes where nothing more can be watched.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// The callback of a subscription. It must be short and must not block.
pub type NotifyFn = Arc<dyn Fn() + Send + Sync>;

/// A subscription to changes; it ends when it is dropped.
pub struct Subscription {
    _held: Box<dyn Any + Send>,
}

impl Subscription {
    /// A subscription that ends when `held` is dropped.
    pub(crate) fn keeping(held: impl Any + Send) -> Self {
        Self { _held: Box::new(held) }
    }

    /// Notifies when an entry of `dir` changes whose name `is_ours`, and when the directory is moved or removed.
    pub fn on_dir(
        dir: &Path,
        is_ours: impl Fn(&str) -> bool + Send + Sync + 'static,
        notify: NotifyFn,
    ) -> Result<Self, StoreError> {
        let is_ours = Arc::new(is_ours);
        match Self::watch_dir(dir, Arc::clone(&is_ours), Arc::clone(&notify)) {
            Err(error) if is_watch_limit(&error) => Self::polling(changes_in(dir, is_ours), notify).ok_or(error),
            watched => watched,
        }
        .map_err(|source| StoreError::Watch { path: dir.to_owned(), source })
    }

    fn watch_dir(
        dir: &Path,
        is_ours: Arc<impl Fn(&str) -> bool + Send + Sync + 'static>,
        notify: NotifyFn,
    ) -> notify::Result<Self> {
        let absolute = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
        let concerns_us = move |path: &PathBuf| {
            *path == absolute || path.file_name().and_then(|name| name.to_str()).is_some_and(&*is_ours)
        };
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // On an error changes may have been missed; an extra notification does no harm.
            let is_relevant = event.map_or(true, |event| {
                !matches!(event.kind, EventKind::Access(_)) && event.paths.iter().any(&concerns_us)
            });
            if is_relevant {
                notify();
            }
        })?;
        watcher.watch(dir, RecursiveMode::NonRecursive)?;
        Ok(Self::keeping(watcher))
    }

    /// Notifies when the existing file at `path` is written to, but not when its siblings are.
    pub fn on_file(path: &Path, notify: NotifyFn) -> Result<Self, StoreError> {
        match Self::watch_dir(path, Arc::new(|_: &str| true), Arc::clone(&notify)) {
            // Two writes may be too close for their times to differ, so it notifies every time.
            Err(error) if is_watch_limit(&error) => Self::polling(|| true, notify).ok_or(error),
            watched => watched,
        }
        .map_err(|source| StoreError::Watch { path: path.to_owned(), source })
    }

    /// A subscription without watches, for when the system has none left: notifies once per [`POLL_INTERVAL`] if
    /// something `has_changed`. None if the system has no thread left either.
    pub(super) fn polling(mut has_changed: impl FnMut() -> bool + Send + 'static, notify: NotifyFn) -> Option<Self> {
        let (open, closed) = channel::<()>();
        let poll = move || {
            while closed.recv_timeout(POLL_INTERVAL) == Err(RecvTimeoutError::Timeout) {
                if has_changed() {
                    notify();
                }
            }
        };
        thread::Builder::new().name("poll".to_owned()).spawn(poll).ok()?;
        Some(Self::keeping(open))
    }
}

/// Whether watching has failed because of a limit of the system, which `fs.inotify` or the limit on open files set.
fn is_watch_limit(error: &notify::Error) -> bool {
    match &error.kind {
        notify::ErrorKind::MaxFilesWatch => true,
        notify::ErrorKind::Io(error) => {
            let errno = error.raw_os_error().map(Errno::from_raw_os_error);
            matches!(errno, Some(Errno::MFILE | Errno::NFILE | Errno::NOSPC | Errno::NOMEM))
        }
        _ => false,
    }
}

/// Returns a function that checks whether files in `dir` that are ours have changed since its previous call.
fn changes_in<F: Fn(&str) -> bool>(dir: &Path, is_ours: Arc<F>) -> impl FnMut() -> bool + use<F> {
    let dir = dir.to_owned();
    let read = move || {
        let mut files = Vec::new();
        for entry in fs::read_dir(&dir)?.flatten() {
            let name = entry.file_name();
            if name.to_str().is_some_and(|name| is_ours(name)) {
                let file = fs::metadata(entry.path())?;
                files.push((name, file.ino(), file.len(), file.mtime(), file.mtime_nsec()));
            }
        }
        files.sort();
        Ok::<_, io::Error>(files)
    };
    let mut last = read().ok();
    move || {
        let before = std::mem::replace(&mut last, read().ok());
        last.is_none() || before != last
    }
}

/// Sends and receives the notifications of one connection.
#[derive(Debug)]
pub(super) struct Notifier {
    dir: PathBuf,
    /// The prefix of the names of this connection's files.
    name_prefix: String,
    /// The files of other connections at the last notification.
    others: Vec<(OsString, File)>,
    /// Whether one of this connection's files was removed by another process.
    listener_removed: Arc<AtomicBool>,
}

/// The locked file of a subscription. It is removed when this is dropped, or by another process once this one has died.
struct ListenerFile {
    path: PathBuf,
    /// While this is set, only another process can have removed the file.
    is_active: Arc<AtomicBool>,
    _locked: File,
}

impl Notifier {
    /// A notifier that uses the files in `dir`.
    pub(super) fn new(dir: PathBuf) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        // Unique even when process ids are reused.
        let time = clock::now().timestamp_nanos_opt().unwrap_or_default();
        let name_prefix = format!("{}-{time:x}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        Self { dir, name_prefix, others: Vec::new(), listener_removed: Arc::default() }
    }

    /// Calls `notify` when another connection changes the site, until the subscription is dropped.
    pub(super) fn subscribe(&self, notify: NotifyFn) -> Result<Subscription, StoreError> {
        self.remove_orphans();
        let file = self.create_listener_file().map_err(|source| StoreError::io(&self.dir, source))?;
        let (path, is_active, removed) =
            (file.path.clone(), Arc::clone(&file.is_active), Arc::clone(&self.listener_removed));
        let callback: NotifyFn = Arc::new(move || {
            // `drop` clears the flag before it removes the file, so check in this order.
            if matches!(path.try_exists(), Ok(false)) && is_active.load(Ordering::SeqCst) {
                removed.store(true, Ordering::Relaxed);
            }
            notify();
        });
        let watch = Subscription::on_file(&file.path, callback)?;
        // The watch is dropped first, so that removing the file does not notify.
        Ok(Subscription::keeping((watch, file)))
    }

    /// Whether another process has removed one of this connection's files. That only happens when the whole directory
    /// is being removed, of which other parts may still exist.
    pub(super) fn is_removed(&self) -> bool {
        self.listener_removed.load(Ordering::Relaxed)
    }

    /// Touches the files of all other connections. Files that can't be written to have no subscriber any more.
    pub(super) fn notify_others(&mut self) {
        let Ok(entries) = fs::read_dir(&self.dir) else { return };
        let mut previous = std::mem::take(&mut self.others);
        for name in entries.filter_map(|entry| Some(entry.ok()?.file_name())) {
            if name.as_encoded_bytes().starts_with(self.name_prefix.as_bytes()) {
                continue;
            }
            let file = match previous.iter().position(|(other, _)| *other == name) {
                Some(at) => Ok(previous.swap_remove(at).1),
                None => private_files::open(private_files::options().write(true), &self.dir.join(&name)),
            };
            if let Ok(file) = file
                && file.write_all_at(b"\n", 0).is_ok()
            {
                self.others.push((name, file));
            }
        }
    }

    /// Creates and locks a file for a subscription.
    fn create_listener_file(&self) -> io::Result<ListenerFile> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        loop {
            let path = self.dir.join(format!("{}.{}", self.name_prefix, COUNT.fetch_add(1, Ordering::Relaxed)));
            let file = private_files::open(private_files::options().write(true).create_new(true), &path)?;
            file.lock()?;
            // Another process may have removed the file as abandoned before it was locked.
            if fs::metadata(&path).is_ok_and(|there| file.metadata().is_ok_and(|ours| there.ino() == ours.ino())) {
                return Ok(ListenerFile { path, is_active: Arc::new(AtomicBool::new(true)), _locked: file });
            }
        }
    }

    /// Removes the files of processes that have died.
    fn remove_orphans(&self) {
        let Ok(entries) = fs::read_dir(&self.dir) else { return };
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            if private_files::open_to_read(&path).is_ok_and(|file| file.try_lock().is_ok()) {
                // If this fails, the file is touched without effect.
                let _ = fs::remove_file(path);
            }
        }
    }
}

impl Drop for ListenerFile {
    fn drop(&mut self) {
        self.is_active.store(false, Ordering::SeqCst);
        // If this fails, the next subscription removes the file.
        let _ = fs::remove_file(&self.path);
    }
}
