//! Reads `pools` of the file, and `uses` and `mutex` of jobs.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::fields::PoolField;
use super::overrides::Override;
use super::problems::{Problem, Problems};
use super::spanned_value::{Node, NodeKind};
use super::spelling::quoted;
use super::unknown_fields;
use super::value;
use super::value_path::ValuePath;
use crate::model::{PoolSizes, PoolUse};

/// The most units of a pool.
pub(super) const MAX_POOL_SIZE: u32 = 100_000;

/// The name of the key of each pool that has one.
pub(super) type PoolKeys = BTreeMap<Arc<str>, Arc<str>>;

/// The pools of a file.
#[derive(Default)]
pub(super) struct Pools {
    /// How many units each has, or those with a key have for each value of it.
    pub(super) sizes: PoolSizes,
    pub(super) keys: PoolKeys,
}

/// Reads `pools`: the size of each by name, or a map with the name of its key.
pub(super) fn read_pools(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Pools {
    let entries = value::map(node, path, "a map of pools and their sizes", problems).unwrap_or_default();
    let mut pools = Pools::default();
    for entry in entries {
        let path = path.key(&entry.key.text);
        if entry.key.invalid.is_none() && !is_valid_name(&entry.key.text) {
            problems.add(invalid_name(entry.key.id, &entry.key.text, &path));
        }
        let name: Arc<str> = Arc::from(&*entry.key.text);
        let size = if let NodeKind::Map(_) = entry.value.kind {
            let (size, key) = read_pool(&entry.value, &path, problems);
            pools.keys.extend(key.map(|key| (Arc::clone(&name), key.into())));
            size
        } else {
            read_size(&entry.value, &path, problems)
        };
        // A pool with an invalid size is known, so that its uses are not reported as well.
        pools.sizes.insert(name, size.unwrap_or(MAX_POOL_SIZE));
    }
    pools
}

fn read_size(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Option<u32> {
    value::integer(node, path, 1, i64::from(MAX_POOL_SIZE), problems).and_then(|size| u32::try_from(size).ok())
}

/// Reads the size of a pool and the name of its key.
fn read_pool(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> (Option<u32>, Option<String>) {
    let (mut size, mut key) = (None, None);
    for entry in value::map(node, path, "a map", problems).unwrap_or_default() {
        let (node, path) = (&entry.value, &path.key(&entry.key.text));
        match PoolField::from_name(&entry.key.text) {
            Some(PoolField::Size) => size = read_size(node, path, problems),
            Some(PoolField::Per) => key = value::non_empty_text(node, path, "the name of a key", problems),
            None => unknown_fields::report_in(entry, PoolField::ALL, path, problems),
        }
    }
    if node.get("size").is_none() {
        problems.add(Problem::new(node.id, path, "missing `size`").expected("expected `size`: the number of units"));
    }
    (size, key)
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
