//! A matrix: one entry that defines a job for each combination of values.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use super::job_names::slug_of;
use super::placeholders::{self, Placeholder};
use super::problems::{Problem, Problems};
use super::spanned_value::{MapEntry, Node, NodeKind, ScalarType};
use super::spelling::{closest_keyword, one_of, quoted};
use super::value;
use super::value_path::ValuePath;
use crate::text::{count, count_noun};

/// The most jobs that one matrix may define.
const MAX_JOBS: usize = 10_000;

/// The names of a matrix with their values.
pub(super) struct Matrix {
    axes: Vec<Axis>,
}

struct Axis {
    name: Arc<str>,
    values: Vec<AxisValue>,
}

/// A value, and its form in job names.
struct AxisValue {
    text: Arc<str>,
    scalar_type: ScalarType,
    slug: String,
}

/// One value of each name.
pub(super) struct Combination<'m>(Vec<(&'m Arc<str>, &'m AxisValue)>);

impl Matrix {
    /// Reads the matrix of an entry.
    pub(super) fn read(entry: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Option<Self> {
        let (node, path) = (entry.get("matrix")?, &path.key("matrix"));
        let before = problems.count();
        let entries = value::map(node, path, "a map of lists of values", problems)?;
        let jobs = entries.iter().try_fold(1_usize, |jobs, entry| match &entry.value.kind {
            NodeKind::List(values) => jobs.checked_mul(values.len()),
            _ => Some(jobs),
        });
        if jobs.is_none_or(|jobs| jobs > MAX_JOBS) {
            let jobs = jobs.map_or_else(|| "too many jobs".to_owned(), |jobs| count_noun(jobs, "job"));
            let message = format!("this matrix defines {jobs}; at most {} are allowed", count(MAX_JOBS));
            problems.add(Problem::new(node.id, path, message));
            return None;
        }
        let axes: Vec<Axis> = entries.iter().filter_map(|entry| read_axis(entry, path, problems)).collect();
        if entries.is_empty() {
            let problem = Problem::new(node.id, path, "the matrix is empty");
            problems.add(problem.expected("expected `{NAME: [VALUE, …]}`"));
        }
        (problems.count() == before).then_some(Self { axes })
    }

    /// The number of jobs.
    pub(super) fn len(&self) -> usize {
        self.axes.iter().map(|axis| axis.values.len()).product()
    }

    /// All combinations. The values of the last name change fastest.
    pub(super) fn combinations(&self) -> impl Iterator<Item = Combination<'_>> {
        (0..self.len()).map(|number| {
            let mut rest = number;
            let mut values: Vec<_> = self
                .axes
                .iter()
                .rev()
                .map(|axis| {
                    let value = &axis.values[rest % axis.values.len()];
                    rest /= axis.values.len();
                    (&axis.name, value)
                })
                .collect();
            values.reverse();
            Combination(values)
        })
    }
}

