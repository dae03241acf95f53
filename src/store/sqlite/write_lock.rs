//! The lock of writers. Its file also records the sequence number of the last event, and the process that holds it.

use std::cell::RefCell;
use std::fs::{self, File, TryLockError};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use crate::store::error::StoreError;
use crate::store::pending_lock::PendingLock;
use crate::store::private_files::{open_private, open_to_read};
use crate::store::state_dir::StateDir;
use crate::text;

/// The length of the record in bytes: the digits of the largest number, and a line feed.
const RECORD_LEN: usize = 21;
/// The length of the holder's process id behind the record, with a line feed.
const HOLDER_LEN: usize = 11;
/// How long to wait before it is reported.
const REPORT_AFTER: Duration = Duration::from_secs(1);
/// How long to wait at all.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// Called when this process waits for another.
static REPORTER: OnceLock<fn(&str)> = OnceLock::new();

/// Sets a callback for waits longer than a second for a writer. Without one, nothing is reported: a screen has no room
/// for it. Only the first call has an effect.
pub fn report_waits(reporter: fn(&str)) {
    // A second reporter is not needed.
    let _ = REPORTER.set(reporter);
}

/// One connection's handle of the lock, which excludes all other connections of this and other processes.
#[derive(Debug)]
pub(super) struct WriteLock {
    path: PathBuf,
    /// None for a read-only connection.
    file: Option<File>,
    /// The lock, if it had to be waited for.
    waited: RefCell<Option<File>>,
}

impl WriteLock {
    /// Opens the lock of the site in an existing directory.
    pub(super) fn open(dir: &StateDir) -> Result<Self, StoreError> {
        Self::at(dir.write_lock())
    }

    fn at(path: PathBuf) -> Result<Self, StoreError> {
        let file = Some(open_private(&path)?);
        Ok(Self { path, file, waited: RefCell::default() })
    }

    /// A lock that can't be taken, for a read-only connection.
    pub(super) fn read_only(dir: &StateDir) -> Self {
        Self { path: dir.write_lock(), file: None, waited: RefCell::default() }
    }

    /// Waits for the lock, for at most 30 seconds. It is released by [`unlock`](Self::unlock), or when this is dropped.
    pub(super) fn lock(&self) -> Result<(), StoreError> {
        if !self.try_lock()? {
            self.waited.replace(Some(wait(&self.path, MAX_WAIT)?));
        }
        self.file.iter().for_each(record_holder);
        Ok(())
    }

    /// Takes the lock if no other connection holds it; returns whether it is held.
    pub(super) fn try_lock(&self) -> Result<bool, StoreError> {
        let Some(file) = &self.file else {
            return Err(StoreError::ReadOnly { path: self.path.with_file_name("") });
        };
        match file.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(source)) => Err(StoreError::io(&self.path, source)),
        }
    }

    /// Releases the lock.
    pub(super) fn unlock(&self) -> Result<(), StoreError> {
        if self.waited.take().is_some() {
            return Ok(());
        }
        self.file.as_ref().map_or(Ok(()), |file| file.unlock().map_err(|source| StoreError::io(&self.path, source)))
    }

    /// Records the sequence number of the last durable event. The record itself need not be durable: an old or missing
    /// one makes the check weaker, not wrong.
    pub(super) fn record_seq(&self, seq: u64) {
        if let Some(file) = &self.file {
            let _ = file.write_all_at(format!("{seq:0digits$}\n", digits = RECORD_LEN - 1).as_bytes(), 0);
        }
    }
}

/// Excludes other processes that write jobs into the `jobs.yaml` of the site, until it is dropped. Its file is in the state
/// directory, which other users can't open: a lock on the directory of `jobs.yaml` can be held by everyone who may read it.
#[derive(Debug)]
pub struct SaveLock(WriteLock);

impl SaveLock {
    /// Waits for the lock, like a writer of the database.
    pub fn take(dir: &StateDir) -> Result<Self, StoreError> {
        let lock = WriteLock::at(dir.save_lock())?;
        lock.lock()?;
        Ok(Self(lock))
    }

