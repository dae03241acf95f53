//! Finds out which level of a file sets the variables of a job.

use std::collections::BTreeMap;
use std::path::Path;

use super::desired_state;
use super::file_text::read_text;
use super::include::Includes;
use super::problems::Problems;
use super::root::parse_root;
use super::source::Source;
use super::spanned_value::{Node, NodeKind};

/// A level of a file that sets variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VariableLevel {
    /// The `defaults`.
    Defaults,
    /// The queue.
    Queue,
    /// The job.
    Job,
}

/// The level that sets each variable in the `env` of the job `queue/name`. Empty if the file can't be read.
pub fn variable_levels(path: &Path, queue: &str, name: &str) -> BTreeMap<String, VariableLevel> {
    let Ok((_, _, text)) = read_text(path) else { return BTreeMap::new() };
    let source = Source::new(&text);
    let mut problems = Problems::default();
    let Some(mut root) = parse_root(&source, &mut problems) else { return BTreeMap::new() };
    Includes::read(path, &mut root, &mut problems);
    let section = root.get("queues").and_then(|queues| queues.get(queue));
    let items = section.map(|section| section.get("jobs").unwrap_or(section));
    let id = desired_state::find_entry(&root, queue, name);
    let job = items.and_then(|items| match &items.kind {
        NodeKind::List(items) => items.iter().find(|item| Some(item.id) == id),
        _ => None,
    });
    let mut levels = BTreeMap::new();
    let nodes =
        [(root.get("defaults"), VariableLevel::Defaults), (section, VariableLevel::Queue), (job, VariableLevel::Job)];
    for (node, level) in nodes {
        levels.extend(variables_of(node).map(|name| (name, level)));
    }
    levels
}

/// The names of the variables that a node sets: in its `env`, and those of its `matrix`.
fn variables_of<'n>(node: Option<&'n Node<'_>>) -> impl Iterator<Item = String> + 'n {
    let maps = ["matrix", "env"].into_iter().filter_map(move |field| node?.get(field));
    let entries = maps.filter_map(|map| if let NodeKind::Map(entries) = &map.kind { Some(entries) } else { None });
    entries.flatten().map(|entry| entry.key.text.to_string())
}
