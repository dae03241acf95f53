//! Every message in the source occurs in a snapshot.

use std::fs;
use std::path::Path;

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// Messages that no snapshot can contain.
const ELSEWHERE: [&str; 29] = [
    "{queue}/{name} returned an empty list, so this defines no jobs",
    "{queue}/{name} has not returned a list yet; this defines jobs when it has succeeded",
    "the value of {queue}/{name} {problem}; this defines no jobs until it has run again",
    "more than {MAX_FILES} files are included",
    "the included files are larger than {} MiB together",
    "more than {} match {pattern}",
    "use a narrower pattern",
    "{pattern} searches too many files",
    "start it with the name of a folder, and use `*` instead of `**`",
    "can't read the folder {}: {error}",
    "Run this job?",
    "{} does not exist",
    "{} is a link to {}, which does not exist",
    "can't read {}: {source}",
    "the file keeps changing",
    "not a regular file",
    "save the file as UTF-8",
    "the file isn't valid UTF-8",
    "the file is UTF-16, not UTF-8",
    "{} {} not shown",
    "more error",
    "too many values",
    "repetition limit exceeded",
    "tab character",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%d %H:%M:%S",
    ", while ",
    " at line ",
    " at position ",
];

/// Reads the files in a folder whose names end with `end`.
fn texts(folder: &str, end: &str) -> Vec<String> {
    let folder = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap();
    let paths = folder.map(|entry| entry.unwrap().path()).filter(|path| path.to_str().unwrap().ends_with(end));
    paths.map(|path| fs::read_to_string(path).unwrap()).collect()
}

/// Finds the messages in source code.
fn sentences(stream: TokenStream, found: &mut Vec<String>) {
    let mut attribute = false;
    for token in stream {
        match token {
            // The first string is the parser's message.
            TokenTree::Group(group) if is_translation(&group) => {
                sentences(group.stream().into_iter().skip(1).collect(), found);
            }
            TokenTree::Group(group) if !(attribute && group.delimiter() == Delimiter::Bracket) => {
                sentences(group.stream(), found);
            }
            TokenTree::Literal(literal) => {
                let text = literal.to_string();
                let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or_default();
                if text.trim().contains(' ') || text.starts_with(' ') {
                    found.push(text.to_owned());
                }
            }
            TokenTree::Punct(ref punct) if matches!(punct.as_char(), '#' | '!') => {
                attribute = true;
                continue;
            }
            _ => {}
        }
        attribute = false;
    }
}

/// Whether a group is a tuple of three strings.
fn is_translation(group: &Group) -> bool {
    let tokens: Vec<String> = group.stream().into_iter().map(|token| token.to_string()).collect();
    let texts = tokens.iter().filter(|token| token.starts_with('"')).count();
    group.delimiter() == Delimiter::Parenthesis
        && texts == 3
        && tokens.iter().all(|token| token.starts_with('"') || token == ",")
}

/// The literal parts of a format string.
fn pieces(sentence: &str) -> Vec<String> {
    let mut text = String::new();
    // A continued line starts after its indentation.
    for (nth, line) in sentence.split("\\\n").enumerate() {
        text += if nth == 0 { line } else { line.trim_start() };
    }
    let text = text.replace("\\\"", "\"").replace("\\\\", "\\").replace("{{", "\u{1}").replace("}}", "\u{2}");
    let pieces = text.split('{').enumerate().map(|(nth, piece)| match piece.split_once('}') {
        Some((_, after)) if nth > 0 => after,
        _ => piece,
    });
    let pieces = pieces.map(|piece| piece.replace('\u{1}', "{").replace('\u{2}', "}").trim().to_owned());
    pieces.filter(|piece| piece.len() > 2).collect()
}

#[test]
fn every_message_is_in_a_snapshot() {
    let reports = texts("tests/suite/definition", ".snap").into_iter();
    let reports: Vec<String> =
        reports.map(|text| text.splitn(3, "---\n").last().unwrap_or_default().replace('\n', " ")).collect();
    let mut missing = Vec::new();
    let mut seen = 0;
    for text in texts("src/definition", ".rs") {
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        let mut found = Vec::new();
        sentences(text.parse().unwrap(), &mut found);
        // Descriptions of the schema end with a full stop.
        found.retain(|sentence| !sentence.ends_with('.') && !ELSEWHERE.contains(&&**sentence));
        for sentence in found {
            let pieces = pieces(&sentence);
            seen += 1;
            if !pieces.iter().all(|piece| reports.iter().any(|report| report.contains(piece))) {
                missing.push(sentence);
            }
        }
    }
    assert!(missing.is_empty(), "messages without a snapshot: {missing:#?}");
    assert!(seen > 100, "only {seen} sentences were found");
}
