//! Prints a log: both streams or one, with or without times; unchanged, or on a terminal without escape sequences other
//! than colours.

use std::io::{self, Write};

use chrono::{DateTime, Local, SecondsFormat, Utc};

use super::error::CliError;
use super::error::warn;
use super::log_args::LogArgs;
use super::safe_output;
use crate::model::Stream;
use crate::store::log::{LogReader, OutputOrigin, OutputSpan, omission_notice};
use crate::text;
use crate::tui::output::StreamSanitizer;

/// The name before every line of a job, if several jobs are printed.
pub(super) struct LinePrefix(String);

/// Prints a log to standard output while it grows.
pub(super) struct LogPrinter {
    prefix: Option<LinePrefix>,
    /// The position up to which the log has been read.
    offset: u64,
    buffer: Vec<u8>,
    /// The only stream to print, if not both.
    only: Option<Stream>,
    times: Option<TimeFormatter>,
    /// Removes escape sequences from the output on a terminal.
    sanitizer: Option<StreamSanitizer>,
    /// Whether the last printed line is incomplete.
    in_line: bool,
    /// The prefix of the next line, not yet printed.
    line_prefix: String,
    /// Output that is ready to be written.
    ready: Vec<u8>,
    omitted: OmittedOutput,
}

/// Bytes that could not be printed.
#[derive(Default)]
struct OmittedOutput {
    /// Bytes of an unknown stream.
    unknown: u64,
    /// Bytes that were not kept.
    dropped: u64,
    /// Whether a message about the whole log was printed.
    is_reported: bool,
}

/// Formats times, and caches the last one, which many lines share.
#[derive(Default)]
struct TimeFormatter {
    last: Option<(DateTime<Utc>, String)>,
}

/// The length up to which an incomplete line is held back if several logs are printed, in bytes.
const MAX_HELD_LINE_BYTES: usize = 64 << 10;

impl LinePrefix {
    /// Formats `name | `, padded to a width; with `color`, in one of six colours.
    pub(super) fn new(name: &str, width: usize, nth: u64, color: bool) -> Self {
        let name = text::pad(name, width, text::ELLIPSIS);
        // Resets the style of the line before.
        Self(if color { format!("\x1b[0;{}m{name} |\x1b[0m ", 31 + nth % 6) } else { format!("{name} | ") })
    }
}

impl LogPrinter {
    /// Prints unchanged to a file or pipe, and sanitised to a terminal.
    pub(super) fn new(options: &LogArgs, color: bool, prefix: Option<LinePrefix>) -> Self {
        let only = match options {
            LogArgs { stderr: true, .. } => Some(Stream::Err),
            LogArgs { stdout: true, .. } => Some(Stream::Out),
            _ => None,
        };
        Self {
            prefix,
            offset: 0,
            buffer: vec![0; 64 << 10],
            only,
            times: options.timestamps.then(TimeFormatter::default),
            sanitizer: safe_output::is_stdout_terminal()
                .then(|| if color { StreamSanitizer::coloured() } else { StreamSanitizer::plain() }),
            in_line: false,
            line_prefix: String::new(),
            ready: Vec::new(),
            omitted: OmittedOutput::default(),
        }
    }

    /// Prints the output since the last call.
    pub(super) fn print_new_output(&mut self, log: &mut LogReader) -> Result<(), CliError> {
        let mut buffer = std::mem::take(&mut self.buffer);
        loop {
            let piece = log.read_at(self.offset, &mut buffer)?;
            if piece.len == 0 {
                break;
            }
            if piece.offset > self.offset {
                self.print_gap(piece.offset - self.offset);
            }
            self.offset = piece.offset;
            let mut bytes = &buffer[..piece.len];
            while !bytes.is_empty() {
                let span = self.span_at_offset(log)?;
                let len = usize::try_from(span.end - self.offset).unwrap_or(usize::MAX).min(bytes.len());
                let (first, rest) = bytes.split_at(len);
                self.print_span(first, span.origin);
                self.offset += len as u64;
                bytes = rest;
            }
            self.write()?;
        }
        self.buffer = buffer;
        Ok(())
    }

