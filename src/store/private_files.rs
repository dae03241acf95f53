//! Opening and creating the files of a state directory: private to the owner, and never through a link.
//!
//! A file is opened with `O_NOFOLLOW` and must be a regular one; `O_NONBLOCK` keeps a FIFO in its place from blocking.
//! What root creates is given to the owner of the directory, so that root does not lock the owner out.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;
use rustix::process::geteuid;

use super::error::StoreError;

/// Options for a file in a state directory, which is created with mode 0600.
pub(super) fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    // These flags fit any integer type.
    let flags = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).unwrap_or_default();
    options.mode(0o600).custom_flags(flags);
    options
}

/// Opens a file with [`options`], and gives it to the owner of its directory if root has created it.
pub(super) fn open(options: &OpenOptions, path: &Path) -> io::Result<File> {
    let file = options.open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    if geteuid().is_root() && metadata.uid() == 0 {
        let (uid, gid) = owner_of_parent(path)?;
        if uid != 0 {
            std::os::unix::fs::fchown(&file, Some(uid), Some(gid))?;
        }
    }
    Ok(file)
}

/// Opens an existing file for reading.
pub(super) fn open_to_read(path: &Path) -> io::Result<File> {
    open(options().read(true), path)
}

/// Whether an open file is still the one at this path.
pub(super) fn is_at(file: &File, path: &Path) -> bool {
    let inode = |metadata: Metadata| (metadata.dev(), metadata.ino());
    let (open, there) = (file.metadata().map(inode), fs::symlink_metadata(path).map(inode));
    open.is_ok_and(|open| there.is_ok_and(|there| open == there))
}

/// The text of an existing file.
pub(super) fn read_to_string(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    open_to_read(path)?.read_to_string(&mut text)?;
    Ok(text)
}

/// Opens the file at `path` for reading and writing; creates it if it doesn't exist.
pub(super) fn open_private(path: &Path) -> Result<File, StoreError> {
    open(options().create(true).truncate(false).read(true).write(true), path)
        .map_err(|source| StoreError::io(path, source))
}

/// Creates a directory with mode 0700, and its parents, unless it exists.
pub(super) fn create_private_dir(path: &Path) -> Result<(), StoreError> {
    let failed = |source| StoreError::io(path, source);
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => give_to_owner(path).map_err(failed),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Err(failed(io::Error::new(io::ErrorKind::NotADirectory, "not a folder")))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).ok_or(error).map_err(failed)?;
            if !parent.exists() {
                create_private_dir(parent)?;
            }
            // Another process may create the same directories at the same time.
            match DirBuilder::new().mode(0o700).create(path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
                created => created.and_then(|()| give_to_owner(path)).map_err(failed),
            }
        }
        Err(error) => Err(failed(error)),
    }
}

/// Gives what root has just created to the owner of its directory.
pub(super) fn give_to_owner(path: &Path) -> io::Result<()> {
    if !geteuid().is_root() {
        return Ok(());
    }
    let (uid, gid) = owner_of_parent(path)?;
    if uid == 0 { Ok(()) } else { std::os::unix::fs::lchown(path, Some(uid), Some(gid)) }
}

fn owner_of_parent(path: &Path) -> io::Result<(u32, u32)> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::symlink_metadata(parent).map(|parent| (parent.uid(), parent.gid()))
}
