//! The thread that reads `jobs.yaml` again when it changes.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use crate::definition;
use crate::store::{NotifyFn, StoreError, Subscription};

use super::coalescer::Coalescer;
use super::message::{JobsFileError, Message};

/// Editors save in several steps: the file is read after this long without a change.
const DEBOUNCE: Duration = Duration::from_millis(30);

/// Watches `jobs.yaml` until it is dropped.
#[derive(Debug)]
pub(super) struct JobsFileWatch {
    reloads: Sender<()>,
}

impl JobsFileWatch {
    /// Watches `file`, which was last read in the version `stamp`; each reading of it is sent as [`Message::File`]. The
    /// folder is watched, since editors replace files.
    pub(super) fn new(file: PathBuf, stamp: Option<&str>, messages: Sender<Message>) -> Result<Self, StoreError> {
        let (reloads, inbox) = channel();
        let changes = Coalescer::default();
        let subscription = subscribe(&file, changes.callback(reloads.clone(), || ()))?;
        if definition::file_version(&file).ok().as_deref() != stamp {
            // The file was saved before the subscription.
            let _ = reloads.send(());
        }
        let work = move || {
            let _subscription = subscription;
            serve(&file, &inbox, &changes, &messages);
        };
        thread::Builder::new().name("watch".to_owned()).spawn(work).map_err(|error| StoreError::io("thread", error))?;
        Ok(Self { reloads })
    }

    /// Reads the file again, though it hasn't changed.
    pub(super) fn reload(&self) {
        // If the thread has panicked, the panic guard closes the screen.
        let _ = self.reloads.send(());
    }
}

fn subscribe(file: &Path, on_change: NotifyFn) -> Result<Subscription, StoreError> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Subscription::on_dir(folder, move |changed| changed == name, on_change)
}

fn serve(file: &Path, inbox: &Receiver<()>, changes: &Coalescer, messages: &Sender<Message>) {
    while let Ok(()) = inbox.recv() {
        loop {
            changes.reset();
            match inbox.recv_timeout(DEBOUNCE) {
                Ok(()) => {}
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
        let read = definition::read(file).map(Box::new).map_err(JobsFileError::from);
        if messages.send(Message::FileRead(read)).is_err() {
            return;
        }
    }
}
