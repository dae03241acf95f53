//! Makes text from outside safe to print to a terminal.

use super::width::{cells, is_plain_ascii};

/// Removes everything that a terminal would interpret or a reader can't see: escape sequences, control characters,
/// changes of direction, invisible characters and excess combining marks. Tabs become spaces; line ends stay.
pub fn plain(text: &str) -> String {
    clean(text, '\n')
}

/// Like [`plain`], on one line: each line end becomes a space.
pub fn plain_line(text: &str) -> String {
    clean(text.trim_end_matches(['\r', '\n']), ' ')
}

/// With more combining marks than this, a character reaches into the lines above and below.
const MAX_MARKS: usize = 4;

/// Replaces a tab, since there are no columns to align to.
const TAB: &str = "    ";

fn clean(text: &str, line_end: char) -> String {
    struct Cleaner {
        cleaned: String,
        line_end: char,
        /// Combining marks of the last character.
        marks: usize,
    }

    impl vte::Perform for Cleaner {
        fn print(&mut self, character: char) {
            let Some(cells) = cells(character) else { return };
            self.marks = if cells == 0 { self.marks + 1 } else { 0 };
            if self.marks <= MAX_MARKS {
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
