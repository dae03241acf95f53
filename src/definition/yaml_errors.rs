//! Translates errors of the YAML parser into plain messages.

use std::ops::Range;

use super::problems::Problem;
use super::source::Source;
use super::spanned_value::ReadError;
use super::spelling::invisible_name;

/// A fragment of the parser's message, our message, and a hint.
const MESSAGES: [(&str, &str, &str); 25] = [
    (
        "mapping values are not allowed in this context",
        "unexpected `key: value`",
        "check the indentation, and quote text that contains `: `",
    ),
    ("did not find expected key", "expected a key", "check the indentation, and quote text with special characters"),
    (
        "did not find expected '-' indicator",
        "expected a list item",
        "start all items of a list in the same column, and all keys of a map",
    ),
    ("did not find expected ',' or ']'", "unexpected text in the list `[…]`", "expected `,` or `]`"),
    ("did not find expected ',' or '}'", "unexpected text in the map `{…}`", "expected `,` or `}`"),
    (
        "could not find expected ':'",
        "missing `:` after a key",
        "check the indentation, and quote text with special characters",
    ),
    ("found character that cannot start any token", "text can't start with this character", "quote the text"),
    ("found unexpected end of stream", "the file ends inside quotes", "close the quotes"),
    ("block sequence entries are not allowed in this context", "a list can't start here", "start it on a new line"),
    (
        "found unknown escape character",
        "unknown escape sequence",
        "in double quotes, `\\` starts an escape; use single quotes",
    ),
    ("unknown anchor", "unknown anchor", "define `&name` before using `*name`"),
    (
        "recursion limit exceeded",
        "nested too deep",
        "at most 128 levels are allowed, and an alias must not contain itself",
    ),
    (
        "control characters are not allowed",
        "unexpected control character",
        "write it as an escape in double quotes, such as \"\\e\"",
    ),
    (
        "expected alphabetic or numeric character",
        "`&` and `*` must be followed by the name of an anchor",
        "quote text that starts with one of them",
    ),
    (
        "hexadecimal number",
        "this escape has too few digits",
        "in double quotes, `\\` starts an escape; use single quotes",
    ),
    (
        "character escape code",
        "invalid character number",
        "in double quotes, `\\u` is followed by the number of a character",
    ),
    ("comment or line break", "unexpected text after `|` or `>`", "start the text on the next line, or quote it"),
    ("indentation indicator", "invalid indentation", "remove the digit"),
    ("tag handle", "unsupported tag", "quote the text if the `!` is part of it"),
    ("document indicator", "unclosed quotes before a document marker", "close the quotes"),
    ("node content", "expected a value", "quote text with special characters"),
    (
        "expected <document start>",
        "unexpected text after the end of the document",
        "a file is one document: remove the `...`",
    ),
    ("directive", "a line that starts with `%` is a YAML directive", "remove it, or quote the text"),
    ("incompatible YAML document", "unsupported YAML version", "remove this line"),
    ("did not find ", "invalid YAML", "check the indentation, and quote text with special characters"),
];

/// The message for too many values.
pub(super) const TOO_MANY_VALUES: &str = "this file has too many values";

/// The hint for files that are too large.
pub(super) const USE_ADD_HINT: &str = "add large numbers of jobs with `setlist add` instead";

/// Converts a read error to a problem.
pub(super) fn problem(fault: &ReadError, source: &Source<'_>) -> Problem {
    match fault {
        ReadError::Parser(error) if error.to_string().contains("repetition limit exceeded") => {
            too_many_values(error_span(error, source), source)
        }
        ReadError::Parser(error) => parser_problem(error, source),
        ReadError::TooMuch(error) => too_many_values(error_span(error, source), source),
        ReadError::Empty => Problem::in_file("the file is empty").hint("start with `queues: {hello: [echo Hello]}`"),
        ReadError::SecondDocument(at) => Problem::in_text(*at..at + 1, "a second document starts here")
            .hint("a file is one document: remove the `---`"),
    }
}