fn read_axis(entry: &MapEntry<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Option<Axis> {
    let (key, path) = (&entry.key, &path.key(&entry.key.text));
    let before = problems.count();
    if key.invalid.is_some() {
        return None;
    }
    if !placeholders::is_variable_name(&key.text) {
        let problem = Problem::new(key.id, path, format!("invalid variable name {}", quoted(&key.text)));
        problems.add(problem.hint("use letters, digits and `_`, and don't start with a digit"));
    } else if key.text.starts_with("SETLIST_") {
        problems.add(Problem::new(key.id, path, "names that start with `SETLIST_` are reserved"));
    }
    let mut known: HashMap<Arc<str>, u32> = HashMap::new();
    let values = value::list(&entry.value, path, "a list of values", problems, |node, path, problems| {
        let value = AxisValue::read(node, path, problems)?;
        if let Some(first) = known.insert(Arc::clone(&value.text), node.id) {
            let problem = Problem::new(node.id, path, format!("duplicate value {}", quoted(&value.text)));
            problems.add(problem.with_related(first, "first used here"));
        }
        Some(value)
    })?;
    if values.is_empty() && problems.count() == before {
        problems.add(Problem::new(entry.value.id, path, "this list must not be empty"));
    }
    Some(Axis { name: Arc::from(&*key.text), values })
}

impl AxisValue {
    fn read(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Option<Self> {
        let text = value::text(node, path, problems)?;
        let NodeKind::Scalar(scalar_type, _) = node.kind else { return None };
        let mut slug = slug_of(&text);
        if slug.is_empty() {
            // No character can be part of a name, so use the code points.
            let numbers: Vec<String> = text.chars().take(4).map(|c| format!("u{:x}", u32::from(c))).collect();
            slug = if numbers.is_empty() { "empty".to_owned() } else { numbers.join("-") };
        }
        Some(Self { text: text.into(), scalar_type, slug })
    }
}

impl Combination<'_> {
    /// The job's name, before it is made unique.
    pub(super) fn name(&self, base: &str) -> String {
        self.0.iter().fold(base.to_owned(), |name, (_, value)| name + "-" + &value.slug)
    }

    /// The variables in the environment of the combination's job.
    pub(super) fn variables(&self) -> impl Iterator<Item = (String, String)> {
        self.0.iter().map(|(name, value)| ((*name).to_string(), value.text.to_string()))
    }

    /// The names with their values, shared by all combinations.
    pub(super) fn shared_values(&self) -> Vec<(Arc<str>, Arc<str>)> {
        self.0.iter().map(|(name, value)| (Arc::clone(name), Arc::clone(&value.text))).collect()
    }

    /// The names with their values, as spelled and as read.
    pub(super) fn values(&self) -> impl Iterator<Item = (&str, ScalarType, &str)> {
        self.0.iter().map(|(name, value)| (&***name, value.scalar_type, &*value.text))
    }

    /// The title of the combination's job where the entry doesn't tell them apart: `title`, or without one the first line
    /// of the script with its variables replaced, followed by the values that this doesn't show.
    pub(super) fn title(&self, title: &str, first_line: &str) -> String {
        if !title.is_empty() {
            return format!("{title} ({self})");
        }
        let mut shown = first_line.to_owned();
        let mut hidden: Vec<&str> = Vec::new();
        for (name, value) in &self.0 {
            match replace_variable(&shown, name, &value.text) {
                Some(replaced) => shown = replaced,
                None => hidden.push(&value.text),
            }
        }
        if hidden.is_empty() { shown } else { format!("{shown} ({})", hidden.join(", ")) }
    }

    /// Returns the entry with the placeholders replaced by values.
    pub(super) fn substitute<'s>(&self, entry: &Node<'s>, path: &ValuePath<'_>, problems: &mut Problems) -> Node<'s> {
        let NodeKind::Map(entries) = &entry.kind else { return entry.clone() };
        let fields = entries.iter().filter(|field| field.key.text != "matrix").map(|field| {
            let path = &path.key(&field.key.text);
            let value = match &*field.key.text {
                "run" => {
                    placeholders::reject_in_script(&field.value, path, problems);
                    field.value.clone()
                }
                "id" => {
                    placeholders::reject_in_id(&field.value, path, problems);
                    field.value.clone()
                }
                "on_finish" => {
                    placeholders::reject_in_script(&field.value, path, problems);
                    if let Some(script) = field.value.get("run") {
                        placeholders::reject_in_script(script, &path.key("run"), problems);
                    }
                    self.substitute_node(&field.value, path, problems, |value| &value.text)
                }
                // `needs` contains job names, so it gets the values as they are in names.
                "needs" => self.substitute_node(&field.value, path, problems, |value| &value.slug),
                _ => self.substitute_node(&field.value, path, problems, |value| &value.text),
            };
            MapEntry { key: field.key.clone(), value }
        });
        Node { id: entry.id, kind: NodeKind::Map(fields.collect()) }
    }

    fn substitute_node<'s>(
        &self,
        node: &Node<'s>,
        path: &ValuePath<'_>,
        problems: &mut Problems,
        text_of: fn(&AxisValue) -> &str,
    ) -> Node<'s> {
        let kind = match &node.kind {
            NodeKind::Scalar(scalar_type, text) => match self.substitute_text(node.id, text, path, problems, text_of) {
                Some((scalar_type, text)) => NodeKind::Scalar(scalar_type, Cow::Owned(text)),
                None => NodeKind::Scalar(*scalar_type, text.clone()),
            },
            NodeKind::List(items) => {
                let items = items.iter().enumerate();
                NodeKind::List(
                    items.map(|(nth, node)| self.substitute_node(node, &path.item(nth), problems, text_of)).collect(),
                )
            }
            NodeKind::Map(entries) => {
                let entries = entries.iter().map(|entry| {
                    let path = path.key(&entry.key.text);
                    MapEntry {
                        key: entry.key.clone(),
                        value: self.substitute_node(&entry.value, &path, problems, text_of),
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
    fn substitute_text(
        &self,
        id: u32,
        text: &str,
        path: &ValuePath<'_>,
        problems: &mut Problems,
        text_of: fn(&AxisValue) -> &str,
    ) -> Option<(ScalarType, String)> {
        let mut filled = String::new();
        let mut scalar_type = None;
        let mut rest = text;
        let mut found = false;
        while let Some(Placeholder { before, text: placeholder, name, after }) = placeholders::find_first(rest) {
            found = true;
            filled.push_str(before);
            let value = name.map(|name| self.0.iter().find(|(known, _)| ***known == *name).ok_or(name));
            match value {
                Some(Ok((_, value))) => {
                    scalar_type = (placeholder.len() == text.len()).then_some(value.scalar_type);
                    filled.push_str(text_of(value));
                }
                Some(Err(name)) => problems.add(self.unknown_variable(id, name, path)),
                None => problems.add(placeholders::malformed_problem(id, placeholder, path)),
            }
            rest = after;
        }
        filled.push_str(rest);
        found.then(|| (scalar_type.unwrap_or(ScalarType::Text), filled))
    }

    fn unknown_variable(&self, id: u32, name: &str, path: &ValuePath<'_>) -> Problem {
        let known: Vec<&str> = self.0.iter().map(|(name, _)| &***name).collect();
        let problem = Problem::new(id, path, format!("unknown matrix variable {}", quoted(name)));
        match known
            .iter()
            .find(|known| known.eq_ignore_ascii_case(name))
            .copied()
            .or_else(|| closest_keyword(name, &known))
        {
            Some(suggestion) => problem.hint(format!("did you mean `${{matrix.{suggestion}}}`?")),
            None => problem.expected(format!("expected {}", one_of(&known))),
        }
    }
}

impl fmt::Display for Combination<'_> {
    /// Writes the values, without the names.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values: Vec<&str> = self.0.iter().map(|(_, value)| &*value.text).collect();
        f.write_str(&values.join(", "))
    }
}

/// Replaces `$name` and `${name}`; `None` if there are none.
fn replace_variable(text: &str, name: &str, value: &str) -> Option<String> {
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
pub(super) fn job_memory_size(entry: &Node<'_>) -> usize {
    const BASE_BYTES: usize = 256;
    BASE_BYTES + entry.memory_size().saturating_sub(entry.get("matrix").map_or(0, Node::memory_size))
}

/// Whether the jobs of an entry have different titles or commands.
pub(super) fn has_distinct_labels(entry: &Node<'_>) -> bool {
    let has = |node: &Node<'_>| matches!(&node.kind, NodeKind::Scalar(_, text) if placeholders::contains(text));
    match (entry.get("title").map(|title| &title.kind), entry.get("command").map(|command| &command.kind)) {
        (Some(NodeKind::Scalar(_, title)), _) if !title.is_empty() => placeholders::contains(title),
        (_, Some(NodeKind::List(words))) => words.iter().any(has),
        _ => false,
    }
}
