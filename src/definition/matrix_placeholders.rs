//! Placeholders: `${matrix.NAME}` in a field of a job with a matrix.
//!
//! They aren't allowed in scripts, where a value could end a command and start another. Scripts get the values in their
//! environment.

use std::borrow::Cow;

use super::item_placeholders;
use super::placeholder::{self, Placeholder};
use super::problems::{Problem, Problems};
use super::spanned_value::{MapEntry, Node, NodeKind};
use super::spelling::{closest_name, quoted};
use super::value_path::ValuePath;
use crate::model::{InputPlaceholder, ValuePlaceholder};

/// The start of a placeholder.
const PREFIX: &str = "${matrix.";

/// Finds the first placeholder of a text, even a malformed one.
pub(super) fn find_first(text: &str) -> Option<Placeholder<'_>> {
    let starts = memchr::memmem::find_iter(text.as_bytes(), "${");
    starts.into_iter().find_map(|start| {
        let (before, rest) = text.split_at(start);
        let inside = rest[2..].trim_start_matches(['{', ' ']);
        let after = inside.strip_prefix("matrix")?;
        if !after.starts_with(['.', ' ']) {
            return None;
        }
        // The `${{ matrix.NAME }}` of other tools ends with as many braces as it starts with.
        let end = rest.find('}').map_or(rest.len(), |end| {
            let braces = rest[1..].bytes().take_while(|byte| *byte == b'{').count();
            end + rest[end..].bytes().take(braces).take_while(|byte| *byte == b'}').count()
        });
        let (text, after) = rest.split_at(end);
        let name = text.strip_prefix(PREFIX).and_then(|text| text.strip_suffix('}'));
        let name = name.filter(|name| !name.is_empty() && !name.contains(char::is_whitespace));
        Some(Placeholder { before, text, name, after })
    })
}

/// Whether the text contains placeholders.
pub(super) fn contains(text: &str) -> bool {
    // Fast path: most texts are short and have no `$`.
    memchr::memchr(b'$', text.as_bytes()).is_some() && text.contains(PREFIX)
}

/// Returns the text without its placeholders.
pub(super) fn strip(text: &str) -> Cow<'_, str> {
    match strip_all(text, find_first) {
        Cow::Borrowed(text) => strip_all(text, item_placeholders::find_first),
        Cow::Owned(text) => Cow::Owned(strip_all(&text, item_placeholders::find_first).into_owned()),
    }
}

fn strip_all(text: &str, find: fn(&str) -> Option<Placeholder<'_>>) -> Cow<'_, str> {
    let mut without = Cow::Borrowed("");
    let mut rest = text;
    while let Some(Placeholder { before, after, .. }) = find(rest) {
        without.to_mut().push_str(before);
        rest = after;
    }
    if rest.len() == text.len() { Cow::Borrowed(text) } else { without + rest }
}

/// The first parts of placeholders in other tools, and of those that people try here.
const NAMESPACES: [&str; 21] = [
    "env",
    "github",
    "input",
    "inputs",
    "item",
    "items",
    "job",
    "jobs",
    "matrices",
    "matrix",
    "need",
    "needs",
    "outputs",
    "param",
    "parameters",
    "params",
    "secret",
    "secrets",
    "step",
    "steps",
    "vars",
];

/// The fields in which the values of needed jobs are filled in when a run starts.
const FIELDS_WITH_VALUES: [&str; 6] = ["command", "args", "kwargs", "env", "cwd", "stdin"];

/// Finds a placeholder that nothing replaces, such as `${jobs.build.value}`, with its first part.
fn find_unknown(text: &str, takes_values: bool) -> Option<(&str, &str)> {
    memchr::memmem::find_iter(text.as_bytes(), "${").find_map(|start| {
        let rest = &text[start..];
        let name = rest[2..].trim_start_matches(['{', ' ']);
        let end = name.find(|c: char| !(c.is_ascii_alphanumeric() || "_-.".contains(c))).unwrap_or(name.len());
        let (namespace, _) = name[..end].split_once('.')?;
        let is_known = NAMESPACES.contains(&namespace) || meant_root(namespace).is_some();
        let after = name[end..].trim_start();
        let close = match after {
            _ if rest.starts_with("${{") && after.starts_with("}}") => 2,
            _ if after.starts_with('}') => 1,
            _ => return None,
        };
        let is_filled_in =
            takes_values && (ValuePlaceholder::parse(rest).is_some() || InputPlaceholder::parse(rest).is_some());
        (!matches!(namespace, "matrix" | "item") && is_known && !is_filled_in)
            .then(|| (&rest[..rest.len() - after.len() + close], namespace))
    })
}

/// The first part of our placeholders that another one probably means.
fn meant_root(namespace: &str) -> Option<&'static str> {
    match namespace {
        "input" | "param" | "parameters" | "params" | "secret" | "secrets" => Some("inputs"),
        "job" | "jobs" | "need" | "step" | "steps" => Some("needs"),
        "items" => Some("item"),
        "env" | "vars" | "outputs" | "github" => None,
        other => closest_name(other, ["matrix", "inputs", "needs"].into_iter()),
    }
}

