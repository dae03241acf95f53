//! Patterns of files: `in/*.wav`, `src/**`, `{a,b}.txt`. As in a shell, a wildcard matches neither a slash nor a leading dot.
//! A wildcard in brackets, such as `[*]`, stands for itself.

use std::borrow::Cow;
use std::path::{Component, Path, PathBuf};

use glob::{MatchOptions, Pattern};

/// The most patterns that the braces of one may stand for.
const MAX_ALTERNATIVES: usize = 100;

/// The characters that stand for themselves only in brackets: `[*]`.
const SPECIAL: [char; 7] = ['*', '?', '[', ']', '{', '}', ','];

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

    /// A name as a part of a pattern that matches only this name. `is_start`: whether the pattern starts with it.
    pub fn escape(name: &str, is_start: bool) -> Cow<'_, str> {
        let starts_with_mark = is_start && name.starts_with('!');
        if !starts_with_mark && !name.contains(SPECIAL) {
            return Cow::Borrowed(name);
        }
        let mut escaped = String::from(if starts_with_mark { "./" } else { "" });
        for char in name.chars() {
            if SPECIAL.contains(&char) {
                escaped.extend(['[', char, ']']);
            } else {
                escaped.push(char);
            }
        }
        Cow::Owned(escaped)
    }

    /// A pattern for people: the name that it stands for, if it has no wildcards.
    pub fn plain_text(pattern: &str) -> Cow<'_, str> {
        let (mark, rest) = match pattern.strip_prefix('!') {
            Some(rest) => ("!", rest),
            None => ("", pattern),
        };
        let rest = if rest.starts_with("./!") { &rest[2..] } else { rest };
        match literal_name(rest) {
            Some(name) if !has_braces(rest) => Cow::Owned(format!("{mark}{name}")),
            _ => Cow::Borrowed(pattern),
        }
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
            let literal = if parts.is_empty() { literal_name(part) } else { None };
            if let Some(name) = literal {
                start.push(&*name);
            } else if part == "**" {
                if !matches!(parts.last(), Some(PatternPart::AnyFolders)) {
                    parts.push(PatternPart::AnyFolders);
                }
            } else if part == ".." {
                return Err(InvalidPattern("`..` can't follow a wildcard".to_owned()));
            } else {
                let invalid = |error: glob::PatternError| {
                    InvalidPattern(match error.msg {
                        msg if msg.contains("range") => {
                            "`[` without `]`; a name with `[` is written with `[[]`".to_owned()
                        }
                        msg => msg.to_lowercase(),
                    })
                };
                parts.push(PatternPart::Name(Pattern::new(part).map_err(invalid)?));
            }
        }
        Ok(Self { start, parts })
    }
}

impl PatternPart {
    /// The only name that matches; none if there are wildcards.
    pub fn literal_name(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Name(pattern) => literal_name(pattern.as_str()),
            Self::AnyFolders => None,
        }
    }

    /// Whether a name matches.
    pub fn matches(&self, name: &str) -> bool {
        match self {
            Self::Name(pattern) => pattern.matches_with(name, OPTIONS),
            Self::AnyFolders => !name.starts_with('.'),
        }
    }
}

/// The name that a pattern without braces stands for; `None` if it has wildcards.
fn literal_name(pattern: &str) -> Option<Cow<'_, str>> {
    if !pattern.contains(['*', '?', '[']) {
        return Some(Cow::Borrowed(pattern));
    }
    let mut name = String::new();
    let mut chars = pattern.chars();
    while let Some(char) = chars.next() {
        match char {
            '[' => {
                name.push(chars.next().filter(|char| SPECIAL.contains(char))?);
                chars.next().filter(|char| *char == ']')?;
            }
            '*' | '?' => return None,
            _ => name.push(char),
        }
    }
    Some(Cow::Owned(name))
}

/// Whether there are braces that do not stand for themselves.
fn has_braces(pattern: &str) -> bool {
    split_at_special(pattern, '{').is_some()
}

/// What is before and after the first of these characters that doesn't stand for itself.
fn split_at_special(text: &str, special: char) -> Option<(&str, &str)> {
    let is_special =
        |(at, found): &(usize, &str)| !(text[..*at].ends_with('[') && text[at + found.len()..].starts_with(']'));
    let (at, found) = text.match_indices(special).find(is_special)?;
    Some((&text[..at], &text[at + found.len()..]))
}

/// The alternatives in the braces of a pattern.
fn split_alternatives(inside: &str) -> Vec<&str> {
    let (mut alternatives, mut rest) = (Vec::new(), inside);
    while let Some((alternative, after)) = split_at_special(rest, ',') {
        alternatives.push(alternative);
        rest = after;
    }
    alternatives.push(rest);
    alternatives
}

/// The patterns that `{a,b}` stands for. Braces do not nest.
fn expand_braces(pattern: &str) -> Result<Vec<String>, InvalidPattern> {
    let mut patterns = vec![String::new()];
    let mut rest = pattern;
    while let Some((before, inside)) = split_at_special(rest, '{') {
        let Some((alternatives, after)) = split_at_special(inside, '}') else {
            return Err(InvalidPattern("`{` without `}`".to_owned()));
        };
        let alternatives = split_alternatives(alternatives);
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
