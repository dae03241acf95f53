//! How messages speak of what stands in a file: quoted, cropped, and the nearest known name for a typo.

use std::borrow::Cow;

/// Longer excerpts of a file are cropped in messages.
const LONGEST: usize = 60;

/// Text from the file, safe to print on one line: control characters escaped, cropped when it is long.
pub(super) fn excerpt(text: &str) -> Cow<'_, str> {
    if text.len() <= LONGEST && !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let mut short: String = text.chars().take(LONGEST).flat_map(escaped).collect();
    if text.chars().nth(LONGEST).is_some() {
        short.push('…');
    }
    Cow::Owned(short)
}

/// The same between backticks.
pub(crate) fn quoted(text: &str) -> String {
    format!("`{}`", if text.is_empty() { Cow::Borrowed("''") } else { excerpt(text) })
}

/// Names for a sentence: `a`, `b` or `c`.
pub(super) fn one_of(names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    listed(&names, "or")
}

/// Words for a sentence: a, b and c.
pub(super) fn listed(words: &[String], last: &str) -> String {
    match words {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., end] => format!("{} {last} {end}", first.join(", ")),
    }
}

/// The known name of a field or a word that was probably meant.
pub(crate) fn nearest<'n>(typed: &str, known: &[&'n str]) -> Option<&'n str> {
    if typed.len() > LONGEST {
        return None;
    }
    closest(&typed.to_lowercase().replace(['-', ' '], "_"), known.iter().copied())
}

/// The known name that differs so little that it was probably meant.
pub(crate) fn closest<'n>(typed: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    if typed.len() > LONGEST {
        return None;
    }
    let most = |name: &str| (name.len() / 3).max(1);
    known
        .filter(|name| name.len().abs_diff(typed.len()) <= most(name))
        .map(|name| (strsim::damerau_levenshtein(typed, name), name))
        .filter(|(distance, name)| *distance <= most(name))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

fn escaped(character: char) -> impl Iterator<Item = char> {
    let (escape, plain) =
        if character.is_control() { (Some(character.escape_debug()), None) } else { (None, Some(character)) };
    escape.into_iter().flatten().chain(plain)
}
