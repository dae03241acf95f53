//! Finds the files that match a pattern of `for_each` such as `in/*.mp4`, sorted. Those of `sources` and `outputs` are found
//! when a job runs (`runner/sources/file_walk.rs`).

use std::borrow::Cow;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::model::{FilePattern, InvalidPattern, PatternPart};

/// The most folder entries that one pattern looks at.
const MAX_VISITED: usize = 500_000;

/// Why a pattern can't be used.
pub(super) enum GlobError {
    /// It is not well-formed.
    Invalid(InvalidPattern),
    /// More files match than allowed.
    TooManyMatches,
    /// It looks at too many files.
    TooManyVisited,
    /// A folder can't be read.
    Unreadable(PathBuf, io::Error),
}

struct Walk<'f> {
    folder: &'f Path,
    /// Whether the pattern ends with a slash: folders match instead of files.
    finds_folders: bool,
    max_matches: usize,
    visited: usize,
    found: Vec<PathBuf>,
    /// The folders that were read, or else the last one on the way to them.
    folders: Vec<PathBuf>,
}

/// The files that match a pattern.
pub(super) struct FoundFiles {
    /// Their paths, sorted.
    pub(super) files: Vec<PathBuf>,
    /// The folders in which others may appear.
    pub(super) folders: Vec<PathBuf>,
}

/// The files that match, sorted. Those of a relative pattern are relative to `folder`. A folder that does not exist
/// has none.
pub(super) fn find_files(folder: &Path, pattern: &str, max_matches: usize) -> Result<FoundFiles, GlobError> {
    let parsed = FilePattern::parse(&expand_home(pattern)).map_err(GlobError::Invalid)?;
    let finds_folders = pattern.ends_with('/');
    let mut walk = Walk { folder, finds_folders, max_matches, visited: 0, found: Vec::new(), folders: Vec::new() };
    for alternative in parsed.alternatives() {
        walk.visited = 0;
        walk.descend(&alternative.start, &alternative.parts)?;
    }
    let mut found = walk.found;
    found.sort_unstable();
    found.dedup();
    Ok(FoundFiles { files: found, folders: walk.folders })
}

/// The folder of a pattern before its first wildcard, as in the paths that it finds.
pub(super) fn literal_folder(pattern: &str) -> PathBuf {
    let pattern = expand_home(pattern);
    let end = pattern.find(['*', '?', '[', '{']).unwrap_or(pattern.len());
    let folder = pattern[..end].rsplit_once('/').map_or("", |(folder, _)| folder);
    let start = PathBuf::from(if pattern.starts_with('/') { "/" } else { "" });
    folder.split('/').filter(|part| !part.is_empty() && *part != ".").fold(start, |path, part| path.join(part))
}

/// The pattern with the home folder in place of a leading `~`.
fn expand_home(pattern: &str) -> Cow<'_, str> {
    let rest = pattern.strip_prefix('~').filter(|rest| rest.is_empty() || rest.starts_with('/'));
    match (rest, std::env::home_dir()) {
        (Some(rest), Some(home)) => {
            Cow::Owned(format!("{}{rest}", FilePattern::escape(&home.to_string_lossy(), false)))
        }
        _ => Cow::Borrowed(pattern),
    }
}

impl Walk<'_> {
    /// Finds the files below `path` that match the rest of a pattern.
    fn descend(&mut self, path: &Path, parts: &[PatternPart]) -> Result<(), GlobError> {
        let Some((first, rest)) = parts.split_first() else {
            let found = self.folder.join(path);
            let matches = if self.finds_folders { found.is_dir() } else { found.is_file() };
            return if matches { self.add(path.to_owned()) } else { Ok(()) };
        };
        if let Some(name) = first.literal_name() {
            return self.descend(&path.join(&*name), rest);
        }
        let is_deep = matches!(first, PatternPart::AnyFolders);
        if is_deep && !rest.is_empty() {
            self.descend(path, rest)?;
        }
        for entry in self.entries(path)? {
            let name = entry.file_name();
            if !first.matches(&name.to_string_lossy()) {
                continue;
            }
            let path = path.join(&name);
            if rest.is_empty() && self.is_wanted(&entry) {
                self.add(path.clone())?;
            }
            // Links to folders are not followed by `**`: they may lead back here.
            if is_deep && is_folder(&entry, false) {
                self.descend(&path, parts)?;
            } else if !is_deep && !rest.is_empty() && is_folder(&entry, true) {
                self.descend(&path, rest)?;
            }
        }
        Ok(())
    }

    /// Whether an entry is of the kind that the pattern finds.
    fn is_wanted(&self, entry: &fs::DirEntry) -> bool {
        if self.finds_folders { is_folder(entry, true) } else { is_regular(entry) }
    }

    fn add(&mut self, path: PathBuf) -> Result<(), GlobError> {
        self.found.push(path);
        if self.found.len() > self.max_matches { Err(GlobError::TooManyMatches) } else { Ok(()) }
    }

    /// What a folder contains; nothing if it doesn't exist.
    fn entries(&mut self, path: &Path) -> Result<Vec<fs::DirEntry>, GlobError> {
        let folder = self.folder.join(path);
        let folder = if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder };
        let unreadable = |error| GlobError::Unreadable(folder.clone(), error);
        let entries = match fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                self.folders.extend(folder.ancestors().find(|ancestor| ancestor.is_dir()).map(Path::to_owned));
                return Ok(Vec::new());
            }
            Err(error) => return Err(unreadable(error)),
        };
        self.folders.push(folder.clone());
        let mut read = Vec::new();
        for entry in entries {
            self.visited += 1;
            if self.visited > MAX_VISITED {
                return Err(GlobError::TooManyVisited);
            }
            read.push(entry.map_err(unreadable)?);
        }
        Ok(read)
    }
}

fn is_folder(entry: &fs::DirEntry, follows_links: bool) -> bool {
    match entry.file_type() {
        Ok(file_type) if file_type.is_symlink() => follows_links && entry.path().is_dir(),
        Ok(file_type) => file_type.is_dir(),
        Err(_) => false,
    }
}

fn is_regular(entry: &fs::DirEntry) -> bool {
    match entry.file_type() {
        Ok(file_type) if file_type.is_symlink() => entry.path().is_file(),
        Ok(file_type) => file_type.is_file(),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_files_is_limited() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a", "b"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        let find = |max| find_files(folder.path(), "*", max);
        assert_eq!(find(2).ok().map(|found| found.files.len()), Some(2));
        assert!(matches!(find(1), Err(GlobError::TooManyMatches)));
        // Links that lead back are not followed.
        std::os::unix::fs::symlink(".", folder.path().join("again")).unwrap();
        assert_eq!(find_files(folder.path(), "**", 10).ok().map(|found| found.files.len()), Some(2));
    }

    #[test]
    fn the_folder_of_a_pattern_is_what_comes_before_its_wildcards() {
        for (pattern, folder) in
            [("in/*.mp4", "in"), ("*.mp4", ""), ("./a/b/{x,y}/z", "a/b"), ("/srv/?", "/srv"), ("a/b", "a")]
        {
            assert_eq!(literal_folder(pattern), Path::new(folder), "{pattern}");
        }
    }
}
