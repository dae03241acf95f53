//! Text in terminal cells: how wide it is, how it is cut, and how strange text is made harmless; numbers for people.

use std::borrow::Cow;
use std::time::Duration;

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// What stands for the part that was cut away.
pub const ELLIPSIS: &str = "…";

/// The same where only ASCII may be drawn.
pub const ASCII_ELLIPSIS: &str = "~";

/// How many cells `text` takes.
pub fn width(text: &str) -> usize {
    if is_plain_ascii(text) { text.len() } else { UnicodeWidthStr::width(text) }
}

/// `text` in at most `cells` cells; where it is longer it ends in `ellipsis`. A character is never split.
pub fn fit<'a>(text: &'a str, cells: usize, ellipsis: &str) -> Cow<'a, str> {
    if width(text) <= cells {
        return Cow::Borrowed(text);
    }
    let mark = head(ellipsis, cells);
    let kept = head(text, cells - width(mark));
    Cow::Owned([kept, mark].concat())
}

/// `text` in exactly `cells` cells, filled with spaces on the right.
pub fn pad(text: &str, cells: usize, ellipsis: &str) -> String {
    let mut padded = fit(text, cells, ellipsis).into_owned();
    let missing = cells.saturating_sub(width(&padded));
    padded.extend(std::iter::repeat_n(' ', missing));
    padded
}

/// The longest beginning of `text` that takes at most `cells` cells.
fn head(text: &str, cells: usize) -> &str {
    let mut taken = 0;
    for (start, grapheme) in text.grapheme_indices(true) {
        taken += width(grapheme);
        if taken > cells {
            return &text[..start];
        }
    }
    text
}

/// `text` without anything that a terminal would obey or that a reader could not see: escape sequences, control
/// characters, changes of direction, invisible characters and piles of marks are gone, tabs are spaces. Line ends stay.
pub fn plain(text: &str) -> String {
    clean(text, '\n')
}

/// Like [`plain`], in one line: each line end becomes a space.
pub fn plain_line(text: &str) -> String {
    clean(text.trim_end_matches(['\r', '\n']), ' ')
}

/// A character with more marks than this would be drawn into the lines above and below it.
const MARKS: usize = 4;

/// A tab's width where there are no columns to align to.
const TAB: &str = "    ";

fn clean(text: &str, line_end: char) -> String {
    struct Cleaner {
        cleaned: String,
        line_end: char,
        /// How many marks the last character has.
        marks: usize,
    }

    impl vte::Perform for Cleaner {
        fn print(&mut self, character: char) {
            let Some(cells) = cells(character) else { return };
            self.marks = if cells == 0 { self.marks + 1 } else { 0 };
            if self.marks <= MARKS {
                self.cleaned.push(character);
            }
        }

        fn execute(&mut self, control: u8) {
            match control {
                b'\n' => self.cleaned.push(self.line_end),
                b'\t' => self.cleaned.push_str(TAB),
                _ => {}
            }
        }
    }

    if is_plain_ascii(text) {
        return text.to_owned();
    }
    let mut cleaner = Cleaner { cleaned: String::with_capacity(text.len()), line_end, marks: 0 };
    vte::Parser::new().advance(&mut cleaner, text.as_bytes());
    cleaner.cleaned
}

fn is_plain_ascii(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

/// How many cells a character takes when it is drawn by itself; 0 for a mark that joins the one before it, none for
/// one that is never drawn: controls, and whatever is invisible or changes how its neighbours are read.
#[inline]
pub(super) fn cells(character: char) -> Option<usize> {
    match character {
        ' '..='~' => Some(1),
        character if is_unseen(character) => None,
        character => character.width(),
    }
}

/// Unicode's `Default_Ignorable_Code_Point`, line and paragraph separators, and the modifiers of skin colour, which
/// half of the terminals draw as a character of its own.
fn is_unseen(character: char) -> bool {
    matches!(character,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{1f3fb}'..='\u{1f3ff}'
        | '\u{e0000}'..='\u{e0fff}')
}

/// How long something took, in at most eight cells: `67ms`, `0.3s`, `12s`, `3m 04s`, `2h 11m`, `3d 4h`. Cut, not rounded.
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0 if duration.subsec_millis() < 100 => format!("{}ms", duration.subsec_millis()),
        0..10 => format!("{seconds}.{}s", duration.subsec_millis() / 100),
        10..60 => format!("{seconds}s"),
        60..3600 => format!("{minutes}m {:02}s", seconds % 60),
        3600..86_400 => format!("{hours}h {:02}m", minutes % 60),
        _ => format!("{days}d {}h", hours % 24),
    }
}

/// A number of bytes: `12 B`, `1.2 MiB`, `340 GiB`. Cut, not rounded.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    // Ten powers of two a unit; 1 is KiB.
    let power = count.checked_ilog2().unwrap_or(0) / 10;
    let Some(unit) = (power as usize).checked_sub(1).and_then(|unit| UNITS.get(unit)) else {
        return format!("{count} B");
    };
    let (whole, rest) = (count >> (10 * power), count & ((1 << (10 * power)) - 1));
    if whole < 10 {
        let tenth = (rest * 10) >> (10 * power);
        format!("{whole}.{tenth} {unit}")
    } else {
        format!("{whole} {unit}")
    }
}

/// A number with its thousands set apart: `12,345`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}
