//! Makes text from outside safe to print to a terminal.

use super::width::{cells, is_plain_ascii};

/// Removes everything that a terminal would interpret or a reader can't see: escape sequences, control characters,
/// changes of direction, invisible characters and excess combining marks. Tabs become spaces; line ends stay.
pub fn sanitize(text: &str) -> String {
    clean(text, '\n')
}

/// Like [`sanitize`], on one line: each line end becomes a space.
pub fn sanitize_line(text: &str) -> String {
    clean(text.trim_end_matches(['\r', '\n']), ' ')
}

/// With more combining marks than this, a character reaches into the lines above and below.
const MAX_MARKS: usize = 4;

/// Replaces a tab, since there are no columns to align to.
const TAB: &str = "    ";

/// Appends each line of `text` as [`sanitize_line`] makes it: an unfinished escape sequence doesn't reach into the next one.
pub fn sanitize_lines_into(text: &str, sanitized: &mut String) {
    for line in text.split_inclusive('\n') {
        let content = line.trim_end_matches(['\r', '\n']);
        clean_into(content, ' ', sanitized);
        if line.ends_with('\n') {
            sanitized.push('\n');
        }
    }
}

fn clean(text: &str, line_end: char) -> String {
    if is_plain_ascii(text) {
        return text.to_owned();
    }
    let mut sanitized = String::with_capacity(text.len());
    clean_into(text, line_end, &mut sanitized);
    sanitized
}

fn clean_into(text: &str, line_end: char, sanitized: &mut String) {
    let mut cleaning = Sanitizer { sanitized, line_end, marks: 0 };
    let rest = cleaning.add_simple_part(text);
    if !rest.is_empty() {
        vte::Parser::new().advance(&mut cleaning, rest.as_bytes());
    }
}

struct Sanitizer<'s> {
    sanitized: &'s mut String,
    line_end: char,
    /// Combining marks of the last character.
    marks: usize,
}

impl Sanitizer<'_> {
    /// Adds what needs no parser, which is slow: text, control characters and complete control sequences, such as those of
    /// colours. Returns the rest, which begins with another escape sequence.
    fn add_simple_part<'t>(&mut self, mut text: &'t str) -> &'t str {
        loop {
            let plain = text.bytes().position(|byte| !matches!(byte, b' '..=b'~')).unwrap_or(text.len());
            if plain > 0 {
                self.marks = 0;
                self.sanitized.push_str(&text[..plain]);
                text = &text[plain..];
            }
            let Some(character) = text.chars().next() else { return text };
            let len = match character {
                '\x1b' => match control_sequence_len(text) {
                    Some(len) => len,
                    None => return text,
                },
                '\0'..' ' => {
                    self.add_control(character as u8);
                    1
                }
                _ => {
                    self.add_character(character);
                    character.len_utf8()
                }
            };
            text = &text[len..];
        }
    }

    fn add_character(&mut self, character: char) {
        let Some(cells) = cells(character) else { return };
        self.marks = if cells == 0 { self.marks + 1 } else { 0 };
        if self.marks <= MAX_MARKS {
            self.sanitized.push(character);
        }
    }

    fn add_control(&mut self, control: u8) {
        match control {
            b'\n' => self.sanitized.push(self.line_end),
            b'\t' => self.sanitized.push_str(TAB),
            _ => {}
        }
    }
}

impl vte::Perform for Sanitizer<'_> {
    fn print(&mut self, character: char) {
        self.add_character(character);
    }

    fn execute(&mut self, control: u8) {
        self.add_control(control);
    }
}

/// The length of the control sequence with which `text` begins, such as `ESC [ 1 ; 31 m`. `None` if it is incomplete, is
/// interrupted by a control character, or is another escape sequence.
fn control_sequence_len(text: &str) -> Option<usize> {
    let parameters = text.strip_prefix("\x1b[")?;
    let end = parameters.bytes().position(|byte| !matches!(byte, b' '..=b'?'))?;
    matches!(parameters.as_bytes()[end], b'@'..=b'~').then_some(end + 3)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn with_parser_only(text: &str) -> String {
        let mut sanitized = String::new();
        let mut cleaning = Sanitizer { sanitized: &mut sanitized, line_end: '\n', marks: 0 };
        vte::Parser::new().advance(&mut cleaning, text.as_bytes());
        sanitized
    }

    proptest! {
        #[test]
        fn what_is_added_without_the_parser_is_the_same(
            text in "(\x1b\\[|\x1b|\\[|\x1b\\[[0-9;]{0,4}m|[0-9;?<: m!@~A]|é|日|\u{301}|\u{202e}|\u{9b}|\u{85}|\n|\t|\r|\x7f|\x18|\x07|\x1b\\]|\x1bP|plain text){0,24}"
        ) {
            prop_assert_eq!(sanitize(&text), with_parser_only(&text));
        }

        #[test]
        fn lines_are_sanitized_one_by_one(
            lines in prop::collection::vec("(\x1b\\]|\x1b\\[3|\x1b\\[1m|é|\t|\r|\u{301}|text){0,6}", 0..6),
            is_complete in any::<bool>()
        ) {
            let mut text = lines.join("\n");
            let mut expected = lines.iter().map(|line| sanitize_line(line)).collect::<Vec<_>>().join("\n");
            if is_complete {
                text.push('\n');
                expected.push('\n');
            }
            let mut sanitized = String::new();
            sanitize_lines_into(&text, &mut sanitized);
            prop_assert_eq!(sanitized, expected);
        }
    }
}
