//! Reads the values of fields and reports values of the wrong type.
//!
//! A number or boolean where text is expected is used as it is spelled: `[sleep, 5]` is a command, and a variable
//! `VERSION: 1.10` has the value `1.10`. Null (`null`, `~` or nothing) is never text.

use std::collections::BTreeMap;
use std::num::IntErrorKind;
use std::time::Duration;

use serde_json::{Map, Number, Value};

use super::problems::{Problem, Problems};
use super::spanned_value::{MapEntry, Node, NodeKind, ScalarType};
use super::spelling::{closest_keyword, one_of, quoted};
use super::units;
use super::value_path::ValuePath;
use crate::model::NotBefore;

/// How durations are written.
const DURATION_FORMATS: &str = "expected a duration such as `90s`, `10m` or `1h 30m`, or a number of seconds";

/// How values of `after` are written.
const TIME_FORMATS: &str =
    "expected a duration such as `10m`, or a date such as `2026-11-22 18:00` (local time) or `2026-11-22T18:00:00Z`";

/// How sizes are written.
const SIZE_FORMATS: &str = "expected a size such as `16MiB` or `500kB`, or a number of bytes";

/// Reports a value of the wrong type. Returns `None` for the caller to return.
pub(crate) fn unexpected<T>(
    node: &Node<'_>,
    path: &ValuePath<'_>,
    expected: &str,
    problems: &mut Problems,
) -> Option<T> {
    problems.add_with(|| Problem::new(node.id, path, format!("expected {expected}, found {}", node.type_name())));
    None
}

/// Reads text.
pub(crate) fn text(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Option<String> {
    match &node.kind {
        NodeKind::Scalar(_, text) => reject_nul(node.id, text, path, problems),
        _ => unexpected(node, path, "text", problems),
    }
}

/// Reads text that must not be blank. `what` names it in the error.
pub(super) fn non_empty_text(
    node: &Node<'_>,
    path: &ValuePath<'_>,
    what: &str,
    problems: &mut Problems,
) -> Option<String> {
    let text = text(node, path, problems)?;
    if text.trim().is_empty() {
        problems.add(Problem::new(node.id, path, format!("{what} is empty")));
        return None;
    }
    Some(text)
}

/// Reads a list. Reports and omits invalid items.
pub(crate) fn list<T>(
    node: &Node<'_>,
    path: &ValuePath<'_>,
    expected: &str,
    problems: &mut Problems,
    mut item: impl FnMut(&Node<'_>, &ValuePath<'_>, &mut Problems) -> Option<T>,
) -> Option<Vec<T>> {
    match &node.kind {
        NodeKind::List(items) => {
            let items = items.iter().enumerate();
            Some(items.filter_map(|(index, node)| item(node, &path.item(index), problems)).collect())
        }
        NodeKind::Scalar(..) => {
            let message = format!("expected {expected}, found {}", node.type_name());
            problems.add(Problem::new(node.id, path, message).hint("write it as a list in `[` and `]`"));
            None
        }
        _ => unexpected(node, path, expected, problems),
    }
}

/// Reads a map.
pub(crate) fn map<'n, 's>(
    node: &'n Node<'s>,
    path: &ValuePath<'_>,
    expected: &str,
    problems: &mut Problems,
) -> Option<&'n [MapEntry<'s>]> {
    match &node.kind {
        NodeKind::Map(entries) => Some(entries),
        _ => unexpected(node, path, expected, problems),
    }
}

