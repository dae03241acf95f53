//! Where the pane reads the output from: the log of a run, or anything else that only grows.

use crate::model::WindowSize;
use crate::store::StoreError;
use crate::store::log::{LogReader, Piece, Stretch};

/// Output that is read while it grows. Offsets are bytes since its start.
pub trait Source: Send {
    /// How many bytes have been written by now, dropped ones counted.
    fn written(&mut self) -> Result<u64, StoreError>;

    /// Fills `buffer` from `offset` on; the piece starts later where the bytes between have been dropped.
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<Piece, StoreError>;

    /// Where the byte at `offset`, which was read, came from, and all that came like it.
    fn stretch_at(&mut self, _offset: u64) -> Stretch {
        Stretch::UNKNOWN
    }

    /// Whether anything is known of where it came from, and when.
    fn is_marked(&mut self) -> bool {
        false
    }

    /// The sizes of the terminal that the output was printed for, each with the offset from which on it holds, in order;
    /// none where nothing is known of it.
    fn sizes(&mut self) -> Vec<(u64, WindowSize)> {
        Vec::new()
    }
}

impl Source for LogReader {
    fn written(&mut self) -> Result<u64, StoreError> {
        self.len()
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<Piece, StoreError> {
        self.read_at(offset, buffer)
    }

    fn stretch_at(&mut self, offset: u64) -> Stretch {
        self.stretch_at(offset)
    }

    fn is_marked(&mut self) -> bool {
        self.is_marked()
    }

    fn sizes(&mut self) -> Vec<(u64, WindowSize)> {
        LogReader::sizes(self)
    }
}
