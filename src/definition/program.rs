//! Reads command lines and shells.

use super::problems::{Problem, Problems};
use super::spanned_value::{Node, NodeKind};
use super::spelling::{closest_name, one_of, quoted};
use super::value;
use super::value_path::ValuePath;
use crate::model::Interpreter;

/// Reads the `command` of a job. The hint for plain text shows the list to write instead.
pub(super) fn read_job_command(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Option<Vec<String>> {
    if let NodeKind::Scalar(_, text) = &node.kind {
        let problem = Problem::new(node.id, path, "expected a program and its arguments as a list, found text");
        problems.add(problem.hint(command_hint(text)));
        return None;
    }
    read_command_line(node, path, "a program and its arguments as a list", problems)
}

/// What to write instead of a command line as text. One for a shell can't be a list.
fn command_hint(text: &str) -> String {
    if text.contains(|c: char| "&|;<>$`*?(){}[]~\"'\\\n".contains(c)) {
        let is_plain =
            !text.contains(": ") && !text.contains(" #") && !text.starts_with(|c| "&|>`*?{}[]\"'".contains(c));
        return match text.trim().lines().count() {
            1 if is_plain => format!("write {}: a shell runs it", quoted(&format!("run: {}", text.trim()))),
            _ => "use `run` instead of `command`: a shell runs its text".to_owned(),
        };
    }
    let words: Vec<_> = text.split_whitespace().map(|word| word.replace(',', "")).collect();
    format!("write {}, or use `run`", quoted(&format!("[{}]", words.join(", "))))
}

/// Reads the `run` of a job.
pub(super) fn read_script(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Option<String> {
    if let NodeKind::List(_) = &node.kind {
        let problem = Problem::new(node.id, path, "expected a script, found a list");
        problems.add(problem.hint("write `run: |`, and below it one command per line"));
        return None;
    }
    value::non_empty_text(node, path, "the script", problems)
}

/// Reads `shell`: the name of a known interpreter, or a command line to which the script is appended.
pub(super) fn read_shell(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Option<Vec<String>> {
    let NodeKind::Scalar(..) = node.kind else {
        let words =
            read_command_line(node, path, "the name of a shell, or a list of a shell and its arguments", problems)?;
        return check_shell_arguments(words, node, path, problems);
    };
    let name = value::non_empty_text(node, path, "the shell", problems)?;
    if name.contains(char::is_whitespace) {
        let words: Vec<_> = name.split_whitespace().map(str::to_owned).collect();
        if words.first().is_none_or(|program| Interpreter::from_program(program).is_none()) {
            let problem = Problem::new(node.id, path, format!("unknown shell {}", quoted(&name)));
            problems.add(
                problem.hint("`shell` is the interpreter: write the script as `run`, and another program as a list"),
            );
            return None;
        }
        let problem = Problem::new(node.id, path, "a shell with arguments must be a list");
        problems.add(problem.hint(format!("write `[{}]`", with_script_option(&words).join(", "))));
        return None;
    }
    if Interpreter::from_program(&name).is_none() {
        let problem = Problem::new(node.id, path, format!("unknown shell {}", quoted(&name)));
        let problem = problem.expected(format!("expected {}", one_of(&Interpreter::NAMES)));
        problems.add(match closest_name(&name, Interpreter::NAMES.into_iter()) {
            Some(suggestion) => problem.hint(format!("did you mean `{suggestion}`?")),
            None => problem.hint("write another program as a list; the script is its last argument"),
        });
        return None;
    }
    Some(vec![name])
}

/// Rejects a list such as `[bash, -l]`: the shell would take the script for the name of a file.
fn check_shell_arguments(
    words: Vec<String>,
    node: &Node<'_>,
    path: &ValuePath<'_>,
    problems: &mut Problems,
) -> Option<Vec<String>> {
    let fixed = with_script_option(&words);
    if words.len() > 1 && fixed.len() > words.len() {
        let problem = Problem::new(node.id, path, "this shell would take the script for the name of a file");
        problems.add(problem.hint(format!("write `[{}]`", fixed.join(", "))));
        return None;
    }
    Some(words)
}

/// The command line of a shell with the option after which it takes a script, if that is missing.
fn with_script_option(words: &[String]) -> Vec<String> {
    let shell = words.first().and_then(|program| Interpreter::from_program(program));
    let mut words = words.to_vec();
    if let Some(shell) = shell.filter(|shell| shell.is_unix_shell())
        && !words.last().is_some_and(|last| Interpreter::takes_script(last))
    {
        words.push(shell.script_option().to_owned());
    }
    words
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
