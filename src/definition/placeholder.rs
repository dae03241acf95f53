//! A placeholder in a text of `jobs.yaml`, such as `${matrix.os}` or `${item}`.

use super::problems::{Problem, Problems};
use super::spanned_value::{MapEntry, Node, NodeKind};
use super::value_path::ValuePath;

/// A placeholder in a text.
pub(super) struct Placeholder<'t> {
    /// The text before it.
    pub(super) before: &'t str,
    /// The placeholder as written.
    pub(super) text: &'t str,
    /// The variable's name, or `None` if the placeholder is malformed.
    pub(super) name: Option<&'t str>,
    /// The text after it.
    pub(super) after: &'t str,
}

/// Reports the texts in a node that are rejected, with a message and a hint.
pub(super) fn reject_texts(
    node: &Node<'_>,
    path: &ValuePath<'_>,
    is_rejected: &dyn Fn(&Node<'_>) -> bool,
    report: (&'static str, &'static str),
    problems: &mut Problems,
) {
    match &node.kind {
        NodeKind::Scalar(..) if is_rejected(node) => {
            let (message, hint) = report;
            problems.add(Problem::new(node.id, path, message).hint(hint));
        }
        NodeKind::List(items) => {
            for (nth, node) in items.iter().enumerate() {
                reject_texts(node, &path.item(nth), is_rejected, report, problems);
            }
        }
        NodeKind::Map(entries) => {
            for MapEntry { key, value } in entries {
                reject_texts(value, &path.key(&key.text), is_rejected, report, problems);
            }
        }
        _ => {}
    }
}
