//! Errors of a store. Their messages name the file and what to do.

use std::io;
use std::path::{Path, PathBuf};

use rustix::process::{Resource, getrlimit};

use crate::text;

/// By how much a file of a database grows at once, at most.
const MAX_GROWTH: u64 = 1 << 16;

/// A store operation failed. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file or directory can't be read or written.
    #[error("{path}: {source}", path = .path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// The database can't be read or written.
    #[error("{path}: {source}", path = .path.display())]
    Database {
        /// The database file.
        path: PathBuf,
        /// `SQLite`'s error.
        source: rusqlite::Error,
    },
    /// The disk is full.
    #[error("{path}: the disk is full; nothing was changed: make room and try again", path = .path.display())]
    DiskFull {
        /// The file that could not grow.
        path: PathBuf,
    },
    /// This process may not open more files.
    #[error(
        "{path}: can't be opened, because this process has too many open files (`ulimit -n` is {limit}); raise the limit \
         and try again",
        path = .path.display()
    )]
    TooManyFiles {
        /// The file that can't be opened.
        path: PathBuf,
        /// The limit.
        limit: u64,
    },
    /// The file has the size that this process may give to files.
    #[error(
        "{path}: the file can't grow beyond {limit}, because of `ulimit -f`; nothing was changed: raise the limit and try \
         again",
        path = .path.display(),
        limit = text::bytes(*.limit)
    )]
    FileSizeLimit {
        /// The file that could not grow.
        path: PathBuf,
        /// The limit, in bytes.
        limit: u64,
    },
    /// The file exists, but it is corrupt or not a setlist database. It is left as it is.
    #[error("{path}: {reason}; the file was left untouched: move it away to start with an empty site", path = .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Committed changes are missing from the database. It is left as it is.
    #[error(
        "{path}: the latest changes are missing ({missing} of them): this file or its write-ahead log was damaged, truncated \
         or replaced by an older one; nothing was changed: restore the folder from a backup, or remove the file `turn` \
         in it to continue without them",
        path = .path.display()
    )]
    MissingChanges {
        /// The database file.
        path: PathBuf,
        /// The number of missing changes.
        missing: u64,
    },
    /// The site can't be changed, because its directory can't be written.
    #[error("{path}: this folder can't be written, so nothing can be changed", path = .path.display())]
    ReadOnly {
        /// The state directory.
        path: PathBuf,
    },
    /// The latest changes can't be read without write access to the directory.
    #[error(
        "{path}: the latest changes are in this log, which can only be read if the folder is writable: copy the folder \
         and read the copy (`--state COPY`)",
        path = .path.display()
    )]
    WalNotReadable {
        /// The write-ahead log.
        path: PathBuf,
    },
    /// The file was written by a newer version of Setlist.
    #[error("{path}: written by a newer setlist (format {found}, this one supports up to {known}); upgrade setlist", path = .path.display())]
    TooNew {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The newest format that this version supports.
        known: i64,
    },
    /// The file was written by an older version of Setlist, whose worker is still running.
    #[error(
        "{path}: a worker of an older setlist is running here (format {found}, process {process}): wait until it finishes, \
         or stop it with `kill {process}`; then this version upgrades the file",
        path = .path.display()
    )]
    OlderWorkerRunning {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The worker's process id, on its own machine or in its own container.
        process: u32,
    },
    /// Another process has held the write lock for too long.
    #[error("{path}: gave up after {waited:?}, waiting for {holder}", path = .path.display())]
    Busy {
        /// The lock.
        path: PathBuf,
        /// The process that holds it.
        holder: String,
        /// How long it was waited for.
        waited: std::time::Duration,
    },
    /// Someone else may be able to change the file. Nothing was read from it.
    #[error(
        "{path} {reason}, so this site is not used: put that right, or keep the state elsewhere with `--state DIR`",
        path = .path.display()
    )]
    Untrusted {
        /// The file or directory.
        path: PathBuf,
        /// What is wrong with its owner, mode or type.
        reason: String,
    },
    /// The state directory is not in the user's registry.
    #[error(
        "{path} {origin} and is not used: `setlist adopt` shows what it holds and adopts it, `setlist adopt --fresh` \
         puts it aside and starts with an empty one",
        path = .path.display()
    )]
    Unregistered {
        /// The state directory.
        path: PathBuf,
        /// Where it comes from, as far as it is known.
        origin: String,
    },
    /// The state belongs to another file.
    #[error(
        "{path}: this state belongs to {owner}; name another one for {file} with `--state`",
        path = .path.display(),
        owner = .owner.display(),
        file = .file.display()
    )]
    OtherFile {
        /// The state directory.
        path: PathBuf,
        /// The file that it belongs to.
        owner: PathBuf,
        /// The file that it was opened for.
        file: PathBuf,
    },
    /// The file was removed or replaced while it was open.
    #[error("{path}: removed or replaced while it was in use; later changes can't be stored", path = .path.display())]
    Removed {
        /// The file.
        path: PathBuf,
    },
    /// The directory belongs to a site elsewhere.
    #[error("{path}: this folder belongs to the site in {server}; name another one with `--state`", path = .path.display())]
    OtherServer {
        /// The record in the directory.
        path: PathBuf,
        /// Where its site is.
        server: String,
    },
    /// The database server can't be reached, or is starting or shutting down. Trying again may help.
    #[error("can't reach {server}: {reason}")]
    Unreachable {
        /// The server and its database.
        server: String,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// The database server reports an error, or can't be used.
    #[error("can't use {server}: {reason}")]
    Server {
        /// The server and its database.
        server: String,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// The connection broke during a commit, and the server can't be asked whether it was committed.
    #[error(
        "the connection broke during a change, which may or may not have been made; look at the site before you repeat it \
         ({reason})"
    )]
    CommitUnknown {
        /// Why the server can't be asked.
        reason: String,
    },
    /// The database was written by a newer version of Setlist.
    #[error("{server}: written by another setlist (format {found}, this one supports {known}); upgrade setlist")]
    ServerTooNew {
        /// The server and its database.
        server: String,
        /// Its format.
        found: i64,
        /// The format that this version supports.
        known: i64,
    },
    /// A site is to be copied into a store that has one.
    #[error("{store} holds a site already; nothing was changed")]
    NotEmpty {
        /// The store.
        store: String,
    },
    /// A site is to be copied from a folder without one.
    #[error("{} holds no state of a site: name the folder of a jobs.yaml that was used already, or that of its state", path.display())]
    NothingToCopy {
        /// The folder of the state.
        path: PathBuf,
    },
    /// A copy of a site was interrupted.
    #[error("{store} is an incomplete copy of a site: copy it again, to another site name or folder")]
    IncompleteCopy {
        /// The store.
        store: String,
    },
    /// The database holds something that Setlist does not write.
    #[error("the database can't be read: {reason}")]
    UnreadableRow {
        /// What is wrong.
        reason: String,
    },
    /// A job that calls a function of this process can't be stored.
    #[error("only scripted jobs can be stored: {title:?} calls a function")]
    NotAScript {
        /// The job's title.
        title: String,
    },
    /// Changes can't be watched.
    #[error("{path}: changes can't be watched: {why}", path = .path.display(), why = watch_error_message(.source))]
    Watch {
        /// What should be watched.
        path: PathBuf,
        /// The watcher's error.
        source: notify::Error,
    },
}

