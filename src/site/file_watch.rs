//! Watches `jobs.yaml` and the files that it includes, and reads them when one has changed, on a thread.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use super::coalescer::Coalescer;
use super::link_subscriptions::LinkSubscriptions;
use crate::definition;
use crate::model::DesiredState;
use crate::store::{NotifyFn, StoreError};

/// How long the file must be unchanged before it is read, because editors save in several steps.
const DEBOUNCE: Duration = Duration::from_millis(30);

/// What reading `jobs.yaml` gives.
type ReadResult = Result<DesiredState, definition::Error>;

/// Watches `jobs.yaml` until it is dropped.
pub struct FileWatch {
    requests: Sender<()>,
    // The thread doesn't keep them, so that it ends when this is dropped.
    _watched: Arc<Mutex<WatchedFiles>>,
}

impl FileWatch {
    /// Watches `file`, and calls `on_read` on a thread with each new version after `last_version`. Folders are watched,
    /// because editors replace the file: that of the file and, if it is a link, those of its target and of all links on
    /// the way.
    pub fn start(
        file: PathBuf,
        last_version: Option<&str>,
        on_read: impl Fn(ReadResult) + Send + 'static,
    ) -> Result<Self, StoreError> {
        let (requests, inbox) = channel();
        let changes = Coalescer::default();
        let on_change = changes.callback(requests.clone(), || ());
        let main = LinkSubscriptions::start(file.clone(), NotifyFn::clone(&on_change))?;
        let watched = Arc::new(Mutex::new(WatchedFiles { main, included: BTreeMap::new(), on_change }));
        if definition::file_version(&file).ok().as_deref() != last_version {
            // The file was saved before the subscription.
            let _ = requests.send(());
        }
        let (weak, first) = (Arc::downgrade(&watched), requests.clone());
        let work = move || {
            // The files that it includes are known once it has been read.
            if definition::may_include(&file) {
                let _ = first.send(());
            }
            drop(first);
            serve(&file, &weak, &inbox, &changes, on_read);
        };
        thread::Builder::new().name("watch".to_owned()).spawn(work).map_err(|error| StoreError::io("thread", error))?;
        Ok(Self { requests, _watched: watched })
    }

    /// Reads the file again, though it hasn't changed.
    pub fn reload(&self) {
        // Fails only if the thread has panicked.
        let _ = self.requests.send(());
    }
}

fn serve(
    file: &Path,
    watched: &Weak<Mutex<WatchedFiles>>,
    inbox: &Receiver<()>,
    changes: &Coalescer,
    on_read: impl Fn(ReadResult),
) {
    while let Ok(()) = inbox.recv() {
        loop {
            changes.reset();
            match inbox.recv_timeout(DEBOUNCE) {
                Ok(()) => {}
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
        // Before the file is read, so that no change after that is missed.
        let Some(watched) = watched.upgrade() else { return };
        let mut watched = watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.main.update();
        let mut read = definition::read_with_files(file);
        if watched.watch_included(&read.included) {
            // They may have changed before they were watched.
            read = definition::read_with_files(file);
        }
        drop(watched);
        on_read(read.desired);
    }
}

/// `jobs.yaml`, the files that it includes, and the subscriptions to their changes.
struct WatchedFiles {
    main: LinkSubscriptions,
    included: BTreeMap<PathBuf, LinkSubscriptions>,
    on_change: NotifyFn,
}

impl WatchedFiles {
    /// Watches these files, and no other included ones. Returns whether some were not watched before.
    fn watch_included(&mut self, files: &[PathBuf]) -> bool {
        self.included.retain(|file, _| files.contains(file));
        self.included.values_mut().for_each(LinkSubscriptions::update);
        let mut has_new = false;
        for file in files {
            if self.included.contains_key(file) {
                continue;
            }
            match LinkSubscriptions::start(file.clone(), NotifyFn::clone(&self.on_change)) {
                Ok(subscription) => {
                    self.included.insert(file.clone(), subscription);
                    has_new = true;
                }
                Err(error) => tracing::warn!(%error, "changes of an included file are not noticed"),
            }
        }
        has_new
    }
}
