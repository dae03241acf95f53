//! Takes up what is saved in `jobs.yaml` while a worker is at work, screen or no screen.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;

use super::Office;
use crate::definition;
use crate::model::{Command, Event};
use crate::store::{Listener, Ring, Store, StoreError};

/// An editor saves in several steps: quiet for this long means that it has done.
pub(super) const QUIET: Duration = Duration::from_millis(30);

/// What a worker knows of the file's versions.
#[derive(Debug, Default)]
pub(super) struct Reload {
    /// When it was last written to, if it has not been read since.
    saved: Option<Instant>,
    /// A change waits for a running job to end.
    deferred: bool,
}

impl Reload {
    /// Rings when somebody writes to the file. Its folder is watched, since editors replace files.
    pub(super) fn listen(office: &Office, ring: &Ring) -> Result<Listener, StoreError> {
        let name = office.file.file_name().map(|name| name.to_string_lossy().into_owned());
        Listener::on_folder(office.home(), move |changed| Some(changed) == name.as_deref(), Arc::clone(ring))
    }

    /// Somebody has written to the file.
    pub(super) fn saved(&mut self) {
        self.saved = Some(Instant::now());
    }

    /// A job has ended; a change may have waited for it.
    pub(super) fn ended(&mut self) {
        if self.deferred {
            self.saved();
        }
    }

    /// Whether the file is about to be read.
    pub(super) fn waits(&self) -> bool {
        self.saved.is_some()
    }

    /// Whether it is time to read the file.
    pub(super) fn is_due(&self) -> bool {
        self.saved.is_some_and(|at| at.elapsed() >= QUIET)
    }

    /// Reads the file if it was saved and is quiet now, and makes the site as it says. A file with errors changes
    /// nothing. Tells whether the site may have changed.
    pub(super) fn take_up(&mut self, store: &mut dyn Store, office: &Office) -> Result<bool, StoreError> {
        if !self.is_due() {
            return Ok(false);
        }
        let plan = match definition::read(&office.file) {
            Ok(plan) => plan,
            Err(error) => {
                let missing = matches!(error, definition::Error::Missing(_));
                tracing::warn!(%error, "jobs.yaml has errors; the last good one stays in force");
                self.saved = None;
                // It may have gone with the whole site, which is for the store to say.
                return Ok(missing);
            }
        };
        let stamp = plan.stamp.clone();
        let answers = store.execute(&[Command::Reconcile(Box::new(plan))], Utc::now())?;
        self.saved = None;
        let read = answers.iter().flatten().flatten().find_map(|event| match event {
            Event::FileRead { stamp } => Some(stamp),
            _ => None,
        });
        self.deferred = read.is_some_and(|read| *read != stamp);
        Ok(true)
    }
}
