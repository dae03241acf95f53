//! Resolves a tree: merges merge keys, and rejects duplicate keys and tags.

use std::collections::{HashMap, HashSet};
use std::mem;

use foldhash::fast::RandomState;

use super::problems::{Problem, Problems};
use super::spanned_value::{MapEntry, Node, NodeKind};
use super::spelling::quoted;
use super::value_path::ValuePath;

/// The key whose value is merged into the map that contains it.
const MERGE: &str = "<<";

/// Resolves `node` and everything below it. Merged values keep their ids, so their positions are where they were
/// written.
pub(super) fn resolve(node: &mut Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) {
    match &mut node.kind {
        NodeKind::Null | NodeKind::Scalar(..) => {}
        NodeKind::List(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                resolve(item, &path.item(index), problems);
            }
        }
        NodeKind::Map(entries) => {
            for entry in entries.iter_mut() {
                resolve(&mut entry.value, &path.key(&entry.key.text), problems);
            }
            keys(entries, path, problems);
            if entries.iter().any(is_merge) {
                merge(entries, path, problems);
            }
        }
        NodeKind::Tagged(tag, inner) => {
            problems.add_with(|| {
                let tag = format!("!{}", tag.trim_start_matches('!'));
                Problem::new(inner.id, path, format!("unsupported tag {}", quoted(&tag)))
                    .in_tag(tag)
                    .hint("quote the text if the `!` is part of it")
            });
            let inner = Node { id: inner.id, kind: mem::replace(&mut inner.kind, NodeKind::Null) };
            *node = inner;
            resolve(node, path, problems);
        }
    }
}

fn is_merge(entry: &MapEntry<'_>) -> bool {
    entry.key.text == MERGE && entry.key.invalid.is_none()
}

/// Rejects keys that aren't text, and duplicate keys.
fn keys(entries: &[MapEntry<'_>], path: &ValuePath<'_>, problems: &mut Problems) {
    let mut seen: HashMap<_, _, RandomState> = HashMap::default();
    for (index, MapEntry { key, .. }) in entries.iter().enumerate() {
        if let Some(found) = key.invalid {
            problems.add_with(|| {
                let problem = Problem::new(key.id, path, format!("a key must be text, found {found}"));
                match found {
                    "a list" | "a map" => problem.hint("quote text that starts with `{` or `[`"),
                    _ => problem,
                }
            });
            continue;
        }
        // Most maps are so small that a linear search is faster than hashing.
        let first = if entries.len() <= 16 {
            entries[..index].iter().find(|other| other.key.text == key.text && other.key.invalid.is_none())
        } else {
            seen.insert(&key.text, index).map(|first| &entries[first])
        };
        if let Some(first) = first {
            problems.add_with(|| {
                let message = format!("duplicate key {}", quoted(&key.text));
                let problem =
                    Problem::new(key.id, &path.key(&key.text), message).with_related(first.key.id, "first used here");
                match &*key.text {
                    MERGE => problem.hint("merge several maps with `<<: [*a, *b]`"),
                    _ => problem,
                }
            });
        }
    }
}

/// Merges maps. A map's own keys win over merged ones, and an earlier merged map over a later one.
fn merge(entries: &mut Vec<MapEntry<'_>>, path: &ValuePath<'_>, problems: &mut Problems) {
    let (merging, own): (Vec<_>, Vec<_>) = mem::take(entries).into_iter().partition(is_merge);
    let mut known: HashSet<String> = own.iter().map(|entry| entry.key.text.to_string()).collect();
    *entries = own;
    for MapEntry { value, .. } in merging {
        let maps = match value.kind {
            NodeKind::List(items) => items,
            _ => vec![value],
        };
        for map in maps {
            let (id, found) = (map.id, map.type_name());
            let NodeKind::Map(others) = map.kind else {
                let message = format!("expected a map or a list of maps to merge, found {found}");
                problems.add(Problem::new(id, &path.key(MERGE), message));
                continue;
            };
            entries.extend(others.into_iter().filter(|entry| known.insert(entry.key.text.to_string())));
        }
    }
}
