//! Reads `retry`: a number, or a map with the delays and the failures to retry.

use super::fields::{GrowthField, RetryField, ScaleField};
use super::problems::{Problem, Problems};
use super::spanned_value::{Node, NodeKind, ScalarType};
use super::spelling::quoted;
use super::unknown_fields;
use super::value;
use super::value_path::ValuePath;
use crate::model::{FailureKind, Growth, Interruptions, RetryOn, RetryPolicy, RetryScale};
use crate::text;

/// The keywords of `on`. Exit codes are written as numbers.
pub(super) const FAILURE_NAMES: [(&str, RetryOn); 7] = [
    ("exit", RetryOn::Failure(FailureKind::Exit)),
    ("signal", RetryOn::Failure(FailureKind::Signal)),
    ("timeout", RetryOn::Failure(FailureKind::Timeout)),
    ("stalled", RetryOn::Failure(FailureKind::Stalled)),
    ("not_started", RetryOn::Failure(FailureKind::NotStarted)),
    ("interrupted", RetryOn::Interrupted),
    ("oom", RetryOn::OutOfMemory),
];

/// The keywords of `interrupted`.
pub(super) const INTERRUPTED_VALUES: [(&str, Interruptions); 2] =
    [("counted", Interruptions::Counted), ("free", Interruptions::Free)];

