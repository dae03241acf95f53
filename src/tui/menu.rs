//! Actions to choose from: the palette, which one types into, and the help, which one reads and searches.

use nucleo_matcher::pattern::{AtomKind, CaseMatching, Normalization, Pattern};
use nucleo_matcher::{Config, Matcher, Utf32Str};

use super::action::{Action, Entry, Group, TABLE};
use super::keymap::Keymap;
use super::keys::{Code, Key};
use super::line::Line;

/// A list of actions with one of them chosen.
#[derive(Debug)]
pub(super) struct Menu {
    pub(super) kind: Kind,
    /// What is looked for.
    pub(super) line: Line,
    /// The line is being typed.
    pub(super) typing: bool,
    /// Which of the items is chosen.
    pub(super) chosen: usize,
    /// The first line shown.
    pub(super) offset: usize,
}

/// What the menu is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Finding an action by what one remembers of it; the best match first.
    Palette,
    /// Reading what there is, in the order of the table.
    Help,
}

/// One line to choose: an action, or neighbours in the table with the same text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item {
    pub(super) entries: &'static [Entry],
}

/// What a key has come to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pressed {
    /// The menu stays.
    Stay,
    /// It is closed.
    Close,
    /// It is closed, and this is done.
    Run(Action),
}

impl Menu {
    pub(super) fn palette() -> Self {
        Self { kind: Kind::Palette, line: Line::default(), typing: true, chosen: 0, offset: 0 }
    }

    pub(super) fn help() -> Self {
        Self { kind: Kind::Help, typing: false, ..Self::palette() }
    }

    /// What there is to choose from.
    pub(super) fn items(&self, keymap: &Keymap) -> Vec<Item> {
        let all: Vec<Item> = match self.kind {
            Kind::Help => TABLE.chunk_by(|a, b| a.group == b.group && a.help == b.help).map(Item::new).collect(),
            Kind::Palette => {
                TABLE.chunks(1).map(Item::new).filter(|item| item.action() != Some(Action::Palette)).collect()
            }
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
        let score = |item: Item| {
            let all = score(&whole, &item.haystack(self.kind, keymap));
            if self.kind == Kind::Help {
                return all.map(|_| (Found::default(), item));
            }
            let (name, letters) = (score(&whole, &item.name()), score(&fuzzy, &item.name()));
            let word = all.filter(|_| begins_words(needle, item.help()));
            letters.or(all).map(|_| (Found { name, word, letters, all }, item))
        };
        let mut found: Vec<(Found, Item)> = all.into_iter().filter_map(score).collect();
        if self.kind == Kind::Palette {
            found.sort_by_key(|(score, _)| std::cmp::Reverse(*score));
        }
        found.into_iter().map(|(_, item)| item).collect()
    }

    /// Takes a key.
    pub(super) fn press(&mut self, key: Key, keymap: &Keymap) -> Pressed {
        let count = self.items(keymap).len();
        let last = count.saturating_sub(1);
        self.chosen = self.chosen.min(last);
        let meant = keymap.action(key, false);
        let is = |code: char| key == Key { code: Code::Char(code), ctrl: true, alt: false };
        match key.code {
            Code::Esc if self.kind == Kind::Help && (self.typing || !self.line.text().is_empty()) => {
                (self.line, self.typing, self.chosen) = (Line::default(), false, 0);
            }
            Code::Esc => return Pressed::Close,
            _ if is('c') || is('g') => return Pressed::Close,
            Code::Enter => {
                let chosen = self.items(keymap).get(self.chosen).and_then(Item::action);
                return chosen.map_or(Pressed::Stay, Pressed::Run);
            }
            Code::Down | Code::Tab => self.chosen = (self.chosen + 1).min(last),
            Code::Up | Code::BackTab => self.chosen = self.chosen.saturating_sub(1),
            Code::PageDown => self.chosen = (self.chosen + 10).min(last),
            Code::PageUp => self.chosen = self.chosen.saturating_sub(10),
            _ if is('n') => self.chosen = (self.chosen + 1).min(last),
            _ if is('p') => self.chosen = self.chosen.saturating_sub(1),
            _ if self.typing => {
                if self.line.press(key) {
                    self.chosen = 0;
                }
            }
            _ => match meant {
                Some(Action::Down) => self.chosen = (self.chosen + 1).min(last),
                Some(Action::Up) => self.chosen = self.chosen.saturating_sub(1),
                Some(Action::HalfDown) => self.chosen = (self.chosen + 5).min(last),
                Some(Action::HalfUp) => self.chosen = self.chosen.saturating_sub(5),
                Some(Action::First) => self.chosen = 0,
                Some(Action::Last) => self.chosen = last,
                Some(Action::Find) => self.typing = true,
                Some(Action::Help | Action::Quit | Action::Back) => return Pressed::Close,
                _ => {}
            },
        }
        Pressed::Stay
    }
}

/// How well an item is found; the better, the greater. Whoever types a name means the action of that name, and not one
/// whose help has the word; but a word that stands there is meant before letters that a name happens to have.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Found {
    /// In its name, as typed.
    name: Option<u32>,
    /// In what is said of it, at the beginning of words.
    word: Option<u32>,
    /// In its name, a few letters of it.
    letters: Option<u32>,
    /// Anywhere.
    all: Option<u32>,
}

/// Whether each word that is looked for begins a word of the text.
fn begins_words(needle: &str, text: &str) -> bool {
    let text = text.to_lowercase();
    let begins = |wanted: &str| text.split(|c: char| !c.is_alphanumeric()).any(|word| word.starts_with(wanted));
    needle.to_lowercase().split_whitespace().all(begins)
}

impl Item {
    fn new(entries: &'static [Entry]) -> Self {
        Self { entries }
    }

    /// What is done when it is chosen.
    pub(super) fn action(&self) -> Option<Action> {
        self.entries.first().map(|entry| entry.action)
    }

    /// Where the help puts it.
    pub(super) fn group(&self) -> Option<Group> {
        self.entries.first().map(|entry| entry.group)
    }

    /// What it does.
    pub(super) fn help(&self) -> &'static str {
        self.entries.first().map_or("", |entry| entry.help)
    }

    /// Its keys; those of many actions as a range.
    pub(super) fn keys(&self, keymap: &Keymap) -> String {
        match self.entries {
            [first, .., last] => format!("{}-{}", keymap.key(first.action), keymap.key(last.action)),
            entries => {
                let keys = entries.iter().flat_map(|entry| keymap.keys(entry.action));
                keys.map(Key::to_string).collect::<Vec<_>>().join(" ")
            }
        }
    }

    /// What it is called.
    fn name(&self) -> String {
        self.entries.first().map_or_else(String::new, |entry| entry.name.replace('-', " "))
    }

    /// What of it is searched.
    fn haystack(&self, kind: Kind, keymap: &Keymap) -> String {
        match kind {
            Kind::Palette => format!("{} {}", self.name(), self.help()),
            Kind::Help => format!("{} {} {}", self.keys(keymap), self.name(), self.help()),
        }
    }
}
