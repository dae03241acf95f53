//! What a script returns: the file that it may write, or the last line that it printed.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use memchr::memrchr2;
use rustix::fs::{Mode, OFlags};

use crate::model::Value;

/// How much of a value file is read.
const LONGEST_FILE: u64 = 1024 * 1024;
/// How many characters of a line become the value.
const LONGEST_LINE: usize = 1000;
/// How many bytes of a line are kept, escape sequences counted.
const KEPT: usize = 16 * 1024;

/// The last line of a stream that isn't empty, in bounded memory.
#[derive(Debug, Default)]
pub(super) struct LastLine {
    /// The last whole line with something on it.
    whole: Vec<u8>,
    /// The line that has not ended yet.
    open: Vec<u8>,
}

impl LastLine {
    /// Some more of the stream. A carriage return ends a line too, so that of a progress bar its last state is kept.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        match memrchr2(b'\n', b'\r', bytes) {
            None => extend(&mut self.open, bytes),
            Some(end) => {
                self.end_lines(&bytes[..end]);
                self.open.clear();
                extend(&mut self.open, &bytes[end + 1..]);
            }
        }
    }

    /// Looks from behind for a line with something on it; the first of `lines` began in `open`.
    fn end_lines(&mut self, mut lines: &[u8]) {
        loop {
            lines = lines.trim_ascii_end();
            let Some(start) = memrchr2(b'\n', b'\r', lines) else { break };
            let line = &lines[start + 1..];
            if has_text(line) {
                self.whole.clear();
                return extend(&mut self.whole, line);
            }
            lines = &lines[..start];
        }
        extend(&mut self.open, lines);
        if has_text(&self.open) {
            std::mem::swap(&mut self.whole, &mut self.open);
        }
    }

    /// The line as text: trimmed, without escape sequences, not too long. None if there was none.
    pub(super) fn into_value(self) -> Option<Value> {
        let line = if has_text(&self.open) { &self.open } else { &self.whole };
        let text: String = plain(line).chars().take(LONGEST_LINE).collect();
        (!text.is_empty()).then(|| Value::String(text.trim_end().to_owned()))
    }
}

/// What a run wrote to its value file: JSON if it parses, else text. None if there is none. The file is removed.
pub(super) fn take_file(path: &Path) -> Option<Value> {
    // Without waiting, because a job may have made it a named pipe.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::open(path, flags, Mode::empty()).ok()?);
    // If it can't be removed, no later run takes it for its own: the name has the run's number in it.
    let _ = std::fs::remove_file(path);
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(LONGEST_FILE).read_to_end(&mut bytes).ok()?;
    Some(serde_json::from_slice(&bytes).unwrap_or_else(|_| {
        let text = String::from_utf8_lossy(&bytes);
        let line = text.strip_suffix('\n').unwrap_or(&text);
        Value::String(line.strip_suffix('\r').unwrap_or(line).to_owned())
    }))
}

fn extend(line: &mut Vec<u8>, bytes: &[u8]) {
    let room = KEPT.saturating_sub(line.len());
    line.extend_from_slice(&bytes[..bytes.len().min(room)]);
}

/// Whether anything of the line can be seen.
fn has_text(line: &[u8]) -> bool {
    let line = &line[..line.len().min(KEPT)];
    let controls = line.iter().any(|byte| byte.is_ascii_control() && !byte.is_ascii_whitespace());
    if controls { !plain(line).is_empty() } else { !line.trim_ascii().is_empty() }
}

fn plain(line: &[u8]) -> String {
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
