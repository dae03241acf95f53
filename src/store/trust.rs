//! Which files setlist trusts.
//!
//! # Threat model
//!
//! A site runs programs as its user. Those who can change the site's `jobs.yaml` or its state directory decide which. The
//! attacker is another user of the machine who can write to some shared directories, or the author of a repository or an
//! archive that the user unpacks. Root, and other processes of the same user, are trusted.
//!
//! | the attacker … | setlist … | checked by |
//! |---|---|---|
//! | owns the `jobs.yaml`, or a link on the way to it | refuses it unless it is named with `--file` | [`check_jobs_file`] |
//! | can write to the directory of the `jobs.yaml` and so replace it | refuses it unless it is named; `/tmp` and other sticky directories are fine | [`check_jobs_file`] |
//! | creates `.setlist` first, in a shared directory | refuses it: the state directory belongs to the user | [`check_state_dir`] |
//! | makes the state directory or a file in it a link, FIFO or device | refuses it before anything is written; opens every file with `O_NOFOLLOW` | [`check_state_dir`], `private_files` |
//! | can write to the state directory | refuses it | [`check_state_dir`] |
//! | ships a `.setlist` with a clone, an archive or a copy | does not use it: it is not in the user's registry | [`Registry`](super::Registry) |
//! | ships a `.setlist` without an id, as old versions made it | does not use it either: `setlist adopt` accepts it | [`Registry`](super::Registry) |
//! | locks files of the user to block a command | waits only for locks on files in the state directory (0700/0600), also to write `jobs.yaml` | `private_files`, [`SaveLock`](super::SaveLock) |
//!
//! A request stores the environment of its user, secrets included, because the job may start in another process, or after
//! this one has ended: in `environments`, a private directory, until no unfinished job and no processed queue refers to it.
//! Adopting a state removes these files: their author could choose what jobs load. The variables of `env_file` are
//! never stored.
//!
//! The checks are not repeated: after them, only the user and root can change the state directory, because its owner and
//! mode and those of the directory that holds it don't let anyone else. Naming the state with `--state` or `SETLIST_STATE`
//! vouches for state that isn't registered, as in a container, but never for a wrong owner, link or mode. Naming the file
//! with `--file` vouches for the file. Write access of a group is allowed: with a umask of 002, every directory has it.
//! Root trusts what belongs to root or to the owner of the directory that holds it, and gives what it creates to that owner.
//!
//! Looking at a site never writes outside of its state directory, and never starts a worker. Adopting a state shows the
//! jobs that are not in the file, gives the state a new id, unregisters its workers and stops its queues. What is not
//! defended against: a hostile database that exploits `SQLite` itself when `setlist adopt` reads it, and a user who
//! adopts hostile jobs after having been shown them.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use rustix::process::geteuid;

use super::error::StoreError;

/// The directory in a state directory that holds the states of other files than `jobs.yaml`.
pub(super) const OTHER_FILES_DIR: &str = "files";

/// How many links may lead to a file.
const MAX_LINKS: usize = 40;
const WRITABLE_FOR_OTHERS: u32 = 0o002;
const STICKY: u32 = 0o1000;

/// Checks that only the user (and root) can change the `jobs.yaml` at this absolute path: the file, the links that lead to
/// it, and the directories that hold these. A file that doesn't exist is fine.
pub fn check_jobs_file(file: &Path) -> Result<(), StoreError> {
    let owners = Owners { extra: None };
    let mut rest: VecDeque<OsString> = components(file);
    let (mut resolved, mut links) = (PathBuf::from("/"), 0);
    while let Some(name) = rest.pop_front() {
        if name == ".." {
            resolved.pop();
            continue;
        }
        let next = resolved.join(&name);
        let Some(metadata) = metadata(&next)? else { return Ok(()) };
        if metadata.is_symlink() {
            owners.check(&next, &metadata)?;
            owners.check_parent_dir(&resolved)?;
            links += 1;
            if links > MAX_LINKS {
                return Err(untrusted(file, "is reached by too many links"));
            }
            let target = fs::read_link(&next).map_err(|source| StoreError::io(&next, source))?;
            if target.is_absolute() {
                resolved = PathBuf::from("/");
            }
            for component in components(&target).into_iter().rev() {
                rest.push_front(component);
            }
        } else if rest.is_empty() {
            if !metadata.is_file() {
                return Err(untrusted(&next, "is not a regular file"));
            }
            owners.check(&next, &metadata)?;
            owners.check_parent_dir(&resolved)?;
        } else {
            resolved = next;
        }
    }
    Ok(())
}

