//! Replaces the text of a `jobs.yaml`, and keeps its owner, mode and links.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::Access;

use super::super::file_text::file_version;
use crate::crash;

/// The start of the names of drafts; the process id follows.
const DRAFT_PREFIX: &str = ".jobs.yaml.";

/// Finds the file to write: the target of the links of the user. Fails if it may not be written.
pub(super) fn writable_target(path: &Path) -> io::Result<PathBuf> {
    let user = rustix::process::geteuid().as_raw();
    let link = path.symlink_metadata()?;
    if link.is_symlink() && link.uid() != user && link.uid() != 0 {
        return Err(io::Error::other("it is a link of another user"));
    }
    let target = path.canonicalize()?;
    let metadata = target.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    // Root may write anything, so check the mode too.
    if metadata.mode() & 0o222 == 0 || rustix::fs::access(&target, Access::WRITE_OK).is_err() {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it is read-only"));
    }
    Ok(target)
}

/// Replaces the text of the file if its version is still `version`. Returns whether it was.
pub(super) fn replace(path: &Path, version: &str, text: &[u8]) -> io::Result<bool> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let metadata = path.metadata()?;
    remove_stale_drafts(folder);
    let draft = if metadata.nlink() == 1 { Draft::create(folder, &metadata, text)? } else { None };
    crash::point("draft");
    if file_version(path)? != version {
        return Ok(false);
    }
    if let Some(draft) = draft {
        fs::rename(&draft.path, path)?;
        File::open(folder)?.sync_all()?;
    } else {
        // A new file would break a hard link or change the owner.
        let mut file = OpenOptions::new().write(true).open(path)?;
        file.rewind()?;
        file.write_all(text)?;
        file.set_len(text.len() as u64)?;
        file.sync_all()?;
    }
    Ok(true)
}

/// Removes the drafts of killed processes.
pub(super) fn remove_stale_drafts(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(process) = name.to_str().and_then(|name| name.strip_prefix(DRAFT_PREFIX)) else { continue };
        if process.bytes().all(|byte| byte.is_ascii_digit())
            && entry.file_type().is_ok_and(|kind| kind.is_file())
            && let Ok(file) = File::open(entry.path())
            && file.try_lock().is_ok()
        {
            // Another process may have removed it first.
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// A locked file with the new text, deleted when dropped unless it was renamed.
struct Draft {
    path: PathBuf,
    _locked: File,
}

impl Draft {
    /// Creates a draft with the owner and mode of the file that it replaces. Returns `None` if the owner can't be
    /// kept, or no file can be created there.
    fn create(folder: &Path, replaced: &Metadata, text: &[u8]) -> io::Result<Option<Self>> {
        let path = folder.join(format!("{DRAFT_PREFIX}{}", std::process::id()));
        let created = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let mut file = match created {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(None),
            other => other?,
        };
        // A process that takes it for stale before it is locked makes the rename fail, and nothing is lost.
        file.lock()?;
        let draft = Self { path, _locked: file.try_clone()? };
        let own = file.metadata()?;
        if (own.uid(), own.gid()) != (replaced.uid(), replaced.gid())
            && fchown(&file, Some(replaced.uid()), Some(replaced.gid())).is_err()
        {
            return Ok(None);
        }
        file.write_all(text)?;
        file.set_permissions(fs::Permissions::from_mode(replaced.mode() & 0o7777))?;
        file.sync_all()?;
        Ok(Some(draft))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Fails if the file was renamed.
        let _ = fs::remove_file(&self.path);
    }
}
