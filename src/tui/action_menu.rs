//! Menus of actions: the command palette, and the help.

use nucleo_matcher::pattern::{AtomKind, CaseMatching, Normalization, Pattern};
use nucleo_matcher::{Config, Matcher, Utf32Str};

use super::action::{Action, ActionEntry, Group, TABLE};
use super::keymap::Keymap;
use super::keys::{KeyCode, KeyPress};
use super::line_editor::LineEditor;

/// A list of actions, one of them selected.
#[derive(Debug)]
pub(super) struct ActionMenu {
    pub(super) kind: MenuKind,
    /// The search text.
    pub(super) line: LineEditor,
    /// Whether the search text is being typed.
    pub(super) is_typing: bool,
    /// The index of the selected item.
    pub(super) selected: usize,
    /// The first visible line.
    pub(super) offset: usize,
}

/// The kind of a menu.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MenuKind {
    /// The command palette: finds an action by a fuzzy search, best match first.
    Palette,
    /// The help: all actions in the order of the table.
    Help,
}

/// An item: an action, or neighbours in the table with the same help.
#[derive(Clone, Copy, Debug)]
pub(super) struct MenuItem {
    pub(super) entries: &'static [ActionEntry],
}

/// The result of a key press in a menu.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum MenuResponse {
    /// The menu stays open.
    KeepOpen,
    /// The menu is closed.
    Close,
    /// The menu is closed, and the action performed.
    Run(Action),
}

impl ActionMenu {
    pub(super) fn palette() -> Self {
        Self { kind: MenuKind::Palette, line: LineEditor::default(), is_typing: true, selected: 0, offset: 0 }
    }

    pub(super) fn help() -> Self {
        Self { kind: MenuKind::Help, is_typing: false, ..Self::palette() }
    }

    /// The items that match the search text.
    pub(super) fn items(&self, keymap: &Keymap) -> Vec<MenuItem> {
        let all: Vec<MenuItem> = match self.kind {
            MenuKind::Help => {
                TABLE.chunk_by(|a, b| a.group == b.group && a.help == b.help).map(MenuItem::new).collect()
            }
            MenuKind::Palette => TABLE
                .chunks(1)
                .map(MenuItem::new)
                .filter(|item| item.action() != Some(Action::CommandPalette))
                .collect(),
        };
        let needle = self.line.text().trim();
        if needle.is_empty() {
            return all;
        }
        let pattern = |kind| Pattern::new(needle, CaseMatching::Ignore, Normalization::Smart, kind);
        let (fuzzy, whole) = (pattern(AtomKind::Fuzzy), pattern(AtomKind::Substring));
        let mut matcher = Matcher::new(Config::DEFAULT);
        let mut buffer = Vec::new();
        let mut score = |pattern: &Pattern, text: &str| pattern.score(Utf32Str::new(text, &mut buffer), &mut matcher);
        let score = |item: MenuItem| {
            let anywhere = score(&whole, &item.haystack(self.kind, keymap));
            if self.kind == MenuKind::Help {
                return anywhere.map(|_| (MatchScore::default(), item));
            }
            let (name, name_letters) = (score(&whole, &item.name()), score(&fuzzy, &item.name()));
            let help_words = anywhere.filter(|_| starts_words(needle, item.help()));
            name_letters.or(anywhere).map(|_| (MatchScore { name, help_words, name_letters, anywhere }, item))
        };
        let mut found: Vec<(MatchScore, MenuItem)> = all.into_iter().filter_map(score).collect();
        if self.kind == MenuKind::Palette {
            found.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
        }
        found.into_iter().map(|(_, item)| item).collect()
    }

