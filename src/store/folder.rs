//! The folder in which a site's state is kept: what lies where, for nobody but its owner, and who is alive.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::process::Pid;

use super::StoreError;
use crate::model::{RunId, WorkerId};

/// The state folder of a site: `.setlist` beside its `jobs.yaml`, or any other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    path: PathBuf,
}

/// Says that a worker is alive, until it is dropped or its process ends in any way.
#[derive(Debug)]
pub struct WorkerLock {
    path: PathBuf,
    _locked: File,
}

/// Held by one process at a time, until it is dropped.
#[derive(Debug)]
pub struct RollCall {
    _locked: File,
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

    /// The list of workers that were hired in place of others, for nobody else until it is closed.
    pub fn open_replacements(&self) -> Result<File, StoreError> {
        let path = self.path.join("replacements");
        let file = open_private(&path)?;
        file.lock().map_err(|source| StoreError::io(path, source))?;
        Ok(file)
    }

    /// Says that `worker`, this process, is alive. The kernel takes the word back when the process ends.
    pub fn hold_worker(&self, worker: WorkerId) -> Result<WorkerLock, StoreError> {
        let path = self.workers().join(worker.to_string());
        let mut file = open_private(&path)?;
        // Whoever asks whether the worker lives holds the file for a moment, nobody else does.
        let written = file.lock().and_then(|()| writeln!(file, "{}", std::process::id()));
        match written {
            Ok(()) => Ok(WorkerLock { path, _locked: file }),
            Err(source) => Err(StoreError::io(path, source)),
        }
    }

    /// Whether the process that is `worker`, on this machine, is alive, as far as one can tell: nobody is dead because
    /// its file can't be opened now.
    pub fn worker_lives(&self, worker: WorkerId) -> bool {
        match File::open(self.workers().join(worker.to_string())) {
            Ok(file) => file.try_lock_shared().is_err(),
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        }
    }

    /// The process that says it is `worker`; none where nothing is written yet.
    pub(super) fn worker_process(&self, worker: WorkerId) -> Option<Pid> {
        Pid::from_raw(fs::read_to_string(self.workers().join(worker.to_string())).ok()?.trim().parse().ok()?)
    }

    /// The workers that have said here that they are alive, and may have died since.
    pub(super) fn signs_of_life(&self) -> Vec<WorkerId> {
        let entries = fs::read_dir(self.workers()).into_iter().flatten();
        entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok().map(WorkerId)).collect()
    }

    /// Takes away what a worker that died has left here.
    pub fn forget_worker(&self, worker: WorkerId) {
        // If it stays, it says nothing: nobody holds it.
        let _ = fs::remove_file(self.workers().join(worker.to_string()));
    }

    /// Waits until no other process holds it. A worker holds it from before it joins until it has its
    /// [`WorkerLock`]; whoever looks for dead workers holds it too: so nobody is buried before it was born.
    pub fn roll_call(&self) -> Result<RollCall, StoreError> {
        let path = self.path.join("roll-call");
        let file = open_private(&path)?;
        file.lock().map_err(|source| StoreError::io(path, source))?;
        Ok(RollCall { _locked: file })
    }
}

impl Drop for WorkerLock {
    fn drop(&mut self) {
        // The file is still locked: nobody takes it for one that was left behind. If it stays, it says nothing.
        let _ = fs::remove_file(&self.path);
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
