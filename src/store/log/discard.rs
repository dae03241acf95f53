//! Giving up the output of runs. Whoever reads a log holds it, and what is held stays.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use chrono::{DateTime, Local, Utc};

use super::{aftermath, head_path, size};
use crate::model::RunId;
use crate::store::StoreError;

/// What stands in place of the output is shorter than this: there is nothing to gain from giving it up again.
const LEAST: usize = 256;
/// How it begins and ends.
const BEGIN: &str = "[setlist: ";
const END: &str = " to make room]\n";

/// Says that somebody reads or writes the log, as long as the file is open.
pub(super) fn hold(file: &File) {
    // Whoever gives it up at this moment has been quicker; what is left can be read all the same.
    let _ = file.try_lock_shared();
}

/// How many bytes the log of each run takes.
pub fn sizes(folder: &Path) -> Result<HashMap<RunId, u64>, StoreError> {
    let failed = |source| StoreError::io(folder, source);
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(HashMap::new()),
        entries => entries.map_err(failed)?,
    };
    let mut sizes = HashMap::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        // It stays as long as its run is on record.
        if name.as_encoded_bytes().ends_with(aftermath::SUFFIX.as_bytes()) {
            continue;
        }
        let run = name.to_str().and_then(|name| name.split_once('.')?.0.parse().ok());
        // One that has gone meanwhile takes nothing.
        if let (Some(run), Ok(metadata)) = (run, entry.metadata()) {
            *sizes.entry(RunId(run)).or_default() += metadata.len();
        }
    }
    Ok(sizes)
}

/// Deletes the output of a run that has ended, leaving a line that says so; returns how many bytes that frees. None if
/// somebody is looking at it.
pub fn discard(folder: &Path, run: RunId, now: DateTime<Utc>) -> Result<Option<u64>, StoreError> {
    give_up(folder, run, |head, before| {
        let day = now.with_timezone(&Local).format("%Y-%m-%d");
        let line = format!("{BEGIN}{} of output deleted on {day}{END}", size(before));
        head.set_len(0)?;
        head.write_all_at(line.as_bytes(), 0)?;
        Ok(line.len() as u64)
    })
}

/// Deletes all that is left of the output of a run that is no longer on record; returns how many bytes that frees.
/// None if somebody is looking at it.
pub fn erase(folder: &Path, run: RunId) -> Result<Option<u64>, StoreError> {
    let freed = give_up(folder, run, |_, _| {
        fs::remove_file(head_path(folder, run))?;
        Ok(0)
    })?;
    if freed.is_some() {
        aftermath::forget(folder, run)?;
    }
    Ok(freed)
}

/// Removes what lies beside the head of a log that nobody holds, and the head as `replace` does it; that tells how many
/// bytes stay.
fn give_up(
    folder: &Path,
    run: RunId,
    replace: impl FnOnce(&File, u64) -> io::Result<u64>,
) -> Result<Option<u64>, StoreError> {
    let path = head_path(folder, run);
    let failed = |source| StoreError::io(&path, source);
    let head = match OpenOptions::new().read(true).write(true).open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Some(0)),
        head => head.map_err(failed)?,
    };
    match head.try_lock() {
        Err(TryLockError::WouldBlock) => return Ok(None),
        locked => locked.map_err(|error| failed(error.into()))?,
    }
    let mut before = head.metadata().map_err(failed)?.len();
    for beside in super::beside(folder, run) {
        before += fs::metadata(&beside).map_or(0, |metadata| metadata.len());
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(StoreError::io(beside, error)),
            _ => {}
        }
    }
    let after = replace(&head, before).map_err(failed)?;
    Ok(Some(before.saturating_sub(after)))
}

/// The line that stands in place of the output, if that was given up; without its end.
pub(super) fn farewell(log: &File) -> io::Result<Option<String>> {
    let mut bytes = [0; LEAST];
    let len = log.read_at(&mut bytes, 0)?;
    let line = str::from_utf8(&bytes[..len]).ok().filter(|line| line.starts_with(BEGIN) && line.ends_with(END));
    Ok(line.map(|line| line.trim_end().to_owned()))
}

/// Whether giving up a log of this size frees anything.
pub(in crate::store) fn is_worth_it(size: u64) -> bool {
    size > LEAST as u64
}
