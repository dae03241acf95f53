//! What the file says of how much is kept of what has finished.

use super::field::{self, OfKeep};
use super::inherit::Limit;
use super::path::Path;
use super::problems::{Problem, Problems};
use super::tree::{Class, Kind, Node};
use super::value;
use super::words::quoted;
use crate::model::Keep;

const ALL: &str = "`all` means that there is no limit";

/// What may be meant by `all`.
const NO_LIMIT: [&str; 5] = ["none", "never", "off", "unlimited", "forever"];

/// What one level of the file says; `None` where it says nothing.
#[derive(Clone, Copy, Default)]
pub(super) struct Limits {
    runs: Option<Limit<u32>>,
    seconds: Option<Limit<u64>>,
    bytes: Option<Limit<u64>>,
}

impl Limits {
    /// No limit at all.
    const ALL: Self = Self { runs: Some(Limit::None), seconds: Some(Limit::None), bytes: Some(Limit::None) };

    /// Reads a map of limits, or `all`.
    pub(super) fn read(node: &Node<'_>, path: &Path<'_>, problems: &mut Problems) -> Self {
        if is_all(node) {
            return Self::ALL;
        }
        let mut limits = Self::default();
        let entries = value::map(node, path, "`all`, or a map of `runs`, `age` and `size`", problems);
        for entry in entries.unwrap_or_default() {
            let (node, path) = (&entry.value, &path.key(&entry.key.text));
            match OfKeep::of(&entry.key.text) {
                Some(OfKeep::Runs) => limits.runs = limit(node, path, problems, runs),
                Some(OfKeep::Age) => limits.seconds = limit(node, path, problems, age),
                Some(OfKeep::Size) => limits.bytes = limit(node, path, problems, size),
                None => field::unknown_among(entry, OfKeep::ALL, path, problems),
            }
        }
        limits
    }

    /// These limits; those of the level around where nothing is said, and else the usual ones.
    pub(super) fn over(self, outer: Self) -> Keep {
        let usual = Keep::default();
        Keep {
            runs: self.runs.or(outer.runs).map_or(usual.runs, Limit::value),
            seconds: self.seconds.or(outer.seconds).map_or(usual.seconds, Limit::value),
            bytes: self.bytes.or(outer.bytes).map_or(usual.bytes, Limit::value),
        }
    }
}

fn is_all(node: &Node<'_>) -> bool {
    matches!(&node.kind, Kind::Scalar(Class::Text, text) if text == "all")
}

fn limit<T>(
    node: &Node<'_>,
    path: &Path<'_>,
    problems: &mut Problems,
    read: impl FnOnce(&Node<'_>, &Path<'_>, &mut Problems) -> Option<T>,
) -> Option<Limit<T>> {
    match &node.kind {
        _ if is_all(node) => Some(Limit::None),
        Kind::Scalar(Class::Text, text) if NO_LIMIT.contains(&&**text) => {
            let problem = Problem::new(node.id, path, format!("{} could mean nothing or everything", quoted(text)));
            problems.add(problem.hint(ALL));
            None
        }
        _ => read(node, path, problems).map(Limit::At),
    }
}

fn runs(node: &Node<'_>, path: &Path<'_>, problems: &mut Problems) -> Option<u32> {
    value::whole(node, path, 1, i64::from(u32::MAX), problems).and_then(|runs| u32::try_from(runs).ok())
}

fn age(node: &Node<'_>, path: &Path<'_>, problems: &mut Problems) -> Option<u64> {
    let seconds = value::duration(node, path, problems)?.as_secs();
    something(seconds, node, path, "at least a second is kept", problems)
}

fn size(node: &Node<'_>, path: &Path<'_>, problems: &mut Problems) -> Option<u64> {
    let bytes = value::size(node, path, problems)?;
    something(bytes, node, path, "at least a byte is kept", problems)
}

/// Nothing could mean nothing, or no limit.
fn something(amount: u64, node: &Node<'_>, path: &Path<'_>, least: &str, problems: &mut Problems) -> Option<u64> {
    if amount == 0 {
        problems.add(Problem::new(node.id, path, least).hint(ALL));
        return None;
    }
    Some(amount)
}
