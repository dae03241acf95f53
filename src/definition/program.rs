//! Reads command lines and shells.

use super::problems::{Problem, Problems};
use super::spanned_value::{Node, NodeKind};
use super::spelling::quoted;
use super::value;
use super::value_path::ValuePath;

/// Reads the `command` of a job. The hint for plain text shows the list to write instead.
pub(super) fn read_job_command(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Option<Vec<String>> {
    if let NodeKind::Scalar(_, text) = &node.kind {
        let problem = Problem::new(node.id, path, "expected a program and its arguments as a list, found text");
        let words: Vec<_> = text.split_whitespace().map(|word| word.replace(',', "")).collect();
        problems.add(problem.hint(format!("write {}, or use `run`", quoted(&format!("[{}]", words.join(", "))))));
        return None;
    }
    read_command_line(node, path, "a program and its arguments as a list", problems)
}

/// Reads `shell`: the name of an interpreter, or a command line to which the script is appended.
pub(super) fn read_shell(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Option<Vec<String>> {
    let NodeKind::Scalar(..) = node.kind else {
        return read_command_line(node, path, "the name of a shell, or a list of a shell and its arguments", problems);
    };
    let name = value::non_empty_text(node, path, "the shell", problems)?;
    if name.contains(char::is_whitespace) {
        let words: Vec<_> = name.split_whitespace().collect();
        let problem = Problem::new(node.id, path, "a shell with arguments must be a list");
        problems.add(problem.hint(format!("write `[{}]`", words.join(", "))));
        return None;
    }
    Some(vec![name])
}

/// Reads a program and its arguments: a list whose first item is not empty.
pub(super) fn read_command_line(
    node: &Node<'_>,
    path: &ValuePath<'_>,
    expected: &str,
    problems: &mut Problems,
) -> Option<Vec<String>> {
    let mut complete = true;
    let words = value::list(node, path, expected, problems, |node, path, problems| {
        let word = value::text(node, path, problems);
        complete &= word.is_some();
        word
    })?;
    if !complete {
        return None;
    }
    if words.first().is_none_or(|program| program.trim().is_empty()) {
        problems.add(Problem::new(node.id, path, "missing program").expected("expected a program and its arguments"));
        return None;
    }
    Some(words)
}
