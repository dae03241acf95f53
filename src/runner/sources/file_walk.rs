//! Finds the files that match a pattern, within bounds.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::model::{FilePattern, PatternPart, PatternPath};
use crate::runner::os_error::describe_os_error;
use crate::text;

/// The most folder entries that one pattern looks at.
const MAX_ENTRIES: usize = 1_000_000;
/// How long one pattern may take, with reading the files that it finds.
const TIMEOUT: Duration = Duration::from_secs(10 * 60);

/// Why the files of a job could not be observed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ObserveError {
    /// It was cancelled.
    #[error("cancelled")]
    Cancelled,
    /// A file can't be read, or there are too many.
    #[error("{0}")]
    Failed(String),
}

/// What is called with the name of a file, as the pattern gives it, and its path.
type OnFile<'a> = dyn FnMut(&Path, &Path) -> Result<(), ObserveError> + 'a;

/// A search for files.
pub(super) struct FileWalk<'a> {
    folder: &'a Path,
    is_cancelled: &'a dyn Fn() -> bool,
    visited: usize,
    started: Instant,
}

impl<'a> FileWalk<'a> {
    pub(super) fn new(folder: &'a Path, is_cancelled: &'a dyn Fn() -> bool) -> Self {
        Self { folder, is_cancelled, visited: 0, started: Instant::now() }
    }

    /// Calls `on_file` for the files that match. A folder that a pattern names without wildcards stands for all its files.
    pub(super) fn find(&mut self, pattern: &FilePattern, on_file: &mut OnFile<'_>) -> Result<(), ObserveError> {
        for alternative in pattern.alternatives() {
            self.descend(&alternative.start, &alternative.parts, on_file)?;
        }
        Ok(())
    }

    /// Whether anything matches.
    pub(super) fn exists(&mut self, pattern: &FilePattern) -> Result<bool, ObserveError> {
        let is_there = |alternative: &PatternPath| {
            alternative.parts.is_empty() && self.folder.join(&alternative.start).symlink_metadata().is_ok()
        };
        if pattern.alternatives().iter().any(is_there) {
            return Ok(true);
        }
        Ok(self.count(pattern, 1)? > 0)
    }

    /// How many files match, at most `most`.
    pub(super) fn count(&mut self, pattern: &FilePattern, most: usize) -> Result<usize, ObserveError> {
        let mut count = 0;
        let counted = self.find(pattern, &mut |_, _| {
            count += 1;
            // Ends the walk.
            if count < most { Ok(()) } else { Err(ObserveError::Cancelled) }
        });
        match counted {
            Err(ObserveError::Cancelled) if count >= most => Ok(count),
            counted => counted.map(|()| count),
        }
    }

    fn descend(&mut self, name: &Path, parts: &[PatternPart], on_file: &mut OnFile<'_>) -> Result<(), ObserveError> {
        let path = self.folder.join(name);
        let Some((first, rest)) = parts.split_first() else {
            // A folder stands for all files in it.
            return if path.is_dir() {
                self.descend(name, &[PatternPart::AnyFolders], on_file)
            } else if path.symlink_metadata().is_ok() {
                on_file(name, &path)
            } else {
                Ok(())
            };
        };
        let is_deep = matches!(first, PatternPart::AnyFolders);
        if is_deep && !rest.is_empty() {
            self.descend(name, rest, on_file)?;
        }
        for (entry, is_folder, is_link) in self.entries(&path)? {
            let text = entry.to_string_lossy();
            if !first.matches(&text) {
                continue;
            }
            let name = name.join(&entry);
            if is_deep {
                // Links to folders are not followed: they may lead back here.
                if is_folder && !is_link {
                    self.descend(&name, parts, on_file)?;
                } else if rest.is_empty() && !is_folder {
                    on_file(&name, &self.folder.join(&name))?;
                }
            } else if is_folder && !rest.is_empty() {
                self.descend(&name, rest, on_file)?;
            } else if !is_folder && rest.is_empty() {
                on_file(&name, &self.folder.join(&name))?;
            }
        }
        Ok(())
    }

    /// The entries of a folder by name, with whether each is or leads to a folder, and whether it is a link. None if the
    /// folder doesn't exist.
    fn entries(&mut self, path: &Path) -> Result<Vec<(PathBuf, bool, bool)>, ObserveError> {
        let failed = |error: &io::Error| {
            let path = text::sanitize_line(&path.to_string_lossy());
            ObserveError::Failed(format!("folder {path}: {}", describe_os_error(error)))
        };
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let entries = match fs::read_dir(path) {
            Ok(entries) => entries,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                return Ok(Vec::new());
            }
            Err(error) => return Err(failed(&error)),
        };
        let mut found = Vec::new();
        for entry in entries {
            self.check_bounds()?;
            let entry = entry.map_err(|error| failed(&error))?;
            let kind = entry.file_type().map_err(|error| failed(&error))?;
            let is_folder = if kind.is_symlink() { entry.path().is_dir() } else { kind.is_dir() };
            found.push((PathBuf::from(entry.file_name()), is_folder, kind.is_symlink()));
        }
        found.sort_unstable();
        Ok(found)
    }

    fn check_bounds(&mut self) -> Result<(), ObserveError> {
        self.visited += 1;
        if (self.is_cancelled)() {
            return Err(ObserveError::Cancelled);
        }
        if self.visited > MAX_ENTRIES {
            let files = text::count_noun(MAX_ENTRIES, "file");
            return Err(ObserveError::Failed(format!("a pattern looks at more than {files}; start it with a folder")));
        }
        if self.started.elapsed() > TIMEOUT {
            let timeout = text::exact_duration(TIMEOUT);
            return Err(ObserveError::Failed(format!("looking at the files took longer than {timeout}")));
        }
        Ok(())
    }
}