impl StoreError {
    /// Converts an I/O error on a file or directory.
    pub fn io(path: impl Into<PathBuf>, source: io::Error) -> Self {
        let path = path.into();
        match source.kind() {
            io::ErrorKind::StorageFull => Self::DiskFull { path },
            io::ErrorKind::FileTooLarge => Self::FileSizeLimit { path, limit: file_size_limit().unwrap_or_default() },
            _ if source.raw_os_error() == Some(rustix::io::Errno::MFILE.raw_os_error()) => {
                Self::TooManyFiles { path, limit: open_file_limit().unwrap_or_default() }
            }
            _ => Self::Io { path, source },
        }
    }

    /// What is wrong, without what to do and what was not changed: for an error beside the change that was to be made.
    pub fn cause(&self) -> String {
        match self {
            Self::DiskFull { path } => format!("{}: the disk is full", path.display()),
            Self::FileSizeLimit { path, limit } => {
                let (path, limit) = (path.display(), text::bytes(*limit));
                format!("{path}: the file can't grow beyond {limit}, because of `ulimit -f`")
            }
            error => error.to_string(),
        }
    }

    /// Whether the cause is that nothing can be written. Reading may still work.
    pub fn prevents_writing(&self) -> bool {
        matches!(self, Self::DiskFull { .. } | Self::FileSizeLimit { .. } | Self::Busy { .. })
            || self.is_location_unwritable()
    }

    /// Whether the cause is the location: the state could be kept in another directory.
    pub fn is_location_unwritable(&self) -> bool {
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

    /// Whether the server of the site is away, which may be over soon.
    pub fn is_outage(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::CommitUnknown { .. })
    }

    /// Whether it is a limit of this process, which other processes may not have.
    pub fn is_process_limit(&self) -> bool {
        matches!(self, Self::FileSizeLimit { .. })
    }

    /// Whether retrying can't help, so that the store has to be closed.
    pub fn is_permanent(&self) -> bool {
        matches!(self, Self::TooNew { .. } | Self::ServerTooNew { .. } | Self::Removed { .. })
    }

