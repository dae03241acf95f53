//! The architecture: layers, import cycles, names, sizes, headers, and nothing that belongs to one machine.

mod checks;
mod imports;
pub(crate) mod source;

use std::fs;
use std::path::Path;
use std::process::Command;

use checks::{
    Check, allowances, duplicate_types, file_length, function_length, headers, layer_crates, layers, machine_paths,
    purity, store_openers, unwraps,
};
use imports::ImportGraph;
use source::{Source, files, top_level};

/// The layers, from the lowest, with those that each may use.
const LAYERS: [(&str, &[&str]); 9] = [
    ("text", &[]),
    ("model", &["text"]),
    ("definition", &["text", "model"]),
    ("store", &["text", "model"]),
    ("runner", &["text", "model"]),
    ("site", &["text", "model", "definition", "store", "runner"]),
    ("worker", &["text", "model", "definition", "store", "runner", "site"]),
    ("tui", &["text", "model", "definition", "store", "site"]),
    ("cli", &["text", "model", "definition", "store", "runner", "site", "worker", "tui"]),
];

/// Crates that only some layers may use.
const LAYER_CRATES: [(&str, &[&str]); 6] = [
    ("rusqlite", &["store"]),
    ("postgres", &["store"]),
    ("ratatui", &["tui"]),
    ("crossterm", &["tui", "cli"]),
    ("clap", &["cli"]),
    ("pty_process", &["runner"]),
];

/// Modules beside the layers. The model may use only what is pure.
const BESIDE_LAYERS: [&str; 6] = ["account", "clock", "crash", "file_trust", "regular_file", "stable_hash"];

/// Type names that may be defined more than once, with the reason.
const DUPLICATE_TYPES: [(&str, &str); 0] = [];

const MAX_FILE_LINES: usize = 600;
const MAX_FUNCTION_LINES: usize = 100;

/// What the checks find in all files of some folders.
fn findings(folders: &[&str], checks: &[Check]) -> Vec<String> {
    let of = |source: &Source| {
        let found = checks.iter().flat_map(|check| check(source));
        found.map(|finding| format!("{}: {finding}", source.path)).collect::<Vec<_>>()
    };
    Source::read_all(folders).iter().flat_map(of).collect()
}

#[track_caller]
fn assert_none(findings: &[String]) {
    assert!(findings.is_empty(), "{}", findings.join("\n"));
}

#[test]
fn each_layer_uses_only_layers_below_it() {
    assert_none(&findings(&["src"], &[layers, layer_crates, purity]));
}

#[test]
fn only_the_site_layer_opens_stores() {
    assert_none(&findings(&["src"], &[store_openers]));
}

#[test]
fn no_files_import_each_other_in_a_cycle() {
    assert_none(&ImportGraph::new(&Source::read_all(&["src"])).cycles());
}

#[test]
fn no_type_name_is_defined_twice() {
    assert_none(&duplicate_types(&Source::read_all(&["src"]), &DUPLICATE_TYPES));
}

#[test]
fn every_file_has_a_header() {
    assert_none(&findings(&["src", "tests", "benches"], &[headers]));
}

#[test]
fn no_file_or_function_is_too_long() {
    assert_none(&findings(&["src", "tests", "benches"], &[file_length, function_length]));
}

#[test]
fn the_clock_is_read_in_one_place() {
    // `Utc::now` panics if the clock is set to a time before 1970.
    let reads = |source: &Source| source.path != "src/clock.rs" && source.text.contains("Utc::now()");
    let found: Vec<_> = Source::read_all(&["src"]).into_iter().filter(reads).map(|source| source.path).collect();
    assert_eq!(found, [""; 0]);
}

#[test]
fn nothing_is_unwrapped_or_allowed_without_a_reason() {
    assert_none(&findings(&["src"], &[unwraps]));
    assert_none(&findings(&["src", "tests", "benches"], &[allowances]));
}

