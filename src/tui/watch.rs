//! Reads `jobs.yaml` again when it is saved, on a thread of its own.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use crate::definition;
use crate::store::{Listener, Ring, StoreError};

use super::wake::{Bell, Broken, Wake};

/// An editor saves in several steps: quiet for this long means that it has done.
const QUIET: Duration = Duration::from_millis(30);

/// Watches a `jobs.yaml` until it is dropped.
#[derive(Debug)]
pub(super) struct Watch {
    rereads: Sender<()>,
}

impl Watch {
    /// Watches `file`, which was last read in the version `stamp`; each reading of it is sent as [`Wake::File`]. The
    /// folder is watched, since editors replace files.
    pub(super) fn new(file: PathBuf, stamp: Option<&str>, wakes: Sender<Wake>) -> Result<Self, StoreError> {
        let (rereads, inbox) = channel();
        let bell = Bell::default();
        let listener = listen(&file, bell.ring(rereads.clone(), || ()))?;
        if definition::stamp(&file).ok().as_deref() != stamp {
            // It was saved before we listened. Nobody has taken the message yet, so it can't be lost.
            let _ = rereads.send(());
        }
        let work = move || {
            let _listener = listener;
            serve(&file, &inbox, &bell, &wakes);
        };
        thread::Builder::new().name("watch".to_owned()).spawn(work).map_err(|error| StoreError::io("thread", error))?;
        Ok(Self { rereads })
    }

    /// Reads the file again, though it has not changed.
    pub(super) fn reread(&self) {
        // A watch that has died has said why.
        let _ = self.rereads.send(());
    }
}

fn listen(file: &Path, ring: Ring) -> Result<Listener, StoreError> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Listener::on_folder(folder, move |changed| changed == name, ring)
}

fn serve(file: &Path, inbox: &Receiver<()>, bell: &Bell, wakes: &Sender<Wake>) {
    while let Ok(()) = inbox.recv() {
        loop {
            bell.heard();
            match inbox.recv_timeout(QUIET) {
                Ok(()) => {}
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
        let read = definition::read(file).map(Box::new).map_err(Broken::from);
        if wakes.send(Wake::File(read)).is_err() {
            return;
        }
    }
}

impl From<definition::Error> for Broken {
    fn from(error: definition::Error) -> Self {
        match error {
            definition::Error::Invalid(diagnostics) => Self {
                text: diagnostics.render(false),
                errors: diagnostics.list.len() + diagnostics.more,
                line: diagnostics.list.first().map(|first| first.line),
            },
            other => Self { text: other.to_string(), errors: 1, line: None },
        }
    }
}
