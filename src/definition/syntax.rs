//! What the YAML parser objects to, in words for people who don't know how it works inside.

use std::ops::Range;

use super::problems::Problem;
use super::source::Source;
use super::tree::Fault;

/// What the parser says, what we say instead, and what to do about it.
const WORDS: [(&str, &str, &str); 14] = [
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
    ("did not find the expected ", "this is no valid YAML", "check the indentation; text may need quotes"),
];

/// The problem that stopped the reading.
pub(super) fn problem(fault: &Fault, source: &Source<'_>) -> Problem {
    match fault {
        Fault::Parser(error) if error.to_string().contains("repetition limit exceeded") => {
            too_much(place(error, source))
        }
        Fault::Parser(error) => said(error, source),
        Fault::TooMuch(error) => too_much(place(error, source)),
        Fault::Empty => Problem::in_file("there are no queues").hint("begin with `queues: {hello: [echo Hello]}`"),
        Fault::SecondDocument(at) => Problem::in_text(*at..at + 1, "a second document starts here")
            .hint("a file is one document: leave out the `---`"),
    }
}

fn too_much(place: Range<usize>) -> Problem {
    Problem::in_text(place, "aliases repeat this too often").hint("every alias counts as a copy of what it stands for")
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
