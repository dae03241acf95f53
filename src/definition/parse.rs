//! Parses the text of a `jobs.yaml` into the desired state of a site.

use std::path::{Path, PathBuf};

use super::desired_state::MayHave;
use super::diagnostic::{Diagnostic, Diagnostics};
use super::include::Includes;
use super::item_sources::{ItemSources, ReturnedValues};
use super::problems::Problems;
use super::root::parse_root;
use super::source::Source;
use super::spanned_value::NodeKind;
use super::{desired_state, script_variables, spanned_value, value_check};
use crate::model::DesiredState;

/// Parses the text of a file. `name` is the file's name in messages; files that it mentions are relative to its folder. The
/// version of the result is empty, except for what depends on those files.
pub fn parse(name: &str, text: &str) -> Result<DesiredState, Diagnostics> {
    parse_file(Path::new(name), name, text, &mut |_, _| None).desired
}

/// A file that was parsed with those that it includes.
pub(super) struct ParsedFile {
    /// What it describes.
    pub(super) desired: Result<DesiredState, Diagnostics>,
    /// What is odd about it, with the places.
    pub(super) warnings: Vec<String>,
    /// The paths of the files that it includes, also of those that can't be read.
    pub(super) included: Vec<PathBuf>,
}

/// Parses the text of the file at `path`, with these values of jobs.
pub(super) fn parse_file<'v>(path: &Path, name: &str, text: &str, values: &'v mut ReturnedValues<'v>) -> ParsedFile {
    let source = Source::new(text);
    let mut problems = Problems::default();
    let mut sources = ItemSources::new(path.parent().unwrap_or(Path::new("")), values);
    let (mut desired, mut others) = (DesiredState::default(), Includes::default());
    if let Some(mut root) = parse_root(&source, &mut problems) {
        others = Includes::read(path, &mut root, &mut problems);
        let texts: Vec<&str> = std::iter::once(text).chain(others.files.iter().map(|file| &*file.text)).collect();
        let may_have = MayHave {
            placeholders: texts.iter().any(|text| value_check::may_have_placeholders(text)),
            empty_variables: texts.iter().any(|text| script_variables::may_have_any(text)),
        };
        others.files.iter().for_each(|file| sources.add_file(&file.name, &file.text));
        desired = desired_state::read_queues(&root, &mut sources, may_have, &mut problems);
    }
    let Includes { files, paths: included, .. } = others;
    if !problems.is_empty() {
        let diagnostics = problems.into_diagnostics_of_files(name, &source, &files);
        return ParsedFile { desired: Err(diagnostics), warnings: Vec::new(), included };
    }
    let ItemSources { warnings, .. } = sources;
    for warning in warnings {
        problems.add(warning);
    }
    let found = problems.into_diagnostics_of_files(name, &source, &files);
    let warnings = found.errors.iter().map(|Diagnostic { line, column, message, snippet, .. }| {
        let file_name = Path::new(found.file_of(snippet)).file_name().unwrap_or_default().display();
        format!("{file_name}:{line}:{column}: {message}")
    });
    ParsedFile { warnings: warnings.collect(), desired: Ok(desired), included }
}

/// Returns the line, from 1, where the entry of the job `queue/name` starts in a text that includes no other file. Also works
/// for a file with errors, as far as it can be read.
pub fn line_of(text: &str, queue: &str, name: &str) -> Option<usize> {
    place_of(Path::new(""), text, (queue, name), &[]).map(|(_, line)| line)
}

/// Returns where the entry of a job, `queue/name`, starts: the file, if it is an included one, and the line, from 1. Also works
/// for a file with errors, as far as it can be read. With a `field`, such as `limits` and `memory`, the place of that, if the
/// job has or inherits it.
pub(super) fn place_of(
    path: &Path,
    text: &str,
    (queue, name): (&str, &str),
    field: &[&str],
) -> Option<(Option<PathBuf>, usize)> {
    let source = Source::new(text);
    let mut problems = Problems::default();
    let mut root = parse_root(&source, &mut problems)?;
    let includes = Includes::read(path, &mut root, &mut problems);
    let entry = desired_state::find_entry(&root, queue, name)?;
    let entry = desired_state::find_field(&root, queue, entry, field).unwrap_or(entry);
    let found = includes.files.iter().rev().find(|file| file.first_id <= entry);
    let (source, first_id) = match found {
        Some(file) => (Source::new(&file.text), file.first_id),
        None => (source, 0),
    };
    let entry = entry - first_id;
    let (_, span) = spanned_value::read(&source, &[entry]).ok()?.spans.into_iter().find(|(id, _)| *id == entry)?;
    let line = source.line_number(source.line_range(span.start).start);
    Some((found.map(|file| file.path.clone()), line))
}

/// The file that defines a queue, if it is an included one.
pub(super) fn file_of_queue(path: &Path, text: &str, queue: &str) -> Option<PathBuf> {
    let mut problems = Problems::default();
    let mut root = parse_root(&Source::new(text), &mut problems)?;
    let includes = Includes::read(path, &mut root, &mut problems);
    let NodeKind::Map(queues) = &root.get("queues")?.kind else { return None };
    let id = queues.iter().find(|entry| entry.key.text == queue)?.key.id;
    let file = includes.files.iter().rev().find(|file| file.first_id <= id)?;
    Some(file.path.clone())
}