#[test]
fn the_map_lists_every_layer() {
    let map = Source::new("src/lib.rs", &fs::read_to_string(top_level().join("src/lib.rs")).unwrap());
    for (layer, _) in LAYERS {
        assert!(map.contains(&["pub", "mod", layer, ";"]), "{layer} is a module of the crate");
        assert!(map.text.contains(&format!("| [`{layer}`] |")), "{layer} is on the map");
    }
    for module in map.tokens.windows(2).filter(|window| window[0] == "mod") {
        let is_known =
            LAYERS.iter().any(|(layer, _)| *layer == module[1]) || BESIDE_LAYERS.contains(&module[1].as_str());
        assert!(is_known, "{} is a layer, or listed as a module beside them", module[1]);
    }
}

#[test]
fn the_map_names_files_that_exist() {
    let map = fs::read_to_string(top_level().join("src/lib.rs")).unwrap();
    let (mut found, mut missing) = (0, Vec::new());
    for line in map.lines().filter(|line| line.starts_with("//!")) {
        // Later files of a line may be in the folder of an earlier one.
        let mut folders = vec![top_level().join("src"), top_level().to_owned()];
        for name in line.split('`').skip(1).step_by(2).filter(|name| name.split('.').next_back() == Some("rs")) {
            match folders.iter().map(|folder| folder.join(name)).find(|path| path.is_file()) {
                Some(path) => folders.extend(path.parent().map(Path::to_owned)),
                None => missing.push(name),
            }
            found += 1;
        }
    }
    assert_eq!(missing, [""; 0]);
    assert!(found > 40, "only {found} files are on the map");
}

#[test]
fn no_file_names_the_machine_it_was_written_on() {
    let folders = [
        "src",
        "tests",
        "benches",
        "examples",
        "Cargo.toml",
        "README.md",
        "CHANGELOG.md",
        "jobs.yaml",
        ".ci",
        ".gitignore",
    ];
    for path in folders.iter().flat_map(|folder| files(folder)) {
        let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
        assert_eq!(machine_paths(&text), [""; 0], "{}", path.display());
    }
}

