//! What a terminal sends for a key.

use crate::tui::keys::{Code, Key};

/// How the job wants keys to be sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keyboard {
    /// Cursor keys as `ESC O A` in place of `ESC [ A`.
    pub application_cursor: bool,
    /// Pasted text between marks.
    pub bracketed_paste: bool,
}

impl Keyboard {
    /// What is sent for a key.
    pub fn press(self, key: Key) -> Vec<u8> {
        let Key { code, ctrl, alt } = key;
        let held = 1 + 2 * u8::from(alt) + 4 * u8::from(ctrl);
        let alone = |bytes: &[u8]| if alt { [b"\x1b", bytes].concat() } else { bytes.to_vec() };
        match code {
            Code::Char(character) if ctrl => match control(character) {
                Some(byte) => alone(&[byte]),
                None => alone(character.encode_utf8(&mut [0; 4]).as_bytes()),
            },
            Code::Char(character) => alone(character.encode_utf8(&mut [0; 4]).as_bytes()),
            Code::Enter => alone(b"\r"),
            Code::Esc => alone(b"\x1b"),
            Code::Tab => alone(b"\t"),
            Code::BackTab => alone(b"\x1b[Z"),
            Code::Backspace => alone(if ctrl { b"\x08" } else { b"\x7f" }),
            Code::Up => self.cursor('A', held),
            Code::Down => self.cursor('B', held),
            Code::Right => self.cursor('C', held),
            Code::Left => self.cursor('D', held),
            Code::Home => self.cursor('H', held),
            Code::End => self.cursor('F', held),
            Code::Insert => numbered(2, held),
            Code::Delete => numbered(3, held),
            Code::PageUp => numbered(5, held),
            Code::PageDown => numbered(6, held),
            Code::F(number @ 1..=4) => {
                let last = char::from(b'P' + number - 1);
                if held == 1 { format!("\x1bO{last}") } else { format!("\x1b[1;{held}{last}") }.into_bytes()
            }
            Code::F(number) => {
                const NUMBERS: [u8; 16] = [15, 17, 18, 19, 20, 21, 23, 24, 25, 26, 28, 29, 31, 32, 33, 34];
                let number = usize::from(number).checked_sub(5).and_then(|nth| NUMBERS.get(nth));
                number.map_or_else(Vec::new, |number| numbered(*number, held))
            }
        }
    }

    /// What is sent for pasted text. It can't end the marks around it by itself.
    pub fn paste(self, text: &str) -> Vec<u8> {
        if self.bracketed_paste {
            let harmless = text.replace('\x1b', "");
            format!("\x1b[200~{harmless}\x1b[201~").into_bytes()
        } else {
            text.replace("\r\n", "\r").replace('\n', "\r").into_bytes()
        }
    }

    fn cursor(self, last: char, held: u8) -> Vec<u8> {
        match (held, self.application_cursor) {
            (1, true) => format!("\x1bO{last}"),
            (1, false) => format!("\x1b[{last}"),
            (held, _) => format!("\x1b[1;{held}{last}"),
        }
        .into_bytes()
    }
}

fn numbered(number: u8, held: u8) -> Vec<u8> {
    if held == 1 { format!("\x1b[{number}~") } else { format!("\x1b[{number};{held}~") }.into_bytes()
}

/// The control character for a key that is pressed with Ctrl. Digits stand for what lies on them on some keyboards, as
/// terminals report it.
fn control(character: char) -> Option<u8> {
    let byte = u8::try_from(character.to_ascii_lowercase()).ok()?;
    match byte {
        b'a'..=b'z' => Some(byte & 0x1f),
        b'@' | b' ' | b'2' => Some(0),
        b'[' | b'3' => Some(0x1b),
        b'\\' | b'4' => Some(0x1c),
        b']' | b'5' => Some(0x1d),
        b'^' | b'6' => Some(0x1e),
        b'_' | b'/' | b'7' => Some(0x1f),
        b'?' | b'8' => Some(0x7f),
        _ => None,
    }
}