fn too_many_values(span: Range<usize>, source: &Source<'_>) -> Problem {
    if source.text.contains('*') {
        let hint = "every alias counts as a copy of its anchor";
        Problem::in_text(span, "aliases repeat this too many times").hint(hint)
    } else {
        Problem::in_text(span, TOO_MANY_VALUES).hint(USE_ADD_HINT)
    }
}

fn parser_problem(error: &serde_yaml::Error, source: &Source<'_>) -> Problem {
    let all = error.to_string();
    // Messages look like "what at line 3 column 1, while doing what at line 2 column 3".
    let (what, context) = all.split_once(", while ").unwrap_or((&all, ""));
    let at = error_span(error, source);
    let rest = &source.text[at.start.min(source.text.len())..];
    if rest.starts_with('\t') || what.contains("tab character") {
        return Problem::in_text(at, "tab in the indentation").hint("indent with spaces");
    }
    if rest.starts_with('\0') {
        return Problem::in_text(at, "unexpected NUL character")
            .hint("is this a text file? If it is UTF-16, save it as UTF-8");
    }
    if let Some(conflict) = merge_conflict(source.text) {
        let problem = Problem::in_text(conflict, "unresolved merge conflict");
        return problem.hint("keep one side, and remove the lines with `<`, `=` and `>`");
    }
    if let Some(mark) = unindented_block(source, at.start) {
        return Problem::in_text(mark, "the text below is not indented").hint("indent the script below `|`");
    }
    if let Some((space, character)) = odd_indentation(source, at.start) {
        let message = format!("{} in the indentation", invisible_name(character));
        return Problem::in_text(space, message).hint("indent with spaces");
    }
    let known = MESSAGES.iter().find(|(fragment, ..)| what.contains(fragment));
    if let Some((_, message, _)) = known
        && let Some(key) = too_long_key(source, at.start, message)
    {
        return Problem::in_text(key, "this key is too long").hint("YAML allows keys of up to 1,024 characters");
    }
    let problem = match known {
        Some((_, message, hint)) => {
            let quote = unquoted_text(source, at.start).map(|text| format!("quote it: '{text}'"));
            Problem::in_text(at.clone(), *message).hint(quote.unwrap_or_else(|| (*hint).to_owned()))
        }
        None => Problem::in_text(at.clone(), what.rsplit_once(" at ").map_or(what, |(what, _)| what).to_owned()),
    };
    let start = context.rsplit_once(" at line ").and_then(|(_, position)| {
        let (line, column) = position.split_once(" column ")?;
        Some(source.byte_at(line.parse::<usize>().ok()?.checked_sub(1)?, column.parse::<usize>().ok()?.checked_sub(1)?))
    });
    match start {
        Some(start) if source.line_range(start) != source.line_range(at.start) => {
            problem.with_related_text(start..start + 1, "started here")
        }
        _ => problem,
    }
}

/// The text that needs quotes because of its first character, such as `*/5 * * * *`, if it ends in its line.
fn unquoted_text<'s>(source: &Source<'s>, at: usize) -> Option<&'s str> {
    const MAX_CHARS: usize = 60;
    let line = source.line_range(at);
    // The parser stops behind a `*`, which starts an alias.
    let start = match source.text.get(at..)?.chars().next()? {
        '@' | '`' | '%' => at,
        _ => at.checked_sub(1).filter(|before| source.text.as_bytes()[*before] == b'*')?,
    };
    let before = source.text[line.start..start].trim_end();
    if !before.ends_with([':', '-', '[', ',', '{']) {
        return None;
    }
    let text = source.text[start..line.end].split(" #").next().unwrap_or_default();
    let is_in_flow = before.contains(['[', '{']);
    let text = if is_in_flow { text.split([',', ']', '}']).next().unwrap_or_default() } else { text };
    let text = text.trim();
    let is_whole =
        !text.is_empty() && !text.contains(['\'', '"']) && !text.contains(": ") && !text.contains(char::is_control);
    (is_whole && text.chars().count() <= MAX_CHARS).then_some(text)
}