/// What to write instead of a placeholder that nothing replaces.
fn placeholder_hint(placeholder: &str, namespace: &str, takes_values: bool) -> String {
    let inside = placeholder.trim_matches(|c| "${} ".contains(c));
    let name = inside.split('.').nth(1).unwrap_or_default();
    let name = |default: &'static str| {
        if is_variable_name(&name.replace('-', "_")) { name.to_owned() } else { default.to_owned() }
    };
    match meant_root(namespace) {
        Some("inputs" | "needs") if !takes_values => {
            "values are filled in only in `command`, `args`, `kwargs`, `env`, `cwd` and `stdin`".to_owned()
        }
        Some("inputs") if namespace == "inputs" => "write `${inputs.NAME}`".to_owned(),
        Some("inputs") => format!("did you mean `${{inputs.{}}}`?", name("NAME")),
        Some("needs") if namespace == "needs" => format!("write `${{needs.{}.value}}`", name("JOB")),
        Some("needs") => format!("did you mean `${{needs.{}.value}}`?", name("JOB")),
        Some("item") if inside.contains('.') => format!("did you mean `${{item.{}}}`?", name("NAME")),
        Some("item") => "did you mean `${item}`?".to_owned(),
        Some(_) => "did you mean `${matrix.NAME}`?".to_owned(),
        None if matches!(namespace, "env" | "vars") => {
            format!("variables are replaced only in scripts: use `run`, and `\"${}\"` in it", name("NAME"))
        }
        None => "`${inputs.NAME}`, `${needs.JOB.value}`, `${matrix.NAME}` and `${item}` are replaced".to_owned(),
    }
}

/// Finds a variable as in a shell, such as `$TARGET` or `${TARGET}`, in a text in which variables are not replaced.
pub fn find_variable(text: &str) -> Option<&str> {
    memchr::memchr_iter(b'$', text.as_bytes()).find_map(|start| {
        let rest = &text[start..];
        let inner = rest[1..].strip_prefix('{').unwrap_or(&rest[1..]);
        let end = inner.find(|c: char| c != '_' && !c.is_ascii_alphanumeric()).unwrap_or(inner.len());
        let is_name = inner[..end].starts_with(|c: char| c == '_' || c.is_ascii_alphabetic());
        let length = if rest.starts_with("${") { end + 3 } else { end + 1 };
        let is_closed = !rest.starts_with("${") || inner[end..].starts_with('}');
        (is_name && is_closed).then(|| &rest[..length])
    })
}

/// Reports unknown placeholders in the fields of a map. Scripts are not searched: their language may use the same syntax.
fn reject_unknown(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) {
    let NodeKind::Map(entries) = &node.kind else { return };
    for MapEntry { key, value } in entries.iter().filter(|entry| !matches!(&*entry.key.text, "run" | "jobs")) {
        let is_script =
            matches!(&*key.text, "on_finish" | "if" | "unless") && matches!(value.kind, NodeKind::Scalar(..));
        if !is_script {
            let takes_values = FIELDS_WITH_VALUES.contains(&&*key.text);
            reject_unknown_in(value, &path.key(&key.text), takes_values, problems);
        }
    }
}

