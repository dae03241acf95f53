//! The house keeps its own rules: floors, headers, sizes, and nothing that belongs to one machine only.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// The floors, with those that each may use.
const FLOORS: [(&str, &[&str]); 7] = [
    ("model", &[]),
    ("definition", &["model"]),
    ("store", &["model"]),
    ("runner", &["model"]),
    ("worker", &["model", "definition", "store", "runner"]),
    ("tui", &["model", "definition", "store"]),
    ("cli", &["model", "definition", "store", "runner", "worker", "tui"]),
];

/// Crates that are at home on some floors only.
const AT_HOME: [(&str, &[&str]); 5] = [
    ("rusqlite", &["store"]),
    ("ratatui", &["tui"]),
    ("crossterm", &["tui", "cli"]),
    ("clap", &["cli"]),
    ("pty_process", &["runner"]),
];

/// Modules beside the floors, for all of them but the pure one.
const BESIDE: [&str; 1] = ["crash"];

/// What needs the world outside; the model is told the time and does nothing to it.
const IMPURE: [&[&str]; 9] = [
    &["crash", ":", ":"],
    &["std", ":", ":", "fs"],
    &["std", ":", ":", "process"],
    &["std", ":", ":", "thread"],
    &["std", ":", ":", "net"],
    &["std", ":", ":", "env"],
    &["SystemTime"],
    &["Instant"],
    &[":", ":", "now", "("],
];

const LONGEST_FILE: usize = 600;

/// A source file, named by its path from the top level, as text and as tokens without comments.
struct Source {
    path: String,
    text: String,
    tokens: Vec<String>,
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        let stream: TokenStream = text.parse().unwrap_or_else(|error| panic!("{path}: {error}"));
        let mut tokens = Vec::new();
        flatten(stream, &mut tokens);
        Self { path: path.to_owned(), text: text.to_owned(), tokens }
    }

    fn has(&self, tokens: &[&str]) -> bool {
        self.tokens.windows(tokens.len()).any(|window| window == tokens)
    }

    /// The floor that it belongs to; none for `lib.rs` and `main.rs`.
    fn floor(&self) -> Option<&str> {
        self.module().first().copied().filter(|first| FLOORS.iter().any(|(floor, _)| floor == first))
    }

    /// The module that the file is, from the top: `src/tui/view/list.rs` is `tui`, `view`, `list`.
    fn module(&self) -> Vec<&str> {
        let inside = self.path.strip_prefix("src/").and_then(|path| path.strip_suffix(".rs")).unwrap_or_default();
        inside.split('/').filter(|part| !["mod", "lib", "main"].contains(part)).collect()
    }

    /// The names that it takes from the top of the crate: the `x` of `crate::x`, `setlist::{x::…}` and `super::super::x`.
    fn taken_from_the_top(&self) -> Vec<&str> {
        let mut names = Vec::new();
        let depth = self.module().len();
        for start in 0..self.tokens.len() {
            let rest = &self.tokens[start..];
            let supers = rest.chunks(3).take_while(|chunk| *chunk == ["super", ":", ":"]).count();
            let within = start > 1 && self.tokens[start - 2..start] == [":", ":"];
            match rest {
                [root, a, b, ..] if ["crate", "setlist"].contains(&&**root) && a == ":" && b == ":" => {
                    names.extend(leading(&rest[3..]));
                }
                _ if supers > 0 && supers >= depth && !within => names.extend(leading(&rest[3 * supers..])),
                _ => {}
            }
        }
        names
    }

    /// The same without its unit tests.
    fn without_tests(&self) -> Self {
        let mut tokens = self.tokens.clone();
        let mark = ["#", "[", "cfg", "(", "test", ")", "]", "mod"];
        while let Some(start) = tokens.windows(mark.len()).position(|window| window == mark) {
            let open = start + tokens[start..].iter().position(|token| token == "{").expect("a module has a body");
            tokens.drain(start..=open + closing(&tokens[open..]));
        }
        Self { path: self.path.clone(), text: self.text.clone(), tokens }
    }
}

fn flatten(stream: TokenStream, tokens: &mut Vec<String>) {
    for tree in stream {
        match tree {
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::None => ("", ""),
                };
                tokens.push(open.to_owned());
                flatten(group.stream(), tokens);
                tokens.push(close.to_owned());
            }
            tree => tokens.push(tree.to_string()),
        }
    }
}

/// Where the brace closes that opens here.
fn closing(tokens: &[String]) -> usize {
    let mut depth = 0;
    let closes = |token: &String| {
        depth += i32::from(token == "{") - i32::from(token == "}");
        depth == 0
    };
    tokens.iter().position(closes).expect("braces are balanced")
}