    /// Prints an incomplete last line, and reports what was omitted.
    pub(super) fn finish(mut self) -> Result<(), CliError> {
        if let Some(printer) = self.sanitizer.take() {
            let mut text = String::new();
            printer.finish(&mut text);
            self.put(text.as_bytes());
        }
        if self.prefix.take().is_some() && self.ready.last().is_some_and(|byte| *byte != b'\n') {
            self.ready.push(b'\n');
        }
        self.write()?;
        let OmittedOutput { unknown, dropped, is_reported } = self.omitted;
        if unknown > 0 && !is_reported {
            warn(&format!("{} were omitted: their stream is unknown", text::bytes(unknown)));
        }
        if dropped > 0 {
            warn(&format!("{} of output, of both streams, were not kept", text::bytes(dropped)));
        }
        Ok(())
    }

    /// The span of the log at the current position that came from one stream at one time, if that matters.
    fn span_at_offset(&mut self, log: &mut LogReader) -> Result<OutputSpan, CliError> {
        if self.only.is_none() && self.times.is_none() {
            return Ok(OutputSpan::UNKNOWN);
        }
        if !self.omitted.is_reported && !log.has_stream_index() {
            self.omitted.is_reported = true;
            let message = match self.only {
                Some(Stream::Err) => {
                    "the streams of this log are unknown (it may be from an older setlist); without --stderr, all output is printed"
                }
                Some(Stream::Out) => {
                    "the streams of this log are unknown (it may be from an older setlist); without --stdout, all output is printed"
                }
                None => "the times of this log are unknown (it may be from an older setlist)",
            };
            match log.deletion_notice()? {
                None => warn(message),
                Some(notice) if self.only.is_some() => warn(&notice),
                // The notice is part of the printed log.
                Some(_) => {}
            }
        }
        Ok(log.span_at(self.offset))
    }

    fn print_span(&mut self, bytes: &[u8], origin: Option<OutputOrigin>) {
        if let Some(only) = self.only
            && origin.is_none_or(|origin| origin.stream != only)
        {
            self.omitted.unknown += if origin.is_none() { bytes.len() as u64 } else { 0 };
            return;
        }
        if self.times.is_none() && self.prefix.is_none() {
            return self.push(bytes);
        }
        let prefix = self.format_line_prefix(origin);
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            if !self.in_line {
                self.line_prefix.clone_from(&prefix);
            }
            self.push(line);
        }
    }

    /// The job's name and the time, as far as they are printed.
    fn format_line_prefix(&mut self, origin: Option<OutputOrigin>) -> String {
        let prefix = self.prefix.as_ref().map_or("", |LinePrefix(text)| text);
        let time = self.times.as_mut().map(|times| times.format(origin)).unwrap_or_default();
        format!("{prefix}{time}")
    }

    /// Prints a notice that bytes were not kept.
    fn print_gap(&mut self, bytes: u64) {
        if self.only.is_some() {
            self.omitted.dropped += bytes;
            return;
        }
        if self.in_line {
            self.push(b"\n");
        }
        self.line_prefix = self.format_line_prefix(None);
        self.push(format!("{}\n", omission_notice(bytes)).as_bytes());
    }

    fn push(&mut self, bytes: &[u8]) {
        self.in_line = bytes.last() != Some(&b'\n');
        match &mut self.sanitizer {
            None => self.put(bytes),
            Some(printer) => {
                let mut text = String::new();
                printer.push(bytes, &mut text);
                self.put(text.as_bytes());
            }
        }
    }

    fn put(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.ready.extend_from_slice(self.line_prefix.as_bytes());
            self.ready.extend_from_slice(bytes);
            self.line_prefix.clear();
        }
    }

    fn write(&mut self) -> io::Result<()> {
        let len = match self.prefix {
            // Other logs are printed too: write only whole lines, unless they are very long.
            Some(_) if self.ready.len() < MAX_HELD_LINE_BYTES => {
                self.ready.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1)
            }
            _ => self.ready.len(),
        };
        let mut out = safe_output::raw_stdout().lock();
        out.write_all(&self.ready[..len])?;
        self.ready.drain(..len);
        out.flush()
    }
}

impl TimeFormatter {
    fn format(&mut self, origin: Option<OutputOrigin>) -> String {
        let Some(at) = origin.map(|origin| origin.at) else { return format!("{:<29} ", "-") };
        if let Some((last, text)) = &self.last
            && *last == at
        {
            return text.clone();
        }
        let text = at.with_timezone(&Local).to_rfc3339_opts(SecondsFormat::Millis, false) + " ";
        self.last = Some((at, text.clone()));
        text
    }
}
