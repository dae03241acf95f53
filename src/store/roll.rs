//! Who is alive among the workers of a site: each holds a file locked, and the kernel takes the word back when it dies.

use std::fmt::Write as _;
use std::fs::{self, File, Metadata};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;

use rustix::process::Pid;

use super::folder::open_private;
use super::{Folder, StoreError};
use crate::model::{RunId, WorkerId};

/// Says that a worker is alive, until it is dropped or its process ends in any way.
#[derive(Debug)]
pub struct WorkerLock {
    path: PathBuf,
    locked: File,
    /// Where in the file it stands what has begun.
    begun_at: u64,
}

/// Which of the jobs that were reserved for a worker that died it had started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Begun {
    /// These runs, and no others.
    Runs(Vec<RunId>),
    /// Nobody can tell, since the machine has gone down with it: any of them.
    Any,
}

/// Held by one process at a time, until it is dropped.
#[derive(Debug)]
pub struct RollCall {
    _locked: File,
}

impl Folder {
    /// Says that `worker`, this process, is alive.
    pub fn hold_worker(&self, worker: WorkerId) -> Result<WorkerLock, StoreError> {
        let path = self.sign(worker);
        let mut file = open_private(&path)?;
        let (id, namespace, boot) = (std::process::id(), namespace().unwrap_or_default(), boot().unwrap_or_default());
        let text = format!("{id}\n{namespace}\n{boot}\n");
        // Whoever asks whether the worker lives holds the file for a moment, nobody else does.
        let written = file.lock().and_then(|()| file.write_all(text.as_bytes()));
        match written {
            Ok(()) => Ok(WorkerLock { path, locked: file, begun_at: text.len() as u64 }),
            Err(source) => Err(StoreError::io(path, source)),
        }
    }

    /// Whether the process that is `worker`, on this machine, is alive, as far as one can tell: nobody is dead because
    /// its file can't be opened now.
    pub fn worker_lives(&self, worker: WorkerId) -> bool {
        let held = match File::open(self.sign(worker)) {
            Ok(file) => file.try_lock_shared().is_err(),
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        };
        // A process that it was about to start when it died holds the file too, until it has begun in earnest.
        held && !self.worker_process(worker).is_some_and(has_ended)
    }

    /// The process that says it is `worker`; none where nothing is written yet, or where its number is another's: in a
    /// container each has its own.
    pub(super) fn worker_process(&self, worker: WorkerId) -> Option<Pid> {
        let text = fs::read_to_string(self.sign(worker)).ok()?;
        let mut lines = text.lines();
        let (process, there) = (lines.next()?, lines.next()?);
        let here = namespace()?;
        Pid::from_raw(process.parse().ok()?).filter(|_| there == here)
    }

    /// Which jobs a worker that died had started of those that were reserved for it.
    pub fn begun_by(&self, worker: WorkerId) -> Begun {
        let sign = fs::read_to_string(self.sign(worker)).unwrap_or_default();
        let mut lines = sign.lines().skip(2);
        // What it has noted needn't have reached the disk: it is only known as long as the system runs.
        if boot().is_none_or(|now| lines.next() != Some(&now)) {
            return Begun::Any;
        }
        let runs = lines.next().unwrap_or_default().split_whitespace().map(|run| run.parse().map(RunId));
        runs.collect::<Result<_, _>>().map_or(Begun::Any, Begun::Runs)
    }

    /// Whether `worker` has said here that it is alive, and has not taken it back: it may have died since.
    pub fn has_sign_of(&self, worker: WorkerId) -> bool {
        self.sign(worker).exists()
    }

    /// The workers that have said that they are alive, and may have died since.
    pub(super) fn signs_of_life(&self) -> Vec<WorkerId> {
        let entries = fs::read_dir(self.workers()).into_iter().flatten().flatten();
        let complete = entries.filter(|entry| entry.metadata().is_ok_and(|sign| sign.len() > 0));
        complete.filter_map(|entry| entry.file_name().to_str()?.parse().ok().map(WorkerId)).collect()
    }

    /// The process of a worker that is alive, by the number that it gives itself.
    pub(super) fn at_work(&self) -> Option<u32> {
        let alive = self.signs_of_life().into_iter().find(|worker| self.worker_lives(*worker))?;
        fs::read_to_string(self.sign(alive)).ok()?.lines().next()?.parse().ok()
    }

    /// Takes away what a worker that died has left.
    pub fn forget_worker(&self, worker: WorkerId) {
        // If it stays, it says nothing: nobody holds it.
        let _ = fs::remove_file(self.sign(worker));
    }

    /// Waits until no other process holds it. A worker holds it from before it joins until it has its
    /// [`WorkerLock`]; whoever looks for dead workers holds it too: so nobody is buried before it was born.
    pub fn roll_call(&self) -> Result<RollCall, StoreError> {
        Ok(RollCall { _locked: self.open_locked("roll-call")? })
    }

    /// The list of workers that were hired in place of others, for nobody else until it is closed.
    pub fn open_replacements(&self) -> Result<File, StoreError> {
        self.open_locked("replacements")
    }

    fn open_locked(&self, name: &str) -> Result<File, StoreError> {
        let path = self.path().join(name);
        let file = open_private(&path)?;
        file.lock().map_err(|source| StoreError::io(path, source))?;
        Ok(file)
    }

    fn sign(&self, worker: WorkerId) -> PathBuf {
        self.workers().join(worker.to_string())
    }
}

impl WorkerLock {
    /// Notes, before the last of them begins, which runs have begun that are not recorded yet.
    pub fn note_begun(&self, runs: &[RunId]) -> Result<(), StoreError> {
        let mut line = String::new();
        for run in runs {
            // Writing to a string doesn't fail.
            let _ = write!(line, "{run} ");
        }
        line.push('\n');
        let noted = self.locked.write_all_at(line.as_bytes(), self.begun_at);
        noted.map_err(|source| StoreError::io(&self.path, source))
    }
}

impl Drop for WorkerLock {
    fn drop(&mut self) {
        // Where the folder was removed and made anew, it may be another worker's.
        let own = |there: Metadata| self.locked.metadata().is_ok_and(|own| same(&own, &there));
        if fs::metadata(&self.path).is_ok_and(own) {
            // The file is still locked: nobody takes it for one that was left behind. If it stays, it says nothing.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn same(a: &Metadata, b: &Metadata) -> bool {
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

/// Among which processes a number means the same process. None where nobody can tell.
fn namespace() -> Option<String> {
    Some(fs::read_link("/proc/self/ns/pid").ok()?.to_str()?.to_owned())
}

/// Which start of the machine this is. None where nobody can tell.
fn boot() -> Option<String> {
    Some(fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim_end().to_owned())
}

/// Whether a process of this namespace is gone, or has only to be waited for by its parent.
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

/// See above; nobody can tell here.
#[cfg(not(target_os = "linux"))]
fn has_ended(_process: Pid) -> bool {
    false
}
