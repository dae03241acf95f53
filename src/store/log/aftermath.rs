//! What came of the program that is run after a run (`on_finish`): of run 7 in `7.hook`. It is told, and nothing depends
//! on it.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::{create, create_folder};
use crate::model::{HookEnd, Run, RunId};
use crate::store::StoreError;

/// How a file's name ends that has this.
pub(super) const SUFFIX: &str = ".hook";

/// Keeps it: all of it, or nothing.
pub(in crate::store) fn keep(folder: &Path, run: RunId, end: &HookEnd) -> Result<(), StoreError> {
    let path = path(folder, run);
    let write = || {
        let new = path.with_extension("hook-new");
        create(&new)?.write_all(&serde_json::to_vec(end).map_err(io::Error::from)?)?;
        fs::rename(&new, &path)
    };
    create_folder(folder)?;
    write().map_err(|error| StoreError::io(&path, error))
}

/// What came of it after this run, if anything is known. What can't be read is not known.
pub(super) fn of(folder: &Path, run: &Run) -> Option<HookEnd> {
    let ended = run.ending.as_ref()?.at;
    let end: HookEnd = serde_json::from_slice(&fs::read(path(folder, run.id)).ok()?).ok()?;
    // One that is older was left by a run of the same number, in a site that was lost.
    Some(end).filter(|end| end.at >= ended)
}

/// Forgets it.
pub(super) fn forget(folder: &Path, run: RunId) -> Result<(), StoreError> {
    let path = path(folder, run);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::io(path, error)),
        _ => Ok(()),
    }
}

fn path(folder: &Path, run: RunId) -> PathBuf {
    folder.join(format!("{run}{SUFFIX}"))
}
