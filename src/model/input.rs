//! Inputs of a queue: values that are asked for when its jobs are requested, and `${inputs.NAME}`, which they fill in.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Number;

use super::variable_name::variable_name;

/// The start of a placeholder.
const PREFIX: &str = "${inputs.";

/// The start of the names of their variables.
pub const INPUT_VARIABLE_PREFIX: &str = "SETLIST_INPUT_";

/// What is shown in place of a secret.
pub const MASK: &str = "•••";

/// A longer value is refused: the system limits the size of an environment.
const MAX_VALUE_BYTES: usize = 32 * 1024;

/// A shorter secret can't be masked: too much else looks like it.
pub const MIN_SECRET_CHARS: usize = 6;

/// A value that is asked for when jobs are requested.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputDeclaration {
    /// Its name.
    pub name: Arc<str>,
    /// The values that it takes.
    #[serde(rename = "type", default, skip_serializing_if = "InputType::is_text")]
    pub input_type: InputType,
    /// Its value where none is given. An input without one is required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// What it is for; `""` if the file doesn't say.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
}

/// The values that an input takes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InputType {
    /// Any text.
    #[default]
    Text,
    /// A number.
    Number,
    /// `true` or `false`.
    Bool,
    /// One of these.
    Options(Vec<String>),
    /// A text that is neither recorded nor shown.
    Secret,
}

/// Values of inputs by name. The value of a secret is `None`: it is in the environment of the request.
pub type InputValues = BTreeMap<Arc<str>, Option<String>>;

/// Why values are refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InputError {
    /// Required inputs have no value.
    #[error("{} without a value: {}", if names.len() == 1 { "input" } else { "inputs" }, names.join(", "))]
    Missing {
        /// Their names.
        names: Vec<String>,
    },
    /// An input doesn't take this value.
    #[error("input {name}: expected {expected}{}", found.as_ref().map(|found| format!(", found {found:?}")).unwrap_or_default())]
    Invalid {
        /// Its name.
        name: String,
        /// What it takes.
        expected: String,
        /// The value; `None` for a secret.
        found: Option<String>,
    },
    /// There is no such input.
    #[error("there is no input {name:?}")]
    Unknown {
        /// The name.
        name: String,
    },
}

impl InputType {
    /// Its name in `jobs.yaml`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Number => "number",
            Self::Bool => "bool",
            Self::Options(_) => "options",
            Self::Secret => "secret",
        }
    }

    /// The values that it takes, for messages.
    pub fn expected(&self) -> String {
        match self {
            Self::Secret => format!("a text of {MIN_SECRET_CHARS} or more characters"),
            Self::Text => {
                format!("a text of at most {} KiB without NUL characters", MAX_VALUE_BYTES / 1024)
            }
            Self::Number => "a number".to_owned(),
            Self::Bool => "`true` or `false`".to_owned(),
            Self::Options(options) => {
                let options: Vec<String> = options.iter().map(|option| format!("`{option}`")).collect();
                match &options[..] {
                    [first @ .., last] if !first.is_empty() => format!("{} or {last}", first.join(", ")),
                    _ => options.join(""),
                }
            }
        }
    }

    /// Whether it takes this value.
    pub fn accepts(&self, value: &str) -> bool {
        match self {
            Self::Text => value.len() <= MAX_VALUE_BYTES && !value.contains('\0'),
            Self::Secret => {
                Self::Text.accepts(value) && (value.is_empty() || value.chars().count() >= MIN_SECRET_CHARS)
            }
            Self::Number => serde_json::from_str::<Number>(value).is_ok(),
            Self::Bool => matches!(value, "true" | "false"),
            Self::Options(options) => options.iter().any(|option| option == value),
        }
    }

    fn is_text(&self) -> bool {
        *self == Self::Text
    }
}

impl InputDeclaration {
    /// Whether its value is neither recorded nor shown.
    pub fn is_secret(&self) -> bool {
        self.input_type == InputType::Secret
    }

    /// The variable that holds its value in the environment of a job.
    pub fn variable(&self) -> String {
        input_variable(&self.name)
    }

    /// Checks a value. That of a secret is never part of the error.
    pub fn check(&self, value: &str) -> Result<(), InputError> {
        if self.input_type.accepts(value) {
            return Ok(());
        }
        let found = (!self.is_secret()).then(|| value.chars().take(40).collect());
        Err(InputError::Invalid { name: self.name.to_string(), expected: self.input_type.expected(), found })
    }
}

/// The variable that holds the value of an input.
pub fn input_variable(name: &str) -> String {
    variable_name(INPUT_VARIABLE_PREFIX, name)
}

/// Checks the values that were given for the inputs of a queue: all are known and valid, and none is missing.
pub fn check_inputs(declared: &[InputDeclaration], given: &InputValues) -> Result<(), InputError> {
    for (name, value) in given {
        let Some(input) = declared.iter().find(|input| input.name == *name) else {
            return Err(InputError::Unknown { name: name.to_string() });
        };
        value.as_deref().map_or(Ok(()), |value| input.check(value))?;
    }
    let missing = declared.iter().filter(|input| input.default.is_none() && !given.contains_key(&input.name));
    let names: Vec<String> = missing.map(|input| input.name.to_string()).collect();
    if names.is_empty() { Ok(()) } else { Err(InputError::Missing { names }) }
}

