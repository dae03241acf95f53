//! Patterns of files: `in/*.wav`, `src/**`, `{a,b}.txt`. As in a shell, a wildcard matches neither a slash nor a leading dot.

use std::path::{Component, Path, PathBuf};

use glob::{MatchOptions, Pattern};

/// The most patterns that the braces of one may stand for.
const MAX_ALTERNATIVES: usize = 100;

const OPTIONS: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

/// A pattern of files.
#[derive(Clone, Debug)]
pub struct FilePattern {
    /// One for each combination of its braces.
    alternatives: Vec<PatternPath>,
}

/// A pattern without braces.
#[derive(Clone, Debug)]
pub struct PatternPath {
    /// The folder in which the first wildcard is, or all of a path without wildcards.
    pub start: PathBuf,
    /// The rest, by folder.
    pub parts: Vec<PatternPart>,
}

/// A part of a pattern, between slashes.
#[derive(Clone, Debug)]
pub enum PatternPart {
    /// A name, or a wildcard that matches names.
    Name(Pattern),
    /// `**`: any number of folders.
    AnyFolders,
}

/// Why a pattern can't be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidPattern(String);

impl FilePattern {
    /// Parses a pattern.
    pub fn parse(pattern: &str) -> Result<Self, InvalidPattern> {
        if pattern.trim().is_empty() {
            return Err(InvalidPattern("it is empty".to_owned()));
        }
        let patterns = expand_braces(pattern)?;
        Ok(Self { alternatives: patterns.iter().map(|pattern| PatternPath::parse(pattern)).collect::<Result<_, _>>()? })
    }

    /// The patterns that it stands for.
    pub fn alternatives(&self) -> &[PatternPath] {
        &self.alternatives
    }

    /// Whether it matches this path, or a folder that the path is in.
    pub fn matches(&self, path: &Path) -> bool {
        let names: Vec<String> =
            path.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect();
        self.alternatives.iter().any(|alternative| {
            let start: Vec<_> = alternative.start.components().collect();
            let given: Vec<_> = path.components().take(start.len()).collect();
            given == start && matches_names(&alternative.parts, &names[start.len().min(names.len())..])
        })
    }

    /// Whether it can match files that are not in the folder that it is relative to.
    pub fn leaves_folder(&self) -> bool {
        let leaves = |alternative: &PatternPath| {
            alternative.start.is_absolute() || alternative.start.components().any(|part| part == Component::ParentDir)
        };
        self.alternatives.iter().any(leaves)
    }
}

fn matches_names(parts: &[PatternPart], names: &[String]) -> bool {
    match (parts.split_first(), names.split_first()) {
        // What is in a folder that matches matches, too.
        (None, _) => true,
        (Some(_), None) => false,
        (Some((part @ PatternPart::AnyFolders, rest)), Some((name, inner))) => {
            let is_visible = part.matches(name);
            (is_visible && (rest.is_empty() || matches_names(parts, inner)))
                || (!rest.is_empty() && matches_names(rest, names))
        }
        (Some((part, rest)), Some((name, inner))) => part.matches(name) && matches_names(rest, inner),
    }
}

impl PatternPath {
    fn parse(pattern: &str) -> Result<Self, InvalidPattern> {
        let mut start = PathBuf::from(if pattern.starts_with('/') { "/" } else { "" });
        let mut parts = Vec::new();
        for part in pattern.split('/').filter(|part| !part.is_empty() && *part != ".") {
            if parts.is_empty() && !part.contains(['*', '?', '[']) {
                start.push(part);
            } else if part == "**" {
                if !matches!(parts.last(), Some(PatternPart::AnyFolders)) {
                    parts.push(PatternPart::AnyFolders);
                }
            } else if part == ".." {
                return Err(InvalidPattern("`..` can't follow a wildcard".to_owned()));
            } else {
                let invalid = |error: glob::PatternError| InvalidPattern(error.msg.to_lowercase());
                parts.push(PatternPart::Name(Pattern::new(part).map_err(invalid)?));
            }
        }
        Ok(Self { start, parts })
    }
}

impl PatternPart {
    /// Whether a name matches.
    pub fn matches(&self, name: &str) -> bool {
        match self {
            Self::Name(pattern) => pattern.matches_with(name, OPTIONS),
            Self::AnyFolders => !name.starts_with('.'),
        }
    }
}

/// The patterns that `{a,b}` stands for. Braces do not nest.
fn expand_braces(pattern: &str) -> Result<Vec<String>, InvalidPattern> {
    let mut patterns = vec![String::new()];
    let mut rest = pattern;
    while let Some((before, inside)) = rest.split_once('{') {
        let Some((alternatives, after)) = inside.split_once('}') else {
            return Err(InvalidPattern("`{` without `}`".to_owned()));
        };
        let alternatives: Vec<&str> = alternatives.split(',').collect();
        if patterns.len() * alternatives.len() > MAX_ALTERNATIVES {
            return Err(InvalidPattern(format!("its braces stand for more than {MAX_ALTERNATIVES} patterns")));
        }
        let extended =
            |start: &String| alternatives.iter().map(|end| format!("{start}{before}{end}")).collect::<Vec<_>>();
        patterns = patterns.iter().flat_map(extended).collect();
        rest = after;
    }
    Ok(patterns.into_iter().map(|start| start + rest).collect())
}
