//! The only way to standard output and standard error: what is printed is made safe for a terminal.
//!
//! Names, paths, titles and messages come from files and jobs. Whatever they contain, no escape sequence, control
//! character or change of direction reaches the terminal. The architecture test rejects other uses of the streams in
//! this layer.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Stderr, Stdout, Write};

use crate::text;
use crate::tui::output::sanitize_coloured;

/// A stream that makes lines safe before it writes them.
pub(super) struct SafeWriter<W: Write> {
    inner: W,
    /// Whether colours and attributes are kept.
    keeps_colours: bool,
    /// The bytes of an incomplete line.
    line: Vec<u8>,
}

/// Standard output for text.
pub(super) fn stdout() -> SafeWriter<Stdout> {
    SafeWriter::new(io::stdout(), false)
}

/// Standard output for text that has colours of our own if `color` is set.
pub(super) fn coloured_stdout(color: bool) -> SafeWriter<Stdout> {
    SafeWriter::new(io::stdout(), color)
}

/// Standard output for what must not be changed: scripts, man pages, and the output of jobs, which is sanitised where it
/// is read if it goes to a terminal.
pub(super) fn raw_stdout() -> Stdout {
    io::stdout()
}

/// Standard error, for questions about the stream.
pub(super) fn raw_stderr() -> Stderr {
    io::stderr()
}

/// Standard error for text that has colours of our own if `color` is set.
pub(super) fn stderr(color: bool) -> SafeWriter<Stderr> {
    SafeWriter::new(io::stderr(), color)
}

/// Prints a line on standard error.
pub(super) fn print_error(text: &str, color: bool) {
    let mut out = stderr(color);
    // Standard error may be closed; the exit status still reports the failure.
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// Whether standard output is a terminal.
pub(super) fn is_stdout_terminal() -> bool {
    io::stdout().is_terminal()
}

/// The width of the terminal to which standard output goes, in cells; `None` for other files.
pub(super) fn stdout_width() -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    (size.ws_col > 0).then_some(usize::from(size.ws_col))
}

/// A line that fits into the terminal; elsewhere it is whole.
pub(super) fn fit_line(line: &str, width: Option<usize>) -> Cow<'_, str> {
    width.map_or(Cow::Borrowed(line), |width| text::fit(line, width, text::ELLIPSIS))
}

/// Whether standard error is a terminal.
pub(super) fn is_stderr_terminal() -> bool {
    io::stderr().is_terminal()
}

impl<W: Write> SafeWriter<W> {
    pub(super) fn new(inner: W, keeps_colours: bool) -> Self {
        Self { inner, keeps_colours, line: Vec::new() }
    }

    /// Writes the first `len` bytes that are held.
    fn write_held(&mut self, len: usize) -> io::Result<()> {
        let bytes: Vec<u8> = self.line.drain(..len).collect();
        let safe = if self.keeps_colours {
            sanitize_coloured(&bytes)
        } else {
            text::sanitize(&String::from_utf8_lossy(&bytes))
        };
        self.inner.write_all(safe.as_bytes())
    }
}

impl<W: Write> Write for SafeWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.line.extend_from_slice(bytes);
        if let Some(end) = memchr::memrchr(b'\n', bytes) {
            self.write_held(self.line.len() - bytes.len() + end + 1)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.write_held(self.line.len())?;
        self.inner.flush()
    }
}

impl<W: Write> Drop for SafeWriter<W> {
    fn drop(&mut self) {
        // Callers that need to know of an error have flushed.
        let _ = self.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(pieces: &[&str], keeps_colours: bool) -> String {
        let mut bytes = Vec::new();
        let mut writer = SafeWriter::new(&mut bytes, keeps_colours);
        for piece in pieces {
            writer.write_all(piece.as_bytes()).unwrap();
        }
        drop(writer);
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_sequence_split_between_writes_is_removed() {
        assert_eq!(written(&["one \x1b]0;ti", "tle\x07two\nthr", "ee\u{202e}\u{9b}31m"], false), "one two\nthree31m");
        assert_eq!(written(&["\x1b[1mbold\x1b[0m\x1b", "[2J\n"], true), "\x1b[0;1mbold\x1b[0m\n");
        assert_eq!(written(&["\x1b[1mbold\x1b[0m\n"], false), "bold\n");
    }
}
