//! Splits the raw bytes of a log into lines.
//!
//! A line ends at a line end even inside an escape sequence: only the style continues, so that reading can start at any
//! line. A line without an end is cut every [`MAX_LINE_BYTES`] bytes, unless it contains a carriage return: the text
//! before the last one was overwritten (by a progress bar that runs for hours, for example), so it is skipped. The
//! result depends only on the bytes, not on how they arrive.

use super::line_parser::{ESCAPE, ParserState};

/// The maximum length of a line in bytes.
pub(super) const MAX_LINE_BYTES: usize = 16 * 1024;

/// How many bytes are needed to find the end of any line: the maximum length plus `\r\n`.
pub(super) const LOOKAHEAD_BYTES: usize = MAX_LINE_BYTES + 2;

/// An escape sequence that starts this close to the end of a cut line is moved to the next one.
const MAX_SEQUENCE_BYTES: usize = 256;

/// The result of [`find_line_end`].
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SplitStep {
    /// A line of `len` bytes. The next one starts at `next`, with the parser state [`after`](ParserState::after) the
    /// line.
    Line { len: usize, next: usize },
    /// The first `by` bytes of the line were overwritten; it continues after them.
    Overwritten { by: usize, parser_state: ParserState },
    /// More bytes are needed.
    Incomplete,
}

/// Finds the end of the line at the start of `bytes`.
pub(super) fn find_line_end(bytes: &[u8], parser_state: ParserState) -> SplitStep {
    let window = &bytes[..bytes.len().min(LOOKAHEAD_BYTES)];
    if let Some(len) = memchr::memchr(b'\n', window) {
        return SplitStep::Line { len, next: len + 1 };
    }
    if window.len() < LOOKAHEAD_BYTES {
        return SplitStep::Incomplete;
    }
    let piece = &window[..MAX_LINE_BYTES];
    if let Some(at) = memchr::memrchr(b'\r', piece) {
        return overwritten(&piece[..=at], parser_state);
    }
    let escape = memchr::memrchr(ESCAPE, piece);
    let len = match escape {
        Some(0) | None if ends_in_control_string(piece, parser_state) => return overwritten(piece, parser_state),
        Some(at)
            if at > 0 && (MAX_LINE_BYTES - at < MAX_SEQUENCE_BYTES || ends_in_control_string(piece, parser_state)) =>
        {
            at
        }
        _ => whole_characters(piece),
    };
    SplitStep::Line { len, next: len }
}

/// Whether lines can be split at line ends alone: there is no escape sequence, and no line is long enough to be cut.
/// `false` may be wrong.
pub(super) fn is_plain(bytes: &[u8]) -> bool {
    let ends_somewhere = |part: &[u8]| memchr::memchr(b'\n', part).is_some();
    memchr::memchr(ESCAPE, bytes).is_none() && bytes.chunks_exact(MAX_LINE_BYTES / 2).all(ends_somewhere)
}

fn overwritten(skipped: &[u8], parser_state: ParserState) -> SplitStep {
    let in_control_string = ends_in_control_string(skipped, parser_state);
    SplitStep::Overwritten {
        by: skipped.len(),
        parser_state: ParserState { in_control_string, ..parser_state.after(skipped) },
    }
}

/// Whether `bytes` end inside the payload of a control string (OSC, DCS, SOS, PM, APC).
fn ends_in_control_string(bytes: &[u8], parser_state: ParserState) -> bool {
    let payload = match memchr::memrchr(ESCAPE, bytes) {
        None if parser_state.in_control_string => bytes,
        Some(at) if bytes.get(at + 1).is_some_and(|byte| b"]PX^_".contains(byte)) => &bytes[at..],
        _ => return false,
    };
    // BEL, CAN, SUB and an escape end it.
    memchr::memchr3(0x07, 0x18, 0x1a, payload).is_none()
}

/// The length of `bytes` without an incomplete UTF-8 character at their end.
fn whole_characters(bytes: &[u8]) -> usize {
    let tail = bytes.len().saturating_sub(3);
    let Some(lead) = bytes[tail..].iter().rposition(|byte| *byte >= 0xc0).map(|at| tail + at) else {
        return bytes.len();
    };
    let needs = match bytes[lead] {
        ..0xe0 => 2,
        0xe0..0xf0 => 3,
        _ => 4,
    };
    if lead + needs > bytes.len() { lead } else { bytes.len() }
}
