//! The folder in which a site's state is kept: what lies where, for nobody but its owner.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::StoreError;
use crate::model::RunId;

/// The state folder of a site: `.setlist` beside its `jobs.yaml`, or any other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// The folder at `path`; nothing is made yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The folder of the site whose file is `jobs_yaml`.
    pub fn beside(jobs_yaml: &Path) -> Self {
        Self::new(jobs_yaml.with_file_name(".setlist"))
    }

    /// Makes the folder and what is in it, where that isn't there already.
    ///
    /// A folder that somebody else has made keeps its permissions, and its `.gitignore` if there is anything in it.
    pub fn create(&self) -> Result<(), StoreError> {
        make_folder(&self.path)?;
        let mut entries = fs::read_dir(&self.path).map_err(|source| StoreError::io(&self.path, source))?;
        if entries.next().is_none() {
            let path = self.path.join(".gitignore");
            open_private(&path)?.write_all(b"*\n").map_err(|source| StoreError::io(path, source))?;
        }
        for folder in [self.logs(), self.values(), self.workers(), self.bells()] {
            make_folder(&folder)?;
        }
        Ok(())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The database.
    pub fn database(&self) -> PathBuf {
        self.path.join("state.db")
    }

    /// Locked by whoever writes to the database.
    pub fn turn(&self) -> PathBuf {
        self.path.join("turn")
    }

    /// One file for everybody who listens, which others touch after every change.
    pub fn bells(&self) -> PathBuf {
        self.path.join("bells")
    }

    /// What runs print.
    pub fn logs(&self) -> PathBuf {
        self.path.join("logs")
    }

    /// Where runs write what they return.
    pub fn values(&self) -> PathBuf {
        self.path.join("values")
    }

    /// Where `run` writes what it returns (`SETLIST_VALUE`).
    pub fn value(&self, run: RunId) -> PathBuf {
        self.values().join(run.to_string())
    }

    /// One file for every worker that is alive.
    pub fn workers(&self) -> PathBuf {
        self.path.join("workers")
    }

    /// When somebody last gave up what is no longer kept, if anybody has.
    pub fn pruned(&self) -> Option<SystemTime> {
        fs::metadata(self.path.join("pruned")).and_then(|noted| noted.modified()).ok()
    }

    /// Notes that it is being done now.
    pub fn note_pruned(&self) -> Result<(), StoreError> {
        let path = self.path.join("pruned");
        open_private(&path)?.set_modified(SystemTime::now()).map_err(|source| StoreError::io(path, source))
    }

    /// Where screens reach runs in pseudo-terminals.
    pub fn lines(&self) -> PathBuf {
        self.path.join("lines")
    }

    /// The diary of the workers.
    pub fn diary(&self) -> PathBuf {
        self.path.join("worker.log")
    }

    /// The diary, to be written at its end.
    pub fn open_diary(&self) -> Result<File, StoreError> {
        let path = self.diary();
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&path);
        file.map_err(|source| StoreError::io(path, source))
    }
}

/// The file at `path` for reading and writing, made if it isn't there; for nobody but its owner.
pub(super) fn open_private(path: &Path) -> Result<File, StoreError> {
    let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).mode(0o600).open(path);
    file.map_err(|source| StoreError::io(path, source))
}

pub(super) fn make_folder(path: &Path) -> Result<(), StoreError> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound && path.parent().is_some_and(|above| !above.exists()) => {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
            made.map_err(|source| StoreError::io(path, source))
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let source = io::Error::new(io::ErrorKind::NotADirectory, "a folder belongs here, and this is none");
            Err(StoreError::io(path, source))
        }
        result => result.map_err(|source| StoreError::io(path, source)),
    }
}
