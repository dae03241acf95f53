//! What runs print: written once, bounded, read by any number of followers while it grows.

use std::path::PathBuf;

use super::{Listener, Ring, StoreError};
use crate::model::{RunId, Stream};

/// Writes the output of one run.
#[derive(Debug)]
pub struct LogWriter {}

/// Reads the output of one run, finished or not. Offsets are bytes since the start of the output and stay valid while
/// it grows, even when the middle has been dropped to keep within the limit.
#[derive(Debug)]
pub struct LogReader {}

/// A piece of a log.
#[derive(Debug, PartialEq, Eq)]
pub struct Piece {
    /// Where the bytes start; later than asked for where the bytes between were dropped.
    pub offset: u64,
    /// How many were read into the buffer; 0 at the end.
    pub len: usize,
}

impl LogWriter {
    /// A log of `run` in `folder` that keeps at most `limit` bytes, the head and the tail. No file is made before there is output.
    pub fn new(_folder: PathBuf, _run: RunId, _limit: u64) -> Self {
        todo!()
    }

    /// Appends.
    pub fn write(&mut self, _stream: Stream, _bytes: &[u8]) -> Result<(), StoreError> {
        todo!()
    }

    /// The run is over: leaves one file that any pager opens.
    pub fn finish(self) -> Result<(), StoreError> {
        todo!()
    }
}

impl LogReader {
    /// The log of `run` in `folder`; that there is none yet is no error.
    pub fn new(_folder: PathBuf, _run: RunId) -> Self {
        todo!()
    }

    /// How many bytes have been written by now, dropped ones counted.
    pub fn len(&mut self) -> Result<u64, StoreError> {
        todo!()
    }

    /// Fills `buffer` from `offset` on.
    pub fn read_at(&mut self, _offset: u64, _buffer: &mut [u8]) -> Result<Piece, StoreError> {
        todo!()
    }

    /// Rings when the log has grown or the run's output is complete.
    pub fn listen(&self, _ring: Ring) -> Result<Listener, StoreError> {
        todo!()
    }
}
