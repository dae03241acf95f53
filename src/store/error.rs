//! What can go wrong with a store, in words that name the file and the way out.

use std::io;
use std::path::PathBuf;

/// A store can't be used. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file or folder can't be read or written.
    #[error("{path}: {source}", path = .path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// The operating system's reason.
        source: io::Error,
    },
    /// The database can't be read or written.
    #[error("{path}: {source}", path = .path.display())]
    Database {
        /// Its file.
        path: PathBuf,
        /// The database's reason.
        source: rusqlite::Error,
    },
    /// The file is there, but it is not a site of Setlist or it is damaged. It is left as it is.
    #[error("{path}: {reason}; the file is left untouched: move it away to start afresh", path = .path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The file was written by a newer Setlist.
    #[error("{path}: written by a newer setlist (format {found}, this one knows {known}); upgrade setlist", path = .path.display())]
    TooNew {
        /// Which file.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The newest format that this program knows.
        known: i64,
    },
    /// A job that calls a function of this process can't be kept for another one.
    #[error("only scripted jobs can be stored: {title:?} calls a function")]
    NotAScript {
        /// The job's title.
        title: String,
    },
    /// Changes can't be watched.
    #[error("{path}: changes can't be watched: {source}", path = .path.display())]
    Watch {
        /// What should be watched.
        path: PathBuf,
        /// The watcher's reason.
        source: notify::Error,
    },
}

impl StoreError {
    /// A file or folder can't be read or written.
    pub fn io(path: impl Into<PathBuf>, source: io::Error) -> Self {
        Self::Io { path: path.into(), source }
    }
}
