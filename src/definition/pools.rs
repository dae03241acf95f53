//! Reads `pools` of the file, and `uses` and `mutex` of jobs.

use std::sync::Arc;

use super::overrides::Override;
use super::problems::{Problem, Problems};
use super::spanned_value::{Node, NodeKind};
use super::spelling::quoted;
use super::value;
use super::value_path::ValuePath;
use crate::model::{PoolSizes, PoolUse};

/// The most units of a pool.
pub(super) const MAX_POOL_SIZE: u32 = 100_000;

/// Reads `pools`: the size of each by name.
pub(super) fn read_pools(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> PoolSizes {
    let entries = value::map(node, path, "a map of pools and their sizes", problems).unwrap_or_default();
    let mut pools = PoolSizes::new();
    for entry in entries {
        let path = path.key(&entry.key.text);
        if entry.key.invalid.is_none() && !is_valid_name(&entry.key.text) {
            problems.add(invalid_name(entry.key.id, &entry.key.text, &path));
        }
        let size = value::integer(&entry.value, &path, 1, i64::from(MAX_POOL_SIZE), problems);
        pools.extend(size.and_then(|size| Some((Arc::from(&*entry.key.text), u32::try_from(size).ok()?))));
    }
    pools
}

/// Reads `uses`: the name of a pool, a list of names, or a map of names and how many units of each. An empty list
/// removes inherited ones.
pub(super) fn read_uses(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Option<Vec<PoolUse>> {
    match &node.kind {
        NodeKind::Scalar(..) => Some(vec![read_pool_name(node, path, problems).map(PoolUse::one_of)?]),
        NodeKind::Map(entries) => {
            let mut uses = Vec::with_capacity(entries.len());
            for entry in entries {
                let path = path.key(&entry.key.text);
                if entry.key.invalid.is_none() && !is_valid_name(&entry.key.text) {
                    problems.add(invalid_name(entry.key.id, &entry.key.text, &path));
                }
                let count = value::integer(&entry.value, &path, 1, i64::from(MAX_POOL_SIZE), problems);
                let count = count.and_then(|count| u32::try_from(count).ok());
                uses.extend(count.map(|count| PoolUse { count, ..PoolUse::one_of(&*entry.key.text) }));
            }
            Some(uses)
        }
        _ => {
            let expected = "the name of a pool, a list of names, or a map of names and units";
            let mut known: Vec<(String, u32)> = Vec::new();
            let uses = value::list(node, path, expected, problems, |node, path, problems| {
                let name = read_pool_name(node, path, problems)?;
                if let Some((_, first)) = known.iter().find(|(other, _)| *other == name) {
                    let problem = Problem::new(node.id, path, format!("duplicate pool {}", quoted(&name)));
                    let problem = problem.with_related(*first, "first used here");
                    problems.add(problem.hint(format!("write `{{{name}: 2}}` for two units")));
                    return None;
                }
                known.push((name.clone(), node.id));
                Some(PoolUse::one_of(name))
            })?;
            Some(uses)
        }
    }
}

/// Reads `mutex`: a name, or `none` to remove an inherited one.
pub(super) fn read_mutex(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Option<Override<PoolUse>> {
    let name = read_pool_name(node, path, problems)?;
    Some(if name == "none" { Override::Clear } else { Override::Set(PoolUse::mutex(name)) })
}

fn read_pool_name(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Option<String> {
    let name = value::non_empty_text(node, path, "the name", problems)?;
    if is_valid_name(&name) {
        return Some(name);
    }
    problems.add(invalid_name(node.id, &name, path));
    None
}

fn is_valid_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '[' | ']' | '$'))
}

fn invalid_name(id: u32, name: &str, path: &ValuePath<'_>) -> Problem {
    let problem = Problem::new(id, path, format!("invalid name of a pool {}", quoted(name)));
    problem.hint("use a word without spaces, such as `gpu`")
}