/// The first names of what follows `::`, which is one path or a list of them in braces.
fn leading(tokens: &[String]) -> Vec<&str> {
    if tokens.first().is_none_or(|token| token != "{") {
        return tokens.first().map(String::as_str).into_iter().collect();
    }
    let list = &tokens[..closing(tokens)];
    let mut depth = 0;
    let mut names = Vec::new();
    for pair in list.windows(2) {
        depth += i32::from(pair[0] == "{") - i32::from(pair[0] == "}");
        if depth == 1 && (pair[0] == "{" || pair[0] == ",") {
            names.push(pair[1].as_str());
        }
    }
    names
}

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All files below a folder of the top level, or the file itself.
fn files(name: &str) -> Vec<PathBuf> {
    let path = top().join(name);
    if path.is_file() {
        return vec![path];
    }
    let entries = fs::read_dir(path).into_iter().flatten().map(|entry| entry.unwrap().file_name());
    entries.flat_map(|entry| files(&format!("{name}/{}", entry.to_str().unwrap()))).collect()
}

fn sources(folders: &[&str]) -> Vec<Source> {
    let files = folders.iter().flat_map(|folder| files(folder));
    let rust = files.filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    let source = |path: PathBuf| {
        Source::new(path.strip_prefix(top()).unwrap().to_str().unwrap(), &fs::read_to_string(&path).unwrap())
    };
    rust.map(source).collect()
}

type Check = fn(&Source) -> Vec<String>;

fn headers(source: &Source) -> Vec<String> {
    let header = source.text.strip_prefix("//! ").and_then(|text| text.lines().next());
    let says = header.is_some_and(|header| header.split_whitespace().count() > 2);
    (!says).then(|| "does not begin with a `//!` line that says what it is".to_owned()).into_iter().collect()
}

fn floors(source: &Source) -> Vec<String> {
    let Some(floor) = source.floor() else { return Vec::new() };
    let below = FLOORS.iter().find(|(name, _)| *name == floor).map_or(&[][..], |(_, below)| below);
    let is_floor = |name: &&str| FLOORS.iter().any(|(floor, _)| floor == name);
    let above =
        source.taken_from_the_top().into_iter().filter(is_floor).filter(|name| *name != floor && !below.contains(name));
    above.map(|name| format!("{floor} uses {name}, which is not below it")).collect()
}

fn homes(source: &Source) -> Vec<String> {
    let Some(floor) = source.floor() else { return Vec::new() };
    let strays = AT_HOME.iter().filter(|(name, homes)| !homes.contains(&floor) && source.has(&[name]));
    strays.map(|(name, homes)| format!("{name} is at home in {homes:?} only")).collect()
}

fn purity(source: &Source) -> Vec<String> {
    let world = IMPURE.iter().filter(|tokens| source.floor() == Some("model") && source.has(tokens));
    world.map(|tokens| format!("the model is pure, but here is {}", tokens.concat())).collect()
}

/// Clippy sees to the right place of the reason; this sees to it that nobody silences it without one.
fn unwraps(source: &Source) -> Vec<String> {
    let code = source.without_tests();
    let expects = |window: &[String]| window[..3] == [".", "expect", "("] && window[3].starts_with('"');
    let unwraps = code.has(&[".", "unwrap", "(", ")"]) || code.tokens.windows(4).any(expects);
    let reason = code.has(&["expect_used", ",", "reason"]) || code.has(&["unwrap_used", ",", "reason"]);
    (unwraps && !reason).then(|| "unwraps or expects without a stated reason".to_owned()).into_iter().collect()
}

fn lengths(source: &Source) -> Vec<String> {
    let lines = source.text.lines().count();
    (lines > LONGEST_FILE).then(|| format!("has {lines} lines, more than one idea")).into_iter().collect()
}

fn allowances(source: &Source) -> Vec<String> {
    let bare = source.has(&["[", "allow", "("]);
    bare.then(|| "allows what `#[expect(…, reason = …)]` should expect".to_owned()).into_iter().collect()
}

/// Traces of the machine that something was written on.
fn machine_paths(text: &str) -> Vec<String> {
    // Put together, so that they don't find themselves.
    let traces = [["/wo", "rk/"], ["/ro", "ot/"], ["bash_", "jobs"]].map(|parts| parts.concat());
    traces.into_iter().filter(|trace| text.contains(trace)).map(|trace| format!("names {trace}")).collect()
}

fn complaints(folders: &[&str], checks: &[Check]) -> Vec<String> {
    let sources = sources(folders);
    assert!(!sources.is_empty());
    let of = |source: &Source| {
        let found = checks.iter().flat_map(|check| check(source));
        found.map(|complaint| format!("{}: {complaint}", source.path)).collect::<Vec<_>>()
    };
    sources.iter().flat_map(of).collect()
}

#[test]
fn every_floor_uses_only_those_below() {
    assert_eq!(complaints(&["src"], &[floors, homes, purity]), [""; 0]);
}

#[test]
fn every_file_says_what_it_is_and_holds_one_idea() {
    assert_eq!(complaints(&["src", "tests", "benches"], &[headers, lengths, allowances]), [""; 0]);
}

#[test]
fn nothing_is_unwrapped_without_a_reason() {
    assert_eq!(complaints(&["src"], &[unwraps]), [""; 0]);
}

