//! A log on standard output: all of it or one stream, with times or without; as it is, or on a terminal with nothing
//! but its colours.

use std::io::{self, IsTerminal, Write};

use chrono::{DateTime, Local, SecondsFormat, Utc};

use super::CliError;
use super::args::Log;
use super::error::complain;
use crate::model::Stream;
use crate::store::log::{LogReader, Origin, OutputSpan, omission_notice};
use crate::text;
use crate::tui::output::StreamSanitizer;

/// What stands before every line of a job, where several are printed together.
pub(super) struct Prefix(String);

/// Writes a log to standard output while it grows.
pub(super) struct Transcript {
    prefix: Option<Prefix>,
    /// How far the log has been read.
    offset: u64,
    buffer: Vec<u8>,
    /// Only this stream is written.
    only: Option<Stream>,
    times: Option<Times>,
    /// Takes from the output what could steer a terminal.
    harmless: Option<StreamSanitizer>,
    /// Whether the last line that was written has no end yet.
    in_line: bool,
    /// What stands before the line that is held back as yet.
    before: String,
    /// What is ready to be written.
    ready: Vec<u8>,
    missing: Missing,
}

/// What can't be told of the output, in bytes.
#[derive(Default)]
struct Missing {
    /// From which stream it came.
    unknown: u64,
    /// It was not kept.
    dropped: u64,
    /// That nothing is known at all has been said.
    said: bool,
}

/// Times as text. Many lines have the same one.
#[derive(Default)]
struct Times {
    last: Option<(DateTime<Utc>, String)>,
}

/// How much of a line is held back until it has an end, where others write besides, in bytes.
const LONGEST: usize = 64 << 10;

impl Prefix {
    /// `name | `, padded to this width, on a coloured terminal in one of six colours.
    pub(super) fn of(name: &str, width: usize, nth: u64, color: bool) -> Self {
        let name = text::pad(name, width, text::ELLIPSIS);
        // What the line before has set must not go on in this one.
        Self(if color { format!("\x1b[0;{}m{name} |\x1b[0m ", 31 + nth % 6) } else { format!("{name} | ") })
    }
}

impl Transcript {
    /// As it is for a file or a pipe, harmless for a terminal.
    pub(super) fn new(options: &Log, color: bool, prefix: Option<Prefix>) -> Self {
        let only = match options {
            Log { stderr: true, .. } => Some(Stream::Err),
            Log { stdout: true, .. } => Some(Stream::Out),
            _ => None,
        };
        Self {
            prefix,
            offset: 0,
            buffer: vec![0; 64 << 10],
            only,
            times: options.timestamps.then(Times::default),
            harmless: io::stdout()
                .is_terminal()
                .then(|| if color { StreamSanitizer::coloured() } else { StreamSanitizer::plain() }),
            in_line: false,
            before: String::new(),
            ready: Vec::new(),
            missing: Missing::default(),
        }
    }

    /// Writes all that there is by now.
    pub(super) fn news(&mut self, log: &mut LogReader) -> Result<(), CliError> {
        let mut buffer = std::mem::take(&mut self.buffer);
        loop {
            let piece = log.read_at(self.offset, &mut buffer)?;
            if piece.len == 0 {
                break;
            }
            if piece.offset > self.offset {
                self.skip(piece.offset - self.offset);
            }
            self.offset = piece.offset;
            let mut bytes = &buffer[..piece.len];
            while !bytes.is_empty() {
                let stretch = self.stretch(log)?;
                let len = usize::try_from(stretch.end - self.offset).unwrap_or(usize::MAX).min(bytes.len());
                let (first, rest) = bytes.split_at(len);
                self.take(first, stretch.origin);
                self.offset += len as u64;
                bytes = rest;
            }
            self.write()?;
        }
        self.buffer = buffer;
        Ok(())
    }

    /// Writes a last line that has no end, and says what is missing.
    pub(super) fn finish(mut self) -> Result<(), CliError> {
        if let Some(printer) = self.harmless.take() {
            let mut text = String::new();
            printer.finish(&mut text);
            self.put(text.as_bytes());
        }
        if self.prefix.take().is_some() && self.ready.last().is_some_and(|byte| *byte != b'\n') {
            self.ready.push(b'\n');
        }
        self.write()?;
        let Missing { unknown, dropped, said } = self.missing;
        if unknown > 0 && !said {
            complain(&format!("{} are left out: it isn't known from which stream they came", text::bytes(unknown)));
        }
        if dropped > 0 {
            complain(&format!("{} of the output, of both streams, were not kept", text::bytes(dropped)));
        }
        Ok(())
    }

    /// From where on, and how far, the coming output is of one kind, as far as that matters.
    fn stretch(&mut self, log: &mut LogReader) -> Result<OutputSpan, CliError> {
        if self.only.is_none() && self.times.is_none() {
            return Ok(OutputSpan::UNKNOWN);
        }
        if !self.missing.said && !log.has_stream_index() {
            self.missing.said = true;
            let unknown = match self.only {
                Some(Stream::Err) => "what is standard error isn't known; without --stderr all of it is printed",
                Some(Stream::Out) => "what is standard output isn't known; without --stdout all of it is printed",
                None => "times aren't known",
            };
            match log.deletion_notice()? {
                None => complain(&format!("of this log, which an older setlist may have written, {unknown}")),
                Some(farewell) if self.only.is_some() => complain(&farewell),
                // The line itself is printed.
                Some(_) => {}
            }
        }
        Ok(log.span_at(self.offset))
    }

    fn take(&mut self, bytes: &[u8], origin: Option<Origin>) {
        if let Some(only) = self.only
            && origin.is_none_or(|origin| origin.stream != only)
        {
            self.missing.unknown += if origin.is_none() { bytes.len() as u64 } else { 0 };
            return;
        }
        if self.times.is_none() && self.prefix.is_none() {
            return self.push(bytes);
        }
        let before = self.line_start(origin);
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            if !self.in_line {
                self.before.clone_from(&before);
            }
            self.push(line);
        }
    }

    /// Whose line it is, and when it began, as far as that is wanted.
    fn line_start(&mut self, origin: Option<Origin>) -> String {
        let prefix = self.prefix.as_ref().map_or("", |Prefix(text)| text);
        let time = self.times.as_mut().map(|times| times.text(origin)).unwrap_or_default();
        format!("{prefix}{time}")
    }

    /// Says in place that so many bytes were not kept, as the file itself does.
    fn skip(&mut self, bytes: u64) {
        if self.only.is_some() {
            self.missing.dropped += bytes;
            return;
        }
        if self.in_line {
            self.push(b"\n");
        }
        self.before = self.line_start(None);
        self.push(format!("{}\n", omission_notice(bytes)).as_bytes());
    }

    fn push(&mut self, bytes: &[u8]) {
        self.in_line = bytes.last() != Some(&b'\n');
        match &mut self.harmless {
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
            self.ready.extend_from_slice(self.before.as_bytes());
            self.ready.extend_from_slice(bytes);
            self.before.clear();
        }
    }

    fn write(&mut self) -> io::Result<()> {
        let whole = match self.prefix {
            // Others write besides: only whole lines, as long as that is bearable.
            Some(_) if self.ready.len() < LONGEST => {
                self.ready.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1)
            }
            _ => self.ready.len(),
        };
        let mut out = io::stdout().lock();
        out.write_all(&self.ready[..whole])?;
        self.ready.drain(..whole);
        out.flush()
    }
}

impl Times {
    fn text(&mut self, origin: Option<Origin>) -> String {
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
