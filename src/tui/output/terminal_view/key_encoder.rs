//! Encodes keys as the bytes that a terminal sends.

use crate::tui::keys::{KeyCode, KeyPress};

/// The keyboard modes that the job has set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyEncoder {
    /// Cursor keys are sent as `ESC O A` instead of `ESC [ A`.
    pub application_cursor: bool,
    /// Pasted text is sent between markers.
    pub bracketed_paste: bool,
}

impl KeyEncoder {
    /// The bytes for a key.
    pub fn encode_key(self, key: KeyPress) -> Vec<u8> {
        let KeyPress { code, ctrl, alt } = key;
        let modifiers = 1 + 2 * u8::from(alt) + 4 * u8::from(ctrl);
        let with_alt = |bytes: &[u8]| if alt { [b"\x1b", bytes].concat() } else { bytes.to_vec() };
        match code {
            KeyCode::Char(character) if ctrl => match control_byte(character) {
                Some(byte) => with_alt(&[byte]),
                None => with_alt(character.encode_utf8(&mut [0; 4]).as_bytes()),
            },
            KeyCode::Char(character) => with_alt(character.encode_utf8(&mut [0; 4]).as_bytes()),
            KeyCode::Enter => with_alt(b"\r"),
            KeyCode::Esc => with_alt(b"\x1b"),
            KeyCode::Tab => with_alt(b"\t"),
            KeyCode::BackTab => with_alt(b"\x1b[Z"),
            KeyCode::Backspace => with_alt(if ctrl { b"\x08" } else { b"\x7f" }),
            KeyCode::Up => self.cursor_key('A', modifiers),
            KeyCode::Down => self.cursor_key('B', modifiers),
            KeyCode::Right => self.cursor_key('C', modifiers),
            KeyCode::Left => self.cursor_key('D', modifiers),
            KeyCode::Home => self.cursor_key('H', modifiers),
            KeyCode::End => self.cursor_key('F', modifiers),
            KeyCode::Insert => numbered_key(2, modifiers),
            KeyCode::Delete => numbered_key(3, modifiers),
            KeyCode::PageUp => numbered_key(5, modifiers),
            KeyCode::PageDown => numbered_key(6, modifiers),
            KeyCode::F(number @ 1..=4) => {
                let last = char::from(b'P' + number - 1);
                if modifiers == 1 { format!("\x1bO{last}") } else { format!("\x1b[1;{modifiers}{last}") }.into_bytes()
            }
            KeyCode::F(number) => {
                const NUMBERS: [u8; 16] = [15, 17, 18, 19, 20, 21, 23, 24, 25, 26, 28, 29, 31, 32, 33, 34];
                let number = usize::from(number).checked_sub(5).and_then(|nth| NUMBERS.get(nth));
                number.map_or_else(Vec::new, |number| numbered_key(*number, modifiers))
            }
        }
    }

    /// The bytes for pasted text. The text can't contain the end marker.
    pub fn encode_paste(self, text: &str) -> Vec<u8> {
        if self.bracketed_paste {
            let harmless = text.replace('\x1b', "");
            format!("\x1b[200~{harmless}\x1b[201~").into_bytes()
        } else {
            text.replace("\r\n", "\r").replace('\n', "\r").into_bytes()
        }
    }

    fn cursor_key(self, last: char, modifiers: u8) -> Vec<u8> {
        match (modifiers, self.application_cursor) {
            (1, true) => format!("\x1bO{last}"),
            (1, false) => format!("\x1b[{last}"),
            (modifiers, _) => format!("\x1b[1;{modifiers}{last}"),
        }
        .into_bytes()
    }
}

fn numbered_key(number: u8, modifiers: u8) -> Vec<u8> {
    if modifiers == 1 { format!("\x1b[{number}~") } else { format!("\x1b[{number};{modifiers}~") }.into_bytes()
}

/// The control character for a key pressed with Ctrl. Digits map to the control characters that terminals send for
/// them.
fn control_byte(character: char) -> Option<u8> {
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
