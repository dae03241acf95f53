//! Placeholders for the item of a job with `for_each`: `${item}`, `${item.NAME}` and `${index}`.

use super::fields::HOOK_FIELDS;
use super::placeholder::{self, Placeholder};
use super::problems::{Problem, Problems};
use super::spanned_value::{MapEntry, Node, NodeKind};
use super::value_path::ValuePath;
use crate::model::{script_words, variable_name};

/// The name of the item, and of its number.
pub(super) const ITEM: &str = "item";
pub(super) const INDEX: &str = "index";

/// The start of the variables in which scripts get the item.
pub(super) const VARIABLE: &str = "SETLIST_ITEM";

/// Finds the first placeholder of a text, even one with spaces or too many braces.
pub(super) fn find_first(text: &str) -> Option<Placeholder<'_>> {
    // Most texts have no `$`.
    memchr::memchr(b'$', text.as_bytes())?;
    let starts = memchr::memmem::find_iter(text.as_bytes(), "${");
    starts.into_iter().find_map(|start| {
        let (before, rest) = text.split_at(start);
        let inside = rest[2..].trim_start_matches(['{', ' ']);
        let name = [ITEM, INDEX].into_iter().find(|name| inside.starts_with(name))?;
        let after = &inside[name.len()..];
        let is_part = name == ITEM && after.starts_with('.');
        if !(is_part || after.trim_start_matches(' ').starts_with('}')) {
            return None;
        }
        let end = rest.find('}')?;
        let braces = rest[1..].bytes().take_while(|byte| *byte == b'{').count();
        let end = end + rest[end..].bytes().take(braces).take_while(|byte| *byte == b'}').count();
        let (text, after) = rest.split_at(end);
        let name = text.strip_prefix("${").and_then(|text| text.strip_suffix('}'));
        let is_valid = |name: &&str| name.strip_prefix("item.").map_or(*name == ITEM || *name == INDEX, is_part_name);
        Some(Placeholder { before, text, name: name.filter(is_valid), after })
    })
}

/// Whether a part of an item may have this name.
pub(super) fn is_part_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-'))
}

/// The name in a placeholder, even a malformed one.
fn name_in(placeholder: &str) -> &str {
    let name = placeholder.trim_matches(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | '-'));
    let is_valid = name.strip_prefix("item.").map_or(name == ITEM || name == INDEX, is_part_name);
    if is_valid { name } else { ITEM }
}

/// The problem with a malformed placeholder.
pub(super) fn malformed_problem(id: u32, text: &str, path: &ValuePath<'_>) -> Problem {
    Problem::new(id, path, "invalid placeholder").hint(format!("write `${{{}}}`", name_in(text)))
}

/// Reports a placeholder in a script. A variable that the script sets itself is none.
pub(super) fn reject_in_script(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) {
    let NodeKind::Scalar(_, text) = &node.kind else { return };
    let Some((name, placeholder)) = placeholder_in_script(text) else { return };
    let message = format!("`${{{name}}}` isn't allowed in a script, where the value would run as code");
    let hint = match name.strip_prefix(ITEM) {
        Some(part) => {
            let variable = variable_name(VARIABLE, &part.replacen('.', "_", 1));
            format!("use `\"${variable}\"`: the item is in the job's environment")
        }
        None => "set a variable: `env: {INDEX: \"${index}\"}`, and use `\"$INDEX\"`".to_owned(),
    };
    let start = text.find(placeholder).unwrap_or_default();
    problems.add(Problem::new(node.id, path, message).in_part(text, start..start + placeholder.len()).hint(hint));
}

/// The first placeholder in a script that is not a variable of its own.
fn placeholder_in_script(script: &str) -> Option<(&str, &str)> {
    let mut rest = script;
    while let Some(Placeholder { text, after, .. }) = find_first(rest) {
        let name = name_in(text);
        if name.contains('.') || !sets_variable(script, name) {
            return Some((name, text));
        }
        rest = after;
    }
    None
}

/// Whether a script sets this variable: `for item in`, `item=`, or `read item`.
fn sets_variable(script: &str, name: &str) -> bool {
    let is_name_char = |c: char| c == '_' || c.is_ascii_alphanumeric();
    script.match_indices(name).any(|(start, _)| {
        let (before, after) = (&script[..start], &script[start + name.len()..]);
        if before.ends_with(|c| is_name_char(c) || "$.{".contains(c)) || after.starts_with(is_name_char) {
            return false;
        }
        let line = before.rsplit('\n').next().unwrap_or_default();
        let command = line.rsplit([';', '|', '&']).next().unwrap_or_default();
        after.starts_with('=') || command.split_whitespace().any(|word| matches!(word, "for" | "read" | "select"))
    })
}

/// Reports placeholders in the scripts of a command, such as `[sh, -c, SCRIPT]`.
pub(super) fn reject_in_command(command: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) {
    for (nth, node) in script_nodes(command) {
        reject_in_script(node, &path.item(nth), problems);
    }
}

/// The words of a command that are scripts, with their indexes.
fn script_nodes<'n, 's>(command: &'n Node<'s>) -> Vec<(usize, &'n Node<'s>)> {
    let NodeKind::List(words) = &command.kind else { return Vec::new() };
    let texts: Vec<String> = words.iter().map(|word| word.text().unwrap_or_default().to_owned()).collect();
    script_words(&texts).into_iter().filter_map(|nth| Some((nth, words.get(nth)?))).collect()
}

/// Reports a placeholder in an id.
pub(super) fn reject_in_id(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) {
    let NodeKind::Scalar(_, text) = &node.kind else { return };
    if find_first(text).is_some() {
        let problem = Problem::new(node.id, path, "an id can't contain placeholders");
        problems.add(
            problem.hint(
                "items are appended: the jobs of `encode` are named `encode[ITEM]`, and `encode` means all of them",
            ),
        );
    }
}

/// Reports placeholders in the fields of a map without `for_each`. Scripts are not searched: they may have such variables.
pub(super) fn reject_outside(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) {
    let NodeKind::Map(entries) = &node.kind else { return };
    for MapEntry { key, value } in entries {
        let path = path.key(&key.text);
        match &*key.text {
            "run" | "stdin" | "jobs" => {}
            "command" => reject_in_words(value, &path, problems),
            name if HOOK_FIELDS.contains(&name) => match &value.kind {
                NodeKind::List(_) => reject_in_words(value, &path, problems),
                NodeKind::Map(_) => reject_outside(value, &path, problems),
                _ => {}
            },
            _ => reject_in(value, &path, problems),
        }
    }
}

/// Reports placeholders in the words of a command that are not scripts.
fn reject_in_words(command: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) {
    let NodeKind::List(words) = &command.kind else { return };
    // Most commands have no placeholders.
    if !words.iter().any(has_placeholder) {
        return;
    }
    let scripts = script_nodes(command);
    for (nth, word) in words.iter().enumerate().filter(|(nth, _)| !scripts.iter().any(|(script, _)| script == nth)) {
        reject_in(word, &path.item(nth), problems);
    }
}

fn has_placeholder(node: &Node<'_>) -> bool {
    // `${index}` alone may be meant for the program.
    let is_item = |found: Placeholder<'_>| name_in(found.text) != INDEX;
    matches!(&node.kind, NodeKind::Scalar(_, text) if find_first(text).is_some_and(is_item))
}

fn reject_in(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) {
    let message = "placeholder of an item without `for_each`";
    let hint = "`${item}` works in the fields of a job with `for_each`";
    placeholder::reject_texts(node, path, &has_placeholder, (message, hint), problems);
}
