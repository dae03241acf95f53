//! Warns about variables in scripts that are always empty: the values of jobs that are not needed, of inputs that don't exist,
//! and `$item`. Only where that is certain: a script may set a variable itself.

use std::collections::HashSet;

use super::problems::Problem;
use super::queue_jobs::{ParsedJob, ParsedQueue};
use super::spanned_value::{Node, NodeKind};
use super::spelling::{closest_name, quoted};
use super::value_check::{place, shell_scripts};
use super::value_path::ValuePath;
use crate::model::{Call, Definition, JobRef, input_variable, variable_name};

const NEEDS: &str = "SETLIST_NEEDS_";
const INPUT: &str = "SETLIST_INPUT_";
const ITEM: &str = "item";

/// How many different variables of a script are looked at: the whole script is searched for each.
const MAX_NAMES: usize = 100;

/// Commands that set the variables which they name.
const SETTERS: [&str; 12] =
    ["declare", "export", "for", "getopts", "let", "local", "mapfile", "printf", "read", "readarray", "select", "set"];

/// Whether the text of a file may have such variables, or the name of a type as a default: most have none.
pub(super) fn may_have_any(text: &str) -> bool {
    [NEEDS, INPUT, "$item", ": text"].into_iter().any(|part| text.contains(part))
}

/// What is probably wrong, at its place.
pub(super) fn warnings(root: &Node<'_>, queues: &[ParsedQueue]) -> Vec<Problem> {
    let mut found = types_as_defaults(root);
    let mut reported = HashSet::new();
    for queue in queues {
        let mut last_entry = None;
        for job in &queue.jobs {
            // The jobs of one entry have the same script.
            let Some(definition) = job.definition.as_ref().filter(|_| last_entry != Some(job.entry_index)) else {
                continue;
            };
            last_entry = Some(job.entry_index);
            for script in shell_scripts(definition) {
                let mut names = HashSet::new();
                let empty = variables(script)
                    .into_iter()
                    .filter(|variable| is_candidate(variable.name) && names.insert(variable.name))
                    .take(MAX_NAMES)
                    .find_map(|variable| Some((variable, why_empty(variable.name, script, definition, job, queue)?)));
                let Some((Variable { start, text, .. }, why)) = empty else { continue };
                let message = format!("{} is empty: {why}", quoted(text));
                let problem = place(root, queue, job, script, &message, &mut reported);
                found.extend(problem.map(|problem| problem.in_part(script, start..start + text.len())));
            }
        }
    }
    found
}

/// A variable that a script uses.
#[derive(Clone, Copy)]
struct Variable<'t> {
    start: usize,
    text: &'t str,
    name: &'t str,
}

/// The variables of a script outside of single quotes and comments. None if the script may be read in another way.
fn variables(script: &str) -> Vec<Variable<'_>> {
    let mut found = Vec::new();
    if script.contains("<<") || script.contains("$'") {
        return found;
    }
    let (mut is_single, mut is_double, mut before) = (false, false, b'\n');
    let bytes = script.as_bytes();
    let mut at = 0;
    while let Some(byte) = bytes.get(at).copied() {
        match byte {
            b'\\' if !is_single => at += 1,
            b'\'' if !is_double => is_single = !is_single,
            b'"' if !is_single => is_double = !is_double,
            b'#' if !is_single && !is_double && before.is_ascii_whitespace() => {
                at += script[at..].find('\n').unwrap_or(script.len() - at);
                before = b'\n';
                continue;
            }
            b'$' if !is_single => found.extend(variable_at(script, at)),
            _ => {}
        }
        before = byte;
        at += 1;
    }
    found
}

/// The variable at this `$`. None with an operator, such as `${NAME:-default}`.
fn variable_at(script: &str, start: usize) -> Option<Variable<'_>> {
    let rest = &script[start + 1..];
    let inner = rest.strip_prefix('{').unwrap_or(rest);
    let end = inner.find(|c: char| c != '_' && !c.is_ascii_alphanumeric()).unwrap_or(inner.len());
    let has_brace = rest.len() > inner.len();
    if end == 0 || (has_brace && !inner[end..].starts_with('}')) {
        return None;
    }
    let length = end + if has_brace { 3 } else { 1 };
    Some(Variable { start, text: &script[start..start + length], name: &inner[..end] })
}

fn is_candidate(name: &str) -> bool {
    name == ITEM || name.starts_with(NEEDS) || name.starts_with(INPUT)
}

