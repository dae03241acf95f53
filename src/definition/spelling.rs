//! Quotes text from a file in messages, and suggests known names for misspelled ones.

use std::borrow::Cow;

use crate::text;

/// Longer excerpts are truncated.
const MAX_EXCERPT_CHARS: usize = 60;

/// Makes text safe to print on one line: escapes control characters and truncates long text.
pub(super) fn excerpt(text: &str) -> Cow<'_, str> {
    if text.len() <= MAX_EXCERPT_CHARS && !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let mut short: String = text.chars().take(MAX_EXCERPT_CHARS).flat_map(escape_control).collect();
    if text.chars().nth(MAX_EXCERPT_CHARS).is_some() {
        short.push('…');
    }
    Cow::Owned(short)
}

/// Returns the excerpt in backticks.
pub(crate) fn quoted(text: &str) -> String {
    format!("`{}`", if text.is_empty() { Cow::Borrowed("''") } else { excerpt(text) })
}

/// Formats names as alternatives: `a`, `b` or `c`.
pub(super) fn one_of(names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    join_list(&names, "or")
}

/// Joins words with commas, and the last two with `last`.
pub(super) fn join_list(words: &[String], last: &str) -> String {
    match words {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., end] => format!("{} {last} {end}", first.join(", ")),
    }
}

/// Finds the known field or keyword closest to what was typed, ignoring case and treating `-` and spaces as `_`.
pub(crate) fn closest_keyword<'n>(typed: &str, known: &[&'n str]) -> Option<&'n str> {
    if typed.len() > MAX_EXCERPT_CHARS {
        return None;
    }
    closest_name(&typed.to_lowercase().replace(['-', ' '], "_"), known.iter().copied())
}

/// Letters of other alphabets that look like Latin ones.
const LOOK_ALIKES: [(&str, &str); 2] = [("аеорсухіјѕԁһӏԛԝвкмнт", "aeopcyxijsdhlqwbkmht"), ("οναιρτυκ", "ovaiptuk")];

/// The known name that looks the same as what was typed, and what is different.
pub(super) fn look_alike<'n>(typed: &str, known: &[&'n str]) -> Option<(&'n str, String)> {
    let latin = |c: char| {
        let found = LOOK_ALIKES
            .iter()
            .find_map(|(others, latin)| Some((others, latin)).zip(others.chars().position(|other| other == c)));
        found.and_then(|((_, latin), at)| latin.chars().nth(at)).unwrap_or(c)
    };
    let is_unseen = |c: char| !c.is_ascii() && (c.is_whitespace() || text::cells(c).is_none_or(|cells| cells == 0));
    let seen: String = typed.chars().filter(|c| !is_unseen(*c)).map(latin).collect();
    let name = *known.iter().find(|name| **name == seen.trim())?;
    let odd = typed.chars().find(|c| !c.is_ascii())?;
    Some((
        name,
        match odd {
            '\u{400}'..='\u{52f}' => format!("`{odd}` in it is a Cyrillic letter"),
            '\u{370}'..='\u{3ff}' => format!("`{odd}` in it is a Greek letter"),
            _ => format!("there is {} in it", invisible_name(odd)),
        },
    ))
}

/// A character that is not seen, or looks like a space.
pub(super) fn invisible_name(c: char) -> String {
    match c {
        '\u{a0}' | '\u{202f}' => "a no-break space".to_owned(),
        c if c.is_whitespace() => format!("another space (U+{:04X})", u32::from(c)),
        c => format!("an invisible character (U+{:04X})", u32::from(c)),
    }
}

/// Finds the known name with the smallest edit distance, if it is close enough to be what was meant.
pub(crate) fn closest_name<'n>(typed: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    if typed.len() > MAX_EXCERPT_CHARS {
        return None;
    }
    // Another name of one letter is not a misspelled one.
    let max_distance = |name: &str| if name.len() == 1 && typed.len() == 1 { 0 } else { (name.len() / 3).max(1) };
    known
        .filter(|name| name.len().abs_diff(typed.len()) <= max_distance(name))
        .map(|name| (strsim::damerau_levenshtein(typed, name), name))
        .filter(|(distance, name)| *distance <= max_distance(name))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

fn escape_control(character: char) -> impl Iterator<Item = char> {
    let (escape, plain) =
        if character.is_control() { (Some(character.escape_debug()), None) } else { (None, Some(character)) };
    escape.into_iter().flatten().chain(plain)
}
