//! What the file says of trying again: a number, or a map that also says when and after what.

use std::time::Duration;

use super::field::{self, OfRetry};
use super::path::Path;
use super::problems::{Problem, Problems};
use super::tree::{Class, Kind, Node};
use super::value;
use super::words::quoted;
use crate::model::{FailureKind, Retry, RetryOn};

/// What may be tried again, in words; exit codes are numbers.
pub(super) const FAILURES: [(&str, RetryOn); 5] = [
    ("exit", RetryOn::Failure(FailureKind::Exit)),
    ("signal", RetryOn::Failure(FailureKind::Signal)),
    ("timeout", RetryOn::Failure(FailureKind::Timeout)),
    ("not_started", RetryOn::Failure(FailureKind::NotStarted)),
    ("interrupted", RetryOn::Interrupted),
];

/// What follows a failure.
pub(super) fn read(node: &Node<'_>, path: &Path<'_>, problems: &mut Problems) -> Option<Retry> {
    match &node.kind {
        Kind::Scalar(..) => times(node, path, problems).map(Retry::times),
        Kind::Map(_) => policy(node, path, problems),
        _ => value::unexpected(node, path, "a number, or a map with `max`", problems),
    }
}

fn times(node: &Node<'_>, path: &Path<'_>, problems: &mut Problems) -> Option<u32> {
    value::whole(node, path, 0, i64::from(u32::MAX), problems).and_then(|times| u32::try_from(times).ok())
}

fn policy(node: &Node<'_>, path: &Path<'_>, problems: &mut Problems) -> Option<Retry> {
    let before = problems.count();
    let mut retry = Retry::never();
    let mut longest = None;
    for entry in value::map(node, path, "a map", problems)? {
        let (node, path) = (&entry.value, &path.key(&entry.key.text));
        match OfRetry::of(&entry.key.text) {
            Some(OfRetry::Max) => retry.max = times(node, path, problems).unwrap_or_default(),
            Some(OfRetry::Delay) => retry.delay = value::duration(node, path, problems).unwrap_or_default(),
            Some(OfRetry::Backoff) => retry.backoff = backoff(node, path, problems).unwrap_or(1.0),
            Some(OfRetry::MaxDelay) => {
                longest = value::duration(node, path, problems).map(|longest| (longest, node.id));
            }
            Some(OfRetry::On) => retry.on = on(node, path, problems),
            None => field::unknown_among(entry, OfRetry::ALL, path, problems),
        }
    }
    if node.get("max").is_none() {
        let problem = Problem::new(node.id, path, "`retry` doesn't say how often");
        problems.add(problem.expected("expected `max`: how many more runs may follow"));
    }
    match longest {
        Some((longest, id)) if longest < retry.delay => {
            let problem = Problem::new(id, &path.key("max_delay"), "`max_delay` is shorter than `delay`");
            problems.add(match node.get("delay") {
                Some(delay) => problem.also(delay.id, "the first delay"),
                None => problem.hint(format!("`delay` is {} where it isn't given", shown(retry.delay))),
            });
        }
        Some((longest, _)) => retry.max_delay = longest,
        // A first delay beyond the usual cap is meant as it stands.
        None => retry.max_delay = retry.max_delay.max(retry.delay),
    }
    (problems.count() == before).then_some(retry)
}

fn shown(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

fn backoff(node: &Node<'_>, path: &Path<'_>, problems: &mut Problems) -> Option<f64> {
    let Kind::Scalar(Class::Whole | Class::Decimal, digits) = &node.kind else {
        return value::unexpected(node, path, "a number, at least 1", problems);
    };
    let factor = digits.parse().ok().filter(|factor: &f64| factor.is_finite() && *factor >= 1.0);
    if factor.is_none() {
        let message = format!("expected a number, at least 1, found {}", quoted(digits));
        problems.add(Problem::new(node.id, path, message).hint("each delay is so many times the one before"));
    }
    factor
}

/// One failure or a list of them.
fn on(node: &Node<'_>, path: &Path<'_>, problems: &mut Problems) -> Vec<RetryOn> {
    let Kind::List(items) = &node.kind else { return failure(node, path, problems).into_iter().collect() };
    if items.is_empty() {
        let problem = Problem::new(node.id, path, "nothing would be tried again");
        problems.add(problem.hint("leave out `on` to try again after any failure"));
    }
    let items = items.iter().enumerate();
    items.filter_map(|(index, node)| failure(node, &path.item(index), problems)).collect()
}

fn failure(node: &Node<'_>, path: &Path<'_>, problems: &mut Problems) -> Option<RetryOn> {
    match &node.kind {
        Kind::Scalar(Class::Whole, _) => {
            let code = value::whole(node, path, 0, 255, problems)?;
            i32::try_from(code).ok().map(RetryOn::Code)
        }
        Kind::Scalar(Class::Text, text) => {
            let reason = match &**text {
                "cancelled" | "canceled" => "a cancelled job was stopped on purpose; it is not tried again by itself",
                "skipped" => "a skipped job did not run; it runs when what it needs has succeeded",
                "failed" | "failure" | "any" | "error" => {
                    let problem = Problem::new(node.id, path, format!("{} says no more than nothing", quoted(text)));
                    problems.add(problem.hint("leave out `on` to try again after any failure"));
                    return None;
                }
                _ => return value::word(node, path, &FAILURES, problems),
            };
            problems.add(Problem::new(node.id, path, reason));
            None
        }
        _ => value::unexpected(node, path, "a kind of failure or an exit code", problems),
    }
}
