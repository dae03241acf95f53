//! What runs print: written once, bounded, read by any number of followers while it grows.
//!
//! The output of run 7 begins in `7.log`, the head, which takes half of the limit. What comes after that goes to
//! `7.tail`, a ring in which the newest bytes replace the oldest (see `tail.rs`). At the end the tail is moved behind
//! the head, so that `7.log` alone is what any pager opens: the head, a line that says how much is missing, the tail.
//! Where nothing is missing, `7.tail` is removed; else it shrinks to a small note of where the gap is.
//!
//! Offsets are counted in the output as the run wrote it. They mean the same for a run that goes on and one that has
//! finished, whatever is dropped; the line about the gap is not counted and never read through [`LogReader`].
//!
//! Both streams lie interleaved, as they arrived; which is which, and when it came, is in `7.marks` (see `marks.rs`). Of a
//! run in a terminal, `7.sizes` says how large that was (see `sizes.rs`). What came of `on_finish` is in `7.hook`.

mod aftermath;
mod discard;
mod gather;
#[cfg(target_os = "linux")]
mod growth;
mod heard;
mod marker;
mod marks;
mod reader;
mod sizes;
mod stretch;
mod tail;
mod writer;

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::StoreError;
use crate::model::RunId;

pub(super) use aftermath::keep as keep_hook_end;
pub(super) use discard::is_worth_it;
pub use discard::{discard, erase, sizes};
pub use gather::mend;
pub use heard::Heard;
pub use marks::Origin;
pub use reader::{LogReader, Piece};
pub use stretch::Stretch;
pub use writer::LogWriter;

/// What lies beside the head of a log.
fn beside(folder: &Path, run: RunId) -> [PathBuf; 3] {
    [tail_path(folder, run), marks_path(folder, run), sizes_path(folder, run)]
}

/// The line that stands for `bytes` of output that were not kept.
pub fn omission(bytes: u64) -> String {
    format!("[setlist: {} omitted]", size(bytes))
}

/// The file in which the output of a run begins; where it printed nothing, there is none.
pub fn path(folder: &Path, run: RunId) -> PathBuf {
    head_path(folder, run)
}

fn head_path(folder: &Path, run: RunId) -> PathBuf {
    folder.join(format!("{run}.log"))
}

fn tail_path(folder: &Path, run: RunId) -> PathBuf {
    folder.join(format!("{run}.tail"))
}

fn sizes_path(folder: &Path, run: RunId) -> PathBuf {
    folder.join(format!("{run}.sizes"))
}

fn marks_path(folder: &Path, run: RunId) -> PathBuf {
    folder.join(format!("{run}.marks"))
}

/// A new file, readable too, for nobody but its owner. One that is there was left by a run of the same number, in a
/// site that was lost or restored from a copy.
fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true).mode(0o600);
    match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            std::fs::remove_file(path)?;
            options.open(path)
        }
        result => result,
    }
}

fn create_folder(folder: &Path) -> Result<(), StoreError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|error| StoreError::io(folder, error))
}

/// A size as people write it.
fn size(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match UNITS.iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) => {
            let tenths = u128::from(bytes) * 10 / u128::from(*unit);
            format!("{}.{} {name}", tenths / 10, tenths % 10)
        }
        None => format!("{bytes} bytes"),
    }
}
