//! Reads the `needs` of a job.

use super::fields::NeedField;
use super::problems::{Problem, Problems};
use super::spanned_value::{Node, NodeKind};
use super::unknown_fields;
use super::value;
use super::value_path::ValuePath;
use crate::model::OutcomeCondition;

/// The keywords of `on`.
pub(super) const ON_OUTCOMES: [(&str, OutcomeCondition); 3] = [
    ("success", OutcomeCondition::Success),
    ("failure", OutcomeCondition::Failure),
    ("finish", OutcomeCondition::Finish),
];

/// A need before it is resolved.
pub(super) struct UnresolvedNeed {
    /// The name of the needed job as written.
    pub(super) text: String,
    pub(super) on: OutcomeCondition,
    /// The id of the node with the name.
    pub(super) id: u32,
    pub(super) place: NeedPlace,
    /// Whether it follows from another field, so that it may also be written.
    pub(super) is_implied: bool,
}

/// Where the name of a needed job is written.
#[derive(Clone, Copy)]
pub(super) enum NeedPlace {
    /// In `needs`.
    Needs {
        /// The index in a list.
        list_index: Option<usize>,
        /// Whether the name is under `job`.
        has_job_key: bool,
    },
    /// In `for_each`, as the job that returns the items.
    Items,
}

impl UnresolvedNeed {
    /// A need for the success of a job that follows from this place.
    pub(super) fn implied(text: String, id: u32, place: NeedPlace) -> Self {
        Self { text, on: OutcomeCondition::Success, id, place, is_implied: true }
    }
}

/// Reads one need or a list of needs.
pub(super) fn read_needs(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Vec<UnresolvedNeed> {
    let NodeKind::List(items) = &node.kind else { return read_need(node, None, path, problems).into_iter().collect() };
    let items = items.iter().enumerate();
    items.filter_map(|(list_index, node)| read_need(node, Some(list_index), &path.item(list_index), problems)).collect()
}

fn read_need(
    node: &Node<'_>,
    list_index: Option<usize>,
    path: &ValuePath<'_>,
    problems: &mut Problems,
) -> Option<UnresolvedNeed> {
    let NodeKind::Map(entries) = &node.kind else {
        if !matches!(node.kind, NodeKind::Scalar(..)) {
            return value::unexpected(node, path, "a job's name, or a map of `job` and `on`", problems);
        }
        let text = value::non_empty_text(node, path, "the name", problems)?;
        return Some(UnresolvedNeed {
            text,
            on: OutcomeCondition::Success,
            id: node.id,
            place: NeedPlace::Needs { list_index, has_job_key: false },
            is_implied: false,
        });
    };
    let (mut job, mut on) = (None, OutcomeCondition::Success);
    for entry in entries {
        let (node, path) = (&entry.value, &path.key(&entry.key.text));
        match NeedField::from_name(&entry.key.text) {
            Some(NeedField::Job) => job = Some((node.id, value::non_empty_text(node, path, "the name", problems))),
            Some(NeedField::On) => on = value::keyword(node, path, &ON_OUTCOMES, problems).unwrap_or_default(),
            None => unknown_fields::report_in(entry, NeedField::ALL, path, problems),
        }
    }
    let Some((id, text)) = job else {
        let problem = Problem::new(node.id, path, "missing `job`");
        problems.add(problem.expected("expected `job: NAME` or `job: QUEUE/NAME`"));
        return None;
    };
    let place = NeedPlace::Needs { list_index, has_job_key: true };
    Some(UnresolvedNeed { text: text?, on, id, place, is_implied: false })
}