#[test]
fn the_map_of_the_house_is_complete() {
    let map = fs::read_to_string(top().join("src/lib.rs")).unwrap();
    let map = Source::new("src/lib.rs", &map);
    for (floor, _) in FLOORS {
        assert!(map.has(&["pub", "mod", floor, ";"]), "{floor} is a module of the crate");
        assert!(map.text.contains(&format!("| [`{floor}`] |")), "{floor} is on the map");
    }
    for module in map.tokens.windows(2).filter(|window| window[0] == "mod") {
        let known = FLOORS.iter().any(|(floor, _)| *floor == module[1]) || BESIDE.contains(&module[1].as_str());
        assert!(known, "{} is a floor, or known to stand beside them", module[1]);
    }
}

#[test]
fn nothing_names_the_machine_that_it_was_written_on() {
    let folders =
        ["src", "tests", "benches", "Cargo.toml", "README.md", "CHANGELOG.md", "jobs.yaml", ".ci", ".gitignore"];
    for path in folders.iter().flat_map(|folder| files(folder)) {
        let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
        assert_eq!(machine_paths(&text), [""; 0], "{}", path.display());
    }
}

#[test]
fn the_top_level_holds_what_belongs_there() {
    // What is kept, not what lies about. Without git there is nobody to tell the difference.
    let listing = Command::new("git").args(["ls-files"]).current_dir(top()).output();
    let Ok(listing) = listing else { return };
    let belongs = |entry: &&str| {
        let known = ["Cargo.toml", "Cargo.lock", "src", "tests", "benches", "jobs.yaml", "README.md", "CHANGELOG.md"];
        entry.starts_with('.') || known.contains(entry) || *entry == "LICENSE" || entry.starts_with("LICENSE-")
    };
    let listing = String::from_utf8(listing.stdout).unwrap();
    let entries = listing.lines().filter_map(|path| path.split('/').next());
    assert_eq!(entries.filter(|entry| !belongs(entry)).collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn each_check_sees_what_it_looks_for() {
    let broken: [(Check, &str, &str); 20] = [
        (headers, "src/model/a.rs", "use std::fmt;"),
        (headers, "src/model/a.rs", "//! Tests."),
        (floors, "src/model/a.rs", "use crate::store::Store;"),
        (floors, "src/store/a.rs", "use crate::{model::{Job, Run}, runner};"),
        (floors, "src/tui/a.rs", "fn f() { crate::worker::start(); }"),
        (floors, "src/tui/a.rs", "use super::super::runner::Runner;"),
        (floors, "src/tui/mod.rs", "use super::runner::Runner;"),
        (floors, "src/tui/view/a.rs", "use super::super::super::{store, cli};"),
        (floors, "src/definition/a.rs", "pub(crate) use setlist::store;"),
        (homes, "src/tui/a.rs", "use rusqlite::Connection;"),
        (homes, "src/store/a.rs", "fn f(frame: &mut ratatui::Frame) {}"),
        (purity, "src/model/a.rs", "fn f() -> DateTime<Utc> { Utc::now() }"),
        (purity, "src/model/a.rs", "use std::fs::File;"),
        (purity, "src/model/a.rs", "fn f() { crate::crash::point(\"here\"); }"),
        (unwraps, "src/cli/a.rs", "fn f() { g().unwrap(); }"),
        (unwraps, "src/cli/a.rs", r#"fn f() { g().expect("it is there"); }"#),
        (lengths, "src/cli/a.rs", &"\n".repeat(LONGEST_FILE + 1)),
        (allowances, "src/cli/a.rs", "#[allow(dead_code)] fn f() {}"),
        (allowances, "src/cli/a.rs", "#![allow(dead_code)]"),
        (|source| machine_paths(&source.text), "tests/a.rs", concat!("//! See /wo", "rk/notes.")),
    ];
    for (nth, (check, path, text)) in broken.into_iter().enumerate() {
        assert_ne!(check(&Source::new(path, text)), [""; 0], "{nth}: {text}");
    }
    let sound: [(Check, &str, &str); 7] = [
        (floors, "src/tui/a.rs", "use crate::model::store; use super::runner; // crate::runner"),
        (floors, "src/tui/view/a.rs", "use super::super::keys; use crate::{Job, store::Store};"),
        (floors, "src/cli/a.rs", "use crate::{tui, worker};"),
        (floors, "src/main.rs", "use setlist::cli;"),
        (homes, "src/model/a.rs", "fn f() -> &'static str { \"rusqlite\" }"),
        (unwraps, "src/cli/a.rs", "fn f() { input.expect('a'); } #[cfg(test)] mod tests { fn f() { g().unwrap(); } }"),
        (unwraps, "src/cli/a.rs", r#"#[expect(clippy::unwrap_used, reason = "why")] fn f() { g().unwrap(); }"#),
    ];
    for (nth, (check, path, text)) in sound.into_iter().enumerate() {
        assert_eq!(check(&Source::new(path, text)), [""; 0], "{nth}: {text}");
    }
}
