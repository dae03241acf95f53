//! Banned phrases: what a user reads, and what a maintainer reads in comments, is in plain language.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use crate::architecture::source::{Source, files, relative};

/// Phrases that nothing may contain, as whole words: no message, help text, snapshot, document or comment.
const BANNED: [&str; 17] = [
    "stands in",
    "whoever",
    "goes on",
    "mend",
    "mends",
    "mended",
    "nobody",
    "somebody",
    "by hand",
    "of late",
    "is told",
    "are told",
    "was told",
    "a person",
    "bury",
    "buried",
    "hired",
];

/// Phrases that are banned only where users read them.
const BANNED_FOR_USERS: [&str; 7] =
    ["is no", "stand in", "go on", "going on", "of which", "waited in vain", "what stands"];

/// Phrases that are banned only in comments.
const BANNED_IN_COMMENTS: [&str; 1] = ["rings"];

/// Nouns that messages count.
const PLURALS: [&str; 20] = [
    "jobs",
    "queues",
    "lines",
    "workers",
    "processes",
    "errors",
    "warnings",
    "entries",
    "bytes",
    "times",
    "seconds",
    "minutes",
    "events",
    "hooks",
    "keys",
    "values",
    "files",
    "failures",
    "names",
    "slots",
];

/// Documents that users and maintainers read, and folders with snapshots of what they see.
const DOCUMENTS: [&str; 9] = [
    "README.md",
    "CHANGELOG.md",
    "Cargo.toml",
    "jobs.yaml",
    "src/definition/starter.yaml",
    "src/definition/bare.yaml",
    "src/cli/help",
    "examples",
    "tests",
];

/// A text with the place where it was found.
struct Passage {
    place: String,
    text: String,
}

/// The banned phrases of a text, each with the words around it. Line breaks count as spaces. "There is no" and "is no
/// longer" are plain.
fn banned_phrases(text: &str, also_banned: &[&str]) -> Vec<String> {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let lower = words.to_ascii_lowercase();
    let is_part_of_word = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    let mut found = Vec::new();
    for phrase in BANNED.iter().chain(also_banned) {
        for (start, _) in lower.match_indices(phrase) {
            let end = start + phrase.len();
            let before = start.checked_sub(1).and_then(|before| lower.as_bytes().get(before));
            if *phrase == "is no" && (lower[..start].ends_with("there ") || lower[end..].starts_with(" longer")) {
                continue;
            }
            if !is_part_of_word(before) && !is_part_of_word(lower.as_bytes().get(end)) {
                let from = words.floor_char_boundary(start.saturating_sub(40));
                let to = words.ceil_char_boundary((end + 40).min(words.len()));
                found.push(format!("“{phrase}” in “…{}…”", &words[from..to]));
            }
        }
    }
    found
}

fn findings(passages: &[Passage], also_banned: &[&str]) -> Vec<String> {
    let of = |passage: &Passage| {
        let found = banned_phrases(&passage.text, also_banned).into_iter();
        found.map(|finding| format!("{}: {finding}", passage.place)).collect::<Vec<_>>()
    };
    passages.iter().flat_map(of).collect()
}

#[track_caller]
fn assert_none(findings: &[String]) {
    assert!(findings.is_empty(), "{} banned phrases:\n{}", findings.len(), findings.join("\n"));
}

/// The string literals of a file that may reach a user: those with several words. On the command line, doc comments are
/// help texts.
fn messages(source: &Source) -> Vec<Passage> {
    let code = source.without_tests();
    let mut messages = Vec::new();
    for (at, token) in code.tokens.iter().enumerate() {
        let is_doc = at >= 2 && code.tokens[at - 2..at] == ["doc", "="];
        if (is_doc && !source.path.starts_with("src/cli/")) || is_inner_doc(&code.tokens[..at]) {
            continue;
        }
        let text = string_literal(token).filter(|text| text.trim().contains(' '));
        messages.extend(text.map(|text| Passage { place: format!("{}:{}", source.path, code.lines[at]), text }));
    }
    messages
}

