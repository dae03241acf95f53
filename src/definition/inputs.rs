//! Reads `inputs` of the file and of a queue.

use std::sync::Arc;

use super::fields::InputField;
use super::problems::{Problem, Problems};
use super::spanned_value::{MapEntry, Node, NodeKind, ScalarType};
use super::spelling::{one_of, quoted};
use super::unknown_fields;
use super::value;
use super::value_path::ValuePath;
use crate::model::{InputDeclaration, InputType, is_input_name};

/// The keywords of `type`.
pub(super) const TYPES: [(&str, InputTypeName); 5] = [
    ("text", InputTypeName::Text),
    ("number", InputTypeName::Number),
    ("bool", InputTypeName::Bool),
    ("options", InputTypeName::Options),
    ("secret", InputTypeName::Secret),
];

/// Names of types in other tools, with ours.
const FOREIGN_TYPES: [(&[&str], &str); 5] = [
    (&["str", "string"], "text"),
    (&["decimal", "double", "float", "int", "integer"], "number"),
    (&["boolean", "flag"], "bool"),
    (&["choice", "choices", "enum", "select"], "options"),
    (&["passwd", "password"], "secret"),
];

/// The name of a type of inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InputTypeName {
    Text,
    Number,
    Bool,
    Options,
    Secret,
}

/// The inputs of one level.
#[derive(Clone, Debug, Default)]
pub(super) struct InputFields {
    /// Whether the queue has none of the inputs of the file.
    is_none: bool,
    own: Vec<InputDeclaration>,
}

