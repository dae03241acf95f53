//! Words in lines of a limited width.

use super::width::{fit, width};

/// The words of `text` in lines of at most `cells` cells. A longer word is cut.
pub fn wrap(text: &str, cells: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if width(line) + 1 + width(word) <= cells => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(fit(word, cells, "").into_owned()),
        }
    }
    lines
}
