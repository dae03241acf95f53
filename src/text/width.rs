//! The width of text in terminal cells, truncation and padding.

use std::borrow::Cow;
use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Marks text that was cut off.
pub const ELLIPSIS: &str = "…";

/// Marks text that was cut off, in ASCII.
pub const ASCII_ELLIPSIS: &str = "~";

/// Narrower text is cut at its end, not in the middle.
const MIN_MIDDLE_WIDTH: usize = 12;

/// The most bytes of a text of which single words are kept.
const MAX_KEEPING_LEN: usize = 400;

/// The width of `text` in cells.
pub fn width(text: &str) -> usize {
    if is_plain_ascii(text) { text.len() } else { UnicodeWidthStr::width(text) }
}

/// Truncates `text` to at most `cells` cells; longer text ends in `ellipsis`. A grapheme is never split.
pub fn fit<'a>(text: &'a str, cells: usize, ellipsis: &str) -> Cow<'a, str> {
    if width(text) <= cells {
        return Cow::Borrowed(text);
    }
    let mark = head(ellipsis, cells);
    let kept = head(text, cells - width(mark));
    Cow::Owned([kept, mark].concat())
}

/// Truncates `text` to at most `cells` cells in the middle, so that its end stays readable; `end` is the least part to
/// keep there, as an offset in bytes, if there is room for it.
pub fn fit_middle<'a>(text: &'a str, cells: usize, end: Option<usize>, ellipsis: &str) -> Cow<'a, str> {
    if width(text) <= cells || cells < MIN_MIDDLE_WIDTH {
        return fit(text, cells, ellipsis);
    }
    let room = cells - width(ellipsis);
    let wanted = end.and_then(|start| text.get(start..)).map(str::trim_start);
    let end = match wanted {
        Some(wanted) if width(wanted) * 4 <= room * 3 => wanted,
        _ => {
            let end = tail(text, room * 2 / 5);
            // A whole word, if there is one.
            end.split_once(' ').map_or(end, |(_, words)| words.trim_start())
        }
    };
    let start = head(text, room - width(end)).trim_end();
    Cow::Owned([start, ellipsis, end].concat())
}

/// Truncates `text` to at most `cells` cells so that the words with the ranges `kept` stay readable: other words are left
/// out, the last ones first. `None` if there is no room for them.
pub fn fit_keeping(text: &str, cells: usize, kept: &[Range<usize>], ellipsis: &str) -> Option<String> {
    if text.len() > MAX_KEEPING_LEN || kept.is_empty() {
        return None;
    }
    let mut words: Vec<(&str, bool)> = Vec::new();
    let mut start = 0;
    for word in text.split(' ') {
        let end = start + word.len();
        words.push((word, kept.iter().any(|range| range.start < end && start < range.end)));
        start = end + 1;
    }
    let mut fitting = join_words(&words, ellipsis);
    if width(&fitting) > cells {
        // The marks between the words are enough.
        let inner = fitting.strip_prefix(ellipsis).unwrap_or(&fitting);
        let inner = inner.strip_suffix(ellipsis).unwrap_or(inner);
        return (width(inner) <= cells && inner.contains(ellipsis)).then(|| inner.to_owned());
    }
    while let Some(next) = words.iter().position(|(_, is_kept)| !is_kept) {
        words[next].1 = true;
        let longer = join_words(&words, ellipsis);
        if width(&longer) > cells {
            break;
        }
        fitting = longer;
    }
    Some(fitting)
}

/// The words that are kept, with an ellipsis for those between them.
fn join_words(words: &[(&str, bool)], ellipsis: &str) -> String {
    let mut joined = String::new();
    let mut left_out = false;
    for (word, is_kept) in words {
        if !is_kept {
            left_out = true;
            continue;
        }
        if left_out {
            joined.push_str(ellipsis);
        } else if !joined.is_empty() {
            joined.push(' ');
        }
        joined.push_str(word);
        left_out = false;
    }
    if left_out {
        joined.push_str(ellipsis);
    }
    joined
}

/// Truncates or pads `text` to exactly `cells` cells.
pub fn pad(text: &str, cells: usize, ellipsis: &str) -> String {
    let mut padded = fit(text, cells, ellipsis).into_owned();
    let missing = cells.saturating_sub(width(&padded));
    padded.extend(std::iter::repeat_n(' ', missing));
    padded
}

/// The longest prefix of `text` that takes at most `cells` cells.
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

/// The longest suffix of `text` that takes at most `cells` cells.
fn tail(text: &str, cells: usize) -> &str {
    let mut taken = 0;
    for (start, grapheme) in text.grapheme_indices(true).rev() {
        taken += width(grapheme);
        if taken > cells {
            return &text[start + grapheme.len()..];
        }
    }
    text
}

pub(super) fn is_plain_ascii(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

/// The width of a character in cells: 0 for a combining mark, `None` for one that is never drawn (controls, invisible
/// characters and changes of direction).
#[inline]
pub fn cells(character: char) -> Option<usize> {
    match character {
        ' '..='~' => Some(1),
        character if is_unseen(character) => None,
        character => character.width(),
    }
}

/// Unicode's `Default_Ignorable_Code_Point`, line and paragraph separators, and skin colour modifiers, which many
/// terminals draw as separate characters.
fn is_unseen(character: char) -> bool {
    matches!(character,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{1f3fb}'..='\u{1f3ff}'
        | '\u{e0000}'..='\u{e0fff}')
}
