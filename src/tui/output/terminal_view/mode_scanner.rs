//! Tracks the modes of a terminal from its output without emulating it.
//!
//! Only escape sequences whose effect outlasts a skip are examined: the alternate screen, the cursor, the keyboard, the
//! scroll region, and full repaints.

use std::fmt::Write;

use super::super::job_progress::JobProgress;
use super::super::line_parser::ESCAPE;

/// The modes of a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is an independent terminal mode")]
pub(super) struct TerminalModes {
    /// The alternate screen is used.
    pub(super) alternate: bool,
    /// Pasted text is sent between markers.
    pub(super) bracketed_paste: bool,
    /// Cursor keys send the sequences of application mode.
    application_cursor: bool,
    cursor_visible: bool,
    auto_wrap: bool,
    /// The rows that scroll, counted from 1; `None` for all rows.
    scroll_region: Option<(u16, u16)>,
}

/// The scanned part of the output and the modes at its end.
#[derive(Debug, Default)]
pub(super) struct ModeScanner {
    offset: u64,
    modes: TerminalModes,
    last_repaint: Option<(u64, TerminalModes)>,
    progress: JobProgress,
}

/// The maximum length of a recognised sequence in bytes.
pub(super) const MAX_SEQUENCE_BYTES: u64 = 64;

impl Default for TerminalModes {
    fn default() -> Self {
        Self {
            alternate: false,
            bracketed_paste: false,
            application_cursor: false,
            cursor_visible: true,
            auto_wrap: true,
            scroll_region: None,
        }
    }
}

impl TerminalModes {
    /// The sequence that sets these modes on a new terminal.
    pub(super) fn sequence(&self) -> String {
        let mut sequence = String::new();
        if self.alternate {
            sequence.push_str("\x1b[?1049h");
        }
        if let Some((top, bottom)) = self.scroll_region {
            let written = write!(sequence, "\x1b[{top};{bottom}r");
            debug_assert!(written.is_ok(), "writing to a string");
        }
        for (is_default, other) in
            [(!self.application_cursor, "\x1b[?1h"), (self.cursor_visible, "\x1b[?25l"), (self.auto_wrap, "\x1b[?7l")]
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
            7 => self.auto_wrap = on,
            25 => self.cursor_visible = on,
            47 | 1047 | 1049 => self.alternate = on,
            2004 => self.bracketed_paste = on,
            _ => {}
        }
    }
}

impl ModeScanner {
    /// The offset up to which the output was scanned.
    pub(super) fn scanned_to(&self) -> u64 {
        self.offset
    }

    /// The modes at that offset.
    pub(super) fn modes(&self) -> TerminalModes {
        self.modes
    }

    /// The offset of the last full repaint, and the modes before it.
    pub(super) fn last_repaint(&self) -> Option<(u64, TerminalModes)> {
        self.last_repaint
    }

    /// The last progress that was reported.
    pub(super) fn progress(&self) -> JobProgress {
        self.progress
    }

    /// Continues at a later offset without scanning what is in between.
    pub(super) fn skip_to(&mut self, at: u64) {
        self.offset = at;
    }

    /// Scans more output. An incomplete sequence at its end is left for the next call, unless this is the `last` piece
    /// before a gap.
    pub(super) fn scan(&mut self, bytes: &[u8], last: bool) {
        let end = Self::complete_len(bytes, last);
        let bytes = &bytes[..end];
        self.progress = JobProgress::find_last(bytes).unwrap_or(self.progress);
        for escape in memchr::memchr_iter(ESCAPE, bytes) {
            self.scan_sequence(&bytes[escape + 1..], self.offset + escape as u64);
        }
        self.offset += end as u64;
    }

    /// The number of bytes before an incomplete sequence at the end.
    fn complete_len(bytes: &[u8], last: bool) -> usize {
        let longest = usize::try_from(MAX_SEQUENCE_BYTES).unwrap_or(usize::MAX);
        let tail = bytes.len().saturating_sub(longest);
        let begun = memchr::memrchr(ESCAPE, &bytes[tail..]).map(|at| tail + at);
        match begun {
            Some(at) if !last && !is_complete_sequence(&bytes[at + 1..]) => at,
            _ => bytes.len(),
        }
    }

    /// Scans a sequence that starts at `offset`; `rest` follows its escape character.
    fn scan_sequence(&mut self, rest: &[u8], offset: u64) {
        match rest {
            [b'c', ..] => {
                self.last_repaint = Some((offset, TerminalModes::default()));
                self.modes = TerminalModes::default();
            }
            [b'[', rest @ ..] => {
                let Some(end) = rest.iter().position(|byte| !(0x20..=0x3f).contains(byte)) else { return };
                self.scan_csi(&rest[..end], rest[end], offset);
            }
            _ => {}
        }
    }

    fn scan_csi(&mut self, parameters: &[u8], last: u8, offset: u64) {
        let before = self.modes;
        match (parameters, last) {
            ([b'?', modes @ ..], b'h' | b'l') => {
                for mode in numbers(modes) {
                    self.modes.set(mode, last == b'h');
                }
                if before.alternate != self.modes.alternate {
                    self.last_repaint = Some((offset, before));
                }
            }
            (b"2", b'J') => self.last_repaint = Some((offset, before)),
            (region, b'r') if !region.contains(&b'?') => {
                let mut numbers = numbers(region);
                self.modes.scroll_region = numbers.next().zip(numbers.next()).filter(|(top, bottom)| top < bottom);
            }
            _ => {}
        }
    }
}

/// Whether a sequence is complete; `rest` follows its escape character.
fn is_complete_sequence(rest: &[u8]) -> bool {
    match rest {
        [] => false,
        [b'[', rest @ ..] => rest.iter().any(|byte| !(0x20..=0x3f).contains(byte)),
        // OSC sequences include progress reports.
        [b']', rest @ ..] => rest.iter().any(|byte| *byte < 0x20),
        _ => true,
    }
}

fn numbers(parameters: &[u8]) -> impl Iterator<Item = u16> {
    let number = |digits: &[u8]| std::str::from_utf8(digits).ok()?.parse().ok();
    parameters.split(|byte| *byte == b';').map(move |digits| number(digits).unwrap_or(0))
}
