//! How one process tells another that something has changed: by touching a file that the other watches.
//!
//! Every listener has a bell of its own, a file in the site's folder for them, and whoever changes the site rings all
//! of them but its own. So a change costs nothing while nobody else listens, and nobody is woken by its own doing.

use std::any::Any;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use chrono::Utc;
use notify::{EventKind, RecursiveMode, Watcher};

use super::StoreError;

/// What a listener calls. Short and never blocking: it only wakes somebody.
pub type Ring = Arc<dyn Fn() + Send + Sync>;

/// Listens until it is dropped.
pub struct Listener {
    _held: Box<dyn Any + Send>,
}

impl Listener {
    /// A listener that lasts as long as `held`.
    pub(crate) fn holding(held: impl Any + Send) -> Self {
        Self { _held: Box::new(held) }
    }

    /// Rings when something in `folder` changes whose file name `is_ours`, and when the folder is moved or removed.
    pub fn on_folder(
        folder: &Path,
        is_ours: impl Fn(&str) -> bool + Send + 'static,
        ring: Ring,
    ) -> Result<Self, StoreError> {
        let failed = |source| StoreError::Watch { path: folder.to_owned(), source };
        let whole = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
        let concerns = move |path: &PathBuf| {
            *path == whole || path.file_name().and_then(|name| name.to_str()).is_some_and(&is_ours)
        };
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // An error means that changes may have been missed; a ring too many does no harm.
            let rings = event
                .map_or(true, |event| !matches!(event.kind, EventKind::Access(_)) && event.paths.iter().any(&concerns));
            if rings {
                ring();
            }
        })
        .map_err(failed)?;
        watcher.watch(folder, RecursiveMode::NonRecursive).map_err(failed)?;
        Ok(Self::holding(watcher))
    }

    /// Rings when the file at `path`, which must be there, is written to. What happens beside it wakes nobody.
    pub fn on_file(path: &Path, ring: Ring) -> Result<Self, StoreError> {
        Self::on_folder(path, |_| true, ring)
    }
}

/// The bells of a site, as one connection to it has them.
#[derive(Debug)]
pub(super) struct Bells {
    folder: PathBuf,
    /// How the names of its own bells begin.
    own: String,
    /// Those of others that were there at the last ring.
    others: Vec<(OsString, File)>,
    /// One of its own was taken away.
    lost: Arc<AtomicBool>,
}

/// A bell is there until it is dropped, or until somebody finds that its process has ended in any other way.
struct Held {
    path: PathBuf,
    /// Nobody but us may take it away as long as this says so.
    hung: Arc<AtomicBool>,
    _locked: File,
}

impl Bells {
    /// The bells in `folder`.
    pub(super) fn new(folder: PathBuf) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        // Never given twice, whatever becomes of the numbers of processes.
        let time = Utc::now().timestamp_nanos_opt().unwrap_or_default();
        let own = format!("{}-{time:x}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        Self { folder, own, others: Vec::new(), lost: Arc::default() }
    }

    /// Calls `ring` when another connection rings, until the listener is dropped.
    pub(super) fn listen(&self, ring: Ring) -> Result<Listener, StoreError> {
        self.remove_orphans();
        let bell = self.hang().map_err(|source| StoreError::io(&self.folder, source))?;
        let (path, hung, lost) = (bell.path.clone(), Arc::clone(&bell.hung), Arc::clone(&self.lost));
        let heard: Ring = Arc::new(move || {
            // In this order: before we take it away ourselves, it is no longer hung.
            if matches!(path.try_exists(), Ok(false)) && hung.load(Ordering::SeqCst) {
                lost.store(true, Ordering::Relaxed);
            }
            ring();
        });
        let watch = Listener::on_file(&bell.path, heard)?;
        // The watch goes first: it is not to ring because the file goes.
        Ok(Listener::holding((watch, bell)))
    }

    /// Whether somebody has taken away a bell that we listen to. Nobody does who does not remove the whole folder, of
    /// which other parts may still be there.
    pub(super) fn are_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    /// Rings the bells of all others. What can't be rung is of no use to anybody any more.
    pub(super) fn ring(&mut self) {
        let Ok(entries) = fs::read_dir(&self.folder) else { return };
        let mut known = std::mem::take(&mut self.others);
        for name in entries.filter_map(|entry| Some(entry.ok()?.file_name())) {
            if name.as_encoded_bytes().starts_with(self.own.as_bytes()) {
                continue;
            }
            let bell = match known.iter().position(|(other, _)| *other == name) {
                Some(at) => Ok(known.swap_remove(at).1),
                None => OpenOptions::new().write(true).open(self.folder.join(&name)),
            };
            if let Ok(bell) = bell
                && bell.write_all_at(b"\n", 0).is_ok()
            {
                self.others.push((name, bell));
            }
        }
    }

    /// Makes a bell of our own.
    fn hang(&self) -> io::Result<Held> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        loop {
            let path = self.folder.join(format!("{}.{}", self.own, COUNT.fetch_add(1, Ordering::Relaxed)));
            let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
            file.lock()?;
            // Somebody may have taken it for one that was left behind, before it was locked.
            if fs::metadata(&path).is_ok_and(|there| file.metadata().is_ok_and(|ours| there.ino() == ours.ino())) {
                return Ok(Held { path, hung: Arc::new(AtomicBool::new(true)), _locked: file });
            }
        }
    }

    /// Removes the bells of processes that have ended without doing so.
    fn remove_orphans(&self) {
        let Ok(entries) = fs::read_dir(&self.folder) else { return };
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            if File::open(&path).is_ok_and(|bell| bell.try_lock().is_ok()) {
                // If it stays, it is rung in vain.
                let _ = fs::remove_file(path);
            }
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.hung.store(false, Ordering::SeqCst);
        // If it stays, the next listener removes it.
        let _ = fs::remove_file(&self.path);
    }
}