impl InputFields {
    /// Reads a map of inputs, or `none` on a queue.
    pub(super) fn read(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Self {
        if node.text().is_some_and(|text| text == "none") {
            return Self { is_none: true, own: Vec::new() };
        }
        let entries = value::map(node, path, "a map of inputs", problems).unwrap_or_default();
        let mut own: Vec<InputDeclaration> = Vec::with_capacity(entries.len());
        for (nth, entry) in entries.iter().enumerate() {
            let path = path.key(&entry.key.text);
            if entry.key.invalid.is_some() {
                continue;
            }
            if !is_input_name(&entry.key.text) {
                let message = format!("invalid name of an input {}", quoted(&entry.key.text));
                let problem = Problem::new(entry.key.id, &path, message);
                problems.add(problem.hint("use letters, digits, `_` and `-`, such as `env`"));
                continue;
            }
            let Some(input) = read_input(entry, &path, problems) else { continue };
            if let Some(first) = own.iter().position(|other| other.variable() == input.variable()) {
                let message = format!("{} has the same variable as {}", quoted(&input.name), quoted(&own[first].name));
                let first = entries[..nth].iter().find(|other| *other.key.text == *own[first].name);
                let problem = Problem::new(entry.key.id, &path, message).hint("give it another name");
                problems.add(match first {
                    Some(first) => problem.with_related(first.key.id, "the other one"),
                    None => problem,
                });
                continue;
            }
            own.push(input);
        }
        Self { is_none: false, own }
    }

    /// The inputs of a queue: those of the file, of which it may redefine some, and its own.
    pub(super) fn inherit_from(self, file: &Self) -> Arc<[InputDeclaration]> {
        if self.is_none {
            return Arc::default();
        }
        let mut all = file.own.clone();
        for input in self.own {
            match all.iter_mut().find(|other| other.variable() == input.variable()) {
                Some(other) => *other = input,
                None => all.push(input),
            }
        }
        all.into()
    }
}

/// Reads an input: its default, a list of options, or a map of fields. Without a value it is a required text.
fn read_input(entry: &MapEntry<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Option<InputDeclaration> {
    let mut input = InputDeclaration {
        name: Arc::from(&*entry.key.text),
        input_type: InputType::Text,
        default: None,
        description: String::new(),
    };
    match &entry.value.kind {
        NodeKind::Null => {}
        NodeKind::Scalar(scalar_type, text) => {
            if let Some(meant) = type_meant_by(text).filter(|meant| *meant != "text" || text != meant) {
                problems.add(type_as_default(entry, (text, meant), path));
                return None;
            }
            input.input_type = type_of_default(*scalar_type);
            input.default = Some(default_text(*scalar_type, text));
            check_default(&input, &entry.value, path, problems)?;
        }
        NodeKind::List(_) => input.input_type = InputType::Options(read_options(&entry.value, path, problems)?),
        NodeKind::Map(_) => read_fields(&mut input, entry, path, problems)?,
        NodeKind::Tagged(..) => {
            return value::unexpected(&entry.value, path, "text, a number or a boolean", problems);
        }
    }
    Some(input)
}

/// The type that a word means, which may be its name in other tools.
fn type_meant_by(word: &str) -> Option<&'static str> {
    let word = word.to_ascii_lowercase();
    let own = TYPES.iter().map(|(name, _)| *name).find(|name| *name == word);
    own.or_else(|| FOREIGN_TYPES.iter().find(|(names, _)| names.contains(&&*word)).map(|(_, own)| *own))
}

/// The problem with a type where the default is expected: it would be an ordinary text, and a secret would be shown.
fn type_as_default(entry: &MapEntry<'_>, (text, meant): (&str, &str), path: &ValuePath<'_>) -> Problem {
    let name = &entry.key.text;
    let message = format!("{} would be the default, not the type", quoted(text));
    let hint = match meant {
        "options" => format!("write the options as a list: `{name}: [staging, prod]`"),
        meant => format!("write `{name}: {{type: {meant}}}`"),
    };
    let hint = format!("{hint}; if it is meant as a text, `{name}: {{default: {text}}}`");
    Problem::new(entry.value.id, path, message).hint(hint)
}

fn read_type(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Option<InputTypeName> {
    let NodeKind::Scalar(_, text) = &node.kind else { return value::keyword(node, path, &TYPES, problems) };
    match type_meant_by(text).filter(|meant| meant != text) {
        Some(meant) => {
            let names: Vec<&str> = TYPES.iter().map(|(name, _)| *name).collect();
            let message = format!("expected {}, found {}", one_of(&names), quoted(text));
            problems.add(Problem::new(node.id, path, message).hint(format!("did you mean `{meant}`?")));
            None
        }
        None => value::keyword(node, path, &TYPES, problems),
    }
}

fn read_fields(
    input: &mut InputDeclaration,
    entry: &MapEntry<'_>,
    path: &ValuePath<'_>,
    problems: &mut Problems,
) -> Option<()> {
    let NodeKind::Map(entries) = &entry.value.kind else { return None };
    let (mut type_name, mut options, mut default) = (None, None, None);
    let before = problems.count();
    for MapEntry { key, value: node } in entries {
        let path = path.key(&key.text);
        match InputField::from_name(&key.text) {
            Some(InputField::Type) => {
                type_name = read_type(node, &path, problems).map(|found| (found, node.id));
            }
            Some(InputField::Options) => {
                options = read_options(node, &path, problems).map(|options| (options, key.id));
            }
            Some(InputField::Default) => match &node.kind {
                NodeKind::Scalar(scalar_type, _) => default = Some((node, *scalar_type)),
                NodeKind::Null => {}
                _ => drop(value::unexpected::<()>(node, &path, "text, a number or a boolean", problems)),
            },
            Some(InputField::Description) => {
                input.description = value::text(node, &path, problems).unwrap_or_default();
            }
            None if key.invalid.is_none() && key.text == "secret" => {
                problems.add(Problem::new(key.id, &path, "unknown field `secret`").hint("write `type: secret`"));
            }
            None if key.invalid.is_none() && key.text == "required" => {
                let problem = Problem::new(key.id, &path, "unknown field `required`");
                problems.add(problem.hint("remove it: an input without `default` is required"));
            }
            None => {
                let entry = MapEntry { key: key.clone(), value: node.clone() };
                unknown_fields::report_in(&entry, InputField::ALL, &path, problems);
            }
        }
    }
    if problems.count() > before {
        return None;
    }
    input.input_type = match (type_name, options) {
        (None | Some((InputTypeName::Options, _)), Some((options, _))) => InputType::Options(options),
        (Some(_), Some((_, id))) => {
            let problem = Problem::new(id, &path.key("options"), "only an input of the type `options` has options");
            problems.add(problem.hint("remove `type`"));
            return None;
        }
        (Some((InputTypeName::Options, id)), None) => {
            let problem = Problem::new(id, &path.key("type"), "an input of the type `options` needs options");
            problems.add(problem.hint("add `options: [staging, prod]`"));
            return None;
        }
        (Some((InputTypeName::Text, _)), None) => InputType::Text,
        (Some((InputTypeName::Number, _)), None) => InputType::Number,
        (Some((InputTypeName::Bool, _)), None) => InputType::Bool,
        (Some((InputTypeName::Secret, _)), None) => InputType::Secret,
        (None, None) => default.map_or(InputType::Text, |(_, scalar_type)| type_of_default(scalar_type)),
    };
    let Some((node, scalar_type)) = default else { return Some(()) };
    let NodeKind::Scalar(_, text) = &node.kind else { return None };
    let path = path.key("default");
    if input.is_secret() && !text.is_empty() {
        let problem = Problem::new(node.id, &path, "a secret can't have a default, which everyone could read here");
        problems.add(problem.hint("remove it: the value is asked for, or given with `--input`"));
        return None;
    }
    input.default = Some(default_text(scalar_type, text));
    check_default(input, node, &path, problems)
}

fn check_default(
    input: &InputDeclaration,
    node: &Node<'_>,
    path: &ValuePath<'_>,
    problems: &mut Problems,
) -> Option<()> {
    let value = input.default.as_deref()?;
    if input.input_type.accepts(value) {
        return Some(());
    }
    let message = format!("expected {}, found {}", input.input_type.expected(), quoted(value));
    problems.add(Problem::new(node.id, path, message));
    None
}

fn read_options(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Option<Vec<String>> {
    let mut known: Vec<(String, u32)> = Vec::new();
    let before = problems.count();
    let options = value::list(node, path, "a list of options", problems, |item, path, problems| {
        let option = value::non_empty_text(item, path, "the option", problems)?;
        if let Some((_, first)) = known.iter().find(|(other, _)| *other == option) {
            let problem = Problem::new(item.id, path, format!("duplicate option {}", quoted(&option)));
            problems.add(problem.with_related(*first, "first used here"));
            return None;
        }
        known.push((option.clone(), item.id));
        Some(option)
    })?;
    if options.is_empty() && problems.count() == before {
        problems.add(Problem::new(node.id, path, "there are no options"));
    }
    (problems.count() == before).then_some(options)
}

fn type_of_default(scalar_type: ScalarType) -> InputType {
    match scalar_type {
        ScalarType::Bool => InputType::Bool,
        ScalarType::Integer | ScalarType::Decimal => InputType::Number,
        ScalarType::Text => InputType::Text,
    }
}

/// The text of a default: a boolean in lower case.
fn default_text(scalar_type: ScalarType, text: &str) -> String {
    if scalar_type == ScalarType::Bool { text.to_ascii_lowercase() } else { text.to_owned() }
}
