//! A line of text that is being typed.

use unicode_segmentation::UnicodeSegmentation;

use super::keys::{Code, Key};

/// What has been typed so far, and where the next character goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Line {
    text: String,
    /// In bytes, between two characters.
    cursor: usize,
}

impl Line {
    /// A line with this text, the cursor behind it.
    pub(super) fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        Self { cursor: text.len(), text }
    }

    /// The text.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The text before the cursor.
    pub(super) fn before(&self) -> &str {
        &self.text[..self.cursor]
    }

    /// Types a text where the cursor is; line ends become spaces, other control characters are left out.
    pub(super) fn insert(&mut self, text: &str) {
        let spaced = text.trim_end_matches(['\r', '\n']).replace(['\r', '\n', '\t'], " ");
        let clean: String = spaced.chars().filter(|c| !c.is_control()).collect();
        self.text.insert_str(self.cursor, &clean);
        self.cursor += clean.len();
    }

    /// Edits with a key; tells whether it did anything.
    pub(super) fn press(&mut self, key: Key) -> bool {
        match key {
            Key { code: Code::Backspace, .. } | Key { code: Code::Char('h'), ctrl: true, .. } => {
                self.cut(self.previous());
            }
            Key { code: Code::Char('w'), ctrl: true, .. } => {
                let kept = self.before().trim_end().rfind(' ').map_or(0, |space| space + 1);
                self.cut(kept);
            }
            Key { code: Code::Char('u'), ctrl: true, .. } => self.cut(0),
            Key { code: Code::Delete, .. } => {
                self.text.replace_range(self.cursor..self.next(), "");
            }
            Key { code: Code::Left, .. } => self.cursor = self.previous(),
            Key { code: Code::Right, .. } => self.cursor = self.next(),
            Key { code: Code::Home, .. } | Key { code: Code::Char('a'), ctrl: true, .. } => self.cursor = 0,
            Key { code: Code::End, .. } | Key { code: Code::Char('e'), ctrl: true, .. } => {
                self.cursor = self.text.len();
            }
            key => match key.typed() {
                Some(c) => self.insert(c.encode_utf8(&mut [0; 4])),
                None => return false,
            },
        }
        true
    }

    fn cut(&mut self, from: usize) {
        self.text.replace_range(from..self.cursor, "");
        self.cursor = from;
    }

    fn previous(&self) -> usize {
        self.before().grapheme_indices(true).next_back().map_or(0, |(start, _)| start)
    }

    fn next(&self) -> usize {
        let after = self.text[self.cursor..].graphemes(true).next().map_or(0, str::len);
        self.cursor + after
    }
}
