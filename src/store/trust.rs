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
//! | can change a file that a `jobs.yaml` includes | refuses it, also if the `jobs.yaml` was named; the owner of the `jobs.yaml` may own it, too | `definition::include` |
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
//! Root trusts what belongs to root or to the owner of the directory that holds it, and gives what it creates to that owner,
//! except the file by which that owner recognises it: see [`Registry`](super::Registry).
//!
//! Looking at a site never writes outside of its state directory, and never starts a worker. Adopting a state shows the
//! jobs that are not in the file, gives the state a new id, unregisters its workers and stops its queues. What is not
//! defended against: a hostile database that exploits `SQLite` itself when `setlist adopt` reads it, and a user who
//! adopts hostile jobs after having been shown them.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::process::geteuid;

use super::error::StoreError;
use crate::file_trust::{FileTrustError, TrustedOwners, is_open_to_others, link_metadata};

/// The directory in a state directory that holds the states of other files than `jobs.yaml`.
pub(super) const OTHER_FILES_DIR: &str = "files";

/// Checks that only the user (and root) can change the `jobs.yaml` at this absolute path: the file, the links that lead to
/// it, and the directories that hold these. A file that doesn't exist is fine.
pub fn check_jobs_file(file: &Path) -> Result<(), StoreError> {
    Ok(TrustedOwners { extra: None }.check_file(file)?)
}

/// Checks that only the user (and root) can change the state directory at `path`: its owner and mode, those of what is in
/// it, and that nothing in it is a link, a FIFO or a device. A directory that doesn't exist is fine.
pub fn check_state_dir(path: &Path) -> Result<(), StoreError> {
    let holder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if holder.file_name().is_some_and(|name| name == OTHER_FILES_DIR)
        && let Some(state_dir) = holder.parent()
        && link_metadata(&state_dir.join("files"))?.is_some()
    {
        check_state_dir(state_dir)?;
    }
    let Some(own) = link_metadata(path)? else { return Ok(()) };
    let Some(held_by) = link_metadata(holder)? else { return Ok(()) };
    let owners = TrustedOwners { extra: geteuid().is_root().then_some(held_by.uid()) };
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
        let Some(metadata) = link_metadata(&entry)? else { continue };
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

fn untrusted(path: &Path, reason: &str) -> StoreError {
    FileTrustError::untrusted(path, reason).into()
}

impl From<FileTrustError> for StoreError {
    fn from(error: FileTrustError) -> Self {
        match error {
            FileTrustError::Untrusted { path, reason } => Self::Untrusted { path, reason },
            FileTrustError::Io { path, source } => Self::io(path, source),
        }
    }
}
