//! Finds the files that match a pattern such as `in/*.mp4`, sorted.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use glob::{MatchOptions, Pattern};

use crate::model::{InvalidPattern, expand_braces};

/// The most folder entries that one pattern looks at.
const MAX_VISITED: usize = 500_000;

/// As in a shell: a wildcard doesn't match a leading dot.
const OPTIONS: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

/// Why a pattern can't be used.
pub(super) enum GlobError {
    /// It is not well-formed.
    Invalid(String),
    /// More files match than allowed.
    TooManyMatches,
    /// It looks at too many files.
    TooManyVisited,
    /// A folder can't be read.
    Unreadable(PathBuf, io::Error),
}

/// A part of a pattern, between slashes.
enum Component {
    Literal(String),
    Wildcard(Pattern),
    /// `**`: any number of folders.
    AnyFolders,
}

struct Walk<'f> {
    folder: &'f Path,
    /// Whether the pattern ends with a slash: folders match instead of files.
    finds_folders: bool,
    max_matches: usize,
    visited: usize,
    found: Vec<PathBuf>,
}

/// The files that match, sorted. Those of a relative pattern are relative to `folder`. A folder that does not exist
/// has none.
pub(super) fn find_files(folder: &Path, pattern: &str, max_matches: usize) -> Result<Vec<PathBuf>, GlobError> {
    let mut found = Vec::new();
    let invalid = |error: InvalidPattern| GlobError::Invalid(error.to_string());
    for pattern in expand_braces(pattern).map_err(invalid)? {
        let (start, components) = parse(&pattern)?;
        let finds_folders = pattern.ends_with('/');
        let mut walk = Walk { folder, finds_folders, max_matches, visited: 0, found };
        walk.descend(&start, &components)?;
        found = walk.found;
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

/// The folder of a pattern before its first wildcard, as in the paths that it finds.
pub(super) fn literal_folder(pattern: &str) -> PathBuf {
    let end = pattern.find(['*', '?', '[', '{']).unwrap_or(pattern.len());
    let folder = pattern[..end].rsplit_once('/').map_or("", |(folder, _)| folder);
    let (start, rest) = start_of(folder);
    rest.split('/').filter(|part| !part.is_empty() && *part != ".").fold(start, |path, part| path.join(part))
}

/// Where a pattern starts: at the root, in the home folder, or in the folder of the file.
fn start_of(pattern: &str) -> (PathBuf, &str) {
    if let Some(rest) = pattern.strip_prefix('/') {
        return (PathBuf::from("/"), rest);
    }
    let home = std::env::home_dir().filter(|_| pattern == "~" || pattern.starts_with("~/"));
    home.map_or_else(|| (PathBuf::new(), pattern), |home| (home, pattern.trim_start_matches(['~', '/'])))
}

fn parse(pattern: &str) -> Result<(PathBuf, Vec<Component>), GlobError> {
    let (start, rest) = start_of(pattern);
    let mut components = Vec::new();
    for part in rest.split('/').filter(|part| !part.is_empty() && *part != ".") {
        components.push(match part {
            "**" if matches!(components.last(), Some(Component::AnyFolders)) => continue,
            "**" => Component::AnyFolders,
            _ if part.contains(['*', '?', '[']) => {
                let pattern = Pattern::new(part).map_err(|error| GlobError::Invalid(error.msg.to_owned()))?;
                Component::Wildcard(pattern)
            }
            _ => Component::Literal(part.to_owned()),
        });
    }
    if matches!(components.last(), Some(Component::AnyFolders)) {
        components.push(Component::Wildcard(Pattern::new("*").map_err(|error| GlobError::Invalid(error.to_string()))?));
    }
    Ok((start, components))
}

impl Walk<'_> {
    /// Finds the files below `path` that match the rest of a pattern.
    fn descend(&mut self, path: &Path, components: &[Component]) -> Result<(), GlobError> {
        let Some((first, rest)) = components.split_first() else {
            let found = self.folder.join(path);
            let matches = if self.finds_folders { found.is_dir() } else { found.is_file() };
            return if matches { self.add(path.to_owned()) } else { Ok(()) };
        };
        match first {
            Component::Literal(name) => self.descend(&path.join(name), rest),
            Component::Wildcard(pattern) => {
                for entry in self.entries(path)? {
                    let name = entry.file_name();
                    if !pattern.matches_with(&name.to_string_lossy(), OPTIONS) {
                        continue;
                    }
                    let path = path.join(&name);
                    let is_folder = is_folder(&entry, true);
                    match (rest.is_empty(), is_folder) {
                        (true, true) if self.finds_folders => self.add(path)?,
                        (true, false) if !self.finds_folders && is_regular(&entry) => self.add(path)?,
                        (false, true) => self.descend(&path, rest)?,
                        _ => {}
                    }
                }
                Ok(())
            }
            Component::AnyFolders => {
                self.descend(path, rest)?;
                for entry in self.entries(path)? {
                    let name = entry.file_name();
                    // Links are not followed: they may lead back here.
                    if is_folder(&entry, false) && !name.to_string_lossy().starts_with('.') {
                        self.descend(&path.join(&name), components)?;
                    }
                }
                Ok(())
            }
        }
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
                return Ok(Vec::new());
            }
            Err(error) => return Err(unreadable(error)),
        };
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
        assert_eq!(find(2).ok().map(|files| files.len()), Some(2));
        assert!(matches!(find(1), Err(GlobError::TooManyMatches)));
        // Links that lead back are not followed.
        std::os::unix::fs::symlink(".", folder.path().join("again")).unwrap();
        assert_eq!(find_files(folder.path(), "**", 10).ok().map(|files| files.len()), Some(2));
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
