//! Where lines begin and end in the raw bytes of a log.
//!
//! A line ends at a line end, whatever escape sequence is under way there: only the style goes on, so reading can start
//! at any line. A line that does not end is cut into pieces of [`PIECE`] bytes, unless it holds a carriage return:
//! what stands before the last one was overwritten (a progress bar drawn for hours), so the line only moves on.
//! The result depends on the bytes alone, not on how they arrive.

use super::sanitize::{Carry, ESCAPE};

/// The longest line in bytes.
pub(super) const PIECE: usize = 16 * 1024;

/// How many bytes must be there to tell where any line ends: a piece and its `\r\n`.
pub(super) const LOOK_AHEAD: usize = PIECE + 2;

/// An escape sequence this close to the end of a piece goes to the next one, whole.
const SEQUENCE: usize = 256;

/// One step through the bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A line of this many bytes; the next one starts after so many, with the carry [`after`](Carry::after) the line.
    Line { len: usize, next: usize },
    /// The first bytes of the line don't show; it goes on after them.
    Moved { by: usize, carry: Carry },
    /// Too few bytes to tell.
    Open,
}

/// Finds the end of the line at the start of `bytes`.
pub(super) fn step(bytes: &[u8], carry: Carry) -> Step {
    let window = &bytes[..bytes.len().min(LOOK_AHEAD)];
    if let Some(len) = memchr::memchr(b'\n', window) {
        return Step::Line { len, next: len + 1 };
    }
    if window.len() < LOOK_AHEAD {
        return Step::Open;
    }
    let piece = &window[..PIECE];
    if let Some(at) = memchr::memrchr(b'\r', piece) {
        return moved(&piece[..=at], carry);
    }
    let escape = memchr::memrchr(ESCAPE, piece);
    let len = match escape {
        Some(0) | None if ends_inside(piece, carry) => return moved(piece, carry),
        Some(at) if at > 0 && (PIECE - at < SEQUENCE || ends_inside(piece, carry)) => at,
        _ => whole_characters(piece),
    };
    Step::Line { len, next: len }
}

/// Whether lines can be told by their ends alone: there is no escape, and none is long enough to be cut. That it says no
/// means nothing.
pub(super) fn is_plain(bytes: &[u8]) -> bool {
    let ends_somewhere = |part: &[u8]| memchr::memchr(b'\n', part).is_some();
    memchr::memchr(ESCAPE, bytes).is_none() && bytes.chunks_exact(PIECE / 2).all(ends_somewhere)
}

fn moved(skipped: &[u8], carry: Carry) -> Step {
    let inside = ends_inside(skipped, carry);
    Step::Moved { by: skipped.len(), carry: Carry { inside, ..carry.after(skipped) } }
}

/// Whether `bytes` end inside the payload of a control string (OSC, DCS, SOS, PM, APC).
fn ends_inside(bytes: &[u8], carry: Carry) -> bool {
    let payload = match memchr::memrchr(ESCAPE, bytes) {
        None if carry.inside => bytes,
        Some(at) if bytes.get(at + 1).is_some_and(|byte| b"]PX^_".contains(byte)) => &bytes[at..],
        _ => return false,
    };
    // BEL, CAN and SUB end it, as does an escape.
    memchr::memchr3(0x07, 0x18, 0x1a, payload).is_none()
}

/// The length of `bytes` without a character that has only begun at their end.
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
