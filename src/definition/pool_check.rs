//! Checks the use of pools when all queues are read: the pools must exist and have enough units.

use std::collections::HashSet;

use super::problems::{Problem, Problems};
use super::queue_jobs::ParsedQueue;
use super::spanned_value::{Node, NodeKind};
use super::spelling::{closest_name, quoted};
use super::value_path::ValuePath;
use crate::model::{PoolSizes, PoolUse};

/// Reports uses of pools that the file doesn't have, or that have too few units.
pub(super) fn check_uses(root: &Node<'_>, queues: &[ParsedQueue], pools: &PoolSizes, problems: &mut Problems) {
    let mut reported = HashSet::new();
    for queue in queues {
        for job in &queue.jobs {
            let uses = job.definition.iter().flat_map(|definition| &definition.scheduling.uses);
            for wanted in uses {
                let Some((message, hint)) = mistake(wanted, pools) else { continue };
                if let Some(problem) = place(root, queue, job.entry_index, wanted, &message, &mut reported) {
                    problems.add(problem.hint(hint));
                }
            }
        }
    }
}

/// What is wrong with a use, and what to write instead.
fn mistake(wanted: &PoolUse, pools: &PoolSizes) -> Option<(String, String)> {
    let PoolUse { pool, count, mutex } = wanted;
    match pools.get(pool) {
        None if *mutex => None,
        None => {
            let hint = match closest_name(pool, pools.keys().map(|name| &**name)) {
                Some(name) => format!("did you mean `{name}`?"),
                None => format!("add it at the top of the file: `pools: {{{pool}: {count}}}`"),
            };
            Some((format!("no pool {}", quoted(pool)), hint))
        }
        Some(_) if *mutex => {
            let hint = format!("write `uses: {pool}`, or give the mutex another name");
            Some((format!("{} is a pool", quoted(pool)), hint))
        }
        Some(size) if count > size => {
            let message = format!("uses {count} units of {}, which has only {size}", quoted(pool));
            Some((message, format!("write at most {size}, or make the pool larger")))
        }
        Some(_) => None,
    }
}

/// The problem with a use, at the field that says it: of the job, its queue or the defaults. `None` if that place was
/// reported already.
pub(super) fn place(
    root: &Node<'_>,
    queue: &ParsedQueue,
    entry_index: usize,
    wanted: &PoolUse,
    message: &str,
    reported: &mut HashSet<u32>,
) -> Option<Problem> {
    let field = if wanted.mutex { "mutex" } else { "uses" };
    let entry = queue.entry_nodes(root)?.get(entry_index)?;
    let (queue_node, defaults_node) = (root.get("queues")?.get(queue.id.as_str()), root.get("defaults"));
    let (id, problem) = queue.with_paths(entry_index, |queue_path, job_path| {
        let defaults_path = ValuePath::Top.key("defaults");
        let levels = [(Some(entry), job_path), (queue_node, queue_path), (defaults_node, &defaults_path)];
        let (node, path) = levels.into_iter().find_map(|(level, path)| Some((level?.get(field)?, path)))?;
        Some(problem_in(node, &path.key(field), &wanted.pool, message))
    })?;
    reported.insert(id).then_some(problem)
}

/// The problem with a pool that a field names, and the id of the value or key with its name.
fn problem_in(node: &Node<'_>, path: &ValuePath<'_>, pool: &str, message: &str) -> (u32, Problem) {
    match &node.kind {
        NodeKind::Map(entries) => {
            if let Some(entry) = entries.iter().find(|entry| *entry.key.text == *pool) {
                return (entry.key.id, Problem::new(entry.key.id, &path.key(&entry.key.text), message));
            }
        }
        NodeKind::List(items) => {
            if let Some(at) = items.iter().position(|item| item.text() == Some(pool)) {
                return (items[at].id, Problem::new(items[at].id, &path.item(at), message));
            }
        }
        _ => {}
    }
    (node.id, Problem::new(node.id, path, message))
}
