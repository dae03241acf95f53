//! Deleting the output of runs. Readers and writers lock a log shared; a locked log is not deleted.

use std::collections::HashMap;
use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use chrono::{DateTime, Utc};

use super::files::{companion_paths, head_path};
use super::hook_result;
use super::notices::{MAX_NOTICE_LEN, deletion_notice};
use super::stored_output::MAX_STORED_LEN;
use crate::model::RunId;
use crate::store::error::StoreError;
use crate::store::private_files;

/// Protects a log from deletion as long as the file is open.
pub(super) fn lock_shared(file: &File) {
    // If this fails, the log is being deleted now; what is left can still be read.
    let _ = file.try_lock_shared();
}

/// The size of each run's log, in bytes.
pub fn log_sizes(dir: &Path) -> Result<HashMap<RunId, u64>, StoreError> {
    let failed = |source| StoreError::io(dir, source);
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(HashMap::new()),
        entries => entries.map_err(failed)?,
    };
    let mut sizes = HashMap::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        // It is kept as long as its run.
        if name.as_encoded_bytes().ends_with(hook_result::HOOK_SUFFIX.as_bytes()) {
            continue;
        }
        let run = name.to_str().and_then(|name| name.split_once('.')?.0.parse().ok());
        // A file that was deleted meanwhile has no size.
        if let (Some(run), Ok(metadata)) = (run, entry.metadata()) {
            *sizes.entry(RunId(run)).or_default() += metadata.len();
        }
    }
    Ok(sizes)
}

/// The runs whose log is so small that a store may keep it.
pub(in crate::store) fn small_logs(dir: &Path) -> Result<Vec<RunId>, StoreError> {
    let is_small = |size: u64| size <= MAX_STORED_LEN;
    let sizes = log_sizes(dir)?.into_iter();
    Ok(sizes.filter(|(_, size)| is_small(*size)).map(|(run, _)| run).collect())
}

/// Deletes the output of an ended run and leaves a notice; returns how many bytes are freed. None if the log is being
/// read.
pub fn delete_output(dir: &Path, run: RunId, now: DateTime<Utc>) -> Result<Option<u64>, StoreError> {
    delete_files(dir, run, |head, before| {
        let line = deletion_notice(before, now);
        head.set_len(0)?;
        head.write_all_at(line.as_bytes(), 0)?;
        Ok(line.len() as u64)
    })
}

/// Deletes all files of a log whose run is deleted; returns how many bytes are freed. None if the log is being read.
pub fn delete_log(dir: &Path, run: RunId) -> Result<Option<u64>, StoreError> {
    let freed = delete_files(dir, run, |_, _| {
        fs::remove_file(head_path(dir, run))?;
        Ok(0)
    })?;
    if freed.is_some() {
        hook_result::remove(dir, run)?;
    }
    Ok(freed)
}

/// Deletes the companions of an unlocked log, and lets `replace` delete or replace the head; `replace` returns how many
/// bytes are left.
fn delete_files(
    dir: &Path,
    run: RunId,
    replace: impl FnOnce(&File, u64) -> io::Result<u64>,
) -> Result<Option<u64>, StoreError> {
    let path = head_path(dir, run);
    let failed = |source| StoreError::io(&path, source);
    let head = match private_files::open(private_files::options().read(true).write(true), &path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Some(0)),
        head => head.map_err(failed)?,
    };
    match head.try_lock() {
        Err(TryLockError::WouldBlock) => return Ok(None),
        locked => locked.map_err(|error| failed(error.into()))?,
    }
    let mut before = head.metadata().map_err(failed)?.len();
    for beside in companion_paths(dir, run) {
        before += fs::metadata(&beside).map_or(0, |metadata| metadata.len());
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(StoreError::io(beside, error)),
            _ => {}
        }
    }
    let after = replace(&head, before).map_err(failed)?;
    Ok(Some(before.saturating_sub(after)))
}

/// Whether deleting a log of this size frees anything.
pub(in crate::store) fn is_worth_deleting(size: u64) -> bool {
    size > MAX_NOTICE_LEN as u64
}
