//! Which workers of a site are alive: each holds a lock on its file, which the kernel releases when the process dies.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Pid;

use super::error::StoreError;
use super::pending_lock::PendingLock;
use super::private_files::{is_at, open_private, open_to_read, read_to_string};
use super::state_dir::StateDir;
use super::worker_origin::{boot_id, pid_namespace};
use crate::model::{RunId, WorkerId};

/// How long a new worker waits for its file.
const MAX_LOCK_WAIT: Duration = Duration::from_secs(5);

/// The lock of a live worker. It is released when it is dropped or when the process ends.
#[derive(Debug)]
pub struct WorkerLock {
    path: PathBuf,
    locked: File,
    /// The offset of the list of started runs in the file.
    started_offset: u64,
}

/// Which of its reserved jobs a dead worker had started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartedRuns {
    /// Exactly these runs.
    Exactly(Vec<RunId>),
    /// Unknown, because the machine was restarted: any of them may have been started.
    Unknown,
}

/// Excludes other processes from registering workers and looking for dead ones, until it is dropped.
#[derive(Debug)]
pub struct RegistrationLock {
    _locked: File,
}

impl StateDir {
    /// Locks the file of `worker`, which is this process.
    pub fn lock_worker(&self, worker: WorkerId) -> Result<WorkerLock, StoreError> {
        let path = self.worker_file(worker);
        let failed = |source| StoreError::io(&path, source);
        let mut file = loop {
            // It may be held by a liveness check, for a moment; or by a worker that had this number before older state was
            // restored, and exits when it notices.
            let Some(file) =
                PendingLock::request(open_private(&path)?).map_err(failed)?.wait(MAX_LOCK_WAIT).map_err(failed)?
            else {
                let process = read_to_string(&path).unwrap_or_default().lines().next().unwrap_or_default().to_owned();
                let holder = format!("worker {worker} (process {process}), which had joined before");
                return Err(StoreError::Busy { path, holder, waited: MAX_LOCK_WAIT });
            };
            // A worker that leaves has removed the file meanwhile.
            if is_at(&file, &path) {
                break file;
            }
        };
        let text = format!("{}\n{}", std::process::id(), self.origin().lines());
        file.set_len(0).and_then(|()| file.write_all(text.as_bytes())).map_err(failed)?;
        Ok(WorkerLock { path, locked: file, started_offset: text.len() as u64 })
    }

    /// Whether `worker`, a process of this machine, is alive. One whose file can't be opened now counts as alive.
    pub fn is_worker_alive(&self, worker: WorkerId) -> bool {
        let is_locked = match open_to_read(&self.worker_file(worker)) {
            Ok(file) => file.try_lock_shared().is_err(),
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        };
        // A child that was being spawned when the worker died inherits the lock until it calls exec.
        is_locked && !self.worker_pid(worker).is_some_and(has_ended)
    }

    /// The process id of `worker`. None if nothing is written yet, or if the id belongs to another PID namespace (a
    /// container).
    pub(super) fn worker_pid(&self, worker: WorkerId) -> Option<Pid> {
        let text = read_to_string(&self.worker_file(worker)).ok()?;
        let mut lines = text.lines();
        let (process, there) = (lines.next()?, lines.next()?);
        let here = pid_namespace()?;
        Pid::from_raw(process.parse().ok()?).filter(|_| there == here)
    }

    /// Which of its reserved jobs a dead worker had started.
    pub fn runs_started_by(&self, worker: WorkerId) -> StartedRuns {
        let content = read_to_string(&self.worker_file(worker)).unwrap_or_default();
        let mut lines = content.lines().skip(2);
        // The list may not have been synced, so it is only valid until the next boot.
        let boot = lines.next().and_then(|line| line.split(' ').next());
        if boot_id().is_none_or(|current| boot != Some(&current)) {
            return StartedRuns::Unknown;
        }
        let runs = lines.next().unwrap_or_default().split_whitespace().map(|run| run.parse().map(RunId));
        runs.collect::<Result<_, _>>().map_or(StartedRuns::Unknown, StartedRuns::Exactly)
    }

    /// Whether `worker` has a file here. It may be dead.
    pub fn has_worker_file(&self, worker: WorkerId) -> bool {
        self.worker_file(worker).exists()
    }

    /// The workers that have a file. They may be dead.
    pub(super) fn registered_workers(&self) -> Vec<WorkerId> {
        let entries = fs::read_dir(self.workers()).into_iter().flatten().flatten();
        let complete = entries.filter(|entry| entry.metadata().is_ok_and(|content| content.len() > 0));
        complete.filter_map(|entry| entry.file_name().to_str()?.parse().ok().map(WorkerId)).collect()
    }

    /// The process id of some live worker, in the worker's own PID namespace.
    pub fn live_worker_pid(&self) -> Option<u32> {
        let alive = self.registered_workers().into_iter().find(|worker| self.is_worker_alive(*worker))?;
        read_to_string(&self.worker_file(alive)).ok()?.lines().next()?.parse().ok()
    }

    /// Removes the file of a dead worker.
    pub fn remove_worker_file(&self, worker: WorkerId) {
        // A file that remains is not locked, so it has no effect.
        let _ = fs::remove_file(self.worker_file(worker));
    }

    /// Waits for the lock. A worker holds it from before it registers until it has its [`WorkerLock`], and so does a
    /// process that looks for dead workers: otherwise a worker that is starting would be considered dead.
    pub fn lock_registration(&self) -> Result<RegistrationLock, StoreError> {
        Ok(RegistrationLock { _locked: open_locked(self.registration_lock())? })
    }

    /// Opens and locks the list of workers that were respawned in place of others.
    pub fn lock_respawn_file(&self) -> Result<File, StoreError> {
        open_locked(self.respawn_record())
    }

    pub(super) fn worker_file(&self, worker: WorkerId) -> PathBuf {
        self.workers().join(worker.to_string())
    }
}

impl WorkerLock {
    /// Whether the file is still in its place. Without it, other processes consider the worker dead.
    pub fn is_in_place(&self) -> bool {
        is_at(&self.locked, &self.path)
    }

    /// Records runs that have been started but are not committed yet, before the last of them starts.
    pub fn record_started(&self, runs: &[RunId]) -> Result<(), StoreError> {
        let mut line = String::new();
        for run in runs {
            // Writing to a string can't fail.
            let _ = write!(line, "{run} ");
        }
        line.push('\n');
        let written = self.locked.write_all_at(line.as_bytes(), self.started_offset);
        written.map_err(|source| StoreError::io(&self.path, source))
    }
}

impl Drop for WorkerLock {
    fn drop(&mut self) {
        // If the directory was removed and created again, the file may belong to another worker.
        if self.is_in_place() {
            // The file is still locked, so its worker is not considered dead. A file that remains has no effect.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn open_locked(path: PathBuf) -> Result<File, StoreError> {
    let file = open_private(&path)?;
    file.lock().map_err(|source| StoreError::io(path, source))?;
    Ok(file)
}

/// Whether a process of this namespace has ended; it may still be a zombie.
#[cfg(target_os = "linux")]
fn has_ended(process: Pid) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::io::Errno;
    use rustix::process::{PidfdFlags, pidfd_open};

    match pidfd_open(process, PidfdFlags::empty()) {
        Ok(process) => {
            let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
            poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&at_once)) == Ok(1)
        }
        Err(error) => error == Errno::SRCH,
    }
}

/// Unknown on other systems.
#[cfg(not(target_os = "linux"))]
fn has_ended(_process: Pid) -> bool {
    false
}
