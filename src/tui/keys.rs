//! Keys and their text form: `j`, `^d`, `M-x`, `PgDn`; also sequences of keys: `jj<Enter>^`.

use std::fmt;
use std::str::FromStr;

use crossterm::event::{KeyCode as TerminalKeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// A key with its modifiers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyPress {
    /// The key.
    pub code: KeyCode,
    /// With Ctrl.
    pub ctrl: bool,
    /// With Alt.
    pub alt: bool,
}

/// A key without modifiers; Shift is part of the character.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "named as on the keyboard")]
pub enum KeyCode {
    Char(char),
    Enter,
    Esc,
    Tab,
    BackTab,
    Backspace,
    Insert,
    Delete,
    Up,
    Down,
    Left,
    Right,
    Home,
    End,
    PageUp,
    PageDown,
    F(u8),
}

/// A text that names no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid key {0:?}; write j, ^d or ctrl-d, M-x or alt-x, Enter, Esc, Tab, Space, Up, PgDn or F1")]
pub struct InvalidKey(pub String);

const KEY_NAMES: [(&str, KeyCode); 16] = [
    ("Space", KeyCode::Char(' ')),
    ("Enter", KeyCode::Enter),
    ("Esc", KeyCode::Esc),
    ("Tab", KeyCode::Tab),
    ("S-Tab", KeyCode::BackTab),
    ("Backspace", KeyCode::Backspace),
    ("Ins", KeyCode::Insert),
    ("Del", KeyCode::Delete),
    ("Up", KeyCode::Up),
    ("Down", KeyCode::Down),
    ("Left", KeyCode::Left),
    ("Right", KeyCode::Right),
    ("Home", KeyCode::Home),
    ("End", KeyCode::End),
    ("PgUp", KeyCode::PageUp),
    ("PgDn", KeyCode::PageDown),
];

impl KeyPress {
    /// A character without modifiers.
    pub const fn char(c: char) -> Self {
        Self::plain(KeyCode::Char(c))
    }

    /// A key without modifiers.
    pub const fn plain(code: KeyCode) -> Self {
        Self { code, ctrl: false, alt: false }
    }

    /// The character that the key types into a text field, if any.
    pub fn typed_char(self) -> Option<char> {
        match self {
            Self { code: KeyCode::Char(c), ctrl: false, alt: false } => Some(c),
            _ => None,
        }
    }

    /// The key of a terminal event; `None` for releases and unknown keys.
    pub fn from_event(event: KeyEvent) -> Option<Self> {
        if event.kind == KeyEventKind::Release {
            return None;
        }
        let code = match event.code {
            TerminalKeyCode::Char(c) if event.modifiers.contains(KeyModifiers::CONTROL) => {
                KeyCode::Char(c.to_ascii_lowercase())
            }
            TerminalKeyCode::Char(c) => KeyCode::Char(c),
            TerminalKeyCode::Enter => KeyCode::Enter,
            TerminalKeyCode::Esc => KeyCode::Esc,
            TerminalKeyCode::Tab => KeyCode::Tab,
            TerminalKeyCode::BackTab => KeyCode::BackTab,
            TerminalKeyCode::Backspace => KeyCode::Backspace,
            TerminalKeyCode::Insert => KeyCode::Insert,
            TerminalKeyCode::Delete => KeyCode::Delete,
            TerminalKeyCode::Up => KeyCode::Up,
            TerminalKeyCode::Down => KeyCode::Down,
            TerminalKeyCode::Left => KeyCode::Left,
            TerminalKeyCode::Right => KeyCode::Right,
            TerminalKeyCode::Home => KeyCode::Home,
            TerminalKeyCode::End => KeyCode::End,
            TerminalKeyCode::PageUp => KeyCode::PageUp,
            TerminalKeyCode::PageDown => KeyCode::PageDown,
            TerminalKeyCode::F(n) => KeyCode::F(n),
            _ => return None,
        };
        let has = |modifier| event.modifiers.contains(modifier);
        Some(Self { code, ctrl: has(KeyModifiers::CONTROL), alt: has(KeyModifiers::ALT) })
    }

