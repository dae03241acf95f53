//! Sanitizes output for the command line as it arrives, with or without the job's colours.

use ratatui::style::Style;

use super::ansi_style;
use super::line_parser::{self, ParserState};
use super::line_splitter::{SplitStep, find_line_end};
use super::styled_line::StyledLine;

/// Sanitizes output that arrives in pieces of any size. A line is written when it is complete.
#[derive(Debug, Default)]
pub struct StreamSanitizer {
    coloured: bool,
    parser_state: ParserState,
    /// The incomplete line. It is bounded, since long lines are cut.
    pending: Vec<u8>,
}

impl StreamSanitizer {
    /// Writes plain text.
    pub fn plain() -> Self {
        Self::default()
    }

    /// Writes text with the job's colours and attributes, for a terminal. Each line sets and resets its own style.
    pub fn coloured() -> Self {
        Self { coloured: true, ..Self::default() }
    }

    /// Takes more output and appends complete lines to `out`.
    pub fn push(&mut self, bytes: &[u8], out: &mut String) {
        self.pending.extend_from_slice(bytes);
        let mut at = 0;
        loop {
            match find_line_end(&self.pending[at..], self.parser_state) {
                SplitStep::Line { len, next } => {
                    let bytes = &self.pending[at..at + len];
                    self.write(&line_parser::parse_line(bytes, self.parser_state), out);
                    // A line that was cut at the maximum length continues without a line end.
                    if next > len {
                        out.push('\n');
                    }
                    self.parser_state = self.parser_state.after(bytes);
                    at += next;
                }
                SplitStep::Overwritten { by, parser_state } => {
                    self.parser_state = parser_state;
                    at += by;
                }
                SplitStep::Incomplete => break,
            }
        }
        self.pending.drain(..at);
    }

    /// Appends the last line if it has no line end.
    pub fn finish(self, out: &mut String) {
        self.write(&line_parser::parse_line(&self.pending, self.parser_state), out);
    }

    fn write(&self, line: &StyledLine, out: &mut String) {
        if !self.coloured {
            out.push_str(line.text());
            return;
        }
        let mut current = Style::new();
        for (text, style) in line.spans() {
            if style != current {
                ansi_style::write_sgr(style, out);
                current = style;
            }
            out.push_str(text);
        }
        if current != Style::new() {
            ansi_style::write_sgr(Style::new(), out);
        }
    }
}

/// The output of a job without control characters except line ends.
pub fn sanitize_plain(bytes: &[u8]) -> String {
    sanitize(StreamSanitizer::plain(), bytes)
}

/// Like [`sanitize_plain`], with the job's colours and attributes.
pub fn sanitize_coloured(bytes: &[u8]) -> String {
    sanitize(StreamSanitizer::coloured(), bytes)
}

fn sanitize(mut printer: StreamSanitizer, bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    printer.push(bytes, &mut out);
    printer.finish(&mut out);
    out
}