/// Reads `retry`.
pub(super) fn read_retry(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Option<RetryPolicy> {
    match &node.kind {
        NodeKind::Scalar(..) => read_count(node, path, problems).map(RetryPolicy::times),
        NodeKind::Map(_) => read_policy(node, path, problems),
        _ => value::unexpected(node, path, "a number, or a map with `max`", problems),
    }
}

fn read_count(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Option<u32> {
    value::integer(node, path, 0, i64::from(u32::MAX), problems).and_then(|times| u32::try_from(times).ok())
}

fn read_policy(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Option<RetryPolicy> {
    let before = problems.count();
    let mut retry = RetryPolicy::never();
    let mut max_delay = None;
    for entry in value::map(node, path, "a map", problems)? {
        let (node, path) = (&entry.value, &path.key(&entry.key.text));
        match RetryField::from_name(&entry.key.text) {
            Some(RetryField::Max) => retry.max = read_count(node, path, problems).unwrap_or_default(),
            Some(RetryField::Delay) => retry.delay = value::duration(node, path, problems).unwrap_or_default(),
            Some(RetryField::Backoff) => retry.backoff = read_backoff(node, path, problems).unwrap_or(1.0),
            Some(RetryField::MaxDelay) => {
                max_delay = value::duration(node, path, problems).map(|max_delay| (max_delay, node.id));
            }
            Some(RetryField::On) => retry.on = read_failures(node, path, problems),
            Some(RetryField::Interrupted) => {
                retry.interrupted = value::keyword(node, path, &INTERRUPTED_VALUES, problems).unwrap_or_default();
            }
            Some(RetryField::Scale) => retry.scale = read_scale(node, path, problems),
            None => unknown_fields::report_in(entry, RetryField::ALL, path, problems),
        }
    }
    // Interruptions that don't count need no maximum.
    if node.get("max").is_none() && node.get("interrupted").is_none() {
        let problem = Problem::new(node.id, path, "missing `max`");
        problems.add(problem.expected("expected `max`: the number of retries"));
    }
    match max_delay {
        Some((max_delay, id)) if max_delay < retry.delay => {
            let problem = Problem::new(id, &path.key("max_delay"), "`max_delay` is shorter than `delay`");
            problems.add(match node.get("delay") {
                Some(delay) => problem.with_related(delay.id, "`delay` is set here"),
                None => problem.hint(format!("`delay` defaults to {}", text::exact_duration(retry.delay))),
            });
        }
        Some((max_delay, _)) => retry.max_delay = max_delay,
        // A first delay above the default maximum raises the maximum.
        None => retry.max_delay = retry.max_delay.max(retry.delay),
    }
    (problems.count() == before).then_some(retry)
}

fn read_backoff(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Option<f64> {
    let NodeKind::Scalar(ScalarType::Integer | ScalarType::Decimal, digits) = &node.kind else {
        return value::unexpected(node, path, "a number of at least 1", problems);
    };
    let factor = digits.parse().ok().filter(|factor: &f64| factor.is_finite() && *factor >= 1.0);
    if factor.is_none() {
        let message = format!("expected a number of at least 1, found {}", quoted(digits));
        problems.add(Problem::new(node.id, path, message).hint("each delay is this many times the previous one"));
    }
    factor
}

/// Reads `scale`: the limits that grow, and how.
fn read_scale(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> RetryScale {
    let mut scale = RetryScale::default();
    for entry in
        value::map(node, path, "a map of limits and factors, such as `{memory: 1.5}`", problems).unwrap_or_default()
    {
        let (node, path) = (&entry.value, &path.key(&entry.key.text));
        match ScaleField::from_name(&entry.key.text) {
            Some(ScaleField::Memory) => {
                scale.memory = read_growth(node, path, problems, value::size);
            }
            Some(ScaleField::Timeout) => {
                scale.timeout = read_growth(node, path, problems, |node, path, problems| {
                    let max = value::duration(node, path, problems)?;
                    u64::try_from(max.as_millis()).ok()
                });
            }
            None => unknown_fields::report_in(entry, ScaleField::ALL, path, problems),
        }
    }
    scale
}

/// Reads a factor, or a map with `by` and `max`.
fn read_growth(
    node: &Node<'_>,
    path: &ValuePath<'_>,
    problems: &mut Problems,
    read_max: impl Fn(&Node<'_>, &ValuePath<'_>, &mut Problems) -> Option<u64>,
) -> Option<Growth> {
    let NodeKind::Map(entries) = &node.kind else {
        return Some(Growth { factor: read_factor(node, path, problems)?, max: None });
    };
    let (mut factor, mut max) = (None, None);
    for entry in entries {
        let (node, path) = (&entry.value, &path.key(&entry.key.text));
        match GrowthField::from_name(&entry.key.text) {
            Some(GrowthField::By) => factor = read_factor(node, path, problems),
            Some(GrowthField::Max) => max = read_max(node, path, problems),
            None => unknown_fields::report_in(entry, GrowthField::ALL, path, problems),
        }
    }
    if node.get("by").is_none() {
        let problem = Problem::new(node.id, path, "missing `by`");
        problems.add(problem.expected("expected `by`: the factor from one attempt to the next"));
    }
    Some(Growth { factor: factor?, max })
}

fn read_factor(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Option<f64> {
    let NodeKind::Scalar(ScalarType::Integer | ScalarType::Decimal, digits) = &node.kind else {
        return value::unexpected(node, path, "a factor of more than 1", problems);
    };
    let factor = digits.parse().ok().filter(|factor: &f64| factor.is_finite() && *factor > 1.0);
    if factor.is_none() {
        let message = format!("expected a factor of more than 1, found {}", quoted(digits));
        problems.add(
            Problem::new(node.id, path, message)
                .hint("1.5 makes the limit of each further attempt half as large again"),
        );
    }
    factor
}

/// Reads one failure or a list of failures.
fn read_failures(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Vec<RetryOn> {
    let NodeKind::List(items) = &node.kind else { return read_failure(node, path, problems).into_iter().collect() };
    if items.is_empty() {
        let problem = Problem::new(node.id, path, "`on` must not be empty");
        problems.add(problem.hint("leave out `on` to retry after any failure"));
    }
    let items = items.iter().enumerate();
    items.filter_map(|(index, node)| read_failure(node, &path.item(index), problems)).collect()
}

fn read_failure(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Option<RetryOn> {
    match &node.kind {
        NodeKind::Scalar(ScalarType::Integer, _) => {
            let code = value::integer(node, path, 0, 255, problems)?;
            i32::try_from(code).ok().map(RetryOn::Code)
        }
        NodeKind::Scalar(ScalarType::Text, text) => {
            let reason = match &**text {
                "cancelled" | "canceled" => "cancelled jobs are never retried automatically",
                "skipped" => "skipped jobs are never retried automatically",
                "failed" | "failure" | "any" | "error" => {
                    let problem = Problem::new(node.id, path, format!("{} is redundant", quoted(text)));
                    problems.add(problem.hint("leave out `on` to retry after any failure"));
                    return None;
                }
                _ => return value::keyword(node, path, &FAILURE_NAMES, problems),
            };
            problems.add(Problem::new(node.id, path, reason));
            None
        }
        _ => value::unexpected(node, path, "a kind of failure or an exit code", problems),
    }
}