#[test]
fn the_top_level_holds_only_what_belongs_there() {
    // Only tracked files count. Without git, nothing tells them from the others.
    let listing = Command::new("git").args(["ls-files"]).current_dir(top_level()).output();
    let Ok(listing) = listing else { return };
    let belongs = |entry: &&str| {
        let known = [
            "Cargo.toml",
            "Cargo.lock",
            "src",
            "tests",
            "benches",
            "examples",
            "jobs.yaml",
            "README.md",
            "CHANGELOG.md",
        ];
        entry.starts_with('.') || known.contains(entry) || *entry == "LICENSE" || entry.starts_with("LICENSE-")
    };
    let listing = String::from_utf8(listing.stdout).unwrap();
    let entries = listing.lines().filter_map(|path| path.split('/').next());
    assert_eq!(entries.filter(|entry| !belongs(entry)).collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn each_check_finds_what_it_looks_for() {
    let long_function = format!("fn f() {{{}}}", "\n".repeat(MAX_FUNCTION_LINES));
    let broken: [(Check, &str, &str); 23] = [
        (headers, "src/model/a.rs", "use std::fmt;"),
        (headers, "src/model/a.rs", "//! Tests."),
        (layers, "src/text/a.rs", "use crate::model::Job;"),
        (layers, "src/model/a.rs", "use crate::store::Store;"),
        (layers, "src/store/a.rs", "use crate::{model::{Job, Run}, runner};"),
        (layers, "src/site/a.rs", "fn f() { crate::worker::start(); }"),
        (layers, "src/tui/a.rs", "use super::super::runner::Runner;"),
        (layers, "src/tui/mod.rs", "use super::runner::Runner;"),
        (layers, "src/tui/view/a.rs", "use super::super::super::{store, cli};"),
        (layers, "src/definition/a.rs", "pub(crate) use setlist::store;"),
        (layer_crates, "src/tui/a.rs", "use rusqlite::Connection;"),
        (layer_crates, "src/store/a.rs", "fn f(frame: &mut ratatui::Frame) {}"),
        (store_openers, "src/cli/a.rs", "fn f(dir: &StateDir) { store::SqliteStore::open(dir); }"),
        (purity, "src/model/a.rs", "fn f() -> DateTime<Utc> { Utc::now() }"),
        (purity, "src/model/a.rs", "use std::fs::File;"),
        (purity, "src/model/a.rs", "fn f() { crate::crash::point(\"here\"); }"),
        (unwraps, "src/cli/a.rs", "fn f() { g().unwrap(); }"),
        (unwraps, "src/cli/a.rs", r#"fn f() { g().expect("it is there"); }"#),
        (file_length, "src/cli/a.rs", &"\n".repeat(MAX_FILE_LINES + 1)),
        (function_length, "src/cli/a.rs", &long_function),
        (allowances, "src/cli/a.rs", "#[allow(dead_code)] fn f() {}"),
        (allowances, "src/cli/a.rs", "#![allow(dead_code)]"),
        (|source| machine_paths(&source.text), "tests/a.rs", concat!("//! See /wo", "rk/notes.")),
    ];
    for (nth, (check, path, text)) in broken.into_iter().enumerate() {
        assert_ne!(check(&Source::new(path, text)), [""; 0], "{nth}: {text}");
    }
}

#[test]
fn each_check_accepts_sound_code() {
    let longest_function = format!("fn f() {{{}}}\ntrait T {{ fn g(&self); }}", "\n".repeat(MAX_FUNCTION_LINES - 1));
    let sound: [(Check, &str, &str); 10] = [
        (layers, "src/tui/a.rs", "use crate::model::store; use super::runner; // crate::runner"),
        (layers, "src/tui/view/a.rs", "use super::super::keys; use crate::{Job, store::Store};"),
        (layers, "src/cli/a.rs", "use crate::{tui, worker};"),
        (layers, "src/main.rs", "use setlist::cli;"),
        (layer_crates, "src/model/a.rs", "fn f() -> &'static str { \"rusqlite\" }"),
        (store_openers, "src/site/open.rs", "use crate::store::SqliteStore;"),
        (function_length, "src/cli/a.rs", &longest_function),
        (function_length, "src/cli/a.rs", &format!("type F = fn(); {}", "\n".repeat(MAX_FUNCTION_LINES))),
        (unwraps, "src/cli/a.rs", "fn f() { input.expect('a'); } #[cfg(test)] mod tests { fn f() { g().unwrap(); } }"),
        (unwraps, "src/cli/a.rs", r#"#[expect(clippy::unwrap_used, reason = "why")] fn f() { g().unwrap(); }"#),
    ];
    for (nth, (check, path, text)) in sound.into_iter().enumerate() {
        assert_eq!(check(&Source::new(path, text)), [""; 0], "{nth}: {text}");
    }
}

/// The import cycles of some files, given by path and text.
fn cycles_of(files: &[(&str, &str)]) -> Vec<String> {
    let sources: Vec<_> = files.iter().map(|(path, text)| Source::new(path, text)).collect();
    ImportGraph::new(&sources).cycles()
}

#[test]
fn import_cycles_are_found_however_they_are_written() {
    let root = ("src/lib.rs", "mod m;");
    let parent = ("src/m/mod.rs", "mod a; mod b; pub use a::A; pub struct Parent;");
    let cyclic: [(&str, &str, &str); 7] = [
        ("absolute paths", "use crate::m::b::B; pub struct A;", "use crate::m::a::A; pub struct B;"),
        ("paths by super", "use super::b::B; pub struct A;", "fn f(a: super::a::A) {} pub struct B;"),
        (
            "groups",
            "use super::{b::{B, C}}; pub struct A;",
            "use crate::m::{a::{A as Other}}; pub struct B; pub struct C;",
        ),
        ("re-exports", "use super::b::B; pub struct A;", "use super::A; pub struct B;"),
        ("imported modules", "use super::b; pub struct A(b::B);", "use super::a; pub struct B(Box<a::A>);"),
        ("globs", "use super::b::*; pub struct A;", "use super::a::A; pub struct B;"),
        ("imports in functions", "fn f() { use super::b::B; } pub struct A;", "use super::a::A; pub struct B;"),
    ];
    for (what, a, b) in cyclic {
        let cycles = cycles_of(&[root, parent, ("src/m/a.rs", a), ("src/m/b.rs", b)]);
        assert_eq!(cycles.len(), 1, "{what}");
        assert!(cycles[0].starts_with("import cycle of 2 files:\n  src/m/a.rs uses "), "{what}: {}", cycles[0]);
    }
    let with_parent = cycles_of(&[
        root,
        ("src/m/mod.rs", "mod a; use a::A; pub struct Parent(A);"),
        ("src/m/a.rs", "use super::Parent; pub struct A;"),
    ]);
    assert_eq!(
        with_parent,
        ["import cycle of 2 files:\n  src/m/mod.rs uses A of src/m/a.rs\n  src/m/a.rs uses Parent of src/m/mod.rs"]
    );
    let of_three = cycles_of(&[
        root,
        ("src/m/mod.rs", "mod a; mod b; mod c;"),
        ("src/m/a.rs", "use super::b::B; pub struct A;"),
        ("src/m/b.rs", "use super::c::C; pub struct B;"),
        ("src/m/c.rs", "use super::a::A; pub struct C;"),
    ]);
    assert!(of_three[0].starts_with("import cycle of 3 files:"), "{of_three:?}");
}

#[test]
fn imports_one_way_are_no_cycle() {
    let root = ("src/lib.rs", "mod m; pub use m::A;");
    let parent = ("src/m/mod.rs", "mod a; mod b; pub use a::A; pub use b::B; pub struct Parent;");
    let sound: [(&str, &str, &str); 4] = [
        ("a parent that re-exports", "use super::Parent; pub struct A;", "use super::A; pub struct B;"),
        ("other crates", "use super::b::B; pub struct A;", "use std::fmt; use serde::Serialize; pub struct B;"),
        (
            "unit tests",
            "use super::b::B; pub struct A;",
            "pub struct B; #[cfg(test)] mod tests { use super::super::A; }",
        ),
        ("comments and strings", "use super::b::B; pub struct A;", "// super::A\npub const B: &str = \"super::A\";"),
    ];
    for (what, a, b) in sound {
        assert_eq!(cycles_of(&[root, parent, ("src/m/a.rs", a), ("src/m/b.rs", b)]), [""; 0], "{what}");
    }
}

#[test]
fn type_names_that_are_defined_twice_are_found() {
    let duplicates = |a: &str, b: &str, exceptions: &[(&str, &str)]| {
        let sources = [Source::new("src/a.rs", a), Source::new("src/b.rs", b)];
        duplicate_types(&sources, exceptions)
    };
    for (a, b) in [
        ("pub struct State;", "\nenum State {}"),
        ("pub(crate) trait State {}", "\ntype State = u8;"),
        ("struct State<T>(T);", "\nfn f() { struct State; }"),
        ("union State { a: u8, b: u8 }", "\nmod inner { pub enum State {} }"),
    ] {
        assert_eq!(duplicates(a, b, &[]).len(), 1, "{a} {b}");
    }
    assert_eq!(
        duplicates("struct State;", "\nstruct State;", &[]),
        ["type `State` is defined 2 times: src/a.rs:1, src/b.rs:2"]
    );
    let excepted = [("State", "one for each layer")];
    assert_eq!(duplicates("struct State;", "struct State;", &excepted), [""; 0]);
    assert_eq!(duplicates("struct State;", "", &excepted), ["the exception for `State` is not needed"]);
    for b in [
        "impl Iterator for B { type State = u8; }",
        "trait B { type State; }",
        "#[cfg(test)] mod tests { struct State; }",
    ] {
        assert_eq!(duplicates("struct State;", b, &[]), [""; 0], "{b}");
    }
}
