//! The source that a view reads output from.

use crate::model::WindowSize;
use crate::store::StoreError;
use crate::store::log::{LogChunk, LogReader, OutputSpan};

/// Output that is read while it grows. Offsets count bytes from its start.
pub trait OutputSource: Send {
    /// The number of bytes written so far, including discarded ones.
    fn written(&mut self) -> Result<u64, StoreError>;

    /// Fills `buffer` from `offset` on. The piece starts later if bytes have been discarded.
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<LogChunk, StoreError>;

    /// The span that contains the byte at `offset`, which must have been read.
    fn span_at(&mut self, _offset: u64) -> OutputSpan {
        OutputSpan::UNKNOWN
    }

    /// Whether times and streams are known.
    fn has_origins(&mut self) -> bool {
        false
    }

    /// The terminal sizes for which the output was printed, each with the offset at which it starts to apply, in order.
    /// Empty if they are unknown.
    fn sizes(&mut self) -> Vec<(u64, WindowSize)> {
        Vec::new()
    }
}

impl OutputSource for LogReader {
    fn written(&mut self) -> Result<u64, StoreError> {
        self.len()
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<LogChunk, StoreError> {
        LogReader::read_at(self, offset, buffer)
    }

    fn span_at(&mut self, offset: u64) -> OutputSpan {
        LogReader::span_at(self, offset)
    }

    fn has_origins(&mut self) -> bool {
        LogReader::has_stream_index(self)
    }

    fn sizes(&mut self) -> Vec<(u64, WindowSize)> {
        LogReader::terminal_sizes(self)
    }
}
