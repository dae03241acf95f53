//! Makes a tree as read into what it means: merge keys merged, duplicate keys and tags refused.

use std::collections::{HashMap, HashSet};
use std::mem;

use foldhash::fast::RandomState;

use super::path::Path;
use super::problems::{Problem, Problems};
use super::tree::{Entry, Kind, Node};
use super::words::quoted;

/// The key whose maps are merged into the map that has it.
const MERGE: &str = "<<";

/// Resolves everything at and below `node`. Merged values keep their numbers, so their places are where they were
/// written.
pub(super) fn resolve(node: &mut Node<'_>, path: &Path<'_>, problems: &mut Problems) {
    match &mut node.kind {
        Kind::Null | Kind::Scalar(..) => {}
        Kind::List(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                resolve(item, &path.item(index), problems);
            }
        }
        Kind::Map(entries) => {
            for entry in entries.iter_mut() {
                resolve(&mut entry.value, &path.key(&entry.key.text), problems);
            }
            keys(entries, path, problems);
            if entries.iter().any(is_merge) {
                merge(entries, path, problems);
            }
        }
        Kind::Tagged(tag, inner) => {
            problems.tell(|| {
                let tag = quoted(&format!("!{}", tag.trim_start_matches('!')));
                Problem::new(inner.id, path, format!("the tag {tag} means nothing here"))
                    .hint("put the text in quotes if the `!` belongs to it")
            });
            let inner = Node { id: inner.id, kind: mem::replace(&mut inner.kind, Kind::Null) };
            *node = inner;
            resolve(node, path, problems);
        }
    }
}

fn is_merge(entry: &Entry<'_>) -> bool {
    entry.key.text == MERGE && entry.key.unfit.is_none()
}

/// Every key is text, and stands there once.
fn keys(entries: &[Entry<'_>], path: &Path<'_>, problems: &mut Problems) {
    let mut seen: HashMap<_, _, RandomState> = HashMap::default();
    for (index, Entry { key, .. }) in entries.iter().enumerate() {
        if let Some(found) = key.unfit {
            problems.tell(|| {
                let problem = Problem::new(key.id, path, format!("a key must be text, found {found}"));
                match found {
                    "a list" | "a map" => problem.hint("text that starts with `{` or `[` needs quotes"),
                    _ => problem,
                }
            });
            continue;
        }
        // Most maps are so small that looking at every key before is cheaper than hashing.
        let first = if entries.len() <= 16 {
            entries[..index].iter().find(|other| other.key.text == key.text && other.key.unfit.is_none())
        } else {
            seen.insert(&key.text, index).map(|first| &entries[first])
        };
        if let Some(first) = first {
            problems.tell(|| {
                let message = format!("duplicate key {}", quoted(&key.text));
                let problem = Problem::new(key.id, &path.key(&key.text), message).also(first.key.id, "first here");
                match &*key.text {
                    MERGE => problem.hint("merge several maps with `<<: [*a, *b]`"),
                    _ => problem,
                }
            });
        }
    }
}

/// What a map says itself wins over what it merges, and an earlier merged map over a later one.
fn merge(entries: &mut Vec<Entry<'_>>, path: &Path<'_>, problems: &mut Problems) {
    let (merging, own): (Vec<_>, Vec<_>) = mem::take(entries).into_iter().partition(is_merge);
    let mut known: HashSet<String> = own.iter().map(|entry| entry.key.text.to_string()).collect();
    *entries = own;
    for Entry { value, .. } in merging {
        let maps = match value.kind {
            Kind::List(items) => items,
            _ => vec![value],
        };
        for map in maps {
            let (id, found) = (map.id, map.found());
            let Kind::Map(others) = map.kind else {
                let message = format!("expected a map or a list of maps to merge, found {found}");
                problems.add(Problem::new(id, &path.key(MERGE), message));
                continue;
            };
            entries.extend(others.into_iter().filter(|entry| known.insert(entry.key.text.to_string())));
        }
    }
}
