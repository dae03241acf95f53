//! What a stretch of output does to the state of a terminal, found out without drawing anything.
//!
//! Most bytes are passed over; only escape sequences are looked at, and of them only those that outlast a skip: which
//! screen is in use, the cursor, the keyboard, the scrolling region, and where everything was painted anew.

use std::fmt::Write;

use super::super::Progress;
use super::super::sanitize::ESCAPE;

/// The state of a terminal as far as its contents don't tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "a terminal has as many switches")]
pub(super) struct Modes {
    /// A full-screen program has the screen.
    pub(super) alternate: bool,
    /// Pasted text is to be marked as such.
    pub(super) paste: bool,
    /// Cursor keys send other sequences.
    application_cursor: bool,
    cursor: bool,
    wrap: bool,
    /// The rows that scroll, if not all; counted from 1.
    region: Option<(u16, u16)>,
}

/// How far the output has been looked through, and what was found.
#[derive(Debug, Default)]
pub(super) struct Scan {
    at: u64,
    modes: Modes,
    repaint: Option<(u64, Modes)>,
    progress: Progress,
}

/// The longest sequence that is understood, in bytes.
pub(super) const LONGEST: u64 = 64;

impl Default for Modes {
    fn default() -> Self {
        Self { alternate: false, paste: false, application_cursor: false, cursor: true, wrap: true, region: None }
    }
}

impl Modes {
    /// What puts a new terminal into this state.
    pub(super) fn sequence(&self) -> String {
        let mut sequence = String::new();
        if self.alternate {
            sequence.push_str("\x1b[?1049h");
        }
        if let Some((top, bottom)) = self.region {
            let written = write!(sequence, "\x1b[{top};{bottom}r");
            debug_assert!(written.is_ok(), "writing to a string");
        }
        for (is_default, other) in
            [(!self.application_cursor, "\x1b[?1h"), (self.cursor, "\x1b[?25l"), (self.wrap, "\x1b[?7l")]
        {
            if !is_default {
                sequence.push_str(other);
            }
        }
        sequence
    }

    fn set(&mut self, mode: u16, on: bool) {
        match mode {
            1 => self.application_cursor = on,
            7 => self.wrap = on,
            25 => self.cursor = on,
            47 | 1047 | 1049 => self.alternate = on,
            2004 => self.paste = on,
            _ => {}
        }
    }
}

impl Scan {
    /// Up to where the output has been looked through.
    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// The state of the terminal there.
    pub(super) fn modes(&self) -> Modes {
        self.modes
    }

    /// Where the screen was last painted anew, and the state before that.
    pub(super) fn repaint(&self) -> Option<(u64, Modes)> {
        self.repaint
    }

    /// The last progress that was reported.
    pub(super) fn progress(&self) -> Progress {
        self.progress
    }

    /// Goes on at a later place, without a look at what lies between.
    pub(super) fn jump(&mut self, at: u64) {
        self.at = at;
    }

    /// Looks through more output. A sequence that has only begun at its end is left for the next time, unless this is
    /// the `last` of it.
    pub(super) fn take(&mut self, bytes: &[u8], last: bool) {
        let end = Self::whole(bytes, last);
        let bytes = &bytes[..end];
        self.progress = Progress::last_in(bytes).unwrap_or(self.progress);
        for escape in memchr::memchr_iter(ESCAPE, bytes) {
            self.sequence(&bytes[escape + 1..], self.at + escape as u64);
        }
        self.at += end as u64;
    }

    /// How many of the bytes are there without a sequence that has only begun.
    fn whole(bytes: &[u8], last: bool) -> usize {
        let longest = usize::try_from(LONGEST).unwrap_or(usize::MAX);
        let tail = bytes.len().saturating_sub(longest);
        let begun = memchr::memrchr(ESCAPE, &bytes[tail..]).map(|at| tail + at);
        match begun {
            Some(at) if !last && !is_whole(&bytes[at + 1..]) => at,
            _ => bytes.len(),
        }
    }

    /// A sequence that begins at `offset`; `rest` follows its escape.
    fn sequence(&mut self, rest: &[u8], offset: u64) {
        match rest {
            [b'c', ..] => {
                self.repaint = Some((offset, Modes::default()));
                self.modes = Modes::default();
            }
            [b'[', rest @ ..] => {
                let Some(end) = rest.iter().position(|byte| !(0x20..=0x3f).contains(byte)) else { return };
                self.control(&rest[..end], rest[end], offset);
            }
            _ => {}
        }
    }

    fn control(&mut self, parameters: &[u8], last: u8, offset: u64) {
        let before = self.modes;
        match (parameters, last) {
            ([b'?', modes @ ..], b'h' | b'l') => {
                for mode in numbers(modes) {
                    self.modes.set(mode, last == b'h');
                }
                if before.alternate != self.modes.alternate {
                    self.repaint = Some((offset, before));
                }
            }
            (b"2", b'J') => self.repaint = Some((offset, before)),
            (region, b'r') if !region.contains(&b'?') => {
                let mut numbers = numbers(region);
                self.modes.region = numbers.next().zip(numbers.next()).filter(|(top, bottom)| top < bottom);
            }
            _ => {}
        }
    }
}

/// Whether a sequence is all there; `rest` follows its escape.
fn is_whole(rest: &[u8]) -> bool {
    match rest {
        [] => false,
        [b'[', rest @ ..] => rest.iter().any(|byte| !(0x20..=0x3f).contains(byte)),
        // A report of progress among others.
        [b']', rest @ ..] => rest.iter().any(|byte| *byte < 0x20),
        _ => true,
    }
}

fn numbers(parameters: &[u8]) -> impl Iterator<Item = u16> {
    let number = |digits: &[u8]| std::str::from_utf8(digits).ok()?.parse().ok();
    parameters.split(|byte| *byte == b';').map(move |digits| number(digits).unwrap_or(0))
}