    /// Parses a sequence of keys: each character is a key, `<Enter>` and `<^d>` name one, `<lt>` is `<` itself.
    pub fn parse_sequence(text: &str) -> Result<Vec<Self>, InvalidKey> {
        let mut keys = Vec::new();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            match rest.strip_prefix('<').map(|named| named.split_once('>')) {
                None => {
                    keys.push(Self::char(first));
                    rest = &rest[first.len_utf8()..];
                }
                Some(Some((name, after))) => {
                    keys.push(if name == "lt" { Self::char('<') } else { name.parse()? });
                    rest = after;
                }
                Some(None) => return Err(InvalidKey(rest.to_owned())),
            }
        }
        Ok(keys)
    }
}

impl fmt::Display for KeyPress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.alt {
            f.write_str("M-")?;
        }
        if self.ctrl {
            f.write_str("^")?;
        }
        match (KEY_NAMES.iter().find(|(_, code)| *code == self.code), self.code) {
            (Some((name, _)), _) => f.write_str(name),
            (None, KeyCode::F(n)) => write!(f, "F{n}"),
            (None, KeyCode::Char(c)) => write!(f, "{c}"),
            (None, other) => write!(f, "{other:?}"),
        }
    }
}

/// The prefixes of modifiers.
const MODIFIER_PREFIXES: [(&str, KeyModifier); 12] = [
    ("^", KeyModifier::Ctrl),
    ("ctrl-", KeyModifier::Ctrl),
    ("ctrl+", KeyModifier::Ctrl),
    ("c-", KeyModifier::Ctrl),
    ("alt-", KeyModifier::Alt),
    ("alt+", KeyModifier::Alt),
    ("meta-", KeyModifier::Alt),
    ("m-", KeyModifier::Alt),
    ("a-", KeyModifier::Alt),
    ("shift-", KeyModifier::Shift),
    ("shift+", KeyModifier::Shift),
    ("s-", KeyModifier::Shift),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum KeyModifier {
    Ctrl,
    Alt,
    Shift,
}

impl FromStr for KeyPress {
    type Err = InvalidKey;

    /// Parses the output of [`Display`](fmt::Display), and other spellings: `ctrl-d`, `Alt+x`, `pagedown`, `shift-tab`.
    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let (mut rest, mut modifiers) = (text, Vec::new());
        // A prefix alone is the key itself: `^` means Ctrl only before another key.
        let strip = |rest: &str| {
            MODIFIER_PREFIXES.into_iter().find_map(|(prefix, modifier)| {
                let start = rest.get(..prefix.len()).filter(|_| rest.len() > prefix.len())?;
                start.eq_ignore_ascii_case(prefix).then_some((modifier, prefix.len()))
            })
        };
        while let Some((modifier, length)) = strip(rest).filter(|(modifier, _)| !modifiers.contains(modifier)) {
            modifiers.push(modifier);
            rest = &rest[length..];
        }
        let code = code(rest).ok_or_else(|| InvalidKey(text.to_owned()))?;
        let code = match code {
            _ if !modifiers.contains(&KeyModifier::Shift) => code,
            KeyCode::Tab => KeyCode::BackTab,
            KeyCode::Char(letter) if letter.is_alphabetic() => {
                KeyCode::Char(letter.to_uppercase().next().unwrap_or(letter))
            }
            _ => return Err(InvalidKey(text.to_owned())),
        };
        Ok(Self { code, ctrl: modifiers.contains(&KeyModifier::Ctrl), alt: modifiers.contains(&KeyModifier::Alt) })
    }
}

/// Parses a key without modifiers.
fn code(text: &str) -> Option<KeyCode> {
    let mut characters = text.chars();
    match (characters.next(), characters.next()) {
        (Some(c), None) if !c.is_control() && c != ' ' => return Some(KeyCode::Char(c)),
        (Some('F' | 'f'), Some('0'..='9')) => return text[1..].parse().ok().map(KeyCode::F),
        _ => {}
    }
    let lower = text.to_ascii_lowercase();
    let name = match lower.as_str() {
        "escape" => "esc",
        "return" => "enter",
        "pageup" => "pgup",
        "pagedown" => "pgdn",
        "insert" => "ins",
        "delete" => "del",
        other => other,
    };
    KEY_NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, code)| *code)
}
