//! Reads a `jobs.yaml` from disk, whole and in one version.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::diagnostic::Diagnostics;
use super::problems::{Problem, Problems};
use super::source::Source;
use crate::model::Plan;

/// Larger files are refused, in bytes.
pub const LARGEST: u64 = 32 * 1024 * 1024;

/// How often a file may change while it is being read.
const PATIENCE: usize = 10;

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such file.
    #[error("there is no {}", .0.display())]
    Missing(PathBuf),
    /// The file is there but can't be read.
    #[error("can't read {}: {source}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The file was read and has errors.
    #[error(transparent)]
    Invalid(#[from] Diagnostics),
}

/// Reads and checks a file. The plan's stamp is the file's [`stamp`] at that time.
pub fn read(path: &Path) -> Result<Plan, Error> {
    let (stamp, name, text) = text(path)?;
    let mut plan = super::parse(&name, &text)?;
    plan.stamp = stamp;
    Ok(plan)
}

/// The text of a file, with its stamp and what it is called in messages.
pub(super) fn text(path: &Path) -> Result<(String, String, String), Error> {
    let (stamp, bytes) = bytes(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => Error::Missing(path.to_owned()),
        _ => Error::Unreadable { path: path.to_owned(), source },
    })?;
    let name = path.display().to_string();
    let text = String::from_utf8(bytes).map_err(|error| not_text(&name, error))?;
    Ok((stamp, name, text))
}

/// Which version of the file is there now, without reading it: equal stamps mean that nothing was written between.
pub fn stamp(path: &Path) -> io::Result<String> {
    Ok(stamp_of(&path.metadata()?))
}

#[cfg(unix)]
fn stamp_of(metadata: &Metadata) -> String {
    use std::os::unix::fs::MetadataExt;

    let (modified, changed) = ((metadata.mtime(), metadata.mtime_nsec()), (metadata.ctime(), metadata.ctime_nsec()));
    format!("{}.{:09}-{}.{:09}-{}-{}", modified.0, modified.1, changed.0, changed.1, metadata.len(), metadata.ino())
}

#[cfg(not(unix))]
fn stamp_of(metadata: &Metadata) -> String {
    let modified = metadata.modified().ok().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    format!("{}-{}", modified.unwrap_or_default().as_nanos(), metadata.len())
}

/// The file's bytes with the stamp of their version: read again while somebody writes. One byte more than allowed is
/// read of a file that is too large.
fn bytes(path: &Path) -> io::Result<(String, Vec<u8>)> {
    for _ in 0..PATIENCE {
        let mut file = File::open(path)?;
        let before = file.metadata()?;
        let mut bytes = Vec::new();
        (&mut file).take(LARGEST + 1).read_to_end(&mut bytes)?;
        // A pipe has no versions, and can be read only once.
        if !before.is_file() || stamp_of(&before) == stamp(path)? {
            return Ok((stamp_of(&before), bytes));
        }
    }
    Err(io::Error::other("somebody keeps writing it"))
}

fn not_text(name: &str, error: std::string::FromUtf8Error) -> Diagnostics {
    let at = error.utf8_error().valid_up_to();
    let mut bytes = error.into_bytes();
    let mut problems = Problems::default();
    // The mark with which UTF-16 begins, in both orders.
    let other = at == 0 && (bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]));
    let message = if other { "this is UTF-16, not UTF-8" } else { "this is no UTF-8 text" };
    problems.add(Problem::in_text(at..at + 1, message).hint("save the file as UTF-8"));
    bytes.truncate(at + 1);
    let text = String::from_utf8_lossy(&bytes);
    problems.locate(name, &Source::new(&text))
}