/// Reads an integer in a range.
pub(super) fn integer(
    node: &Node<'_>,
    path: &ValuePath<'_>,
    from: i64,
    to: i64,
    problems: &mut Problems,
) -> Option<i64> {
    let is_too_large = matches!(&node.kind, NodeKind::Scalar(ScalarType::Integer, digits)
        if digits.parse::<i64>().map_or_else(|error| *error.kind() == IntErrorKind::PosOverflow, |number| number > to));
    let expected = if to == i64::from(u32::MAX) && !is_too_large {
        format!("a whole number of at least {from}")
    } else {
        format!("a whole number from {from} to {to}")
    };
    let message = match &node.kind {
        NodeKind::Scalar(ScalarType::Integer, digits) => match digits.parse() {
            Ok(number) if (from..=to).contains(&number) => return Some(number),
            _ => format!("expected {expected}, found {}", quoted(digits)),
        },
        NodeKind::Scalar(ScalarType::Text, digits) if digits.parse::<i64>().is_ok() => {
            let message = format!("expected {expected}, found text");
            problems.add(Problem::new(node.id, path, message).hint("remove the quotes"));
            return None;
        }
        NodeKind::Scalar(ScalarType::Decimal, digits) => format!("expected {expected}, found {}", quoted(digits)),
        _ => return unexpected(node, path, &expected, problems),
    };
    problems.add(Problem::new(node.id, path, message));
    None
}