fn reject_unknown_in(node: &Node<'_>, path: &ValuePath<'_>, takes_values: bool, problems: &mut Problems) {
    match &node.kind {
        NodeKind::Scalar(_, text) => {
            let Some((placeholder, namespace)) = find_unknown(text, takes_values) else { return };
            let problem = Problem::new(node.id, path, format!("unknown placeholder {}", quoted(placeholder)));
            problems.add(problem.hint(placeholder_hint(placeholder, namespace, takes_values)));
        }
        NodeKind::List(items) => {
            let items = items.iter().enumerate();
            items.for_each(|(nth, node)| reject_unknown_in(node, &path.item(nth), takes_values, problems));
        }
        NodeKind::Map(entries) => {
            for MapEntry { key, value } in entries.iter().filter(|entry| entry.key.text != "run") {
                reject_unknown_in(value, &path.key(&key.text), takes_values, problems);
            }
        }
        NodeKind::Null | NodeKind::Tagged(..) => {}
    }
}

/// Whether a name can be a variable of a matrix.
pub(super) fn is_variable_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Reports a malformed placeholder.
pub(super) fn malformed_problem(id: u32, text: &str, path: &ValuePath<'_>) -> Problem {
    Problem::new(id, path, "invalid placeholder").hint(format!("write `{PREFIX}{}}}`", variable_in(text)))
}

/// Guesses the variable name in a malformed placeholder.
fn variable_in(text: &str) -> &str {
    let name = text.split("matrix").nth(1).unwrap_or_default();
    let name = name.trim_matches(|c: char| !c.is_alphanumeric() && c != '_');
    if is_variable_name(name) { name } else { "NAME" }
}

/// Reports a placeholder in a script.
pub(super) fn reject_in_script(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) {
    let NodeKind::Scalar(_, text) = &node.kind else { return };
    let Some(Placeholder { text: placeholder, before, .. }) = find_first(text) else { return };
    let name = variable_in(placeholder);
    let message = format!("`{PREFIX}{name}}}` isn't allowed in a script, where the value would run as code");
    let part = before.len()..before.len() + placeholder.len();
    let problem = Problem::new(node.id, path, message).in_part(text, part);
    problems.add(problem.hint(format!("use `\"${name}\"`: matrix values are in the job's environment")));
}

/// Reports a placeholder in an id.
pub(super) fn reject_in_id(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) {
    let NodeKind::Scalar(_, text) = &node.kind else { return };
    if find_first(text).is_some() {
        let problem = Problem::new(node.id, path, "an id can't contain placeholders");
        problems.add(
            problem
                .hint("values are appended: the jobs of `test` are named `test-VALUE`, and `test` means all of them"),
        );
    }
}

/// Reports placeholders in the fields of a map that defines no or one job.
pub(super) fn reject_in_fields(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) {
    reject_others(node, "", path, problems);
}

/// Reports placeholders in the fields of a map, except those that `field` (`matrix` or `for_each`) fills in.
pub(super) fn reject_others(node: &Node<'_>, field: &str, path: &ValuePath<'_>, problems: &mut Problems) {
    let NodeKind::Map(entries) = &node.kind else { return };
    reject_unknown(node, path, problems);
    if field != "for_each" {
        item_placeholders::reject_outside(node, path, problems);
    }
    if field == "matrix" {
        return;
    }
    // The language of a script or its input may use the same syntax.
    for MapEntry { key, value } in entries.iter().filter(|entry| !matches!(&*entry.key.text, "run" | "stdin" | "jobs"))
    {
        reject_in(value, &path.key(&key.text), problems);
    }
}

fn reject_in(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) {
    let is_rejected = |node: &Node<'_>| matches!(&node.kind, NodeKind::Scalar(_, text) if contains(text));
    let message = "placeholder without a matrix";
    let hint = "placeholders work in the fields of a job with a `matrix`";
    placeholder::reject_texts(node, path, &is_rejected, (message, hint), problems);
}
