//! The files of a log: their paths, and creating them.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::model::RunId;
use crate::store::error::StoreError;
use crate::store::private_files::{self, create_private_dir};

/// The files of a log beside its head.
pub(super) fn companion_paths(dir: &Path, run: RunId) -> [PathBuf; 3] {
    [tail_path(dir, run), index_path(dir, run), sizes_path(dir, run)]
}

/// The file in which the output of a run starts. It doesn't exist if the run printed nothing.
pub fn log_path(dir: &Path, run: RunId) -> PathBuf {
    head_path(dir, run)
}

pub(super) fn head_path(dir: &Path, run: RunId) -> PathBuf {
    dir.join(format!("{run}.log"))
}

pub(super) fn tail_path(dir: &Path, run: RunId) -> PathBuf {
    dir.join(format!("{run}.tail"))
}

pub(super) fn sizes_path(dir: &Path, run: RunId) -> PathBuf {
    dir.join(format!("{run}.sizes"))
}

pub(super) fn index_path(dir: &Path, run: RunId) -> PathBuf {
    dir.join(format!("{run}.marks"))
}

/// The file that records which runs have printed something: a byte for each run, at the offset of its number. Its name
/// keeps it from being removed together with the logs by `rm logs/*`.
fn printed_path(dir: &Path) -> PathBuf {
    dir.join(".printed")
}

/// Records that a run has printed something, after its log was created.
pub(super) fn record_printed(dir: &Path, run: RunId) -> io::Result<()> {
    let mut options = private_files::options();
    options.create(true).truncate(false).write(true);
    private_files::open(&options, &printed_path(dir))?.write_all_at(b"!", run.0)
}

/// Whether a run has printed something. Not known of runs of earlier versions.
pub(super) fn has_printed(dir: &Path, run: RunId) -> bool {
    let mut byte = [0];
    let read = private_files::open_to_read(&printed_path(dir)).and_then(|file| file.read_exact_at(&mut byte, run.0));
    read.is_ok() && byte == *b"!"
}

/// The file that records which runs are those of workers of this machine, as [`printed_path`] does.
fn own_path(dir: &Path) -> PathBuf {
    dir.join(".own")
}

/// Records that a run is one of a worker of this machine, before its log is created.
pub(in crate::store) fn record_own(dir: &Path, run: RunId) -> Result<(), StoreError> {
    create_private_dir(dir)?;
    let path = own_path(dir);
    let mut options = private_files::options();
    options.create(true).truncate(false).write(true);
    private_files::open(&options, &path)
        .and_then(|file| file.write_all_at(b"!", run.0))
        .map_err(|source| StoreError::io(path, source))
}

/// Whether a run is one of a worker of this machine.
pub(in crate::store) fn is_own(dir: &Path, run: RunId) -> bool {
    let mut byte = [0];
    let read = private_files::open_to_read(&own_path(dir)).and_then(|file| file.read_exact_at(&mut byte, run.0));
    read.is_ok() && byte == *b"!"
}

/// Records that the log of a run of this machine can't be read here, because it was not written: the server has more.
pub(in crate::store) fn forget_own(dir: &Path, run: RunId) {
    let mut options = private_files::options();
    options.write(true);
    // Without the file it is not recorded that the run is one of this machine either.
    let _ = private_files::open(&options, &own_path(dir)).and_then(|file| file.write_all_at(b" ", run.0));
}

/// Creates a file with mode 0600 for reading and writing. An existing file is replaced: it was left by a run of the
/// same number, in a site that was lost or restored from a backup.
pub(super) fn create(path: &Path) -> io::Result<File> {
    let mut options = private_files::options();
    options.read(true).write(true).create_new(true);
    match private_files::open(&options, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            std::fs::remove_file(path)?;
            private_files::open(&options, path)
        }
        result => result,
    }
}
