//! Reads hooks (`on_finish`, `on_stall`, `on_overdue`): a script, a command, or a map with options.

use std::sync::Arc;
use std::time::Duration;

use super::fields::HookField;
use super::overrides::Override;
use super::problems::{Problem, Problems};
use super::spanned_value::{Node, NodeKind, ScalarType};
use super::unknown_fields;
use super::value_path::ValuePath;
use super::{needs, program, value};
use crate::model::{Hook, Program};

/// Reads the hook in the field `name`. `none` removes an inherited hook.
pub(super) fn read_hook(
    name: &'static str,
    node: &Node<'_>,
    path: &ValuePath<'_>,
    problems: &mut Problems,
) -> Option<Override<Arc<Hook>>> {
    let hook = match &node.kind {
        NodeKind::Scalar(ScalarType::Text, text) if text == "none" => return Some(Override::Clear),
        NodeKind::Scalar(..) => read_script(node, path, problems).map(Hook::new),
        NodeKind::List(_) => read_command(node, path, problems).map(Hook::new),
        NodeKind::Map(_) => read_fields(name, node, path, problems),
        _ => value::unexpected(node, path, "a script, a command as a list, or a map with `run` or `command`", problems),
    };
    hook.map(|hook| Override::Set(Arc::new(hook)))
}

fn read_script(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Option<Program> {
    let text = value::non_empty_text(node, path, "the script", problems)?;
    Some(Program::Run { text: text.into(), shell: Program::default_shell() })
}

fn read_command(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Option<Program> {
    program::read_command_line(node, path, "a program and its arguments as a list", problems).map(Program::Command)
}

fn read_fields(name: &str, node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Option<Hook> {
    let (mut run, mut words) = (None, None);
    let (mut on, mut timeout) = (None, None);
    for entry in value::map(node, path, "a map", problems)? {
        let (node, path) = (&entry.value, &path.key(&entry.key.text));
        match HookField::from_name(&entry.key.text) {
            Some(HookField::Run) => run = Some((entry.key.id, read_script(node, path, problems))),
            Some(HookField::Command) => words = Some((entry.key.id, read_command(node, path, problems))),
            Some(HookField::On) if name != "on_finish" => {
                let problem = Problem::new(entry.key.id, path, format!("`{name}` has no `on`"));
                problems.add(problem.hint("remove it: only `on_finish` follows an outcome"));
            }
            Some(HookField::On) => on = value::keyword(node, path, &needs::ON_OUTCOMES, problems),
            Some(HookField::Timeout) => timeout = read_timeout(node, path, problems),
            None => unknown_fields::report_in(entry, HookField::ALL, path, problems),
        }
    }
    let program = match (run, words) {
        (Some((_, program)), None) | (None, Some((_, program))) => program?,
        (Some((run, _)), Some((words, _))) => {
            let (first, second) = (run.min(words), run.max(words));
            let problem = Problem::new(second, path, format!("`{name}` can't have both `run` and `command`"));
            problems.add(problem.with_related(first, "conflicts with this"));
            return None;
        }
        (None, None) => {
            let problem = Problem::new(node.id, path, format!("`{name}` has neither `run` nor `command`"));
            problems.add(problem.expected("expected `run` (a script) or `command` (a program and its arguments)"));
            return None;
        }
    };
    let defaults = Hook::new(program);
    Some(Hook { on: on.unwrap_or(defaults.on), timeout: timeout.unwrap_or(defaults.timeout), ..defaults })
}

/// There is no `none` because a worker waits for its hooks before it exits.
fn read_timeout(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Option<Duration> {
    let limit = value::duration(node, path, problems)?;
    if limit.is_zero() {
        problems.add(Problem::new(node.id, path, "a timeout must be at least 1ms"));
        return None;
    }
    Some(limit)
}
