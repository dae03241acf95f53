//! Watches `jobs.yaml`, and reads it when it has changed, on a thread.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use super::coalescer::Coalescer;
use crate::definition;
use crate::model::DesiredState;
use crate::store::{NotifyFn, StoreError, Subscription};

/// How long the file must be unchanged before it is read, because editors save in several steps.
const DEBOUNCE: Duration = Duration::from_millis(30);

/// What reading `jobs.yaml` gives.
type ReadResult = Result<DesiredState, definition::Error>;

/// Watches `jobs.yaml` until it is dropped.
pub struct FileWatch {
    requests: Sender<()>,
    _subscription: Subscription,
}

impl FileWatch {
    /// Watches `file`, and calls `on_read` on a thread with each new version after `last_version`. The folder is watched,
    /// because editors replace the file.
    pub fn start(
        file: PathBuf,
        last_version: Option<&str>,
        on_read: impl Fn(ReadResult) + Send + 'static,
    ) -> Result<Self, StoreError> {
        let (requests, inbox) = channel();
        let changes = Coalescer::default();
        let subscription = subscribe(&file, changes.callback(requests.clone(), || ()))?;
        if definition::file_version(&file).ok().as_deref() != last_version {
            // The file was saved before the subscription.
            let _ = requests.send(());
        }
        let work = move || serve(&file, &inbox, &changes, on_read);
        thread::Builder::new().name("watch".to_owned()).spawn(work).map_err(|error| StoreError::io("thread", error))?;
        Ok(Self { requests, _subscription: subscription })
    }

    /// Reads the file again, though it hasn't changed.
    pub fn reload(&self) {
        // Fails only if the thread has panicked.
        let _ = self.requests.send(());
    }
}

fn subscribe(file: &Path, on_change: NotifyFn) -> Result<Subscription, StoreError> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Subscription::on_dir(folder, move |changed| changed == name, on_change)
}

fn serve(file: &Path, inbox: &Receiver<()>, changes: &Coalescer, on_read: impl Fn(ReadResult)) {
    while let Ok(()) = inbox.recv() {
        loop {
            changes.reset();
            match inbox.recv_timeout(DEBOUNCE) {
                Ok(()) => {}
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
        on_read(definition::read(file));
    }
}
