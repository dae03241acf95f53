//! Applies `jobs.yaml` when it was saved while a worker runs.

use std::path::Path;
use std::time::{Duration, Instant};

use crate::definition;
use crate::model::{ArrivalRule, DesiredState, Event};
use crate::runner::with_sigchld_blocked;
use crate::site::{AppliedFile, ArrivalWatch, FileWatch, Publishing, SitePaths, apply_file, read_file};
use crate::store::{Store, StoreError};

/// How long items are not read again. Many retries may be due one after the other.
const MIN_READ_INTERVAL: Duration = Duration::from_millis(500);

/// The versions of `jobs.yaml` that the worker has to apply.
#[derive(Default)]
pub(super) struct Reload {
    watch: Option<FileWatch>,
    /// The version that was read last, if it has not been applied.
    pending: Option<Result<DesiredState, definition::Error>>,
    /// A part of the last version can be applied only after a running job has ended.
    is_deferred: bool,
    /// When items of `for_each` were last read.
    last_read: Option<Instant>,
    /// Items have changed since.
    items_changed: bool,
    /// Watches for files that arrive, if there are rules for them.
    arrivals: Option<ArrivalWatch>,
    /// Called when files arrive, until that is watched for.
    on_arrival: Option<Box<dyn Fn() + Send>>,
}

impl Reload {
    /// Watches the file, and calls `on_read` on a thread when it was saved.
    pub(super) fn watch(
        &mut self,
        store: &mut dyn Store,
        paths: &SitePaths,
        on_read: impl Fn(Result<DesiredState, definition::Error>) + Send + 'static,
    ) -> Result<(), StoreError> {
        // The site was reconciled with this version when it was opened; the file may have been saved since. A server doesn't
        // know the version of this machine's copy.
        let version = if paths.state.is_on_server() {
            definition::file_version(&paths.file).ok()
        } else {
            store.file_version()?.map(|version| definition::version_of_file_alone(&version).to_owned())
        };
        self.watch = Some(FileWatch::start(paths.file.clone(), version.as_deref(), on_read)?);
        Ok(())
    }

    /// Reads the file again if it takes items of `for_each` from elsewhere: before a schedule runs jobs.
    pub(super) fn read_items(&mut self, store: &mut dyn Store, paths: &SitePaths) -> Result<(), StoreError> {
        let is_recent = self.last_read.is_some_and(|last| last.elapsed() < MIN_READ_INTERVAL);
        // A server doesn't know the version of this machine's copy.
        let has_items = |version: String| paths.state.is_on_server() || definition::has_items_from_elsewhere(&version);
        if self.pending.is_none() && !is_recent && store.file_version()?.is_some_and(has_items) {
            self.pending = Some(read_file(store, paths)?.map(|(desired, _)| desired));
            self.last_read = Some(Instant::now());
        }
        Ok(())
    }

    /// Watches for the files that define jobs when they arrive, and calls `on_change` on a thread when they do.
    pub(super) fn watch_arrivals(
        &mut self,
        store: &mut dyn Store,
        paths: &SitePaths,
        on_change: impl Fn() + Send + 'static,
    ) -> Result<(), StoreError> {
        self.on_arrival = Some(Box::new(on_change));
        self.read_items(store, paths)
    }

    /// Watches for the files of these rules.
    fn set_arrivals(&mut self, paths: &SitePaths, rules: &[ArrivalRule]) -> Result<(), StoreError> {
        if !rules.is_empty()
            && let Some(on_change) = self.on_arrival.take()
        {
            let folder = paths.file.parent().unwrap_or(Path::new("")).to_owned();
            self.arrivals = Some(with_sigchld_blocked(|| ArrivalWatch::start(folder, on_change))?);
        }
        if let Some(arrivals) = &self.arrivals {
            arrivals.set_rules(rules);
        }
        Ok(())
    }

    /// Whether files define jobs when they arrive, as far as the file was read.
    pub(super) fn watches_arrivals(&self) -> bool {
        matches!(&self.pending, Some(Ok(desired)) if !desired.arrivals.is_empty())
    }

    /// Notes that items have changed.
    pub(super) fn handle_items_changed(&mut self) {
        self.items_changed = true;
    }

    /// Reads the file again if items have changed.
    pub(super) fn read_changed_items(&mut self, store: &mut dyn Store, paths: &SitePaths) -> Result<(), StoreError> {
        if self.items_changed && self.pending.is_none() {
            self.pending = Some(read_file(store, paths)?.map(|(desired, _)| desired));
            self.items_changed = false;
        }
        Ok(())
    }

    /// Takes a version of the file that was read.
    pub(super) fn handle_read(&mut self, read: Result<DesiredState, definition::Error>) {
        self.pending = Some(read);
    }

    /// Notes that a job has ended. A deferred change may now apply.
    pub(super) fn handle_run_end(&mut self) {
        if let (true, Some(watch)) = (self.is_deferred, &self.watch) {
            watch.reload();
        }
    }

    /// Whether a version has to be applied.
    pub(super) fn is_pending(&self) -> bool {
        self.pending.is_some() || self.items_changed
    }

    /// Reconciles the site with the version that was read last. A version with errors changes nothing. Returns whether the
    /// site may have changed.
    pub(super) fn apply_pending(&mut self, store: &mut dyn Store, paths: &SitePaths) -> Result<bool, StoreError> {
        let desired = match &self.pending {
            None => return Ok(false),
            Some(Ok(desired)) => desired.clone(),
            Some(Err(error)) => {
                let missing = matches!(error, definition::Error::Missing(_));
                tracing::warn!(%error, "jobs.yaml has errors; keeping the last valid version");
                self.pending = None;
                // The whole site may have been removed; reading its events shows that.
                return Ok(missing);
            }
        };
        self.set_arrivals(paths, &desired.arrivals)?;
        let version = desired.version.clone();
        let events = match apply_file(store, paths, desired, Publishing::SameCopy)? {
            AppliedFile::Applied(events) => events,
            AppliedFile::OtherInForce(published) => {
                tracing::warn!("jobs.yaml was changed here, but another one is in force, published {published}");
                Vec::new()
            }
            AppliedFile::Unreadable(error) => {
                tracing::warn!(%error, "jobs.yaml has errors; keeping the last valid version");
                Vec::new()
            }
        };
        self.pending = None;
        let applied = events.iter().find_map(|event| match event {
            Event::FileApplied { file_version } => Some(file_version),
            _ => None,
        });
        // Of a site on a server, the version also says who has published it.
        let is_incomplete = |applied: &String| {
            if paths.state.is_on_server() { applied.is_empty() } else { *applied != version }
        };
        self.is_deferred = applied.is_some_and(is_incomplete);
        Ok(true)
    }
}
