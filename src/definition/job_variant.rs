//! One of the jobs that an entry with a `matrix` or `for_each` defines: its name, and what is filled in for it.

use std::borrow::Cow;
use std::sync::Arc;

use super::fields::HOOK_FIELDS;
use super::placeholder::Placeholder;
use super::problems::{Problem, Problems};
use super::spanned_value::{MapEntry, Node, NodeKind, ScalarType};
use super::value_path::ValuePath;
use crate::model::{FilePattern, MatrixValues};

/// The form in which a value is filled in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ValueForm {
    /// As it is.
    Text,
    /// As in the names of jobs.
    Name,
    /// As it is, in a pattern of files: its wildcards are escaped.
    Pattern,
}

/// A job of an entry that defines several.
pub(super) trait JobVariant {
    /// The field that defines the jobs.
    const FIELD: &'static str;

    /// The job's name, before it is made unique.
    fn name(&self, base: &str) -> String;

    /// The job's title where the entry doesn't tell its jobs apart.
    fn title(&self, title: &str, first_line: &str) -> String;

    /// Variables in the environment of the job, besides those that its parameters give.
    fn variables(&self) -> Vec<(String, String)>;

    /// What the job was made for. `base` is the name of the entry.
    fn parameters(&self, base: &Arc<str>) -> MatrixValues;

    /// The fingerprint of the job: of its own values and the rest of the entry.
    fn digest(&self, entry: &Node<'_>) -> i64;

    /// Finds the first placeholder of a text, even a malformed one.
    fn find_placeholder(text: &str) -> Option<Placeholder<'_>>;

    /// What a placeholder stands for.
    fn resolve(
        &self,
        name: &str,
        form: ValueForm,
        id: u32,
        path: &ValuePath<'_>,
    ) -> Result<(ScalarType, Cow<'_, str>), Box<Problem>>;

    /// The problem with a malformed placeholder.
    fn malformed(id: u32, text: &str, path: &ValuePath<'_>) -> Problem;

    /// Reports a placeholder in a script.
    fn reject_in_script(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems);

    /// Reports a placeholder in an id.
    fn reject_in_id(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems);

    /// Reports placeholders in the scripts of a command, such as `[sh, -c, SCRIPT]`.
    fn reject_in_command(_command: &Node<'_>, _path: &ValuePath<'_>, _problems: &mut Problems) {}
}

/// Returns the entry with the placeholders replaced by the values of a job.
pub(super) fn substitute<'s, V: JobVariant>(
    variant: &V,
    entry: &Node<'s>,
    path: &ValuePath<'_>,
    problems: &mut Problems,
) -> Node<'s> {
    let NodeKind::Map(entries) = &entry.kind else { return entry.clone() };
    let fields = entries.iter().filter(|field| field.key.text != V::FIELD).map(|field| {
        let path = &path.key(&field.key.text);
        let substituted = |form, problems: &mut Problems| substitute_node(variant, &field.value, path, problems, form);
        let value = match &*field.key.text {
            "run" => {
                V::reject_in_script(&field.value, path, problems);
                field.value.clone()
            }
            "id" => {
                V::reject_in_id(&field.value, path, problems);
                field.value.clone()
            }
            name if HOOK_FIELDS.contains(&name) || matches!(name, "if" | "unless") => {
                V::reject_in_script(&field.value, path, problems);
                V::reject_in_command(&field.value, path, problems);
                if let Some(script) = field.value.get("run") {
                    V::reject_in_script(script, &path.key("run"), problems);
                }
                if let Some(command) = field.value.get("command") {
                    V::reject_in_command(command, &path.key("command"), problems);
                }
                substituted(ValueForm::Text, problems)
            }
            "command" => {
                V::reject_in_command(&field.value, path, problems);
                substituted(ValueForm::Text, problems)
            }
            // `needs` contains job names, so it gets the values as they are in names.
            "needs" => substituted(ValueForm::Name, problems),
            "sources" | "outputs" => substituted(ValueForm::Pattern, problems),
            _ => substituted(ValueForm::Text, problems),
        };
        MapEntry { key: field.key.clone(), value }
    });
    Node { id: entry.id, kind: NodeKind::Map(fields.collect()) }
}

fn substitute_node<'s, V: JobVariant>(
    variant: &V,
    node: &Node<'s>,
    path: &ValuePath<'_>,
    problems: &mut Problems,
    form: ValueForm,
) -> Node<'s> {
    let kind = match &node.kind {
        NodeKind::Scalar(scalar_type, text) => match substitute_text(variant, node.id, text, path, problems, form) {
            Some((scalar_type, text)) => NodeKind::Scalar(scalar_type, Cow::Owned(text)),
            None => NodeKind::Scalar(*scalar_type, text.clone()),
        },
        NodeKind::List(items) => {
            let items = items.iter().enumerate();
            NodeKind::List(
                items.map(|(nth, node)| substitute_node(variant, node, &path.item(nth), problems, form)).collect(),
            )
        }
        NodeKind::Map(entries) => {
            let entries = entries.iter().map(|entry| {
                let path = path.key(&entry.key.text);
                MapEntry {
                    key: entry.key.clone(),
                    value: substitute_node(variant, &entry.value, &path, problems, form),
                }
            });
            NodeKind::Map(entries.collect())
        }
        kind => kind.clone(),
    };
    Node { id: node.id, kind }
}