/// Checks that only the user (and root) can change the state directory at `path`: its owner and mode, those of what is in
/// it, and that nothing in it is a link, a FIFO or a device. A directory that doesn't exist is fine.
pub fn check_state_dir(path: &Path) -> Result<(), StoreError> {
    let holder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if holder.file_name().is_some_and(|name| name == OTHER_FILES_DIR)
        && let Some(state_dir) = holder.parent()
        && metadata(&state_dir.join("files"))?.is_some()
    {
        check_state_dir(state_dir)?;
    }
    let Some(own) = metadata(path)? else { return Ok(()) };
    let Some(held_by) = metadata(holder)? else { return Ok(()) };
    let owners = Owners { extra: geteuid().is_root().then_some(held_by.uid()) };
    if own.is_symlink() {
        return Err(untrusted(path, "is a link"));
    }
    if !own.is_dir() {
        return Err(StoreError::io(path, io::Error::new(io::ErrorKind::NotADirectory, "not a folder")));
    }
    owners.check(path, &own)?;
    // The holder may be named through a link.
    let held_by = fs::metadata(holder).map_err(|source| StoreError::io(holder, source))?;
    if is_open_to_others(&held_by) {
        return Err(untrusted(holder, "can be written by other users"));
    }
    let failed = |source| StoreError::io(path, source);
    for entry in fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?.path();
        // What has been removed meanwhile is fine.
        let Some(metadata) = metadata(&entry)? else { continue };
        if metadata.is_symlink() {
            return Err(untrusted(&entry, "is a link"));
        }
        if !metadata.is_file() && !metadata.is_dir() {
            return Err(untrusted(&entry, "is not a regular file"));
        }
        owners.check(&entry, &metadata)?;
    }
    Ok(())
}

/// Who may own a file: the user, root, and for root the owner of the directory that holds the state.
struct Owners {
    extra: Option<u32>,
}

impl Owners {
    fn check(&self, path: &Path, metadata: &Metadata) -> Result<(), StoreError> {
        let owner = metadata.uid();
        if owner != geteuid().as_raw() && owner != 0 && self.extra != Some(owner) {
            return Err(untrusted(path, &format!("belongs to another user ({owner})")));
        }
        // The mode of a link means nothing.
        if !metadata.is_symlink() && metadata.mode() & WRITABLE_FOR_OTHERS != 0 {
            return Err(untrusted(path, "can be written by other users"));
        }
        Ok(())
    }

    /// Checks the directory that holds a file or a link.
    fn check_parent_dir(&self, dir: &Path) -> Result<(), StoreError> {
        let Some(metadata) = metadata(dir)? else { return Ok(()) };
        if is_open_to_others(&metadata) {
            return Err(untrusted(dir, "can be written by other users"));
        }
        if metadata.mode() & STICKY != 0 { Ok(()) } else { self.check(dir, &metadata) }
    }
}

/// Whether other users can replace what is in this directory.
fn is_open_to_others(dir: &Metadata) -> bool {
    dir.mode() & WRITABLE_FOR_OTHERS != 0 && dir.mode() & STICKY == 0
}

fn components(path: &Path) -> VecDeque<OsString> {
    let is_step = |component: &Component<'_>| matches!(component, Component::Normal(_) | Component::ParentDir);
    path.components().filter(is_step).map(|component| component.as_os_str().to_owned()).collect()
}

/// The metadata of the file itself, not of what a link leads to; none if there is no file.
fn metadata(path: &Path) -> Result<Option<Metadata>, StoreError> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(StoreError::io(path, error)),
    }
}

fn untrusted(path: &Path, reason: &str) -> StoreError {
    StoreError::Untrusted { path: path.to_owned(), reason: reason.to_owned() }
}
