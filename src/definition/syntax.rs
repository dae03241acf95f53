//! What the YAML parser objects to, in words for people who don't know how it works inside.

use std::ops::Range;

use super::problems::Problem;
use super::source::Source;
use super::tree::Fault;

/// What the parser says, what we say instead, and what to do about it.
const WORDS: [(&str, &str, &str); 25] = [
    (
        "mapping values are not allowed in this context",
        "a `key: value` can't stand here",
        "check the indentation; text that contains `: ` needs quotes",
    ),
    ("did not find expected key", "a key of the map was expected here", "check the indentation; text may need quotes"),
    (
        "did not find expected '-' indicator",
        "the next item of the list was expected here",
        "items of one list start with `- ` in one column, and so do the keys of one map",
    ),
    ("did not find expected ',' or ']'", "the list `[…]` does not go on here", "expected `,` or `]`"),
    ("did not find expected ',' or '}'", "the map `{…}` does not go on here", "expected `,` or `}`"),
    ("could not find expected ':'", "a `:` is missing behind a key", "check the indentation; text may need quotes"),
    ("found character that cannot start any token", "nothing can start with this character", "put the text in quotes"),
    ("found unexpected end of stream", "the file ends inside quotes", "close the quotes"),
    ("block sequence entries are not allowed in this context", "a list can't start here", "start it on a new line"),
    ("found unknown escape character", "no such escape", "in double quotes `\\` starts an escape; use single quotes"),
    ("unknown anchor", "there is no anchor of this name before here", "`*name` stands for what `&name` marks"),
    ("recursion limit exceeded", "nested too deep", "at most 128 levels; an alias must not contain itself"),
    ("control characters are not allowed", "a control character", "write it as an escape in double quotes: \"\\e\""),
    (
        "expected alphabetic or numeric character",
        "`&` and `*` begin the name of an anchor or an alias",
        "text that starts with one of them needs quotes, around all of it",
    ),
    (
        "hexadecimal number",
        "this escape has too few digits",
        "in double quotes `\\` starts an escape; use single quotes",
    ),
    (
        "character escape code",
        "there is no such character",
        "in double quotes `\\u` is followed by a character's number",
    ),
    (
        "comment or line break",
        "nothing can stand behind `|` or `>`",
        "the text begins on the next line, or needs quotes",
    ),
    ("indentation indicator", "this text can't be indented so", "leave out the digit"),
    ("tag handle", "this tag means nothing here", "put the text in quotes if the `!` belongs to it"),
    ("document indicator", "the file goes on inside quotes", "close the quotes"),
    ("node content", "a value was expected here", "text may need quotes"),
    ("expected <document start>", "the file ended before this", "a file is one document: leave out the `...`"),
    ("directive", "a line that starts with `%` says how to read YAML", "leave it out, or put the text in quotes"),
    ("incompatible YAML document", "there is no such version of YAML", "leave out this line"),
    ("did not find ", "this is no valid YAML", "check the indentation; text may need quotes"),
];

/// That a file has more in it than anybody writes.
pub(super) const TOO_MUCH: &str = "this file has too many values";

/// What to do about a file that is too large.
pub(super) const FEWER: &str = "add large numbers of jobs with `setlist add` instead";

/// The problem that stopped the reading.
pub(super) fn problem(fault: &Fault, source: &Source<'_>) -> Problem {
    match fault {
        Fault::Parser(error) if error.to_string().contains("repetition limit exceeded") => {
            too_much(place(error, source), source)
        }
        Fault::Parser(error) => said(error, source),
        Fault::TooMuch(error) => too_much(place(error, source), source),
        Fault::Empty => Problem::in_file("there are no queues").hint("begin with `queues: {hello: [echo Hello]}`"),
        Fault::SecondDocument(at) => Problem::in_text(*at..at + 1, "a second document starts here")
            .hint("a file is one document: leave out the `---`"),
    }
}

fn too_much(place: Range<usize>, source: &Source<'_>) -> Problem {
    if source.text.contains('*') {
        let hint = "every alias counts as a copy of what it stands for";
        Problem::in_text(place, "aliases repeat this too often").hint(hint)
    } else {
        Problem::in_text(place, TOO_MUCH).hint(FEWER)
    }
}

fn said(error: &serde_yaml::Error, source: &Source<'_>) -> Problem {
    let all = error.to_string();
    // "what at line 3 column 1, while doing what at line 2 column 3"
    let (what, context) = all.split_once(", while ").unwrap_or((&all, ""));
    let at = place(error, source);
    let rest = &source.text[at.start.min(source.text.len())..];
    if rest.starts_with('\t') || what.contains("tab character") {
        return Problem::in_text(at, "a tab in the indentation").hint("YAML is indented with spaces");
    }
    if rest.starts_with('\0') {
        return Problem::in_text(at, "a NUL character")
            .hint("is this a text? If it was saved as UTF-16: save it as UTF-8");
    }
    if let Some(conflict) = conflict(source.text) {
        let problem = Problem::in_text(conflict, "both sides of a conflict stand here");
        return problem.hint("keep one of them, and take out the lines of `<`, `=` and `>`");
    }
    let known = WORDS.iter().find(|(theirs, ..)| what.contains(theirs));
    let problem = match known {
        Some((_, ours, hint)) => Problem::in_text(at.clone(), *ours).hint(*hint),
        None => Problem::in_text(at.clone(), what.rsplit_once(" at ").map_or(what, |(what, _)| what).to_owned()),
    };
    let start = context.rsplit_once(" at line ").and_then(|(_, place)| {
        let (line, column) = place.split_once(" column ")?;
        Some(source.byte(line.parse::<usize>().ok()?.checked_sub(1)?, column.parse::<usize>().ok()?.checked_sub(1)?))
    });
    match start {
        Some(start) if source.line_around(start) != source.line_around(at.start) => {
            problem.also_in_text(start..start + 1, "what is read here started there")
        }
        _ => problem,
    }
}

/// What a version control system puts between the sides that it could not merge.
fn conflict(text: &str) -> Option<Range<usize>> {
    const MARK: &str = "<<<<<<< ";
    let start = if text.starts_with(MARK) { 0 } else { text.find(&format!("\n{MARK}"))? + 1 };
    Some(start..start + MARK.len() - 1)
}

/// The character at which the parser stopped.
fn place(error: &serde_yaml::Error, source: &Source<'_>) -> Range<usize> {
    let at = match error.location() {
        Some(place) if place.index() > 0 => place.index(),
        // The reader of characters only counts bytes, and only in its message.
        _ => error.to_string().rsplit_once(" at position ").and_then(|(_, at)| at.parse().ok()).unwrap_or(0),
    };
    // The end of the file is no place to look at; the last line with something in it is.
    let at = if at >= source.text.len() { source.text.trim_end().len() } else { source.floor(at) };
    at..at + source.text[at..].chars().next().map_or(0, char::len_utf8)
}