/// Whether the next token is the text of a `//!` comment: `#![doc = "…"]`.
fn is_inner_doc(before: &[String]) -> bool {
    before.ends_with(&["#", "!", "[", "doc", "="].map(str::to_owned))
}

/// The text of a string literal, with its line breaks and escaped quotes resolved.
fn string_literal(token: &str) -> Option<String> {
    let raw = token.strip_prefix('r').map(|raw| raw.trim_matches('#'));
    if let Some(text) = raw.and_then(|raw| raw.strip_prefix('"')?.strip_suffix('"')) {
        return Some(text.to_owned());
    }
    let text = token.strip_prefix('"')?.strip_suffix('"')?;
    let mut resolved = String::new();
    let mut lines = text.split("\\\n");
    resolved.push_str(lines.next().unwrap_or_default());
    for line in lines {
        resolved.push_str(line.trim_start());
    }
    Some(resolved.replace("\\n", "\n").replace("\\\"", "\""))
}

/// The comments of a file. Consecutive lines are one passage, because a phrase may be broken between them.
fn comments(source: &Source) -> Vec<Passage> {
    let mut comments: Vec<Passage> = Vec::new();
    let mut is_open = false;
    for (nth, line) in source.text.lines().enumerate() {
        let comment = line.trim_start().strip_prefix("//").map(|comment| comment.trim_start_matches(['/', '!']));
        match (comment, comments.last_mut().filter(|_| is_open)) {
            (Some(comment), Some(open)) => write!(open.text, "\n{comment}").unwrap(),
            (Some(comment), None) => {
                comments.push(Passage { place: format!("{}:{}", source.path, nth + 1), text: comment.to_owned() });
            }
            (None, _) => {}
        }
        is_open = comment.is_some();
    }
    comments
}

/// Counts that are not inflected: placeholders followed by a plural, as in `{count} jobs`. Constants are always many, and
/// "no {adjective} jobs" has no count.
fn fixed_plurals(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (end, _) in text.match_indices("} ") {
        let start = text[..end].rfind('{').unwrap_or(0);
        let placeholder = text[start..end].trim_start_matches('{');
        let is_constant = placeholder.starts_with(|first: char| first.is_ascii_uppercase());
        let mut words = text[end + 2..].split(|c: char| !c.is_ascii_alphabetic());
        let noun = words.find(|word| !["more", "new", "other"].contains(word)).unwrap_or_default();
        if PLURALS.contains(&noun) && !is_constant && !text[..start].ends_with("no ") {
            found.push(format!("`{}`: use text::count_noun for “{noun}”", &text[start..=end]));
        }
    }
    found
}

#[test]
fn nouns_agree_with_their_counts() {
    let passages: Vec<_> = Source::read_all(&["src"]).iter().flat_map(messages).collect();
    let of = |passage: &Passage| {
        let found = fixed_plurals(&passage.text).into_iter();
        found.map(|finding| format!("{}: {finding}", passage.place)).collect::<Vec<_>>()
    };
    let found: Vec<_> = passages.iter().flat_map(of).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
    for text in ["{count} jobs", "removed {} jobs from {queue}", "{} more lines"] {
        assert_eq!(fixed_plurals(text).len(), 1, "{text}");
    }
    for text in ["at most {MAX} bytes", "there are no {} jobs", "{jobs} are left", "{queue} runs jobs"] {
        assert_eq!(fixed_plurals(text), [""; 0], "{text}");
    }
}

#[test]
fn messages_and_help_texts_are_plain() {
    let passages: Vec<_> = Source::read_all(&["src"]).iter().flat_map(messages).collect();
    assert!(passages.len() > 500, "only {} messages were found", passages.len());
    assert_none(&findings(&passages, &BANNED_FOR_USERS));
}

