//! Values of fields: what each kind of field accepts, and what is said when it finds something else.
//!
//! Where text is wanted, a number or a bool is its spelling: `sleep 5` may be written `[sleep, 5]`, and a variable
//! `VERSION: 1.10` is `1.10`. Nothing (`null`, `~`) is never text.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Number, Value};

use super::path::Path;
use super::problems::{Problem, Problems};
use super::tree::{Class, Entry, Kind, Node};
use super::words::{nearest, one_of, quoted};
use super::written;
use crate::model::After;

/// How durations are written.
const DURATIONS: &str = "such as `90s`, `10m` or `1h 30m`; a number is seconds";

/// How times to wait for are written.
const TIMES: &str = "such as `10m`, `2026-11-22 18:00` (local time) or `2026-11-22T18:00:00Z`";

/// How sizes are written.
const SIZES: &str = "such as `16MiB` or `500kB`; a number is bytes";

/// Reports that `node` is something else than what was expected; gives nothing, for the caller to return.
pub(crate) fn unexpected<T>(node: &Node<'_>, path: &Path<'_>, expected: &str, problems: &mut Problems) -> Option<T> {
    problems.tell(|| Problem::new(node.id, path, format!("expected {expected}, found {}", node.found())));
    None
}

/// One piece of text.
pub(crate) fn text(node: &Node<'_>, path: &Path<'_>, problems: &mut Problems) -> Option<String> {
    match &node.kind {
        Kind::Scalar(_, text) => without_nul(node.id, text, path, problems),
        _ => unexpected(node, path, "text", problems),
    }
}

/// Text with something in it; `what` names it in the error.
pub(super) fn filled(node: &Node<'_>, path: &Path<'_>, what: &str, problems: &mut Problems) -> Option<String> {
    let text = text(node, path, problems)?;
    if text.trim().is_empty() {
        problems.add(Problem::new(node.id, path, format!("{what} is empty")));
        return None;
    }
    Some(text)
}

/// A list, item by item; the items that are wrong are reported and left out.
pub(crate) fn list<T>(
    node: &Node<'_>,
    path: &Path<'_>,
    expected: &str,
    problems: &mut Problems,
    mut item: impl FnMut(&Node<'_>, &Path<'_>, &mut Problems) -> Option<T>,
) -> Option<Vec<T>> {
    match &node.kind {
        Kind::List(items) => {
            let items = items.iter().enumerate();
            Some(items.filter_map(|(index, node)| item(node, &path.item(index), problems)).collect())
        }
        Kind::Scalar(..) => {
            let message = format!("expected {expected}, found {}", node.found());
            problems.add(Problem::new(node.id, path, message).hint("write it in `[` and `]`"));
            None
        }
        _ => unexpected(node, path, expected, problems),
    }
}

/// The entries of a map.
pub(crate) fn map<'n, 's>(
    node: &'n Node<'s>,
    path: &Path<'_>,
    expected: &str,
    problems: &mut Problems,
) -> Option<&'n [Entry<'s>]> {
    match &node.kind {
        Kind::Map(entries) => Some(entries),
        _ => unexpected(node, path, expected, problems),
    }
}

/// A whole number.
pub(super) fn whole(node: &Node<'_>, path: &Path<'_>, from: i64, to: i64, problems: &mut Problems) -> Option<i64> {
    let expected = if to == i64::from(u32::MAX) {
        format!("a whole number, at least {from}")
    } else {
        format!("a whole number from {from} to {to}")
    };
    let message = match &node.kind {
        Kind::Scalar(Class::Whole, digits) => match digits.parse() {
            Ok(number) if (from..=to).contains(&number) => return Some(number),
            _ => format!("expected {expected}, found {}", quoted(digits)),
        },
        Kind::Scalar(Class::Text, digits) if digits.parse::<i64>().is_ok() => {
            let message = format!("expected {expected}, found text");
            problems.add(Problem::new(node.id, path, message).hint("leave out the quotes"));
            return None;
        }
        _ => return unexpected(node, path, &expected, problems),
    };
    problems.add(Problem::new(node.id, path, message));
    None
}

