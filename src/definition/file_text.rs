//! Reads the text of a consistent version of a file from disk.

use std::fs::Metadata;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::diagnostic::Diagnostics;
use super::problems::{Problem, Problems};
use super::source::{MAX_FILE_BYTES, Source};
use crate::regular_file::open_regular;
use crate::text;

/// How many times a file that changes while it is read is read again.
const MAX_READ_ATTEMPTS: usize = 10;

/// Why a file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file does not exist.
    #[error("{}", describe_missing(.0))]
    Missing(PathBuf),
    /// The file exists but can't be read.
    #[error("can't read {}: {source}", path.display())]
    Unreadable {
        /// The path of the file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// Another copy of the file is in force.
    #[error(
        "another jobs.yaml is in force than {}: published {published}; nothing was changed: `setlist publish` replaces it \
         by this one",
        path.display()
    )]
    NotInForce {
        /// The path of the file.
        path: PathBuf,
        /// By whom, where and when the other one was published.
        published: String,
    },
    /// The file has errors.
    #[error(transparent)]
    Invalid(#[from] Diagnostics),
}

/// Says that a file does not exist, or the file that a link leads to.
pub fn describe_missing(path: &Path) -> String {
    match path.read_link() {
        Ok(target) => format!("{} is a link to {}, which does not exist", path.display(), target.display()),
        Err(_) => format!("{} does not exist", path.display()),
    }
}

/// Returns the version, the display name and the text of a file.
pub(super) fn read_text(path: &Path) -> Result<(String, String, String), Error> {
    let (version, bytes) = read_bytes(path).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => Error::Missing(path.to_owned()),
        _ => Error::Unreadable { path: path.to_owned(), source },
    })?;
    let name = text::sanitize_line(&path.to_string_lossy());
    let text = String::from_utf8(bytes).map_err(|error| invalid_utf8(&name, error))?;
    Ok((version, name, text))
}

/// Identifies the current version of a file without reading it. Equal versions mean that the file did not change.
pub fn file_version(path: &Path) -> io::Result<String> {
    Ok(version_of(&path.metadata()?))
}

#[cfg(unix)]
fn version_of(metadata: &Metadata) -> String {
    use std::os::unix::fs::MetadataExt;

    let (modified, changed) = ((metadata.mtime(), metadata.mtime_nsec()), (metadata.ctime(), metadata.ctime_nsec()));
    format!("{}.{:09}-{}.{:09}-{}-{}", modified.0, modified.1, changed.0, changed.1, metadata.len(), metadata.ino())
}

#[cfg(not(unix))]
fn version_of(metadata: &Metadata) -> String {
    let modified = metadata.modified().ok().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok());
    format!("{}-{}", modified.unwrap_or_default().as_nanos(), metadata.len())
}

/// Reads the file and its version, again if the file changes meanwhile. Reads at most one byte more
/// than the size limit.
fn read_bytes(path: &Path) -> io::Result<(String, Vec<u8>)> {
    for _ in 0..MAX_READ_ATTEMPTS {
        let mut file = open_regular(path)?;
        let before = file.metadata()?;
        let mut bytes = Vec::new();
        (&mut file).take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
        if version_of(&before) == file_version(path)? {
            return Ok((version_of(&before), bytes));
        }
    }
    Err(io::Error::other("the file keeps changing"))
}

fn invalid_utf8(name: &str, error: std::string::FromUtf8Error) -> Diagnostics {
    let at = error.utf8_error().valid_up_to();
    let mut bytes = error.into_bytes();
    let mut problems = Problems::default();
    // The byte order marks of UTF-16.
    let other = at == 0 && (bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]));
    let message = if other { "the file is UTF-16, not UTF-8" } else { "the file isn't valid UTF-8" };
    problems.add(Problem::in_text(at..at + 1, message).hint("save the file as UTF-8"));
    bytes.truncate(at + 1);
    let text = String::from_utf8_lossy(&bytes);
    problems.into_diagnostics(name, &Source::new(&text))
}

/// Whether a file may include others, as far as a look at its text can tell.
pub fn may_include(path: &Path) -> bool {
    read_bytes(path).is_ok_and(|(_, bytes)| memchr::memmem::find(&bytes, b"include").is_some())
}
