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

fn clean(text: &str, line_end: char) -> String {
    struct Sanitizer {
        sanitized: String,
        line_end: char,
        /// Combining marks of the last character.
        marks: usize,
    }

    impl vte::Perform for Sanitizer {
        fn print(&mut self, character: char) {
            let Some(cells) = cells(character) else { return };
            self.marks = if cells == 0 { self.marks + 1 } else { 0 };
            if self.marks <= MAX_MARKS {
                self.sanitized.push(character);
            }
        }

        fn execute(&mut self, control: u8) {
            match control {
                b'\n' => self.sanitized.push(self.line_end),
                b'\t' => self.sanitized.push_str(TAB),
                _ => {}
            }
        }
    }

    if is_plain_ascii(text) {
        return text.to_owned();
    }
    let mut sanitizer = Sanitizer { sanitized: String::with_capacity(text.len()), line_end, marks: 0 };
    vte::Parser::new().advance(&mut sanitizer, text.as_bytes());
    sanitizer.sanitized
}
