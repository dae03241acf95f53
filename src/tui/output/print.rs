//! Output for the command line: harmless text, with or without the job's colours, as it arrives.

use ratatui::style::Style;

use super::line::Line;
use super::sanitize::{self, Carry};
use super::sgr;
use super::split::{Step, step};

/// Makes output harmless while it arrives in pieces of any size. A line comes out when it is complete.
#[derive(Debug, Default)]
pub struct Printer {
    coloured: bool,
    carry: Carry,
    /// The line that has not ended yet; bounded, since long lines are cut.
    held: Vec<u8>,
}

impl Printer {
    /// Text alone.
    pub fn plain() -> Self {
        Self::default()
    }

    /// Text with the job's colours and attributes, for a terminal. Each line sets and resets its own.
    pub fn coloured() -> Self {
        Self { coloured: true, ..Self::default() }
    }

    /// Takes more output; adds to `out` what can be shown by now.
    pub fn push(&mut self, bytes: &[u8], out: &mut String) {
        self.held.extend_from_slice(bytes);
        let mut at = 0;
        loop {
            match step(&self.held[at..], self.carry) {
                Step::Line { len, next } => {
                    let bytes = &self.held[at..at + len];
                    self.write(&sanitize::line(bytes, self.carry), out);
                    // A piece of a line that was only cut to be bounded is followed by the rest of it.
                    if next > len {
                        out.push('\n');
                    }
                    self.carry = self.carry.after(bytes);
                    at += next;
                }
                Step::Moved { by, carry } => {
                    self.carry = carry;
                    at += by;
                }
                Step::Open => break,
            }
        }
        self.held.drain(..at);
    }

    /// The output is complete: adds a last line that has no end.
    pub fn finish(self, out: &mut String) {
        self.write(&sanitize::line(&self.held, self.carry), out);
    }

    fn write(&self, line: &Line, out: &mut String) {
        if !self.coloured {
            out.push_str(line.text());
            return;
        }
        let mut current = Style::new();
        for (text, style) in line.spans() {
            if style != current {
                sgr::write(style, out);
                current = style;
            }
            out.push_str(text);
        }
        if current != Style::new() {
            sgr::write(Style::new(), out);
        }
    }
}

/// What a job wrote as text without any control character but line ends.
pub fn plain(bytes: &[u8]) -> String {
    print(Printer::plain(), bytes)
}

/// Like [`plain`], with the job's colours and attributes.
pub fn coloured(bytes: &[u8]) -> String {
    print(Printer::coloured(), bytes)
}

fn print(mut printer: Printer, bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    printer.push(bytes, &mut out);
    printer.finish(&mut out);
    out
}
