//! Reads `stall`: how long a job may print nothing, and what happens then.

use std::time::Duration;

use super::fields::StallField;
use super::overrides::Override;
use super::problems::{Problem, Problems};
use super::spanned_value::{Node, NodeKind, ScalarType};
use super::unknown_fields;
use super::value;
use super::value_path::ValuePath;
use crate::model::{StallPolicy, StopSignal};

/// The keywords of `then`.
pub(super) const THEN_VALUES: [(&str, Option<StopSignal>); 3] =
    [("report", None), ("cancel", Some(StopSignal::Terminate)), ("kill", Some(StopSignal::Kill))];

/// Reads `stall`. `none` removes an inherited one.
pub(super) fn read_stall(
    node: &Node<'_>,
    path: &ValuePath<'_>,
    problems: &mut Problems,
) -> Option<Override<StallPolicy>> {
    match &node.kind {
        NodeKind::Scalar(ScalarType::Text, text) if text == "none" => Some(Override::Clear),
        NodeKind::Scalar(..) => {
            read_after(node, path, problems).map(|after| Override::Set(StallPolicy { after, stop: None }))
        }
        NodeKind::Map(_) => read_fields(node, path, problems).map(Override::Set),
        _ => value::unexpected(node, path, "a duration such as `10m`, or a map with `after`", problems),
    }
}

fn read_fields(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Option<StallPolicy> {
    let before = problems.count();
    let (mut after, mut stop) = (None, None);
    for entry in value::map(node, path, "a map", problems)? {
        let (node, path) = (&entry.value, &path.key(&entry.key.text));
        match StallField::from_name(&entry.key.text) {
            Some(StallField::After) => after = read_after(node, path, problems),
            Some(StallField::Then) => stop = value::keyword(node, path, &THEN_VALUES, problems).flatten(),
            None => unknown_fields::report_in(entry, StallField::ALL, path, problems),
        }
    }
    if node.get("after").is_none() {
        let problem = Problem::new(node.id, path, "missing `after`");
        problems.add(problem.expected("expected `after`: how long the job may print nothing, such as `10m`"));
    }
    let after = after?;
    (problems.count() == before).then_some(StallPolicy { after, stop })
}

fn read_after(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Option<Duration> {
    let after = value::duration(node, path, problems)?;
    if after < Duration::from_secs(1) {
        let problem = Problem::new(node.id, path, "`stall` must be at least 1s");
        problems.add(problem.hint("use `none` for no limit"));
        return None;
    }
    Some(after)
}