#[test]
fn documents_and_snapshots_are_plain() {
    let mut passages = Vec::new();
    for path in DOCUMENTS.iter().flat_map(|name| files(name)) {
        let place = relative(&path).to_owned();
        if !place.starts_with("tests/") || Path::new(&place).extension().is_some_and(|extension| extension == "snap") {
            let text = fs::read_to_string(&path).unwrap();
            // The head of a snapshot describes the input.
            let shown = text.strip_prefix("---\n").and_then(|rest| Some(rest.split_once("\n---\n")?.1.to_owned()));
            passages.push(Passage { text: shown.unwrap_or(text), place });
        }
    }
    assert!(passages.len() > 100, "only {} documents were found", passages.len());
    assert_none(&findings(&passages, &BANNED_FOR_USERS));
}

#[test]
fn comments_are_plain() {
    let sources = Source::read_all(&["src", "tests", "benches"]);
    let passages: Vec<_> = sources.iter().flat_map(comments).collect();
    assert_none(&findings(&passages, &BANNED_IN_COMMENTS));
}

#[test]
fn names_of_functions_are_plain() {
    let mut passages = Vec::new();
    for source in Source::read_all(&["src", "tests", "benches"]) {
        for (at, window) in source.tokens.windows(2).enumerate().filter(|(_, window)| window[0] == "fn") {
            passages.push(Passage {
                place: format!("{}:{}", source.path, source.lines[at]),
                text: window[1].replace('_', " "),
            });
        }
    }
    assert!(passages.len() > 3000, "only {} functions were found", passages.len());
    let found = findings(&passages, &["told", "heard", "is said", "who has"]);
    assert_none(&found.into_iter().filter(|finding| !finding.contains("“goes on”")).collect::<Vec<_>>());
}

#[test]
fn banned_phrases_are_found_everywhere() {
    for (text, phrase) in [
        ("`10 parsecs` is no duration", "is no"),
        ("Whoever asks", "whoever"),
        ("workers keep dying, nobody goes\n  on", "goes on"),
        ("mend jobs.yaml first", "mend"),
        ("fix it (by hand)", "by hand"),
    ] {
        let found = banned_phrases(text, &BANNED_FOR_USERS);
        assert!(found.iter().any(|found| found.starts_with(&format!("“{phrase}”"))), "{text}: {found:?}");
    }
    for text in
        ["recommend", "the command is not valid", "is normal", "there is no job", "which of", "mendable", "handy"]
    {
        assert_eq!(banned_phrases(text, &BANNED_FOR_USERS), [""; 0], "{text}");
    }
}

#[test]
fn messages_are_collected_from_code_and_help_texts() {
    let texts = |path: &str, text: &str| {
        messages(&Source::new(path, text)).into_iter().map(|message| message.text).collect::<Vec<_>>()
    };
    let code = "//! The header is a comment.\n/// A help text.\nfn f() { g(\"a message\", 'c', \"word\"); } // not \"a message\"";
    assert_eq!(texts("src/tui/a.rs", code), ["a message"]);
    assert_eq!(texts("src/cli/a.rs", code), [" A help text.", "a message"]);
    assert_eq!(
        texts("src/tui/a.rs", "const A: &str = \"one \\\n    line\\n of \\\"two\\\"\";"),
        ["one line\n of \"two\""]
    );
    assert_eq!(texts("src/tui/a.rs", "const A: &str = r#\"as \"it\" is\"#;"), ["as \"it\" is"]);
    assert_eq!(texts("src/tui/a.rs", "#[cfg(test)] mod tests { const A: &str = \"not a message\"; }"), [""; 0]);
}

#[test]
fn comments_are_collected_across_lines() {
    let source =
        Source::new("src/a.rs", "//! One\n//! two.\n\n/// Three.\nfn f() {\n    // Four\n    // five.\n    g();\n}\n");
    let texts: Vec<_> = comments(&source).into_iter().map(|comment| comment.text).collect();
    assert_eq!(texts, [" One\n two.", " Three.", " Four\n five."]);
}