/// Reads one of a few keywords.
pub(crate) fn keyword<T: Copy>(
    node: &Node<'_>,
    path: &ValuePath<'_>,
    words: &[(&'static str, T)],
    problems: &mut Problems,
) -> Option<T> {
    let names: Vec<_> = words.iter().map(|(name, _)| *name).collect();
    let NodeKind::Scalar(_, text) = &node.kind else { return unexpected(node, path, &one_of(&names), problems) };
    let found = words.iter().find(|(name, _)| name == text).map(|(_, value)| *value);
    if found.is_none() {
        let problem = Problem::new(node.id, path, format!("expected {}, found {}", one_of(&names), quoted(text)));
        problems.add(match closest_keyword(text, &names) {
            Some(name) => problem.hint(format!("did you mean `{name}`?")),
            None => problem,
        });
    }
    found
}

/// Reads a duration in whole milliseconds.
pub(super) fn duration(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Option<Duration> {
    amount(node, path, ("duration", DURATION_FORMATS), problems, units::parse_duration, |seconds| {
        units::to_whole_millis(Duration::from_secs(seconds)).ok_or("longer than 100 years")
    })
}

/// Reads a delay or a point in time.
pub(super) fn after(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Option<NotBefore> {
    amount(node, path, ("duration or date", TIME_FORMATS), problems, units::parse_after, |seconds| {
        units::to_whole_millis(Duration::from_secs(seconds)).map(NotBefore::Delay).ok_or("longer than 100 years")
    })
}

/// Reads a number of bytes.
pub(super) fn size(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Option<u64> {
    amount(node, path, ("size", SIZE_FORMATS), problems, units::parse_size, |bytes| {
        if bytes <= units::MAX_SIZE_BYTES { Ok(bytes) } else { Err("too large") }
    })
}

/// Reads a number, or text with a unit. `what` is the name of the type and how its values are written.
fn amount<T>(
    node: &Node<'_>,
    path: &ValuePath<'_>,
    what: (&str, &'static str),
    problems: &mut Problems,
    of_text: impl FnOnce(&str) -> Result<T, String>,
    of_number: impl FnOnce(u64) -> Result<T, &'static str>,
) -> Option<T> {
    let found = match &node.kind {
        NodeKind::Scalar(ScalarType::Text, text) => of_text(text),
        NodeKind::Scalar(ScalarType::Integer, digits) => match digits.parse() {
            Ok(number) => of_number(number).map_err(|objection| format!("{} is {objection}", quoted(digits))),
            Err(_) => Err(format!("invalid {} {}", what.0, quoted(digits))),
        },
        NodeKind::Scalar(_, text) => Err(format!("invalid {} {}", what.0, quoted(text))),
        _ => Err(format!("expected a {}, found {}", what.0, node.type_name())),
    };
    found.map_err(|message| problems.add(Problem::new(node.id, path, message).expected(what.1))).ok()
}

/// Reads a boolean.
pub(crate) fn boolean(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Option<bool> {
    match &node.kind {
        NodeKind::Scalar(ScalarType::Bool, text) => Some(text.eq_ignore_ascii_case("true")),
        NodeKind::Scalar(_, text) => {
            let message = format!("expected `true` or `false`, found {}", quoted(text));
            problems.add(Problem::new(node.id, path, message));
            None
        }
        _ => unexpected(node, path, "`true` or `false`", problems),
    }
}

/// Reads environment variables. Null unsets a variable.
pub(super) fn env_variables(
    node: &Node<'_>,
    path: &ValuePath<'_>,
    problems: &mut Problems,
) -> Option<BTreeMap<String, Option<String>>> {
    let entries = map(node, path, "a map of variables", problems)?;
    let mut variables = BTreeMap::new();
    for MapEntry { key, value } in entries {
        let path = path.key(&key.text);
        if key.invalid.is_none() && (key.text.is_empty() || key.text.contains(['=', '\0'])) {
            problems.add(Problem::new(key.id, &path, format!("invalid variable name {}", quoted(&key.text))));
        }
        let value = match &value.kind {
            NodeKind::Null => Some(None),
            NodeKind::Scalar(_, value_text) => reject_nul(value.id, value_text, &path, problems).map(Some),
            _ => unexpected(value, &path, "text, or null to unset the variable", problems),
        };
        variables.extend(value.map(|value| (key.text.to_string(), value)));
    }
    Some(variables)
}

/// Reads a positional argument.
pub(super) fn argument(node: &Node<'_>, path: &ValuePath<'_>, problems: &mut Problems) -> Option<Value> {
    match &node.kind {
        NodeKind::Scalar(scalar_type, text) => scalar_value(node.id, *scalar_type, text, path, problems),
        _ => unexpected(node, path, "text, a number or a boolean", problems),
    }
}

/// Reads named arguments.
pub(super) fn named_arguments(
    node: &Node<'_>,
    path: &ValuePath<'_>,
    problems: &mut Problems,
) -> Option<Map<String, Value>> {
    let entries = map(node, path, "a map of named arguments", problems)?;
    let mut named = Map::new();
    for MapEntry { key, value } in entries {
        let path = path.key(&key.text);
        if key.invalid.is_none() && (key.text.is_empty() || key.text.contains(['=', '\0'])) {
            problems.add(Problem::new(key.id, &path, format!("invalid argument name {}", quoted(&key.text))));
        }
        let value = match &value.kind {
            NodeKind::Null => Some(Value::Null),
            NodeKind::Scalar(scalar_type, text) => scalar_value(value.id, *scalar_type, text, &path, problems),
            _ => unexpected(value, &path, "text, a number, a boolean or null", problems),
        };
        named.extend(value.map(|value| (key.text.to_string(), value)));
    }
    Some(named)
}

/// Converts a scalar to JSON. A number that JSON would spell differently stays text.
fn scalar_value(
    id: u32,
    scalar_type: ScalarType,
    text: &str,
    path: &ValuePath<'_>,
    problems: &mut Problems,
) -> Option<Value> {
    let number = |text: &str| serde_json::from_str::<Number>(text).ok().filter(|number| number.to_string() == text);
    match scalar_type {
        ScalarType::Bool => Some(Value::Bool(text.eq_ignore_ascii_case("true"))),
        ScalarType::Integer | ScalarType::Decimal => {
            Some(number(text).map_or_else(|| Value::String(text.to_owned()), Value::Number))
        }
        ScalarType::Text => reject_nul(id, text, path, problems).map(Value::String),
    }
}

/// Rejects NUL characters, which the operating system can't pass in arguments, variables and paths.
fn reject_nul(id: u32, text: &str, path: &ValuePath<'_>, problems: &mut Problems) -> Option<String> {
    if text.contains('\0') {
        problems.add(Problem::new(id, path, "NUL characters can't be passed to a program"));
        return None;
    }
    Some(text.to_owned())
}