/// One of a few words.
pub(crate) fn word<T: Copy>(
    node: &Node<'_>,
    path: &Path<'_>,
    words: &[(&'static str, T)],
    problems: &mut Problems,
) -> Option<T> {
    let names: Vec<_> = words.iter().map(|(name, _)| *name).collect();
    let Kind::Scalar(_, text) = &node.kind else { return unexpected(node, path, &one_of(&names), problems) };
    let found = words.iter().find(|(name, _)| name == text).map(|(_, value)| *value);
    if found.is_none() {
        let problem = Problem::new(node.id, path, format!("expected {}, found {}", one_of(&names), quoted(text)));
        problems.add(match nearest(text, &names) {
            Some(name) => problem.hint(format!("did you mean `{name}`?")),
            None => problem,
        });
    }
    found
}

/// A duration in whole milliseconds.
pub(super) fn duration(node: &Node<'_>, path: &Path<'_>, problems: &mut Problems) -> Option<Duration> {
    amount(node, path, ("duration", DURATIONS), problems, written::duration, |seconds| {
        written::bounded(Duration::from_secs(seconds)).ok_or("longer than 100 years")
    })
}

/// A time to wait, or a time to wait for.
pub(super) fn after(node: &Node<'_>, path: &Path<'_>, problems: &mut Problems) -> Option<After> {
    amount(node, path, ("time to wait for", TIMES), problems, written::after, |seconds| {
        written::bounded(Duration::from_secs(seconds)).map(After::Delay).ok_or("longer than 100 years")
    })
}

/// A number of bytes.
pub(super) fn size(node: &Node<'_>, path: &Path<'_>, problems: &mut Problems) -> Option<u64> {
    amount(node, path, ("size", SIZES), problems, written::size, |bytes| {
        if bytes <= written::LARGEST_SIZE { Ok(bytes) } else { Err("too large") }
    })
}

/// A number, or text with a unit. `what` is what it is, and how it is written.
fn amount<T>(
    node: &Node<'_>,
    path: &Path<'_>,
    what: (&str, &'static str),
    problems: &mut Problems,
    of_text: impl FnOnce(&str) -> Result<T, String>,
    of_number: impl FnOnce(u64) -> Result<T, &'static str>,
) -> Option<T> {
    let found = match &node.kind {
        Kind::Scalar(Class::Text, text) => of_text(text),
        Kind::Scalar(Class::Whole, digits) => match digits.parse() {
            Ok(number) => of_number(number).map_err(|objection| format!("{} is {objection}", quoted(digits))),
            Err(_) => Err(format!("{} is no {}", quoted(digits), what.0)),
        },
        Kind::Scalar(_, text) => Err(format!("{} is no {}", quoted(text), what.0)),
        _ => Err(format!("expected a {}, found {}", what.0, node.found())),
    };
    found.map_err(|message| problems.add(Problem::new(node.id, path, message).expected(what.1))).ok()
}

/// A yes or a no.
pub(crate) fn flag(node: &Node<'_>, path: &Path<'_>, problems: &mut Problems) -> Option<bool> {
    match &node.kind {
        Kind::Scalar(Class::Bool, text) => Some(text.eq_ignore_ascii_case("true")),
        Kind::Scalar(_, text) => {
            let message = format!("expected `true` or `false`, found {}", quoted(text));
            problems.add(Problem::new(node.id, path, message));
            None
        }
        _ => unexpected(node, path, "`true` or `false`", problems),
    }
}

/// Variables for the environment; nothing unsets one.
pub(super) fn variables(
    node: &Node<'_>,
    path: &Path<'_>,
    problems: &mut Problems,
) -> Option<BTreeMap<String, Option<String>>> {
    let entries = map(node, path, "a map of variables", problems)?;
    let mut variables = BTreeMap::new();
    for Entry { key, value } in entries {
        let path = path.key(&key.text);
        if key.unfit.is_none() && (key.text.is_empty() || key.text.contains(['=', '\0'])) {
            problems.add(Problem::new(key.id, &path, format!("{} can't be a variable's name", quoted(&key.text))));
        }
        let value = match &value.kind {
            Kind::Null => Some(None),
            Kind::Scalar(_, value_text) => without_nul(value.id, value_text, &path, problems).map(Some),
            _ => unexpected(value, &path, "text, or nothing to unset the variable", problems),
        };
        variables.extend(value.map(|value| (key.text.to_string(), value)));
    }
    Some(variables)
}

/// A positional argument.
pub(super) fn argument(node: &Node<'_>, path: &Path<'_>, problems: &mut Problems) -> Option<Value> {
    match &node.kind {
        Kind::Scalar(class, text) => scalar(node.id, *class, text, path, problems),
        _ => unexpected(node, path, "text, a number or a bool", problems),
    }
}

/// Named arguments.
pub(super) fn named_arguments(node: &Node<'_>, path: &Path<'_>, problems: &mut Problems) -> Option<Map<String, Value>> {
    let entries = map(node, path, "a map of named arguments", problems)?;
    let mut named = Map::new();
    for Entry { key, value } in entries {
        let path = path.key(&key.text);
        if key.unfit.is_none() && (key.text.is_empty() || key.text.contains(['=', '\0'])) {
            problems.add(Problem::new(key.id, &path, format!("{} can't be an argument's name", quoted(&key.text))));
        }
        let value = match &value.kind {
            Kind::Null => Some(Value::Null),
            Kind::Scalar(class, text) => scalar(value.id, *class, text, &path, problems),
            _ => unexpected(value, &path, "text, a number, a bool or nothing", problems),
        };
        named.extend(value.map(|value| (key.text.to_string(), value)));
    }
    Some(named)
}

/// A scalar as a value. A number stays text if it would be spelled differently as a number.
fn scalar(id: u32, class: Class, text: &str, path: &Path<'_>, problems: &mut Problems) -> Option<Value> {
    let number = |text: &str| serde_json::from_str::<Number>(text).ok().filter(|number| number.to_string() == text);
    match class {
        Class::Bool => Some(Value::Bool(text.eq_ignore_ascii_case("true"))),
        Class::Whole | Class::Decimal => {
            Some(number(text).map_or_else(|| Value::String(text.to_owned()), Value::Number))
        }
        Class::Text => without_nul(id, text, path, problems).map(Value::String),
    }
}

/// The operating system ends every argument, variable and path at a NUL.
fn without_nul(id: u32, text: &str, path: &Path<'_>, problems: &mut Problems) -> Option<String> {
    if text.contains('\0') {
        problems.add(Problem::new(id, path, "a NUL character can't be passed to a program"));
        return None;
    }
    Some(text.to_owned())
}
