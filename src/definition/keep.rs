//! Reads `keep`: how many finished runs are kept.

use super::fields::KeepField;
use super::overrides::Override;
use super::problems::{Problem, Problems};
use super::spanned_value::{Node, NodeKind, ScalarType};
use super::spelling::quoted;
use super::unknown_fields;
use super::value;
use super::value_path::ValuePath;
use crate::model::Retention;

const ALL_HINT: &str = "use `all` for no limit";

/// Words that users may write instead of `all`.
const UNLIMITED_SYNONYMS: [&str; 5] = ["none", "never", "off", "unlimited", "forever"];

/// The limits set at one level. `None` where the level sets no limit.
#[derive(Clone, Copy, Default)]
pub(super) struct KeepLimits {
    runs: Option<Override<u32>>,
    seconds: Option<Override<u64>>,
    bytes: Option<Override<u64>>,
}

impl KeepLimits {
    /// Keep everything.
    const UNLIMITED: Self =
        Self { runs: Some(Override::Clear), seconds: Some(Override::Clear), bytes: Some(Override::Clear) };

    /// Reads a map of limits, or `all`.
    pub(super) fn read(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Self {
        if is_all(node) {
            return Self::UNLIMITED;
        }
        let mut limits = Self::default();
        let entries = value::map(node, path, "`all`, or a map of `runs`, `age` and `size`", problems);
        for entry in entries.unwrap_or_default() {
            let (node, path) = (&entry.value, &path.key(&entry.key.text));
            match KeepField::from_name(&entry.key.text) {
                Some(KeepField::Runs) => limits.runs = read_limit(node, path, problems, read_runs),
                Some(KeepField::Age) => limits.seconds = read_limit(node, path, problems, read_age),
                Some(KeepField::Size) => limits.bytes = read_limit(node, path, problems, read_size),
                None => unknown_fields::report_in(entry, KeepField::ALL, path, problems),
            }
        }
        limits
    }

    /// Fills unset limits from the outer level, then from the defaults.
    pub(super) fn inherit_from(self, outer: Self) -> Retention {
        let defaults = Retention::default();
        Retention {
            max_runs: self.runs.or(outer.runs).map_or(defaults.max_runs, Override::into_option),
            max_age_seconds: self.seconds.or(outer.seconds).map_or(defaults.max_age_seconds, Override::into_option),
            max_output_bytes: self.bytes.or(outer.bytes).map_or(defaults.max_output_bytes, Override::into_option),
        }
    }
}

fn is_all(node: &Node<'_>) -> bool {
    matches!(&node.kind, NodeKind::Scalar(ScalarType::Text, text) if text == "all")
}

fn read_limit<T>(
    node: &Node<'_>,
    path: &ValuePath<'_>,
    problems: &mut Problems,
    read: impl FnOnce(&Node<'_>, &ValuePath<'_>, &mut Problems) -> Option<T>,
) -> Option<Override<T>> {
    match &node.kind {
        _ if is_all(node) => Some(Override::Clear),
        NodeKind::Scalar(ScalarType::Text, text) if UNLIMITED_SYNONYMS.contains(&&**text) => {
            let problem = Problem::new(node.id, path, format!("{} is ambiguous here", quoted(text)));
            problems.add(problem.hint(ALL_HINT));
            None
        }
        _ => read(node, path, problems).map(Override::Set),
    }
}

fn read_runs(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Option<u32> {
    value::integer(node, path, 1, i64::from(u32::MAX), problems).and_then(|runs| u32::try_from(runs).ok())
}

fn read_age(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Option<u64> {
    let seconds = value::duration(node, path, problems)?.as_secs();
    reject_zero(seconds, node, path, "must be at least 1 second", problems)
}

fn read_size(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Option<u64> {
    let bytes = value::size(node, path, problems)?;
    reject_zero(bytes, node, path, "must be at least 1 byte", problems)
}

/// Rejects zero, which could mean nothing or no limit.
fn reject_zero(
    amount: u64,
    node: &Node<'_>,
    path: &ValuePath<'_>,
    message: &str,
    problems: &mut Problems,
) -> Option<u64> {
    if amount == 0 {
        problems.add(Problem::new(node.id, path, message).hint(ALL_HINT));
        return None;
    }
    Some(amount)
}
