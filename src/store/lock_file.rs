//! Lock files that record the process that holds them, so that others can report what they wait for.

use std::cell::RefCell;
use std::fs::{self, File, TryLockError};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use super::error::StoreError;
use super::pending_lock::PendingLock;
use super::private_files::{open_private, open_to_read};
use crate::text;

/// Where the holder's process id is recorded in the file. What is before it belongs to the owner of the lock.
pub(super) const HOLDER_OFFSET: usize = 21;
/// The length of the holder's process id, with a line feed.
const HOLDER_LEN: usize = 11;
/// How long to wait before it is reported.
const REPORT_AFTER: Duration = Duration::from_secs(1);
/// How long to wait at all.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// Called when this process waits for another.
static REPORTER: OnceLock<fn(&str)> = OnceLock::new();

/// Sets a callback for waits longer than a second, for a writer of the database or of `jobs.yaml`. Without one, nothing is
/// reported: a screen has no room for it. Only the first call has an effect.
pub fn report_waits(reporter: fn(&str)) {
    // A second reporter is not needed.
    let _ = REPORTER.set(reporter);
}

/// A handle of a lock file, which excludes all other handles of this and other processes while it is locked.
#[derive(Debug)]
pub(super) struct LockFile {
    path: PathBuf,
    /// None for a handle that can't be locked.
    file: Option<File>,
    /// The lock, if it had to be waited for.
    waited: RefCell<Option<File>>,
}

impl LockFile {
    /// Opens or creates the file, in an existing directory.
    pub(super) fn open(path: PathBuf) -> Result<Self, StoreError> {
        let file = Some(open_private(&path)?);
        Ok(Self { path, file, waited: RefCell::default() })
    }

    /// A handle that can't be locked, for a read-only connection.
    pub(super) fn read_only(path: PathBuf) -> Self {
        Self { path, file: None, waited: RefCell::default() }
    }

    /// The open file; none for a handle that can't be locked.
    pub(super) fn file(&self) -> Option<&File> {
        self.file.as_ref()
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
    let _ = file.write_all_at(format!("{:10}\n", std::process::id()).as_bytes(), HOLDER_OFFSET as u64);
}

/// The process that holds the lock: `process 123 (setlist add), which is stopped`.
fn holder(path: &Path) -> String {
    let mut record = [0; HOLDER_LEN];
    let read = open_to_read(path).and_then(|file| file.read_exact_at(&mut record, HOLDER_OFFSET as u64));
    let pid = read.ok().and_then(|()| str::from_utf8(&record).ok()?.trim().parse::<u32>().ok());
    let Some(pid) = pid else { return "another process".to_owned() };
    let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let command = String::from_utf8_lossy(&command);
    let mut words = command.split('\0').filter(|word| !word.is_empty());
    let program = words.next().and_then(|program| Path::new(program).file_name()?.to_str()).unwrap_or_default();
    let mut description = format!("process {pid}");
    if !program.is_empty() {
        let subcommand = subcommand(words).map(|word| format!(" {word}")).unwrap_or_default();
        let command = text::sanitize_line(&format!("{program}{subcommand}"));
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
