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
fn place(
    root: &Node<'_>,
    queue: &ParsedQueue,
    entry_index: usize,
    wanted: &PoolUse,
    message: &str,
    reported: &mut HashSet<u32>,
) -> Option<Problem> {
    let field = if wanted.mutex { "mutex" } else { "uses" };
    let queue_node = root.get("queues")?.get(queue.id.as_str())?;
    let list = if queue.is_bare_list { Some(queue_node) } else { queue_node.get("jobs") };
    let NodeKind::List(entries) = &list?.kind else { return None };
    let top = ValuePath::Top;
    let (queues, defaults) = (top.key("queues"), top.key("defaults"));
    let queue_path = queues.key(queue.id.as_str());
    let jobs = if queue.is_bare_list { queue_path } else { queue_path.key("jobs") };
    let job = jobs.item(entry_index);
    let levels = [(entries.get(entry_index), job), (Some(queue_node), queue_path), (root.get("defaults"), defaults)];
    let (node, path) = levels.iter().find_map(|(level, path)| Some(((*level)?.get(field)?, path.key(field))))?;
    let mut problem = Problem::new(node.id, &path, message);
    let mut id = node.id;
    match &node.kind {
        NodeKind::Map(entries) => {
            if let Some(entry) = entries.iter().find(|entry| *entry.key.text == *wanted.pool) {
                id = entry.key.id;
                problem = Problem::new(id, &path.key(&entry.key.text), message);
            }
        }
        NodeKind::List(items) => {
            if let Some(at) = items.iter().position(|item| item.text() == Some(&*wanted.pool)) {
                id = items[at].id;
                problem = Problem::new(id, &path.item(at), message);
            }
        }
        _ => {}
    }
    reported.insert(id).then_some(problem)
}
