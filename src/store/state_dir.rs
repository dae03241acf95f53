//! The state directory of a site: its layout and permissions.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::error::StoreError;
use super::private_files::{self, open_private};
use crate::model::{JobId, RunId};

/// The state directory of a site: `.setlist` beside its `jobs.yaml`, or any other.
///
/// The names of its files are fixed, because processes of several versions use them; some are older than the terms used
/// here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateDir {
    path: PathBuf,
}

impl StateDir {
    /// The directory at `path`. Nothing is created.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The directory of the site whose file is `jobs_yaml`.
    pub fn beside(jobs_yaml: &Path) -> Self {
        Self::new(jobs_yaml.with_file_name(".setlist"))
    }

    /// The path of the directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The database.
    pub fn database(&self) -> PathBuf {
        self.path.join("state.db")
    }

    /// The file with the address of the server that has the site, if it is not in the database here.
    pub(super) fn server_record(&self) -> PathBuf {
        self.path.join("server")
    }

    /// The file that writers of the database lock.
    pub fn write_lock(&self) -> PathBuf {
        self.path.join("turn")
    }

    /// The file that processes lock while they write jobs into `jobs.yaml`.
    pub fn save_lock(&self) -> PathBuf {
        self.path.join("saving")
    }

    /// The file that workers lock shared while jobs are reserved for them, and other writers exclusively.
    pub(super) fn reservation_lock(&self) -> PathBuf {
        self.path.join("gate")
    }

    /// The file that writers lock shared while they wait for the reservation lock.
    pub(super) fn reservation_waiters(&self) -> PathBuf {
        self.path.join("wanted")
    }

    /// The file that a process locks while it registers a worker or looks for dead ones.
    pub(super) fn registration_lock(&self) -> PathBuf {
        self.path.join("roll-call")
    }

    /// The file with the times at which workers were respawned, locked while it is changed.
    pub(super) fn respawn_record(&self) -> PathBuf {
        self.path.join("replacements")
    }

    /// The directory with a file for every subscription, which writers touch after every change.
    pub fn listeners(&self) -> PathBuf {
        self.path.join("bells")
    }

    /// The output of runs.
    pub fn logs(&self) -> PathBuf {
        self.path.join("logs")
    }

    /// The environments of users who have requested work.
    pub fn environments(&self) -> PathBuf {
        self.path.join("environments")
    }

    /// The known hashes of the sources of jobs.
    pub fn file_hashes(&self) -> PathBuf {
        self.path.join("file-hashes")
    }

    /// The values that runs return.
    pub fn values(&self) -> PathBuf {
        self.path.join("values")
    }

    /// The file to which `run` writes the value that it returns (`SETLIST_VALUE`).
    pub fn value_file(&self, run: RunId) -> PathBuf {
        self.values().join(run.to_string())
    }

    /// The folders of jobs for what they keep from one attempt to the next.
    pub fn job_states(&self) -> PathBuf {
        self.path.join("jobs")
    }

    /// The folder that a job keeps over its attempts (`SETLIST_STATE_DIR`).
    pub fn job_state(&self, job: JobId) -> PathBuf {
        self.job_states().join(job.0.to_string())
    }

    /// The artifacts of runs.
    pub fn artifacts(&self) -> PathBuf {
        self.path.join("artifacts")
    }

    /// The folder for what a run leaves (`SETLIST_ARTIFACTS`).
    pub fn artifacts_of(&self, run: RunId) -> PathBuf {
        self.artifacts().join(run.to_string())
    }

    /// The directory with a file for every live worker.
    pub fn workers(&self) -> PathBuf {
        self.path.join("workers")
    }

    /// When the site was last pruned, if ever, and what was recorded then.
    pub fn last_pruned(&self) -> Option<(SystemTime, String)> {
        let path = self.path.join("pruned");
        let modified = fs::symlink_metadata(&path).and_then(|metadata| metadata.modified()).ok()?;
        let mut record = String::new();
        // An unreadable record counts as one of an earlier version, which recorded only the time.
        let _ = open_private(&path).map(|mut file| file.read_to_string(&mut record));
        Some((modified, record))
    }

    /// Records that the site is being pruned now.
    pub fn record_pruned(&self, record: &str) -> Result<(), StoreError> {
        let path = self.path.join("pruned");
        let write = |mut file: File| {
            file.set_len(0)?;
            file.write_all(record.as_bytes())?;
            file.set_modified(SystemTime::now())
        };
        write(open_private(&path)?).map_err(|source| StoreError::io(path, source))
    }

    /// The job that the user added or asked for last, if any.
    pub fn last_requested_job(&self) -> Option<JobId> {
        let number = private_files::read_to_string(&self.path.join("last-job")).ok()?;
        number.trim().parse().ok().map(JobId)
    }

    /// Records the job that the user added or asked for last. That is a convenience: no error is reported.
    pub fn record_last_requested_job(&self, job: JobId) {
        let write = |mut file: File| {
            file.set_len(0)?;
            writeln!(file, "{}", job.0)
        };
        let _ = open_private(&self.path.join("last-job")).map(write);
    }

    /// The pipes for input to runs in pseudo-terminals.
    pub fn terminal_inputs(&self) -> PathBuf {
        self.path.join("lines")
    }

    /// The log of the workers.
    pub fn worker_log(&self) -> PathBuf {
        self.path.join("worker.log")
    }

    /// Opens the log of the workers for appending.
    pub fn open_worker_log(&self) -> Result<File, StoreError> {
        let path = self.worker_log();
        private_files::open(private_files::options().create(true).append(true), &path)
            .map_err(|source| StoreError::io(path, source))
    }
}
