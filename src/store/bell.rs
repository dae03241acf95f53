//! How one process tells another that something has changed: by touching a file that the other watches.

use std::any::Any;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

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

    /// Rings when something in `folder` changes whose file name `is_ours`.
    pub fn on_folder(
        folder: &Path,
        is_ours: impl Fn(&str) -> bool + Send + 'static,
        ring: Ring,
    ) -> Result<Self, StoreError> {
        let failed = |source| StoreError::Watch { path: folder.to_owned(), source };
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // An error means that changes may have been missed; a ring too many does no harm.
            let rings = event.map_or(true, |event| {
                !matches!(event.kind, EventKind::Access(_))
                    && event.paths.iter().filter_map(|path| path.file_name()?.to_str()).any(&is_ours)
            });
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

/// Wakes everybody who listens on `file`.
pub(super) fn ring(file: &File) -> io::Result<()> {
    file.write_all_at(b"\n", 0)
}
