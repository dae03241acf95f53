//! What can go wrong with a store, in words that name the file and the way out.

use std::io;
use std::path::{Path, PathBuf};

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
    /// There is no room left for a change.
    #[error("{path}: the disk is full; nothing was changed: make room and try again", path = .path.display())]
    Full {
        /// The file that could not grow.
        path: PathBuf,
    },
    /// The file is there, but it is not a site of Setlist or it is damaged. It is left as it is.
    #[error("{path}: {reason}; the file is left untouched: move it away to start afresh", path = .path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The database has been further than it is now. It is left as it is.
    #[error(
        "{path}: its latest changes are missing ({missing} of them): this file, or the log beside it, was damaged, cut \
         off or replaced by an older one; nothing was touched: restore the folder from a copy, or remove the file \
         `turn` in it to go on without them",
        path = .path.display()
    )]
    Behind {
        /// Its file.
        path: PathBuf,
        /// How many changes.
        missing: u64,
    },
    /// There is a site, but nobody can change it here.
    #[error("{path}: nothing can be changed, since this folder can't be written", path = .path.display())]
    ReadOnly {
        /// Its folder.
        path: PathBuf,
    },
    /// What was changed last can't be read where nothing can be written.
    #[error(
        "{path}: the latest changes stand in this log, which can only be read where the folder can be written: copy the \
         folder and read the copy (`--state COPY`)",
        path = .path.display()
    )]
    OnlyInLog {
        /// The log.
        path: PathBuf,
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
    /// The file was written by an older Setlist, which is still at work on it.
    #[error(
        "{path}: a worker of an older setlist is at work here (format {found}, process {process}): let it finish, or \
         stop it with `kill {process}`, and this one brings the file up to date",
        path = .path.display()
    )]
    AtWork {
        /// Which file.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The worker's process, on its own machine or in its own container.
        process: u32,
    },
    /// The file that was in use is no longer in its place.
    #[error("{path}: removed or replaced while it was in use; what has happened since can't be kept", path = .path.display())]
    Gone {
        /// Which file.
        path: PathBuf,
    },
    /// A job that calls a function of this process can't be kept for another one.
    #[error("only scripted jobs can be stored: {title:?} calls a function")]
    NotAScript {
        /// The job's title.
        title: String,
    },
    /// Changes can't be watched.
    #[error("{path}: changes can't be watched: {why}", path = .path.display(), why = unwatched(.source))]
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
        let path = path.into();
        match source.kind() {
            io::ErrorKind::StorageFull => Self::Full { path },
            _ => Self::Io { path, source },
        }
    }

    /// Whether the trouble is that nothing can be written. What is there can be read all the same, perhaps.
    pub fn forbids_writing(&self) -> bool {
        matches!(self, Self::Full { .. }) || self.is_about_the_place()
    }

    /// Whether the trouble is with the place: in another one the state could be kept.
    pub fn is_about_the_place(&self) -> bool {
        use rusqlite::ErrorCode;
        match self {
            Self::ReadOnly { .. } => true,
            Self::Io { source, .. } => matches!(
                source.kind(),
                io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied | io::ErrorKind::QuotaExceeded
            ),
            Self::Database { source, .. } => matches!(
                source.sqlite_error_code(),
                Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen | ErrorCode::PermissionDenied)
            ),
            _ => false,
        }
    }

    /// Whether it stays so, whatever anybody does: whoever had the store open has to let go of it.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::TooNew { .. } | Self::Gone { .. })
    }

    /// The database at `path` can't be read or written, or what it holds makes no sense.
    pub(super) fn database(path: &Path, source: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode;
        let path = path.to_owned();
        if let rusqlite::Error::ToSqlConversionFailure(error) = &source
            && let Some(Newer { found, known }) = error.downcast_ref()
        {
            return Self::TooNew { path, found: *found, known: *known };
        }
        match source.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full { path },
            // Without room for its index the database says no more than this.
            Some(ErrorCode::SystemIoFailure) if is_full(&path) => Self::Full { path },
            Some(ErrorCode::NotADatabase) => Self::Unreadable { path, reason: "this is no database".to_owned() },
            _ if is_damage(&source) => Self::Unreadable { path, reason: format!("the database is damaged ({source})") },
            _ => Self::Database { path, source },
        }
    }
}

/// Whether a sound database would not have said this.
fn is_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::{Error, ErrorCode};
    match error {
        Error::FromSqlConversionFailure(..)
        | Error::InvalidColumnType(..)
        | Error::IntegralValueOutOfRange(..)
        | Error::Utf8Error(..)
        | Error::QueryReturnedNoRows
        // Our statements name what a schema had that was made by us.
        | Error::SqlInputError { .. } => true,
        Error::ToSqlConversionFailure(error) => error.is::<Damage>(),
        // What we write contradicts nothing that was written before.
        error => matches!(
            error.sqlite_error_code(),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::ConstraintViolation | ErrorCode::Unknown)
        ),
    }
}

/// What was read from a database is not what was written there.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Damage(pub(super) &'static str);

impl From<Damage> for rusqlite::Error {
    fn from(damage: Damage) -> Self {
        Self::ToSqlConversionFailure(Box::new(damage))
    }
}

/// A newer program has brought a database further than this one understands.
#[derive(Debug, thiserror::Error)]
#[error("written by a newer setlist")]
pub(super) struct Newer {
    pub(super) found: i64,
    pub(super) known: i64,
}

impl From<Newer> for rusqlite::Error {
    fn from(newer: Newer) -> Self {
        Self::ToSqlConversionFailure(Box::new(newer))
    }
}

/// Whether the disk of this file, or of its folder, has no room left.
fn is_full(path: &Path) -> bool {
    let room = rustix::fs::statvfs(path).or_else(|_| rustix::fs::statvfs(path.parent().unwrap_or(path)));
    room.is_ok_and(|room| room.f_bavail == 0 && room.f_blocks > 0)
}

/// What the watcher says, and what to do where others have taken all that the system gives.
fn unwatched(source: &notify::Error) -> String {
    use rustix::io::Errno;
    let limit = match &source.kind {
        notify::ErrorKind::MaxFilesWatch => "watches",
        notify::ErrorKind::Io(error) if Errno::from_io_error(error) == Some(Errno::MFILE) => "instances",
        _ => return source.to_string(),
    };
    format!(
        "other programs watch as much as the system lets them; `sysctl fs.inotify.max_user_{limit}` tells and raises it"
    )
}