    /// Takes the lock if the process that held it last was killed.
    pub fn take_abandoned(dir: &StateDir) -> Option<Self> {
        // The last process that released it has emptied the file.
        let is_abandoned = fs::metadata(dir.save_lock()).is_ok_and(|metadata| metadata.len() > 0);
        let lock = is_abandoned.then(|| WriteLock::at(dir.save_lock()).ok()).flatten()?;
        matches!(lock.try_lock(), Ok(true)).then(|| Self(lock))
    }
}

impl Drop for SaveLock {
    fn drop(&mut self) {
        // If this fails, the next process looks for what this one might have left.
        let _ = self.0.file.as_ref().map(|file| file.set_len(0));
    }
}

/// The last recorded sequence number. A database with fewer events has lost some.
pub(super) fn recorded_seq(dir: &StateDir) -> Option<u64> {
    let mut note = [0; RECORD_LEN];
    open_to_read(&dir.write_lock()).and_then(|file| file.read_exact_at(&mut note, 0)).ok()?;
    std::str::from_utf8(&note).ok()?.strip_suffix('\n')?.parse().ok()
}

/// Waits for the lock. The returned file holds it.
fn wait(path: &Path, max_wait: Duration) -> Result<File, StoreError> {
    let failed = |source| StoreError::io(path, source);
    let pending = PendingLock::request(open_private(path)?).map_err(failed)?;
    if let Some(locked) = pending.wait(REPORT_AFTER).map_err(failed)? {
        return Ok(locked);
    }
    if let Some(report) = REPORTER.get() {
        report(&format!("waiting for {}", holder(path)));
    }
    let locked = pending.wait(max_wait.saturating_sub(REPORT_AFTER)).map_err(failed)?;
    locked.ok_or_else(|| StoreError::Busy { path: path.to_owned(), holder: holder(path), waited: max_wait })
}

/// Records that this process holds the lock, for the reports of others.
fn record_holder(file: &File) {
    // If this fails, reports name an earlier holder.
    let _ = file.write_all_at(format!("{:10}\n", std::process::id()).as_bytes(), RECORD_LEN as u64);
}

/// The process that holds the lock: `process 123 (setlist add), which is stopped`.
fn holder(path: &Path) -> String {
    let mut record = [0; HOLDER_LEN];
    let read = open_to_read(path).and_then(|file| file.read_exact_at(&mut record, RECORD_LEN as u64));
    let pid = read.ok().and_then(|()| str::from_utf8(&record).ok()?.trim().parse::<u32>().ok());
    let Some(pid) = pid else { return "another process".to_owned() };
    let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let command = String::from_utf8_lossy(&command);
    let mut words = command.split('\0').filter(|word| !word.is_empty());
    let program = words.next().and_then(|program| Path::new(program).file_name()?.to_str()).unwrap_or_default();
    let mut description = format!("process {pid}");
    if !program.is_empty() {
        let subcommand = subcommand(words).map(|word| format!(" {word}")).unwrap_or_default();
        let command = text::plain_line(&format!("{program}{subcommand}"));
        description.extend([" (", command.as_str(), ")"]);
    }
    let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = status.rsplit_once(')').and_then(|(_, rest)| rest.trim_start().chars().next());
    if matches!(state, Some('T' | 't')) {
        description.push_str(", which is stopped");
    }
    description
}

/// The first argument that is neither an option nor the value of one.
fn subcommand<'w>(mut words: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    while let Some(word) = words.next() {
        if matches!(word, "-f" | "--file" | "--state" | "--color") {
            words.next();
        } else if !word.starts_with('-') {
            return Some(word);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_is_given_up_and_names_the_holder() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("turn");
        let held = open_private(&path).unwrap();
        held.lock().unwrap();
        record_holder(&held);
        let error = wait(&path, REPORT_AFTER).expect_err("it is held").to_string();
        let expected = format!("gave up after 1s, waiting for process {} (", std::process::id());
        assert!(error.contains(&expected), "{error}");
        held.unlock().unwrap();
        // The thread that still waits releases the lock as soon as it gets it.
        wait(&path, MAX_WAIT).unwrap();
    }

    #[test]
    fn the_subcommand_is_the_first_argument_that_is_not_an_option() {
        let words = |text: &'static str| subcommand(text.split(' '));
        assert_eq!(words("--file a.yaml --state s worker --exit-when-idle"), Some("worker"));
        assert_eq!(words("-v add q"), Some("add"));
        assert_eq!(words("--verbose"), None);
    }
}
