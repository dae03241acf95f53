//! The folders that jobs are given: one for the state of a job, which its attempts share, and one for the artifacts of each
//! run, which is kept as long as the run.
//!
//! A job can put anything there, links and folders that can't be written included. Nothing behind a link is removed.

use std::collections::HashMap;
use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{self, JoinHandle};

use serde::{Deserialize, Serialize};

use super::private_files::{create_private_dir, give_to_owner};
use super::state_dir::StateDir;
use crate::model::{JobId, RunId};
use crate::text::shell_command;

/// How the name of a folder begins that is being removed.
const REMOVED_PREFIX: &str = ".removed-";

/// The most files of a folder that are listed.
const MAX_FILES: usize = 1000;

/// How deep folders are searched for files.
const MAX_DEPTH: usize = 32;

/// The files that a run has left.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactList {
    /// Their paths below the folder and their sizes, by path. Links count as files.
    pub files: Vec<(PathBuf, u64)>,
    /// How many there are; more than are listed if there are very many.
    pub count: usize,
    /// Their size in bytes, of all of them.
    pub bytes: u64,
}

/// What a run has left on another machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoteArtifacts {
    /// The name of the machine.
    pub machine: String,
    /// The folder there.
    pub folder: String,
    /// The first files.
    pub list: ArtifactList,
}

impl RemoteArtifacts {
    /// A command that copies the folder to this machine.
    pub fn copy_command(&self) -> String {
        shell_command(&["scp".to_owned(), "-r".to_owned(), format!("{}:{}", self.machine, self.folder), ".".to_owned()])
    }
}

/// Creates a folder for a job, with mode 0700, unless it exists. Anything else in its place is replaced.
pub fn create_job_folder(folder: &Path) -> io::Result<()> {
    let create = || DirBuilder::new().mode(0o700).create(folder);
    match create() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let parent = folder.parent().ok_or(error)?;
            create_private_dir(parent).map_err(io::Error::other)?;
            create()?;
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            if fs::symlink_metadata(folder)?.is_dir() {
                return Ok(());
            }
            fs::remove_file(folder)?;
            create()?;
        }
        created => created?,
    }
    give_to_owner(folder)
}

/// Removes a folder of a job with all that is in it. An empty one is removed at once, others in the background, by the
/// thread that is returned.
pub fn remove_job_folder(folder: &Path) -> Option<JoinHandle<()>> {
    let removed = set_aside(folder)?;
    Some(thread::spawn(move || remove_tree(&removed)))
}

/// Removes a folder if it is empty.
pub fn remove_empty_job_folder(folder: &Path) {
    // It usually doesn't exist, or isn't empty.
    let _ = fs::remove_dir(folder);
}

/// Removes the artifacts of a run; returns how many bytes are freed.
pub(in crate::store) fn remove_artifacts(dir: &StateDir, run: RunId) -> u64 {
    let folder = dir.artifacts_of(run);
    let bytes = list_artifacts(&folder).bytes;
    remove_now(&folder);
    bytes
}

/// Removes what a job that no longer exists has kept.
pub(in crate::store) fn remove_job_state(dir: &StateDir, job: JobId) {
    remove_now(&dir.job_state(job));
}

fn remove_now(folder: &Path) {
    if let Some(removed) = set_aside(folder) {
        remove_tree(&removed);
    }
}

/// Removes what was left by removals that were interrupted.
pub(in crate::store) fn remove_interrupted_removals(dir: &StateDir) {
    for folder in [dir.job_states(), dir.artifacts(), dir.snapshots()] {
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
        for entry in entries.filter(|entry| entry.file_name().as_encoded_bytes().starts_with(REMOVED_PREFIX.as_bytes()))
        {
            remove_tree(&entry.path());
        }
    }
}

/// The size of the artifacts of each run that has some, in bytes.
pub(in crate::store) fn artifact_sizes(dir: &StateDir) -> HashMap<RunId, u64> {
    let entries = fs::read_dir(dir.artifacts()).into_iter().flatten().flatten();
    let size = |entry: fs::DirEntry| {
        let run = RunId(entry.file_name().to_str()?.parse().ok()?);
        Some((run, list_artifacts(&entry.path()).bytes))
    };
    entries.filter_map(size).filter(|(_, bytes)| *bytes > 0).collect()
}

/// The files in a folder of a job, without following links.
pub fn list_artifacts(folder: &Path) -> ArtifactList {
    let mut list = ArtifactList::default();
    // Nor is the folder itself a link, unless the job has replaced it.
    if fs::symlink_metadata(folder).is_ok_and(|metadata| metadata.is_dir()) {
        add_files(folder, Path::new(""), 0, &mut list);
    }
    list.files.sort();
    list
}

fn add_files(folder: &Path, below: &Path, depth: usize, list: &mut ArtifactList) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = below.join(entry.file_name());
        // Not that of a file to which a link points. A file that was removed meanwhile is left out.
        let Ok(metadata) = entry.metadata() else { continue };
        if metadata.is_dir() {
            if depth < MAX_DEPTH {
                add_files(&entry.path(), &name, depth + 1, list);
            }
            continue;
        }
        list.count += 1;
        list.bytes += metadata.len();
        if list.files.len() < MAX_FILES {
            list.files.push((name, metadata.len()));
        }
    }
}

/// Gives a folder that is to be removed another name, so that the job can be given a new one at once. None if there is
/// none, or it was empty and is removed.
pub fn set_aside(folder: &Path) -> Option<PathBuf> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    match fs::remove_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            // The job has replaced it.
            let _ = fs::remove_file(folder);
            return None;
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => {}
        _ => return None,
    }
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("{REMOVED_PREFIX}{}-{number}-{}", process::id(), folder.file_name()?.to_string_lossy());
    let removed = folder.with_file_name(name);
    match fs::rename(folder, &removed) {
        Ok(()) => Some(removed),
        Err(error) => {
            tracing::warn!("can't remove {}: {error}", folder.display());
            None
        }
    }
}

/// Removes a folder and all that is in it. What can't be removed now is tried again when the site is pruned.
pub fn remove_tree(folder: &Path) {
    let removed = fs::remove_dir_all(folder).or_else(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => {
            make_writable(folder, 0);
            fs::remove_dir_all(folder)
        }
        io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    });
    if let Err(error) = removed {
        tracing::warn!("can't remove {}: {error}", folder.display());
    }
}

/// Lets the owner change folders that a job has made read-only, as some build tools do.
fn make_writable(folder: &Path, depth: usize) {
    if depth > MAX_DEPTH || !fs::symlink_metadata(folder).is_ok_and(|metadata| metadata.is_dir()) {
        return;
    }
    // If it fails, removing it fails, too.
    let _ = fs::set_permissions(folder, Permissions::from_mode(0o700));
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            make_writable(&entry.path(), depth + 1);
        }
    }
}
