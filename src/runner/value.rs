//! The value that a script returns: the content of its value file, or the last line of its output.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use memchr::memrchr2;
use rustix::fs::{Mode, OFlags};

use crate::model::{MAX_VALUE_BYTES, Value};

/// How many characters of a line become the value.
const MAX_LINE_CHARS: usize = 1000;
/// How many bytes of a line are kept, escape sequences included.
const MAX_LINE_BYTES: usize = 16 * 1024;

/// Finds the last non-empty line of a stream in bounded memory.
#[derive(Debug, Default)]
pub(super) struct LastLine {
    /// The last complete line with visible text.
    complete: Vec<u8>,
    /// The current line, which has not ended yet.
    partial: Vec<u8>,
}

impl LastLine {
    /// Adds output. A carriage return ends a line too, so a progress bar yields its last state.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        match memrchr2(b'\n', b'\r', bytes) {
            None => append_bounded(&mut self.partial, bytes),
            Some(end) => {
                self.end_lines(&bytes[..end]);
                self.partial.clear();
                append_bounded(&mut self.partial, &bytes[end + 1..]);
            }
        }
    }

    /// Searches `lines` from the end for one with visible text. The first of them continues `partial`.
    fn end_lines(&mut self, mut lines: &[u8]) {
        loop {
            lines = lines.trim_ascii_end();
            let Some(start) = memrchr2(b'\n', b'\r', lines) else { break };
            let line = &lines[start + 1..];
            if has_text(line) {
                self.complete.clear();
                return append_bounded(&mut self.complete, line);
            }
            lines = &lines[..start];
        }
        append_bounded(&mut self.partial, lines);
        if has_text(&self.partial) {
            std::mem::swap(&mut self.complete, &mut self.partial);
        }
    }

    /// The line as text: trimmed, without escape sequences, truncated. None if there was none.
    pub(super) fn into_value(self) -> Option<Value> {
        let line = if has_text(&self.partial) { &self.partial } else { &self.complete };
        let text: String = strip_escapes(line).chars().take(MAX_LINE_CHARS).collect();
        (!text.is_empty()).then(|| Value::String(text.trim_end().to_owned()))
    }
}

/// Reads and removes the value file of a run: JSON if it parses, else text. None if there is no such file.
pub(super) fn take_value_file(path: &Path) -> Option<Value> {
    // Non-blocking, because a job may have made it a named pipe.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty()).ok()?);
    // If that fails, no later run reads it: its name contains the run id.
    let _ = std::fs::remove_file(path);
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(MAX_VALUE_BYTES as u64).read_to_end(&mut bytes).ok()?;
    Some(serde_json::from_slice(&bytes).unwrap_or_else(|_| {
        let text = String::from_utf8_lossy(&bytes);
        let line = text.strip_suffix('\n').unwrap_or(&text);
        Value::String(line.strip_suffix('\r').unwrap_or(line).to_owned())
    }))
}

fn append_bounded(line: &mut Vec<u8>, bytes: &[u8]) {
    let capacity = MAX_LINE_BYTES.saturating_sub(line.len());
    line.extend_from_slice(&bytes[..bytes.len().min(capacity)]);
}

/// Whether the line has visible text.
fn has_text(line: &[u8]) -> bool {
    let line = &line[..line.len().min(MAX_LINE_BYTES)];
    let controls = line.iter().any(|byte| byte.is_ascii_control() && !byte.is_ascii_whitespace());
    if controls { !strip_escapes(line).is_empty() } else { !line.trim_ascii().is_empty() }
}

fn strip_escapes(line: &[u8]) -> String {
    struct Text(String);
    impl vte::Perform for Text {
        fn print(&mut self, character: char) {
            self.0.push(character);
        }
        fn execute(&mut self, byte: u8) {
            if byte == b'\t' {
                self.0.push('\t');
            }
        }
    }
    let mut text = Text(String::new());
    vte::Parser::new().advance(&mut text, line);
    text.0.trim().to_owned()
}
