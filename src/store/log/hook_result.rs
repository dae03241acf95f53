//! The result of the hook of a run (`on_finish`): that of run 7 is in `7.hook`. It is only displayed.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::files::create;
use crate::model::{HookResult, Run, RunId};
use crate::store::error::StoreError;
use crate::store::private_files::{create_private_dir, read_to_string};

/// The suffix of such a file.
pub(super) const HOOK_SUFFIX: &str = ".hook";

/// Saves the result atomically.
pub(in crate::store) fn save_hook_result(dir: &Path, run: RunId, end: &HookResult) -> Result<(), StoreError> {
    let path = path(dir, run);
    let write = || {
        let new = path.with_extension("hook-new");
        create(&new)?.write_all(&serde_json::to_vec(end).map_err(io::Error::from)?)?;
        fs::rename(&new, &path)
    };
    create_private_dir(dir)?;
    write().map_err(|error| StoreError::io(&path, error))
}

/// The hook's result for this run, if it is known. An unreadable file counts as missing.
pub(super) fn load(dir: &Path, run: &Run) -> Option<HookResult> {
    let ended = run.end.as_ref()?.at;
    let end: HookResult = serde_json::from_str(&read_to_string(&path(dir, run.id)).ok()?).ok()?;
    // An older file was left by a run of the same number, in a site that was lost.
    Some(end).filter(|end| end.at >= ended)
}

/// Deletes the result.
pub(super) fn remove(dir: &Path, run: RunId) -> Result<(), StoreError> {
    let path = path(dir, run);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::io(path, error)),
        _ => Ok(()),
    }
}

fn path(dir: &Path, run: RunId) -> PathBuf {
    dir.join(format!("{run}{HOOK_SUFFIX}"))
}