/// The values of a run: those that were given, and defaults. The error is the name of an input without a value.
pub(super) fn values_of_run(
    declared: &[InputDeclaration],
    given: Option<&InputValues>,
) -> Result<InputValues, Arc<str>> {
    let value = |input: &InputDeclaration| {
        let given = given.and_then(|given| given.get(&input.name)).filter(|value| {
            // The type may have changed since.
            input.is_secret() == value.is_none() && value.as_deref().is_none_or(|value| input.input_type.accepts(value))
        });
        let value = given.cloned().or_else(|| Some(input.default.clone()).filter(Option::is_some));
        value.map(|value| (Arc::clone(&input.name), value)).ok_or_else(|| Arc::clone(&input.name))
    };
    declared.iter().map(value).collect()
}

/// A placeholder for the value of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InputPlaceholder<'t> {
    /// All of it, as written.
    pub text: &'t str,
    /// The name of the input.
    pub name: &'t str,
}

impl<'t> InputPlaceholder<'t> {
    /// The placeholders of a text, in order.
    pub fn find_all(text: &'t str) -> impl Iterator<Item = InputPlaceholder<'t>> {
        // Most texts have no `$`.
        let has_any = memchr::memchr(b'$', text.as_bytes()).is_some();
        let starts = has_any.then(|| memchr::memmem::find_iter(text.as_bytes(), PREFIX)).into_iter().flatten();
        starts.filter_map(|start| Self::parse(&text[start..]))
    }

    /// The placeholder at the start of a text, if it is well-formed.
    pub fn parse(text: &'t str) -> Option<Self> {
        let text = &text[..=text.find('}')?];
        let name = text.strip_prefix(PREFIX)?.strip_suffix('}')?;
        is_input_name(name).then_some(Self { text, name })
    }
}

/// Whether an input can have this name.
pub fn is_input_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
}

/// The placeholder of an input.
pub fn input_placeholder(name: &str) -> String {
    format!("{PREFIX}{name}}}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn declared(name: &str, input_type: InputType, default: Option<&str>) -> InputDeclaration {
        let default = default.map(str::to_owned);
        InputDeclaration { name: name.into(), input_type, default, description: String::new() }
    }

    #[test]
    fn values_are_checked_against_types() {
        let options = InputType::Options(vec!["staging".to_owned(), "prod".to_owned()]);
        for (input_type, good, bad) in [
            (InputType::Text, vec!["", "a b"], vec!["\0"]),
            (InputType::Number, vec!["1", "-2.5e3"], vec!["", "1x", "0x10", "nan"]),
            (InputType::Bool, vec!["true", "false"], vec!["yes", "True", ""]),
            (options, vec!["staging", "prod"], vec!["dev", ""]),
        ] {
            let input = declared("x", input_type, None);
            assert!(good.iter().all(|value| input.check(value).is_ok()), "{input:?}");
            assert!(bad.iter().all(|value| input.check(value).is_err()), "{input:?}");
        }
        let error = declared("token", InputType::Secret, None).check("abc\0def").unwrap_err().to_string();
        assert_eq!(error, "input token: expected a text of 6 or more characters");
    }

    #[test]
    fn a_run_gets_given_values_and_defaults() {
        let inputs = [
            declared("env", InputType::Text, Some("staging")),
            declared("count", InputType::Number, None),
            declared("token", InputType::Secret, None),
        ];
        let given = |values: &[(&str, Option<&str>)]| -> InputValues {
            values.iter().map(|(name, value)| (Arc::from(*name), value.map(str::to_owned))).collect()
        };
        assert_eq!(
            check_inputs(&inputs, &given(&[("env", Some("x"))])).unwrap_err().to_string(),
            "inputs without a value: count, token"
        );
        let all = given(&[("count", Some("3")), ("token", None)]);
        assert_eq!(check_inputs(&inputs, &all), Ok(()));
        let run = given(&[("count", Some("3")), ("env", Some("staging")), ("token", None)]);
        assert_eq!(values_of_run(&inputs, Some(&all)), Ok(run));
        assert_eq!(values_of_run(&inputs, None), Err("count".into()));
        assert_eq!(values_of_run(&inputs, Some(&given(&[("count", Some("x"))]))), Err("count".into()));
        let unknown = check_inputs(&inputs, &given(&[("enw", None)])).unwrap_err();
        assert_eq!(unknown.to_string(), "there is no input \"enw\"");
    }

    #[test]
    fn placeholders_name_an_input() {
        let found = |text: &'static str| InputPlaceholder::find_all(text).map(|found| found.name).collect::<Vec<_>>();
        assert_eq!(found("a${inputs.env}b${inputs.dry-run} ${inputs.} ${inputs.a b} ${inputs.x"), ["env", "dry-run"]);
        assert_eq!(input_variable("dry-run"), "SETLIST_INPUT_DRY_RUN");
    }
}
