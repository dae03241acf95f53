//! A source file as text and as tokens, without its comments and unit tests.

use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, LineColumn, TokenStream, TokenTree};

/// A source file. `path` is relative to the top level; `tokens` has no comments except doc comments, which are `#[doc = "…"]`.
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) text: String,
    pub(crate) tokens: Vec<String>,
    /// The line of each token, from 1.
    pub(crate) lines: Vec<usize>,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let stream: TokenStream = text.parse().unwrap_or_else(|error| panic!("{path}: {error}"));
        let mut source = Self { path: path.to_owned(), text: text.to_owned(), tokens: Vec::new(), lines: Vec::new() };
        source.push_stream(stream);
        source
    }

    /// All Rust files below these folders of the top level.
    pub(crate) fn read_all(folders: &[&str]) -> Vec<Self> {
        let files = folders.iter().flat_map(|folder| files(folder));
        let rust = files.filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
        let read = |path: PathBuf| Self::new(relative(&path), &fs::read_to_string(&path).unwrap());
        let sources: Vec<_> = rust.map(read).collect();
        assert!(!sources.is_empty(), "no source files in {folders:?}");
        sources
    }

    fn push_stream(&mut self, stream: TokenStream) {
        for tree in stream {
            match tree {
                TokenTree::Group(group) => {
                    let (open, close) = match group.delimiter() {
                        Delimiter::Parenthesis => ("(", ")"),
                        Delimiter::Brace => ("{", "}"),
                        Delimiter::Bracket => ("[", "]"),
                        Delimiter::None => ("", ""),
                    };
                    self.push(open, group.span_open().start());
                    self.push_stream(group.stream());
                    self.push(close, group.span_close().start());
                }
                tree => self.push(&tree.to_string(), tree.span().start()),
            }
        }
    }

    fn push(&mut self, token: &str, at: LineColumn) {
        self.tokens.push(token.to_owned());
        self.lines.push(at.line);
    }

    pub(crate) fn contains(&self, tokens: &[&str]) -> bool {
        self.tokens.windows(tokens.len()).any(|window| window == tokens)
    }

    /// The path of the module that the file holds: `src/tui/view/list.rs` is `tui`, `view`, `list`.
    pub(crate) fn module(&self) -> Vec<&str> {
        let inside = self.path.strip_prefix("src/").and_then(|path| path.strip_suffix(".rs")).unwrap_or_default();
        inside.split('/').filter(|part| !["mod", "lib", "main"].contains(part)).collect()
    }

    /// The same file without `#[cfg(test)] mod …` blocks.
    pub(crate) fn without_tests(&self) -> Self {
        let (mut tokens, mut lines) = (self.tokens.clone(), self.lines.clone());
        let test_module = ["#", "[", "cfg", "(", "test", ")", "]", "mod"];
        while let Some(start) = tokens.windows(test_module.len()).position(|window| window == test_module) {
            let open = start + tokens[start..].iter().position(|token| token == "{").expect("a module has a body");
            let end = open + closing_brace(&tokens[open..]);
            tokens.drain(start..=end);
            lines.drain(start..=end);
        }
        Self { path: self.path.clone(), text: self.text.clone(), tokens, lines }
    }
}

/// The position of the brace that closes the one at the start of `tokens`.
pub(crate) fn closing_brace(tokens: &[String]) -> usize {
    let mut depth = 0;
    let closes = |token: &String| {
        depth += i32::from(token == "{") - i32::from(token == "}");
        depth == 0
    };
    tokens.iter().position(closes).expect("braces are balanced")
}

pub(crate) fn top_level() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A path relative to the top level.
pub(crate) fn relative(path: &Path) -> &str {
    path.strip_prefix(top_level()).unwrap().to_str().unwrap()
}

/// All files below a folder of the top level, or the file itself.
pub(crate) fn files(name: &str) -> Vec<PathBuf> {
    let path = top_level().join(name);
    if path.is_file() {
        return vec![path];
    }
    let entries = fs::read_dir(path).into_iter().flatten().map(|entry| entry.unwrap().file_name());
    entries.flat_map(|entry| files(&format!("{name}/{}", entry.to_str().unwrap()))).collect()
}
