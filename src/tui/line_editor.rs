//! A line of text that is being edited.

use unicode_segmentation::UnicodeSegmentation;

use super::keys::{KeyCode, KeyPress};

/// The text and the cursor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct LineEditor {
    text: String,
    /// A byte offset between two characters.
    cursor: usize,
}

impl LineEditor {
    /// A line with this text, the cursor at its end.
    pub(super) fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        Self { cursor: text.len(), text }
    }

    /// The text.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// The text before the cursor.
    pub(super) fn text_before_cursor(&self) -> &str {
        &self.text[..self.cursor]
    }

    /// Inserts a text at the cursor; line ends become spaces, other control characters are dropped.
    pub(super) fn insert(&mut self, text: &str) {
        let spaced = text.trim_end_matches(['\r', '\n']).replace(['\r', '\n', '\t'], " ");
        let clean: String = spaced.chars().filter(|c| !c.is_control()).collect();
        self.text.insert_str(self.cursor, &clean);
        self.cursor += clean.len();
    }

    /// Handles a key press; returns whether it did anything.
    pub(super) fn press(&mut self, key: KeyPress) -> bool {
        match key {
            KeyPress { code: KeyCode::Backspace, .. } | KeyPress { code: KeyCode::Char('h'), ctrl: true, .. } => {
                self.delete_back_to(self.previous());
            }
            KeyPress { code: KeyCode::Char('w'), ctrl: true, .. } => {
                let kept = self.text_before_cursor().trim_end().rfind(' ').map_or(0, |space| space + 1);
                self.delete_back_to(kept);
            }
            KeyPress { code: KeyCode::Char('u'), ctrl: true, .. } => self.delete_back_to(0),
            KeyPress { code: KeyCode::Delete, .. } => {
                self.text.replace_range(self.cursor..self.next(), "");
            }
            KeyPress { code: KeyCode::Left, .. } => self.cursor = self.previous(),
            KeyPress { code: KeyCode::Right, .. } => self.cursor = self.next(),
            KeyPress { code: KeyCode::Home, .. } | KeyPress { code: KeyCode::Char('a'), ctrl: true, .. } => {
                self.cursor = 0;
            }
            KeyPress { code: KeyCode::End, .. } | KeyPress { code: KeyCode::Char('e'), ctrl: true, .. } => {
                self.cursor = self.text.len();
            }
            key => match key.typed_char() {
                Some(c) => self.insert(c.encode_utf8(&mut [0; 4])),
                None => return false,
            },
        }
        true
    }

    fn delete_back_to(&mut self, from: usize) {
        self.text.replace_range(from..self.cursor, "");
        self.cursor = from;
    }

    fn previous(&self) -> usize {
        self.text_before_cursor().grapheme_indices(true).next_back().map_or(0, |(start, _)| start)
    }

    fn next(&self) -> usize {
        let after = self.text[self.cursor..].graphemes(true).next().map_or(0, str::len);
        self.cursor + after
    }
}
