//! Keys as text, both ways without loss: `j`, `^d`, `M-x`, `PgDn`; a row of them as people type it: `jj<Enter>^`.

use std::fmt;
use std::str::FromStr;

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// A key, with what was held down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// The key itself.
    pub code: Code,
    /// With Ctrl.
    pub ctrl: bool,
    /// With Alt.
    pub alt: bool,
}

/// A key without what was held down; Shift is in the character.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "they are what stands on the keys")]
pub enum Code {
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

/// A text that is no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no key; write j, ^d or ctrl-d, M-x or alt-x, Enter, Esc, Tab, Space, Up, PgDn or F1")]
pub struct NoKey(pub String);

const NAMES: [(&str, Code); 16] = [
    ("Space", Code::Char(' ')),
    ("Enter", Code::Enter),
    ("Esc", Code::Esc),
    ("Tab", Code::Tab),
    ("S-Tab", Code::BackTab),
    ("Backspace", Code::Backspace),
    ("Ins", Code::Insert),
    ("Del", Code::Delete),
    ("Up", Code::Up),
    ("Down", Code::Down),
    ("Left", Code::Left),
    ("Right", Code::Right),
    ("Home", Code::Home),
    ("End", Code::End),
    ("PgUp", Code::PageUp),
    ("PgDn", Code::PageDown),
];

impl Key {
    /// This character, with nothing held down.
    pub const fn char(c: char) -> Self {
        Self::plain(Code::Char(c))
    }

    /// This key, with nothing held down.
    pub const fn plain(code: Code) -> Self {
        Self { code, ctrl: false, alt: false }
    }

    /// The character that it types into a text field, if it types one.
    pub fn typed(self) -> Option<char> {
        match self {
            Self { code: Code::Char(c), ctrl: false, alt: false } => Some(c),
            _ => None,
        }
    }

    /// The key that the terminal reports; `None` for releases and for keys that Setlist has no name for.
    pub fn of(event: KeyEvent) -> Option<Self> {
        if event.kind == KeyEventKind::Release {
            return None;
        }
        let code = match event.code {
            KeyCode::Char(c) if event.modifiers.contains(KeyModifiers::CONTROL) => Code::Char(c.to_ascii_lowercase()),
            KeyCode::Char(c) => Code::Char(c),
            KeyCode::Enter => Code::Enter,
            KeyCode::Esc => Code::Esc,
            KeyCode::Tab => Code::Tab,
            KeyCode::BackTab => Code::BackTab,
            KeyCode::Backspace => Code::Backspace,
            KeyCode::Insert => Code::Insert,
            KeyCode::Delete => Code::Delete,
            KeyCode::Up => Code::Up,
            KeyCode::Down => Code::Down,
            KeyCode::Left => Code::Left,
            KeyCode::Right => Code::Right,
            KeyCode::Home => Code::Home,
            KeyCode::End => Code::End,
            KeyCode::PageUp => Code::PageUp,
            KeyCode::PageDown => Code::PageDown,
            KeyCode::F(n) => Code::F(n),
            _ => return None,
        };
        let held = |modifier| event.modifiers.contains(modifier);
        Some(Self { code, ctrl: held(KeyModifiers::CONTROL), alt: held(KeyModifiers::ALT) })
    }

    /// Reads a row of keys: each character is a key, `<Enter>` and `<^d>` name one, `<lt>` is `<` itself.
    pub fn row(text: &str) -> Result<Vec<Self>, NoKey> {
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
                Some(None) => return Err(NoKey(rest.to_owned())),
            }
        }
        Ok(keys)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.alt {
            f.write_str("M-")?;
        }
        if self.ctrl {
            f.write_str("^")?;
        }
        match (NAMES.iter().find(|(_, code)| *code == self.code), self.code) {
            (Some((name, _)), _) => f.write_str(name),
            (None, Code::F(n)) => write!(f, "F{n}"),
            (None, Code::Char(c)) => write!(f, "{c}"),
            (None, other) => write!(f, "{other:?}"),
        }
    }
}

/// What may stand before a key that is held down.
const HELD: [(&str, Held); 12] = [
    ("^", Held::Ctrl),
    ("ctrl-", Held::Ctrl),
    ("ctrl+", Held::Ctrl),
    ("c-", Held::Ctrl),
    ("alt-", Held::Alt),
    ("alt+", Held::Alt),
    ("meta-", Held::Alt),
    ("m-", Held::Alt),
    ("a-", Held::Alt),
    ("shift-", Held::Shift),
    ("shift+", Held::Shift),
    ("s-", Held::Shift),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Held {
    Ctrl,
    Alt,
    Shift,
}

impl FromStr for Key {
    type Err = NoKey;

    /// Reads what [`Display`](fmt::Display) writes, and what people write: `ctrl-d`, `Alt+x`, `pagedown`, `shift-tab`.
    fn from_str(text: &str) -> Result<Self, NoKey> {
        let (mut rest, mut held) = (text, Vec::new());
        // A sign alone is the key itself: `^` is no Ctrl without a key behind it.
        let strip = |rest: &str| {
            HELD.into_iter().find_map(|(sign, what)| {
                let start = rest.get(..sign.len()).filter(|_| rest.len() > sign.len())?;
                start.eq_ignore_ascii_case(sign).then_some((what, sign.len()))
            })
        };
        while let Some((what, length)) = strip(rest).filter(|(what, _)| !held.contains(what)) {
            held.push(what);
            rest = &rest[length..];
        }
        let code = code(rest).ok_or_else(|| NoKey(text.to_owned()))?;
        let code = match code {
            _ if !held.contains(&Held::Shift) => code,
            Code::Tab => Code::BackTab,
            Code::Char(letter) if letter.is_alphabetic() => Code::Char(letter.to_uppercase().next().unwrap_or(letter)),
            _ => return Err(NoKey(text.to_owned())),
        };
        Ok(Self { code, ctrl: held.contains(&Held::Ctrl), alt: held.contains(&Held::Alt) })
    }
}

/// A key without what is held down.
fn code(text: &str) -> Option<Code> {
    let mut characters = text.chars();
    match (characters.next(), characters.next()) {
        (Some(c), None) if !c.is_control() && c != ' ' => return Some(Code::Char(c)),
        (Some('F' | 'f'), Some('0'..='9')) => return text[1..].parse().ok().map(Code::F),
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
    NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, code)| *code)
}