/// A character that looks like a space, in the indentation of the line in which the parser stopped or of the one before.
fn odd_indentation(source: &Source<'_>, at: usize) -> Option<(Range<usize>, char)> {
    let stop = source.line_range(at);
    let before = source.line_range(stop.start.saturating_sub(1));
    [before, stop].into_iter().find_map(|line| {
        let text = &source.text[line.clone()];
        let indentation = &text[..text.len() - text.trim_start().len()];
        let (offset, character) = indentation.char_indices().find(|(_, character)| !character.is_ascii())?;
        let start = line.start + offset;
        Some((start..start + character.len_utf8(), character))
    })
}

/// The key before the `:` at which the parser stopped, because YAML does not look further for it.
fn too_long_key(source: &Source<'_>, at: usize, message: &str) -> Option<Range<usize>> {
    const MAX_KEY_CHARS: usize = 1024;
    if !["missing `:` after a key", "unexpected `key: value`", "unexpected text in the map `{…}`"].contains(&message)
    {
        return None;
    }
    let line = source.line_range(at);
    let text = &source.text[line.clone()];
    // The parser stops at the end of the key, or of the line.
    let end =
        text.match_indices(':').map(|(colon, _)| line.start + colon).rfind(|colon| *colon <= at.max(line.start))?;
    let before = &source.text[line.start..end];
    let start = before.rfind(['{', ',']).map_or(before.len() - before.trim_start().len(), |mark| mark + 1);
    let key = before[start..].trim_start();
    (key.chars().count() > MAX_KEY_CHARS).then(|| end - key.len()..end)
}

/// The `|` or `>` at the end of a line, if the text below is not indented, in which the parser stopped at `at`.
fn unindented_block(source: &Source<'_>, at: usize) -> Option<Range<usize>> {
    let indent_of = |line: &str| line.len() - line.trim_start_matches([' ', '-']).len();
    let stop = source.line_range(at);
    let mut end = stop.start;
    // The parser stops in the first line that can't be something else, which may be the second one.
    for _ in 0..2 {
        let before = source.text[..end].trim_end();
        let start = before.rfind('\n').map_or(0, |line_break| line_break + 1);
        let line = &before[start..];
        let below = source.text[end..].lines().find(|line| !line.trim().is_empty())?;
        let mark = line.trim_end_matches(['-', '+']);
        let is_block = mark.strip_suffix(['|', '>']).is_some_and(|key| key.trim_end().ends_with([':', '-']));
        if is_block && indent_of(below) <= indent_of(line) {
            let at = start + mark.len() - 1;
            return Some(at..at + 1);
        }
        end = start;
    }
    None
}

/// Finds the conflict markers of a version control system.
fn merge_conflict(text: &str) -> Option<Range<usize>> {
    const MARKER: &str = "<<<<<<< ";
    let start = if text.starts_with(MARKER) { 0 } else { text.find(&format!("\n{MARKER}"))? + 1 };
    Some(start..start + MARKER.len() - 1)
}

/// Returns the character at which the parser stopped.
fn error_span(error: &serde_yaml::Error, source: &Source<'_>) -> Range<usize> {
    let at = match error.location() {
        Some(location) if location.index() > 0 => location.index(),
        // The character decoder gives the byte only in its message.
        _ => error.to_string().rsplit_once(" at position ").and_then(|(_, at)| at.parse().ok()).unwrap_or(0),
    };
    // The end of the file shows nothing, so use the last line with content.
    let at = if at >= source.text.len() { source.text.trim_end().len() } else { source.floor_char_boundary(at) };
    at..at + source.text[at..].chars().next().map_or(0, char::len_utf8)
}
