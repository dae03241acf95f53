//! Checks that only trusted users can change a file: its owner and mode, and those of the folders and links on the way.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use rustix::process::geteuid;

/// How many links may lead to a file.
const MAX_LINKS: usize = 40;
const WRITABLE_FOR_OTHERS: u32 = 0o002;
const STICKY: u32 = 0o1000;

/// Why a file is not trusted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileTrustError {
    /// Another user can change it.
    #[error("{} {reason}", path.display())]
    Untrusted {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with its owner, mode or type.
        reason: String,
    },
    /// It can't be checked.
    #[error("can't read {}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
}

impl FileTrustError {
    pub(crate) fn untrusted(path: &Path, reason: &str) -> Self {
        Self::Untrusted { path: path.to_owned(), reason: reason.to_owned() }
    }
}

/// Who may own a file: the user, root, and perhaps another one.
pub(crate) struct TrustedOwners {
    /// Another user who may own it.
    pub(crate) extra: Option<u32>,
}

impl TrustedOwners {
    /// Checks that only these users can change the file at this absolute path: the file, the links that lead to it, and the
    /// folders that hold these. A file that doesn't exist is fine.
    pub(crate) fn check_file(&self, file: &Path) -> Result<(), FileTrustError> {
        let mut rest: VecDeque<OsString> = components(file);
        let (mut resolved, mut links) = (PathBuf::from("/"), 0);
        while let Some(name) = rest.pop_front() {
            if name == ".." {
                resolved.pop();
                continue;
            }
            let next = resolved.join(&name);
            let Some(metadata) = link_metadata(&next)? else { return Ok(()) };
            if metadata.is_symlink() {
                self.check(&next, &metadata)?;
                self.check_parent_dir(&resolved)?;
                links += 1;
                if links > MAX_LINKS {
                    return Err(FileTrustError::untrusted(file, "is reached by too many links"));
                }
                let target =
                    fs::read_link(&next).map_err(|source| FileTrustError::Io { path: next.clone(), source })?;
                if target.is_absolute() {
                    resolved = PathBuf::from("/");
                }
                for component in components(&target).into_iter().rev() {
                    rest.push_front(component);
                }
            } else if rest.is_empty() {
                if !metadata.is_file() {
                    return Err(FileTrustError::untrusted(&next, "is not a regular file"));
                }
                self.check(&next, &metadata)?;
                self.check_parent_dir(&resolved)?;
            } else {
                resolved = next;
            }
        }
        Ok(())
    }

    /// Checks the owner and the mode of a file or folder.
    pub(crate) fn check(&self, path: &Path, metadata: &Metadata) -> Result<(), FileTrustError> {
        let owner = metadata.uid();
        if owner != geteuid().as_raw() && owner != 0 && self.extra != Some(owner) {
            return Err(FileTrustError::untrusted(path, &format!("belongs to another user ({owner})")));
        }
        // The mode of a link means nothing.
        if !metadata.is_symlink() && metadata.mode() & WRITABLE_FOR_OTHERS != 0 {
            return Err(FileTrustError::untrusted(path, "can be written by other users"));
        }
        Ok(())
    }

    /// Checks the folder that holds a file or a link.
    fn check_parent_dir(&self, dir: &Path) -> Result<(), FileTrustError> {
        let Some(metadata) = link_metadata(dir)? else { return Ok(()) };
        if is_open_to_others(&metadata) {
            return Err(FileTrustError::untrusted(dir, "can be written by other users"));
        }
        if metadata.mode() & STICKY != 0 { Ok(()) } else { self.check(dir, &metadata) }
    }
}

/// Whether other users can replace what is in this folder.
pub(crate) fn is_open_to_others(dir: &Metadata) -> bool {
    dir.mode() & WRITABLE_FOR_OTHERS != 0 && dir.mode() & STICKY == 0
}

fn components(path: &Path) -> VecDeque<OsString> {
    let is_step = |component: &Component<'_>| matches!(component, Component::Normal(_) | Component::ParentDir);
    path.components().filter(is_step).map(|component| component.as_os_str().to_owned()).collect()
}

/// The metadata of the file itself, not of what a link leads to; none if there is no file.
pub(crate) fn link_metadata(path: &Path) -> Result<Option<Metadata>, FileTrustError> {
    match fs::symlink_metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
        Err(source) => Err(FileTrustError::Io { path: path.to_owned(), source }),
    }
}