    /// Handles a key press.
    pub(super) fn press(&mut self, key: KeyPress, keymap: &Keymap) -> MenuResponse {
        let count = self.items(keymap).len();
        let last = count.saturating_sub(1);
        self.selected = self.selected.min(last);
        let action = keymap.action(key, false);
        let is = |code: char| key == KeyPress { code: KeyCode::Char(code), ctrl: true, alt: false };
        match key.code {
            KeyCode::Esc if self.kind == MenuKind::Help && (self.is_typing || !self.line.text().is_empty()) => {
                (self.line, self.is_typing, self.selected) = (LineEditor::default(), false, 0);
            }
            KeyCode::Esc => return MenuResponse::Close,
            _ if is('c') || is('g') => return MenuResponse::Close,
            KeyCode::Enter => {
                let selected = self.items(keymap).get(self.selected).and_then(MenuItem::action);
                return selected.map_or(MenuResponse::KeepOpen, MenuResponse::Run);
            }
            KeyCode::Down | KeyCode::Tab => self.selected = (self.selected + 1).min(last),
            KeyCode::Up | KeyCode::BackTab => self.selected = self.selected.saturating_sub(1),
            KeyCode::PageDown => self.selected = (self.selected + 10).min(last),
            KeyCode::PageUp => self.selected = self.selected.saturating_sub(10),
            _ if is('n') => self.selected = (self.selected + 1).min(last),
            _ if is('p') => self.selected = self.selected.saturating_sub(1),
            _ if self.is_typing => {
                if self.line.press(key) {
                    self.selected = 0;
                }
            }
            _ => match action {
                Some(Action::Down) => self.selected = (self.selected + 1).min(last),
                Some(Action::Up) => self.selected = self.selected.saturating_sub(1),
                Some(Action::HalfDown) => self.selected = (self.selected + 5).min(last),
                Some(Action::HalfUp) => self.selected = self.selected.saturating_sub(5),
                Some(Action::First) => self.selected = 0,
                Some(Action::Last) => self.selected = last,
                Some(Action::Find) => self.is_typing = true,
                Some(Action::Help | Action::Quit | Action::Back) => return MenuResponse::Close,
                _ => {}
            },
        }
        MenuResponse::KeepOpen
    }
}

/// How well an item matches; greater is better. A name that contains the text comes first, then a help with its words,
/// then a name with its letters, then everything else.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct MatchScore {
    /// The text is in the name.
    name: Option<u32>,
    /// The text starts words of the help.
    help_words: Option<u32>,
    /// The letters are in the name.
    name_letters: Option<u32>,
    /// The text is anywhere.
    anywhere: Option<u32>,
}

/// Whether each word of `needle` starts a word of `text`.
fn starts_words(needle: &str, text: &str) -> bool {
    let text = text.to_lowercase();
    let starts = |wanted: &str| text.split(|c: char| !c.is_alphanumeric()).any(|word| word.starts_with(wanted));
    needle.to_lowercase().split_whitespace().all(starts)
}

impl MenuItem {
    fn new(entries: &'static [ActionEntry]) -> Self {
        Self { entries }
    }

    /// The action of the item.
    pub(super) fn action(&self) -> Option<Action> {
        self.entries.first().map(|entry| entry.action)
    }

    /// The group of the item in the help.
    pub(super) fn group(&self) -> Option<Group> {
        self.entries.first().map(|entry| entry.group)
    }

    /// The help text.
    pub(super) fn help(&self) -> &'static str {
        self.entries.first().map_or("", |entry| entry.help)
    }

    /// The keys, as a range for several actions.
    pub(super) fn keys(&self, keymap: &Keymap) -> String {
        match self.entries {
            [first, .., last] => format!("{}-{}", keymap.key(first.action), keymap.key(last.action)),
            entries => {
                let keys = entries.iter().flat_map(|entry| keymap.keys(entry.action));
                keys.map(KeyPress::to_string).collect::<Vec<_>>().join(" ")
            }
        }
    }

    /// The name.
    fn name(&self) -> String {
        self.entries.first().map_or_else(String::new, |entry| entry.name.replace('-', " "))
    }

    /// The text to search.
    fn haystack(&self, kind: MenuKind, keymap: &Keymap) -> String {
        match kind {
            MenuKind::Palette => format!("{} {}", self.name(), self.help()),
            MenuKind::Help => format!("{} {} {}", self.keys(keymap), self.name(), self.help()),
        }
    }
}
