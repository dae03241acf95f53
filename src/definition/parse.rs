//! Parses the text of a `jobs.yaml` into the desired state of a site.

use std::path::Path;

use super::diagnostic::{Diagnostic, Diagnostics};
use super::item_sources::ItemSources;
use super::problems::{Problem, Problems};
use super::source::{MAX_FILE_BYTES, Source};
use super::value_path::ValuePath;
use super::{desired_state, merge_keys, size_limits, spanned_value, value_check, yaml_errors};
use crate::model::DesiredState;

/// Parses the text of a file. `name` is the file's name in messages; files that it mentions are relative to its folder. The
/// version of the result is empty, except for what depends on those files.
pub fn parse(name: &str, text: &str) -> Result<DesiredState, Diagnostics> {
    let folder = Path::new(name).parent().unwrap_or(Path::new(""));
    parse_in(folder, name, text).map(|(desired, _)| desired)
}

/// Parses the text of a file in this folder, and returns also what is odd about it, with the places.
pub(super) fn parse_in(folder: &Path, name: &str, text: &str) -> Result<(DesiredState, Vec<String>), Diagnostics> {
    let source = Source::new(text);
    let mut problems = Problems::default();
    let mut sources = ItemSources::new(folder);
    let mut desired = check(&source, &mut sources, &mut problems);
    if !problems.is_empty() {
        return Err(problems.into_diagnostics(name, &source));
    }
    desired.version = sources.version_suffix();
    let ItemSources { warnings, .. } = sources;
    for warning in warnings {
        problems.add(warning);
    }
    let file_name = Path::new(name).file_name().unwrap_or_default().display().to_string();
    let places = problems.into_diagnostics(name, &source).errors.into_iter();
    let warnings =
        places.map(|Diagnostic { line, column, message, .. }| format!("{file_name}:{line}:{column}: {message}"));
    Ok((desired, warnings.collect()))
}

/// Returns the line, from 1, where the entry of the job `queue/name` starts. Also works for a file with errors, as far
/// as it can be read.
pub fn line_of(text: &str, queue: &str, name: &str) -> Option<usize> {
    let source = Source::new(text);
    let entry = desired_state::find_entry(&parse_root(&source, &mut Problems::default())?, queue, name)?;
    let (_, span) = spanned_value::read(&source, &[entry]).ok()?.spans.into_iter().find(|(id, _)| *id == entry)?;
    Some(source.line_number(source.line_range(span.start).start))
}

fn check(source: &Source<'_>, sources: &mut ItemSources, problems: &mut Problems) -> DesiredState {
    let may_have_placeholders = value_check::may_have_placeholders(source.text);
    match parse_root(source, problems) {
        Some(root) => desired_state::read_queues(&root, sources, may_have_placeholders, problems),
        None => DesiredState::default(),
    }
}

/// Reads the text into a resolved tree. Returns `None` if the text isn't valid YAML.
pub(super) fn parse_root<'s>(source: &Source<'s>, problems: &mut Problems) -> Option<spanned_value::Node<'s>> {
    if source.text.len() as u64 > MAX_FILE_BYTES {
        let problem = Problem::in_file(format!("the file is larger than {} MiB", MAX_FILE_BYTES / (1024 * 1024)));
        problems.add(problem.hint(yaml_errors::USE_ADD_HINT));
        return None;
    }
    if let Some(excess) = size_limits::find_exceeded_limit(source.text) {
        problems.add(excess.problem());
        return None;
    }
    match spanned_value::read(source, &[]) {
        Ok(document) => {
            let mut root = document.root;
            problems.checkpoints = document.checkpoints;
            merge_keys::resolve(&mut root, &ValuePath::Top, problems);
            Some(root)
        }
        Err(error) => {
            problems.add(yaml_errors::problem(&error, source));
            None
        }
    }
}
