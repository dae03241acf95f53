//! Reloads `jobs.yaml` when it has been saved while a worker runs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::Utc;

use super::context::WorkerContext;
use crate::definition;
use crate::model::{Command, Event};
use crate::store::{NotifyFn, Store, StoreError, Subscription};

/// How long the file must be unchanged before it is read, because editors save in several steps.
pub(super) const DEBOUNCE: Duration = Duration::from_millis(30);

/// Decides when the file is read.
#[derive(Debug, Default)]
pub(super) struct Reload {
    /// When it was last saved, if it has not been read since.
    saved_at: Option<Instant>,
    /// A change can be applied only after a running job has ended.
    is_deferred: bool,
}

impl Reload {
    /// Calls `notify` when the file is saved. Watches the folder, because editors replace the file.
    pub(super) fn watch(context: &WorkerContext, notify: &NotifyFn) -> Result<Subscription, StoreError> {
        let name = context.file.file_name().map(|name| name.to_string_lossy().into_owned());
        Subscription::on_dir(context.site_dir(), move |changed| Some(changed) == name.as_deref(), Arc::clone(notify))
    }

    /// Notes that the file was saved.
    pub(super) fn note_save(&mut self) {
        self.saved_at = Some(Instant::now());
    }

    /// Notes that a job has ended. A deferred change may now apply.
    pub(super) fn note_run_end(&mut self) {
        if self.is_deferred {
            self.note_save();
        }
    }

    /// Whether the file was saved and has not been read.
    pub(super) fn is_pending(&self) -> bool {
        self.saved_at.is_some()
    }

    /// Whether the file was saved and has been unchanged for [`DEBOUNCE`].
    pub(super) fn is_due(&self) -> bool {
        self.saved_at.is_some_and(|at| at.elapsed() >= DEBOUNCE)
    }

    /// If the file is due, reads it and reconciles the site with it. A file with errors changes nothing. Returns whether the
    /// site may have changed.
    pub(super) fn apply_if_due(&mut self, store: &mut dyn Store, context: &WorkerContext) -> Result<bool, StoreError> {
        if !self.is_due() {
            return Ok(false);
        }
        let plan = match definition::read(&context.file) {
            Ok(plan) => plan,
            Err(error) => {
                let missing = matches!(error, definition::Error::Missing(_));
                tracing::warn!(%error, "jobs.yaml has errors; keeping the last valid version");
                self.saved_at = None;
                // The whole site may have been removed; reading its events shows that.
                return Ok(missing);
            }
        };
        let stamp = plan.version.clone();
        let answers = store.execute(&[Command::Reconcile(Box::new(plan))], Utc::now())?;
        self.saved_at = None;
        let applied = answers.iter().flatten().flatten().find_map(|event| match event {
            Event::FileApplied { file_version } => Some(file_version),
            _ => None,
        });
        self.is_deferred = applied.is_some_and(|applied| *applied != stamp);
        Ok(true)
    }
}
