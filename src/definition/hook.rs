//! What the file says is run when a job has finished: a script, a command, or a map that also says when.

use std::sync::Arc;
use std::time::Duration;

use super::field::{self, OfHook};
use super::inherit::{self, Limit};
use super::path::Path;
use super::problems::{Problem, Problems};
use super::tree::{Class, Kind, Node};
use super::{needs, value};
use crate::model::{Hook, Program};

/// Reads `on_finish`; `none` takes away what an outer level says.
pub(super) fn read(node: &Node<'_>, path: &Path<'_>, problems: &mut Problems) -> Option<Limit<Arc<Hook>>> {
    let hook = match &node.kind {
        Kind::Scalar(Class::Text, text) if text == "none" => return Some(Limit::None),
        Kind::Scalar(..) => script(node, path, problems).map(Hook::new),
        Kind::List(_) => command(node, path, problems).map(Hook::new),
        Kind::Map(_) => fields(node, path, problems),
        _ => value::unexpected(node, path, "a script, a command as a list, or a map with one of them", problems),
    };
    hook.map(|hook| Limit::At(Arc::new(hook)))
}

fn script(node: &Node<'_>, path: &Path<'_>, problems: &mut Problems) -> Option<Program> {
    let text = value::filled(node, path, "the script", problems)?;
    Some(Program::Run { text, shell: Program::default_shell() })
}

fn command(node: &Node<'_>, path: &Path<'_>, problems: &mut Problems) -> Option<Program> {
    inherit::words(node, path, "a program and its arguments as a list", problems).map(Program::Command)
}

fn fields(node: &Node<'_>, path: &Path<'_>, problems: &mut Problems) -> Option<Hook> {
    let (mut run, mut words) = (None, None);
    let (mut on, mut timeout) = (None, None);
    for entry in value::map(node, path, "a map", problems)? {
        let (node, path) = (&entry.value, &path.key(&entry.key.text));
        match OfHook::of(&entry.key.text) {
            Some(OfHook::Run) => run = Some((entry.key.id, script(node, path, problems))),
            Some(OfHook::Command) => words = Some((entry.key.id, command(node, path, problems))),
            Some(OfHook::On) => on = value::word(node, path, &needs::ON, problems),
            Some(OfHook::Timeout) => timeout = self::timeout(node, path, problems),
            None => field::unknown_among(entry, OfHook::ALL, path, problems),
        }
    }
    let program = match (run, words) {
        (Some((_, program)), None) | (None, Some((_, program))) => program?,
        (Some((run, _)), Some((words, _))) => {
            let (first, second) = (run.min(words), run.max(words));
            let problem = Problem::new(second, path, "`on_finish` has either `run` or `command`, not both");
            problems.add(problem.also(first, "and this one"));
            return None;
        }
        (None, None) => {
            let problem = Problem::new(node.id, path, "this `on_finish` has nothing to run");
            problems.add(problem.expected("expected `run` (a script) or `command` (a program and its arguments)"));
            return None;
        }
    };
    let usual = Hook::new(program);
    Some(Hook { on: on.unwrap_or(usual.on), timeout: timeout.unwrap_or(usual.timeout), ..usual })
}

/// A worker waits for what it has started before it leaves, so there is always a limit.
fn timeout(node: &Node<'_>, path: &Path<'_>, problems: &mut Problems) -> Option<Duration> {
    let limit = value::duration(node, path, problems)?;
    if limit.is_zero() {
        problems.add(Problem::new(node.id, path, "a timeout must be at least a millisecond"));
        return None;
    }
    Some(limit)
}
