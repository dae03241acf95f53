//! Reads the text of a file into a tree.

use super::problems::{Problem, Problems};
use super::source::{MAX_FILE_BYTES, Source};
use super::value_path::ValuePath;
use super::{merge_keys, size_limits, spanned_value, yaml_errors};

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
            (problems.checkpoints, problems.id_count) = (document.checkpoints, document.id_count);
            merge_keys::resolve(&mut root, &ValuePath::Top, problems);
            Some(root)
        }
        Err(error) => {
            problems.add(yaml_errors::problem(&error, source));
            None
        }
    }
}
