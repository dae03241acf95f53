//! Whether a database that is open is still the one in its place: `SQLite` goes on with a file that was removed, where
//! nobody will ever find what it writes.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::store::StoreError;

/// A file that is in use, and where it was.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    path: PathBuf,
    file: (u64, u64),
}

impl Place {
    /// The file at `path`, which was opened and can't have been replaced since.
    pub(super) fn of(path: PathBuf) -> Result<Self, StoreError> {
        let file = identity(&path).map_err(|source| StoreError::io(&path, source))?;
        Ok(Self { path, file })
    }

    /// Refuses if the file was removed, or another one is in its place. Nothing is said about one that can't be looked at.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        let gone = match identity(&self.path) {
            Ok(file) => file != self.file,
            Err(error) => matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory),
        };
        if gone { Err(self.gone()) } else { Ok(()) }
    }

    /// Whether what the database keeps beside its file while it is in use was removed. The file itself may be the last to
    /// go.
    pub(super) fn is_torn(&self) -> bool {
        ["-wal", "-shm"].iter().any(|beside| {
            let mut path = self.path.clone().into_os_string();
            path.push(beside);
            fs::metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
        })
    }

    /// Says that it is no longer there.
    pub(super) fn gone(&self) -> StoreError {
        StoreError::Gone { path: self.path.clone() }
    }
}

/// What tells a file from all others.
fn identity(path: &Path) -> io::Result<(u64, u64)> {
    fs::metadata(path).map(|file| (file.dev(), file.ino()))
}
