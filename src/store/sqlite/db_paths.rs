//! The paths of the files beside a database, such as its write-ahead log.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use crate::store::error::StoreError;

/// The page size of the database, in bytes.
pub(super) const PAGE_SIZE: u64 = 4096;

/// Makes a rename in the directory of this file durable.
pub(super) fn sync_dir(of: &Path) -> io::Result<()> {
    File::open(of.parent().unwrap_or(Path::new("."))).and_then(|folder| folder.sync_all())
}

pub(super) fn unreadable(path: &Path, reason: &str) -> StoreError {
    StoreError::Unreadable { path: path.to_owned(), reason: reason.to_owned() }
}

/// The write-ahead log of the database at `path`.
pub(super) fn wal_path(path: &Path) -> PathBuf {
    with_suffix(path, "-wal")
}

pub(super) fn has_wal(path: &Path) -> bool {
    fs::metadata(wal_path(path)).is_ok_and(|log| log.len() > 0)
}

pub(super) fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
