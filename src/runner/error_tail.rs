//! The end of what a run has printed to standard error, from which the cause of a failure is read.

use crate::text::sanitize_line;

/// How many bytes are kept.
const MAX_BYTES: usize = 8 * 1024;

/// The last bytes of a stream.
#[derive(Debug, Default)]
pub(super) struct ErrorTail {
    bytes: Vec<u8>,
    /// Earlier bytes were dropped, so that the first line is incomplete.
    is_cut: bool,
}

impl ErrorTail {
    /// Adds output.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let kept = &bytes[bytes.len().saturating_sub(MAX_BYTES)..];
        if kept.len() + self.bytes.len() > 2 * MAX_BYTES {
            let too_many = self.bytes.len().saturating_sub(MAX_BYTES - kept.len());
            self.bytes.drain(..too_many);
            self.is_cut = true;
        }
        self.is_cut |= kept.len() < bytes.len();
        self.bytes.extend_from_slice(kept);
    }

    /// The complete lines with visible text, oldest first, without escape sequences. The spaces at the start of a line
    /// are kept.
    pub(super) fn lines(&self) -> Vec<String> {
        let text = String::from_utf8_lossy(&self.bytes);
        let lines = text.split(['\n', '\r']).skip(usize::from(self.is_cut));
        let lines = lines.map(|line| sanitize_line(line).trim_end().to_owned());
        lines.filter(|line| !line.is_empty()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(pieces: &[&[u8]]) -> Vec<String> {
        let mut tail = ErrorTail::default();
        for piece in pieces {
            tail.push(piece);
        }
        assert!(tail.bytes.len() <= 2 * MAX_BYTES);
        tail.lines()
    }

    #[test]
    fn lines_are_plain_and_may_arrive_in_pieces() {
        assert_eq!(
            lines(&[b"a\n\n  b", b"c\r", b"\x1b[31mred\x1b[0m \n \n", b"\xff"]),
            ["a", "  bc", "red", "\u{fffd}"]
        );
        assert!(lines(&[]).is_empty());
    }

    #[test]
    fn only_the_end_of_long_output_is_kept() {
        let flood = b"0123456789\n".repeat(5000);
        let last = lines(&[&flood, b"end\n"]);
        assert_eq!(last.last().map(String::as_str), Some("end"));
        assert!(last[..last.len() - 1].iter().all(|line| line == "0123456789"), "no line is cut");
        let pieces: Vec<&[u8]> = flood.chunks(100).collect();
        let last = lines(&pieces);
        assert!(last.iter().all(|line| line == "0123456789") && last.len() > 700, "{}", last.len());
    }
}
