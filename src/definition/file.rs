//! Reads `jobs.yaml` from disk, with the files that it includes.

use std::path::{Path, PathBuf};

use super::file_text::{Error, read_text};
use super::item_sources::ReturnedValues;
use super::parse::{ParsedFile, parse_file, place_of};
use crate::model::DesiredState;

/// Reads and parses a file. The version of the desired state starts with the [`file_version`](super::file_version) that was
/// read; if items of `for_each` come from elsewhere, or other files are included, their fingerprint follows.
pub fn read(path: &Path) -> Result<DesiredState, Error> {
    read_with_warnings(path).map(|(desired, _)| desired)
}

/// Like [`read`], and returns also what is odd about the file, with the places.
pub fn read_with_warnings(path: &Path) -> Result<(DesiredState, Vec<String>), Error> {
    let ReadFile { desired, warnings, .. } = read_with_files(path);
    desired.map(|desired| (desired, warnings))
}

/// Like [`read_with_warnings`], with the values that jobs have returned: a list in one of them may define jobs. Without them,
/// such jobs are missing.
pub fn read_with_values<'v>(
    path: &Path,
    values: &'v mut ReturnedValues<'v>,
) -> Result<(DesiredState, Vec<String>), Error> {
    let ReadFile { desired, warnings, .. } = read_all(path, values);
    desired.map(|desired| (desired, warnings))
}

/// What reading a file gave.
pub struct ReadFile {
    /// What it describes.
    pub desired: Result<DesiredState, Error>,
    /// What is odd about it, with the places.
    pub warnings: Vec<String>,
    /// The files that it includes, also those that can't be read.
    pub included: Vec<PathBuf>,
}

/// Like [`read`], and returns also what is odd about the file, and which files it includes.
pub fn read_with_files(path: &Path) -> ReadFile {
    read_all(path, &mut |_, _| None)
}

fn read_all<'v>(path: &Path, values: &'v mut ReturnedValues<'v>) -> ReadFile {
    let (version, name, text) = match read_text(path) {
        Ok(read) => read,
        Err(error) => return ReadFile { desired: Err(error), warnings: Vec::new(), included: Vec::new() },
    };
    let ParsedFile { desired, warnings, included } = parse_file(path, &name, &text, values);
    let desired = desired.map(|mut desired| {
        desired.version.insert_str(0, &version);
        desired
    });
    ReadFile { desired: desired.map_err(Error::from), warnings, included }
}

/// The place of the entry of the job `queue/name`: its file, which may be an included one, and its line, from 1.
pub fn place_in_file(path: &Path, queue: &str, name: &str) -> Option<(PathBuf, usize)> {
    let (_, _, text) = read_text(path).ok()?;
    let (file, line) = place_of(path, &text, (queue, name), &[])?;
    Some((file.unwrap_or_else(|| path.to_owned()), line))
}

/// The place of a field of the job `queue/name`, such as `limits.memory`: its own, or one that it inherits. Of one that isn't
/// there, the place of the entry of the job.
pub fn field_place_in_file(path: &Path, queue: &str, name: &str, field: &[&str]) -> Option<(PathBuf, usize)> {
    let (_, _, text) = read_text(path).ok()?;
    let (file, line) = place_of(path, &text, (queue, name), field)?;
    Some((file.unwrap_or_else(|| path.to_owned()), line))
}
