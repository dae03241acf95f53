//! Plain text that is searched for in a log.

use std::ops::Range;

use regex::bytes::{Regex, RegexBuilder};

/// Plain text to search for. Case is ignored unless it contains capitals.
#[derive(Debug)]
pub(super) struct SearchPattern {
    text: String,
    regex: Regex,
}

impl SearchPattern {
    /// `None` for an empty text, for one that is too long to search for, and for more than one line.
    pub(super) fn new(text: &str) -> Option<Self> {
        if text.is_empty() || text.contains('\n') {
            return None;
        }
        let is_case_sensitive = text.chars().any(char::is_uppercase);
        let regex = RegexBuilder::new(&regex::escape(text)).case_insensitive(!is_case_sensitive).build().ok()?;
        Some(Self { text: text.to_owned(), regex })
    }

    /// The text.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The non-overlapping matches in a line, as byte ranges.
    pub(super) fn find_all(&self, line: &str) -> Vec<Range<usize>> {
        self.find_iter(line.as_bytes()).collect()
    }

    /// The non-overlapping matches in lines that are shown as they are. None reaches over the end of a line.
    pub(super) fn find_iter(&self, lines: &[u8]) -> impl Iterator<Item = Range<usize>> {
        self.regex.find_iter(lines).map(|found| found.range())
    }
}