/// Replaces the placeholders in a text. Returns `None` if there are none. A text that is only a placeholder takes
/// the type of the value.
fn substitute_text<V: JobVariant>(
    variant: &V,
    id: u32,
    text: &str,
    path: &ValuePath<'_>,
    problems: &mut Problems,
    form: ValueForm,
) -> Option<(ScalarType, String)> {
    let mut filled = String::new();
    let mut scalar_type = None;
    let mut rest = text;
    let mut found = false;
    while let Some(Placeholder { before, text: placeholder, name, after }) = V::find_placeholder(rest) {
        found = true;
        filled.push_str(before);
        match name.map(|name| variant.resolve(name, form, id, path)) {
            Some(Ok((value_type, value))) => {
                scalar_type = (placeholder.len() == text.len()).then_some(value_type);
                match form {
                    ValueForm::Pattern => filled.push_str(&FilePattern::escape(&value, filled.is_empty())),
                    ValueForm::Text | ValueForm::Name => filled.push_str(&value),
                }
            }
            Some(Err(problem)) => {
                problems.add(*problem);
                filled.push_str(placeholder);
            }
            None => {
                problems.add(V::malformed(id, placeholder, path));
                filled.push_str(placeholder);
            }
        }
        rest = after;
    }
    filled.push_str(rest);
    found.then(|| (scalar_type.unwrap_or(ScalarType::Text), filled))
}

/// Replaces `$name` and `${name}`; `None` if there are none.
pub(super) fn replace_variable(text: &str, name: &str, value: &str) -> Option<String> {
    let is_name_char = |c: char| c == '_' || c.is_ascii_alphanumeric();
    let (mut replaced, mut rest, mut found) = (String::new(), text, false);
    while let Some(start) = rest.find('$') {
        let after = &rest[start + 1..];
        let end = match after.strip_prefix(name) {
            Some(end) if !end.starts_with(is_name_char) => Some(end),
            _ => after.strip_prefix('{').and_then(|inner| inner.strip_prefix(name)?.strip_prefix('}')),
        };
        replaced.push_str(&rest[..start]);
        replaced.push_str(if end.is_some() { value } else { "$" });
        found |= end.is_some();
        rest = end.unwrap_or(after);
    }
    replaced.push_str(rest);
    found.then_some(replaced)
}

/// The approximate memory size of one job of an entry in bytes, without what it inherits.
pub(super) fn job_memory_size<V: JobVariant>(entry: &Node<'_>) -> usize {
    const BASE_BYTES: usize = 256;
    BASE_BYTES + entry.memory_size().saturating_sub(entry.get(V::FIELD).map_or(0, Node::memory_size))
}

/// Whether the jobs of an entry have different titles or commands.
pub(super) fn has_distinct_labels<V: JobVariant>(entry: &Node<'_>) -> bool {
    let contains = |text: &str| V::find_placeholder(text).is_some();
    let has = |node: &Node<'_>| matches!(&node.kind, NodeKind::Scalar(_, text) if contains(text));
    match (entry.get("title").map(|title| &title.kind), entry.get("command").map(|command| &command.kind)) {
        (Some(NodeKind::Scalar(_, title)), _) if !title.is_empty() => contains(title),
        (_, Some(NodeKind::List(words))) => words.iter().any(has),
        _ => false,
    }
}
