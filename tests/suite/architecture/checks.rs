//! What is checked of each source file, and of all of them together.

use std::collections::BTreeMap;

use super::source::{Source, closing_brace};
use super::{LAYER_CRATES, LAYERS, MAX_FILE_LINES, MAX_FUNCTION_LINES};

/// What a check finds wrong with a file, a sentence each.
pub(super) type Check = fn(&Source) -> Vec<String>;

/// Access to the outside world. The model has none: the time is an argument.
const IMPURE: [&[&str]; 11] = [
    &["account", ":", ":"],
    &["clock", ":", ":"],
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

/// The layer that a file belongs to; `None` for `lib.rs`, `main.rs` and modules beside the layers.
pub(super) fn layer(source: &Source) -> Option<&str> {
    source.module().first().copied().filter(|first| LAYERS.iter().any(|(layer, _)| layer == first))
}

pub(super) fn headers(source: &Source) -> Vec<String> {
    let header = source.text.strip_prefix("//! ").and_then(|text| text.lines().next());
    let explains = header.is_some_and(|header| header.split_whitespace().count() > 2);
    (!explains).then(|| "does not begin with a `//!` line that explains it".to_owned()).into_iter().collect()
}

pub(super) fn layers(source: &Source) -> Vec<String> {
    let Some(layer) = layer(source) else { return Vec::new() };
    let below = LAYERS.iter().find(|(name, _)| *name == layer).map_or(&[][..], |(_, below)| below);
    let is_layer = |name: &&str| LAYERS.iter().any(|(layer, _)| layer == name);
    let used = names_from_root(source).into_iter().filter(is_layer);
    let above = used.filter(|name| *name != layer && !below.contains(name));
    above.map(|name| format!("`{layer}` uses `{name}`, which is not below it")).collect()
}

/// The names that a file takes from the crate's root: `x` in `crate::x`, `setlist::{x::…}` and `super::super::x`.
fn names_from_root(source: &Source) -> Vec<&str> {
    let mut names = Vec::new();
    let depth = source.module().len();
    for start in 0..source.tokens.len() {
        let rest = &source.tokens[start..];
        let supers = rest.chunks(3).take_while(|chunk| *chunk == ["super", ":", ":"]).count();
        let is_inside_path = start > 1 && source.tokens[start - 2..start] == [":", ":"];
        match rest {
            [root, a, b, ..] if ["crate", "setlist"].contains(&&**root) && a == ":" && b == ":" => {
                names.extend(first_names(&rest[3..]));
            }
            _ if supers > 0 && supers >= depth && !is_inside_path => names.extend(first_names(&rest[3 * supers..])),
            _ => {}
        }
    }
    names
}

/// The first names of what follows `::`: one path, or a list of paths in braces.
fn first_names(tokens: &[String]) -> Vec<&str> {
    if tokens.first().is_none_or(|token| token != "{") {
        return tokens.first().map(String::as_str).into_iter().collect();
    }
    let list = &tokens[..closing_brace(tokens)];
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

pub(super) fn layer_crates(source: &Source) -> Vec<String> {
    let Some(layer) = layer(source) else { return Vec::new() };
    let strays = LAYER_CRATES.iter().filter(|(name, layers)| !layers.contains(&layer) && source.contains(&[name]));
    strays.map(|(name, layers)| format!("uses the crate {name}, which only {layers:?} may use")).collect()
}

/// A store is opened in one place, the site, which knows the kinds of stores.
pub(super) fn store_openers(source: &Source) -> Vec<String> {
    let may_open = ["store", "site"].map(Some).contains(&layer(source));
    let stores = ["SqliteStore", "PostgresStore"].into_iter().filter(|store| !may_open && source.contains(&[store]));
    stores.map(|store| format!("names `{store}`; use `site::open_store`")).collect()
}

pub(super) fn purity(source: &Source) -> Vec<String> {
    let impure = IMPURE.iter().filter(|tokens| layer(source) == Some("model") && source.contains(tokens));
    impure.map(|tokens| format!("the model is pure, but this file has `{}`", tokens.concat())).collect()
}

/// Clippy checks that an `#[expect]` is where it belongs; this checks that there is one, with a reason.
pub(super) fn unwraps(source: &Source) -> Vec<String> {
    let code = source.without_tests();
    let expects = |window: &[String]| window[..3] == [".", "expect", "("] && window[3].starts_with('"');
    let unwraps = code.contains(&[".", "unwrap", "(", ")"]) || code.tokens.windows(4).any(expects);
    let has_reason = code.contains(&["expect_used", ",", "reason"]) || code.contains(&["unwrap_used", ",", "reason"]);
    (unwraps && !has_reason).then(|| "unwraps or expects without a stated reason".to_owned()).into_iter().collect()
}

pub(super) fn file_length(source: &Source) -> Vec<String> {
    let lines = source.text.lines().count();
    (lines > MAX_FILE_LINES).then(|| format!("has {lines} lines; {MAX_FILE_LINES} are the limit")).into_iter().collect()
}

pub(super) fn function_length(source: &Source) -> Vec<String> {
    let mut long = Vec::new();
    for (start, _) in source.tokens.iter().enumerate().filter(|(_, token)| *token == "fn") {
        let name = &source.tokens[start + 1];
        // A function pointer has no name, and a required method of a trait has no body.
        let end = source.tokens[start..].iter().position(|token| token == "{" || token == ";");
        let Some(open) = end.map(|end| start + end).filter(|open| name != "(" && source.tokens[*open] == "{") else {
            continue;
        };
        let lines = source.lines[open + closing_brace(&source.tokens[open..])] + 1 - source.lines[start];
        if lines > MAX_FUNCTION_LINES {
            long.push(format!("function `{name}` has {lines} lines; {MAX_FUNCTION_LINES} are the limit"));
        }
    }
    long
}

pub(super) fn allowances(source: &Source) -> Vec<String> {
    let allows = source.contains(&["[", "allow", "("]);
    allows.then(|| "has `#[allow]` where `#[expect(…, reason = …)]` belongs".to_owned()).into_iter().collect()
}

/// Paths of the machine on which a text was written.
pub(super) fn machine_paths(text: &str) -> Vec<String> {
    // Joined here, so that this file does not contain them.
    let paths = [["/wo", "rk/"], ["/ro", "ot/"], ["bash_", "jobs"]].map(|parts| parts.concat());
    paths.into_iter().filter(|path| text.contains(path)).map(|path| format!("contains {path}")).collect()
}

/// Type names that are defined more than once, except for these; also exceptions that are no longer needed.
pub(super) fn duplicate_types(sources: &[Source], exceptions: &[(&str, &str)]) -> Vec<String> {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for source in sources {
        for (name, line) in types(&source.without_tests()) {
            places.entry(name).or_default().push(format!("{}:{line}", source.path));
        }
    }
    places.retain(|_, places| places.len() > 1);
    let is_excepted = |name: &str| exceptions.iter().any(|(excepted, _)| *excepted == name);
    let found = places.iter().filter(|(name, _)| !is_excepted(name));
    let found =
        found.map(|(name, places)| format!("type `{name}` is defined {} times: {}", places.len(), places.join(", ")));
    let unused = exceptions.iter().filter(|(name, _)| !places.contains_key(*name));
    found.chain(unused.map(|(name, _)| format!("the exception for `{name}` is not needed"))).collect()
}

/// The types and traits that a file defines, with their lines. Associated types are no definitions of their own.
fn types(source: &Source) -> Vec<(String, usize)> {
    let tokens = &source.tokens;
    let mut found = Vec::new();
    let mut depth = 0;
    for at in 0..tokens.len().saturating_sub(2) {
        depth += i32::from(tokens[at] == "{") - i32::from(tokens[at] == "}");
        let (name, next) = (&tokens[at + 1], &tokens[at + 2]);
        let defines = match tokens[at].as_str() {
            "struct" | "enum" | "trait" => true,
            "union" => next == "{" || next == "<",
            "type" => depth == 0,
            _ => false,
        };
        // In a macro, `struct $name` defines whatever the macro is given.
        if defines && name.starts_with(char::is_uppercase) {
            found.push((name.clone(), source.lines[at + 1]));
        }
    }
    found
}
