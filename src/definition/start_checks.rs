//! Reads what decides whether a job runs when its turn comes, and on which files: `if`, `unless`, `sources`, `outputs` and
//! `snapshot`.

use super::fields::SourcesField;
use super::overrides::Override;
use super::problems::{Problem, Problems};
use super::spanned_value::{Node, NodeKind};
use super::unknown_fields;
use super::value_path::ValuePath;
use super::{program, value};
use crate::model::{FilePattern, Program, SnapshotKind, SourceComparison};

/// The keywords of `on`.
pub(super) const ON_VALUES: [(&str, SourceComparison); 2] =
    [("content", SourceComparison::Content), ("mtime", SourceComparison::Mtime)];

/// The values of `snapshot`.
pub(super) const SNAPSHOT_VALUES: [(&str, Override<SnapshotKind>); 2] =
    [(SnapshotKind::Git.as_str(), Override::Set(SnapshotKind::Git)), ("none", Override::Clear)];

/// Reads a condition: a script, or a command as a list.
pub(super) fn read_condition(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Option<Program> {
    match &node.kind {
        NodeKind::Scalar(..) => {
            let text = value::non_empty_text(node, path, "the condition", problems)?;
            Some(Program::Run { text: text.into(), shell: Program::default_shell() })
        }
        NodeKind::List(_) => program::read_command_line(node, path, "a program and its arguments as a list", problems)
            .map(Program::Command),
        _ => value::unexpected(node, path, "a script, or a command as a list", problems),
    }
}

/// Reads `sources`: patterns, or a map of patterns and how files are compared.
pub(super) fn read_sources(
    node: &Node<'_>,
    path: &ValuePath<'_>,
    problems: &mut Problems,
) -> Option<(Vec<String>, SourceComparison)> {
    let NodeKind::Map(entries) = &node.kind else {
        return read_source_patterns(node, path, problems).map(|patterns| (patterns, SourceComparison::Content));
    };
    let (mut patterns, mut on) = (None, SourceComparison::Content);
    for entry in entries {
        let (node, path) = (&entry.value, &path.key(&entry.key.text));
        match SourcesField::from_name(&entry.key.text) {
            Some(SourcesField::Paths) => patterns = read_source_patterns(node, path, problems),
            Some(SourcesField::On) => {
                on = value::keyword(node, path, &ON_VALUES, problems).unwrap_or_default();
            }
            None => unknown_fields::report_in(entry, SourcesField::ALL, path, problems),
        }
    }
    if node.get("paths").is_none() {
        let problem = Problem::new(node.id, path, "missing `paths`");
        problems.add(problem.expected("expected `paths`: patterns of files, such as `in/*.wav`"));
    }
    patterns.map(|patterns| (patterns, on))
}

/// Reads the patterns of sources. At least one has to include files.
fn read_source_patterns(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Option<Vec<String>> {
    let patterns = read_patterns(node, path, problems)?;
    if !patterns.is_empty() && patterns.iter().all(|pattern| pattern.starts_with('!')) {
        let problem = Problem::new(node.id, path, "all patterns leave files out");
        problems.add(problem.hint("add a pattern without `!` for the files to look at, such as `src/**`"));
        return None;
    }
    Some(patterns)
}

/// Reads `snapshot`: `git`, or `none` in place of an inherited one.
pub(super) fn read_snapshot(
    node: &Node<'_>,
    path: &ValuePath<'_>,
    problems: &mut Problems,
) -> Option<Override<SnapshotKind>> {
    value::keyword(node, path, &SNAPSHOT_VALUES, problems)
}

/// Reads `outputs`.
pub(super) fn read_outputs(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Option<Vec<String>> {
    let patterns = read_patterns(node, path, problems)?;
    if let Some(pattern) = patterns.iter().find(|pattern| pattern.starts_with('!')) {
        let problem = Problem::new(node.id, path, format!("`{pattern}`: outputs can't be left out"));
        problems.add(problem.hint("`!` works in `sources` only"));
        return None;
    }
    Some(patterns)
}

/// Reads a pattern or a list of patterns.
fn read_patterns(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Option<Vec<String>> {
    let patterns = match &node.kind {
        NodeKind::Scalar(..) => read_pattern(node, path, problems).map(|pattern| vec![pattern]),
        _ => value::list(node, path, "a pattern of files or a list of patterns", problems, read_pattern),
    }?;
    if matches!(&node.kind, NodeKind::List(items) if items.is_empty()) {
        problems.add(Problem::new(node.id, path, "the list must not be empty"));
        return None;
    }
    Some(patterns)
}

fn read_pattern(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Option<String> {
    let text = value::non_empty_text(node, path, "the pattern", problems)?;
    match FilePattern::parse(text.strip_prefix('!').unwrap_or(&text)) {
        Ok(_) => Some(text),
        Err(error) => {
            problems.add(Problem::new(node.id, path, format!("invalid pattern: {error}")));
            None
        }
    }
}
