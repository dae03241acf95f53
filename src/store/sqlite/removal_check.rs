//! Detects that an open database was removed or replaced: `SQLite` would keep writing to the deleted file.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::store::error::StoreError;

/// The path and the inode of an open file.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct DbIdentity {
    path: PathBuf,
    inode: (u64, u64),
}

impl DbIdentity {
    /// Identifies the file at `path`, which is open and can't have been replaced yet.
    pub(super) fn of(path: PathBuf) -> Result<Self, StoreError> {
        let file = device_and_inode(&path).map_err(|source| StoreError::io(&path, source))?;
        Ok(Self { path, inode: file })
    }

    /// Fails if the file was removed or replaced. A file that can't be examined counts as unchanged.
    pub(super) fn check_unchanged(&self) -> Result<(), StoreError> {
        let is_removed = match device_and_inode(&self.path) {
            Ok(file) => file != self.inode,
            Err(error) => matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory),
        };
        if is_removed { Err(self.removed_error()) } else { Ok(()) }
    }

    /// Whether the write-ahead log or its index was removed. The database file itself may be removed last.
    pub(super) fn is_wal_missing(&self) -> bool {
        ["-wal", "-shm"].iter().any(|beside| {
            let mut path = self.path.clone().into_os_string();
            path.push(beside);
            fs::metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
        })
    }

    /// The error for a removed database.
    pub(super) fn removed_error(&self) -> StoreError {
        StoreError::Removed { path: self.path.clone() }
    }
}

/// The device and inode numbers of a file.
fn device_and_inode(path: &Path) -> io::Result<(u64, u64)> {
    fs::metadata(path).map(|file| (file.dev(), file.ino()))
}