    /// Converts an error of the database at `path`.
    pub(super) fn database(path: &Path, source: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode;
        let path = path.to_owned();
        if let rusqlite::Error::ToSqlConversionFailure(error) = &source
            && let Some(NewerFormat { found, known }) = error.downcast_ref()
        {
            return Self::TooNew { path, found: *found, known: *known };
        }
        if let Some(error) = at_size_limit(&path, &source) {
            return error;
        }
        match source.sqlite_error_code() {
            Some(ErrorCode::CannotOpen) if let Some(limit) = reached_file_limit() => Self::TooManyFiles { path, limit },
            Some(ErrorCode::DiskFull) => Self::DiskFull { path },
            // The shared-memory index could not grow.
            _ if extended_code(&source) == Some(rusqlite::ffi::SQLITE_IOERR_SHMSIZE) => Self::DiskFull { path },
            Some(ErrorCode::NotADatabase) => Self::Unreadable { path, reason: "not a database".to_owned() },
            _ if is_corruption(&source) => {
                Self::Unreadable { path, reason: format!("the database is damaged ({source})") }
            }
            _ => Self::Database { path, source },
        }
    }
}

/// How many files this process may open.
fn open_file_limit() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

/// The limit of open files, if this process can't open the files of a database beside those that it has open.
fn reached_file_limit() -> Option<u64> {
    /// A database, its write-ahead log and their index, and the folder that is read here.
    const FILES: usize = 4;
    let limit = open_file_limit()?;
    let is_reached = match std::fs::read_dir("/dev/fd") {
        Ok(open) => (open.count() + FILES) as u64 > limit,
        Err(error) => error.raw_os_error() == Some(rustix::io::Errno::MFILE.raw_os_error()),
    };
    is_reached.then_some(limit)
}

/// The limit of file sizes of this process.
fn file_size_limit() -> Option<u64> {
    getrlimit(Resource::Fsize).current
}

/// The error if a file of the database at `path` could not grow because of the limit of file sizes.
fn at_size_limit(path: &Path, error: &rusqlite::Error) -> Option<StoreError> {
    use rusqlite::ffi::{SQLITE_IOERR_SHMSIZE, SQLITE_IOERR_TRUNCATE, SQLITE_IOERR_WRITE};
    let is_write = [SQLITE_IOERR_WRITE, SQLITE_IOERR_TRUNCATE, SQLITE_IOERR_SHMSIZE].contains(&extended_code(error)?);
    let limit = file_size_limit().filter(|_| is_write)?;
    let files = ["", "-wal", "-shm"].map(|suffix| {
        let mut file = path.as_os_str().to_owned();
        file.push(suffix);
        PathBuf::from(file)
    });
    let len = |file: &PathBuf| std::fs::metadata(file).map_or(0, |metadata| metadata.len());
    let path = files.into_iter().max_by_key(len).filter(|file| len(file) + MAX_GROWTH > limit)?;
    Some(StoreError::FileSizeLimit { path, limit })
}

/// Whether an intact database never returns this error.
fn is_corruption(error: &rusqlite::Error) -> bool {
    use rusqlite::{Error, ErrorCode};
    match error {
        Error::FromSqlConversionFailure(..)
        | Error::InvalidColumnType(..)
        | Error::IntegralValueOutOfRange(..)
        | Error::Utf8Error(..)
        | Error::QueryReturnedNoRows
        // Our statements only name columns that the schema has.
        | Error::SqlInputError { .. } => true,
        Error::ToSqlConversionFailure(error) => error.is::<CorruptData>(),
        // Our writes never violate a constraint of an intact database.
        error => matches!(
            error.sqlite_error_code(),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::ConstraintViolation | ErrorCode::Unknown)
        ),
    }
}

/// The data read contradicts what setlist writes.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct CorruptData(pub(super) &'static str);

impl From<CorruptData> for rusqlite::Error {
    fn from(damage: CorruptData) -> Self {
        Self::ToSqlConversionFailure(Box::new(damage))
    }
}

/// The database has a newer format than this version supports.
#[derive(Debug, thiserror::Error)]
#[error("written by a newer setlist")]
pub(super) struct NewerFormat {
    pub(super) found: i64,
    pub(super) known: i64,
}

impl From<NewerFormat> for rusqlite::Error {
    fn from(newer: NewerFormat) -> Self {
        Self::ToSqlConversionFailure(Box::new(newer))
    }
}

fn extended_code(error: &rusqlite::Error) -> Option<i32> {
    match error {
        rusqlite::Error::SqliteFailure(error, _) => Some(error.extended_code),
        _ => None,
    }
}

/// The watcher's error, and what to do when the system's limit is reached.
fn watch_error_message(source: &notify::Error) -> String {
    use rustix::io::Errno;
    let limit = match &source.kind {
        notify::ErrorKind::MaxFilesWatch => "watches",
        notify::ErrorKind::Io(error) if Errno::from_io_error(error) == Some(Errno::MFILE) => "instances",
        _ => return source.to_string(),
    };
    format!("the system limit is used up by other programs; `sysctl fs.inotify.max_user_{limit}` shows and raises it")
}
