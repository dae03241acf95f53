//! Reads `runs_on`: labels of workers.

use std::sync::Arc;

use super::problems::{Problem, Problems};
use super::spanned_value::{Node, NodeKind};
use super::spelling::quoted;
use super::value;
use super::value_path::ValuePath;

/// Reads a label or a list of labels. An empty list removes inherited ones.
pub(super) fn read_labels(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Option<Vec<Arc<str>>> {
    if let NodeKind::Scalar(..) = node.kind {
        return read_label(node, path, problems).map(|label| vec![label]);
    }
    let mut labels = value::list(node, path, "a label or a list of labels", problems, read_label)?;
    labels.sort_unstable();
    labels.dedup();
    Some(labels)
}

fn read_label(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Option<Arc<str>> {
    let label = value::non_empty_text(node, path, "the label", problems)?;
    match parse_label(&label) {
        Ok(label) => Some(label),
        Err(reason) => {
            let problem = Problem::new(node.id, path, format!("invalid label {}", quoted(&label)));
            problems.add(problem.hint(reason));
            None
        }
    }
}

/// Parses a label of a worker.
pub fn parse_label(text: &str) -> Result<Arc<str>, &'static str> {
    let is_invalid = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '[' | ']' | '$' | ',');
    if text.is_empty() || text.contains(is_invalid) {
        return Err("use a word without spaces and commas, such as `gpu`");
    }
    Ok(text.into())
}
