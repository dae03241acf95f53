//! Whatever is said of a file is said of one of the bad files here, and stands in a report that was agreed on.

use std::fs;
use std::path::Path;

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// What is said when the text of a file isn't even known, or by others.
const ELSEWHERE: [&str; 15] = [
    "there is no {}",
    "can't read {}: {source}",
    "somebody keeps writing it",
    "save the file as UTF-8",
    "this is no UTF-8 text",
    "this is UTF-16, not UTF-8",
    "{} more errors are not shown",
    "too many values",
    "repetition limit exceeded",
    "tab character",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%d %H:%M:%S",
    ", while ",
    " at line ",
    " at position ",
];

/// The texts of the files in a folder whose names end so.
fn texts(folder: &str, end: &str) -> Vec<String> {
    let folder = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap();
    let paths = folder.map(|entry| entry.unwrap().path()).filter(|path| path.to_str().unwrap().ends_with(end));
    paths.map(|path| fs::read_to_string(path).unwrap()).collect()
}

/// The sentences in a piece of source.
fn sentences(stream: TokenStream, found: &mut Vec<String>) {
    let mut attribute = false;
    for token in stream {
        match token {
            // Of what the parser says and what is said instead only the latter.
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

/// Three texts in parentheses.
fn is_translation(group: &Group) -> bool {
    let tokens: Vec<String> = group.stream().into_iter().map(|token| token.to_string()).collect();
    let texts = tokens.iter().filter(|token| token.starts_with('"')).count();
    group.delimiter() == Delimiter::Parenthesis
        && texts == 3
        && tokens.iter().all(|token| token.starts_with('"') || token == ",")
}

/// What stands between the blanks of a format; each is worth looking for.
fn pieces(sentence: &str) -> Vec<String> {
    let mut text = String::new();
    // A line that goes on in the next one does so behind the blanks there.
    for (nth, line) in sentence.split("\\\n").enumerate() {
        text += if nth == 0 { line } else { line.trim_start() };
    }
    let text = text.replace("\\\"", "\"").replace("\\\\", "\\").replace("{{", "\u{1}").replace("}}", "\u{2}");
    let pieces = text.split('{').enumerate().map(|(nth, piece)| match piece.split_once('}') {
        Some((_, behind)) if nth > 0 => behind,
        _ => piece,
    });
    let pieces = pieces.map(|piece| piece.replace('\u{1}', "{").replace('\u{2}', "}").trim().to_owned());
    pieces.filter(|piece| piece.len() > 2).collect()
}

#[test]
fn every_message_is_in_a_report() {
    let reports = texts("tests/suite/definition", ".snap").into_iter();
    let reports: Vec<String> =
        reports.map(|text| text.splitn(3, "---\n").last().unwrap_or_default().replace('\n', " ")).collect();
    let mut missing = Vec::new();
    let mut seen = 0;
    for text in texts("src/definition", ".rs") {
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        let mut found = Vec::new();
        sentences(text.parse().unwrap(), &mut found);
        // What the schema says of the fields ends with a full stop.
        found.retain(|sentence| !sentence.ends_with('.') && !ELSEWHERE.contains(&&**sentence));
        for sentence in found {
            let pieces = pieces(&sentence);
            seen += 1;
            if !pieces.iter().all(|piece| reports.iter().any(|report| report.contains(piece))) {
                missing.push(sentence);
            }
        }
    }
    assert!(missing.is_empty(), "no bad file makes it say: {missing:#?}");
    assert!(seen > 100, "only {seen} sentences were found");
}