/// Why a variable is never set, and what to write instead.
fn why_empty(
    name: &str,
    script: &str,
    definition: &Definition,
    job: &ParsedJob,
    queue: &ParsedQueue,
) -> Option<String> {
    let Call::Script(run) = &definition.call else { return None };
    if run.exec.env.contains_key(name) || !run.exec.env_files.is_empty() || may_set(script, name) {
        return None;
    }
    if let Some(input) = name.strip_prefix(INPUT) {
        let declared: Vec<String> = queue.settings.inputs.iter().map(|input| input_variable(&input.name)).collect();
        if declared.iter().any(|known| known == name) {
            return None;
        }
        let known = declared.iter().filter_map(|known| known.strip_prefix(INPUT));
        let hint = closest_name(input, known).map(|known| format!("; did you mean `${INPUT}{known}`?"));
        return Some(format!("there is no such input{}", hint.unwrap_or_default()));
    }
    if name.starts_with(NEEDS) {
        if is_needed(name, definition, job) {
            return None;
        }
        let is_named = |other: &&ParsedJob| {
            let variable = variable_name(NEEDS, &other.name);
            name.strip_prefix(&*variable).is_some_and(|rest| matches!(rest, "" | "_OUTCOME"))
        };
        let meant = queue.jobs.iter().find(is_named).map(|other| format!("; add `needs: [{}]`", other.name));
        return Some(format!("the job needs no such job{}", meant.unwrap_or_default()));
    }
    let values = definition.matrix.as_ref().filter(|values| values.is_item)?;
    let variable =
        values.values.first().map_or_else(|| "SETLIST_ITEM".to_owned(), |(name, _)| variable_name("SETLIST_", name));
    Some(format!("scripts get the item as `${variable}`"))
}

/// Whether a job may get this result of another one: by the name of a job that it needs, or one of several.
fn is_needed(variable: &str, definition: &Definition, job: &ParsedJob) -> bool {
    let starts = |name: &str| variable.starts_with(&variable_name(NEEDS, name));
    let resolved = definition.scheduling.needs.iter().any(|need| match &need.job {
        JobRef::Named(queue, name) => starts(name) || starts(&format!("{queue}/{name}")),
        JobRef::Number(_) => true,
    });
    resolved || job.needs.iter().any(|need| starts(&need.text))
}

/// Whether a script may set a variable itself, or by a file that it reads.
fn may_set(script: &str, name: &str) -> bool {
    let is_name_char = |c: char| c == '_' || c.is_ascii_alphanumeric();
    let commands = || script.split(['\n', ';', '|', '&', '(', '{', '`']).map(str::trim_start);
    let reads_file =
        |command: &str| command.starts_with(". ") || command.contains("source ") || command.contains("eval ");
    let names = |command: &str| {
        let mut uses = command.match_indices(name);
        uses.any(|(start, _)| {
            let (before, after) = (&command[..start], &command[start + name.len()..]);
            let is_word = !before.ends_with(|c| is_name_char(c) || c == '$') && !after.starts_with(is_name_char);
            let is_assigned = after.starts_with(['=', '[']) || after.starts_with("+=") || after.starts_with(":=");
            is_word && (is_assigned || command.split_whitespace().any(|word| SETTERS.contains(&word)))
        })
    };
    commands().any(|command| reads_file(command) || names(command)) || script.contains(&format!("${{{name}="))
}

/// Inputs whose default is the word `text`, which is a type.
fn types_as_defaults(root: &Node<'_>) -> Vec<Problem> {
    let top = ValuePath::Top;
    let mut found = Vec::new();
    let mut add = |inputs: Option<&Node<'_>>, path: &ValuePath<'_>| {
        let Some(NodeKind::Map(entries)) = inputs.map(|inputs| &inputs.kind) else { return };
        for entry in entries.iter().filter(|entry| entry.value.text() == Some("text")) {
            let name = &entry.key.text;
            let message = format!(
                "`text` is the default of {}, not its type: write `{{type: text}}`, or `{{default: text}}` if it is meant",
                quoted(name)
            );
            found.push(Problem::new(entry.value.id, &path.key(name), message));
        }
    };
    add(root.get("inputs"), &top.key("inputs"));
    if let Some(NodeKind::Map(queues)) = root.get("queues").map(|queues| &queues.kind) {
        for queue in queues {
            add(queue.value.get("inputs"), &top.key("queues").key(&queue.key.text).key("inputs"));
        }
    }
    found
}
