//! The sizes of a run's terminal, beside its log.
//!
//! `7.sizes` has records of 16 bytes: an offset of the output, columns and rows. Output that was printed for one size
//! looks wrong in another. Where records are missing or damaged, the size is assumed to be unchanged, which is not an
//! error.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::files::create;
use crate::model::WindowSize;
use crate::store::private_files::open_to_read;

/// Writes the sizes.
#[derive(Debug)]
pub(super) struct SizeWriter {
    path: PathBuf,
    file: Option<File>,
    count: u64,
    /// The offset of the last record.
    last: u64,
    /// The size before the first output.
    first: Option<WindowSize>,
}

const RECORD_LEN: usize = 16;
/// Once there are this many records, the last one is overwritten.
const MAX_RECORDS: u64 = 1024;
/// Larger sizes are ignored: they would take too much memory to display.
const MAX_COLUMNS: u16 = 2048;
const MAX_ROWS: u16 = 1024;

impl SizeWriter {
    /// Sizes for the file at `path`, which is created with the first record.
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, file: None, count: 0, last: 0, first: None }
    }

    /// Output from `offset` on is printed for this size. A size that can't be written is lost.
    pub(super) fn resize(&mut self, size: WindowSize, offset: u64) {
        match &self.file {
            Some(_) => self.write_record(size, offset),
            // The file is created with the first output.
            None => self.first = Some(size),
        }
    }

    /// Called before the first output is written.
    pub(super) fn start(&mut self) {
        if let Some(size) = self.first.take() {
            self.file = create(&self.path).ok();
            self.write_record(size, 0);
        }
    }

    fn write_record(&mut self, size: WindowSize, offset: u64) {
        let Some(file) = &self.file else { return };
        let replaces_last = self.count > 0 && (offset == self.last || self.count == MAX_RECORDS);
        let index = if replaces_last { self.count - 1 } else { self.count };
        let mut record = [0; RECORD_LEN];
        record[..8].copy_from_slice(&offset.to_le_bytes());
        record[8..10].copy_from_slice(&size.columns.to_le_bytes());
        record[10..12].copy_from_slice(&size.rows.to_le_bytes());
        if file.write_all_at(&record, index * RECORD_LEN as u64).is_ok() {
            self.count = index + 1;
            self.last = offset;
        }
    }
}

/// The content of the file; `None` if it can't be opened.
pub(super) fn read(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    // What was read before an error is valid.
    let _ = open_to_read(path).ok()?.take(MAX_RECORDS * RECORD_LEN as u64).read_to_end(&mut bytes);
    Some(bytes)
}

/// The sizes in order, each with the offset from which on it applies.
pub(super) fn decode(bytes: &[u8]) -> Vec<(u64, WindowSize)> {
    let (records, _) = bytes.as_chunks::<RECORD_LEN>();
    let mut sizes: Vec<(u64, WindowSize)> = Vec::new();
    for record in records {
        let number = |at: usize| u16::from_le_bytes([record[at], record[at + 1]]);
        let offset = record.first_chunk().map_or(0, |offset| u64::from_le_bytes(*offset));
        let size = WindowSize { columns: number(8), rows: number(10) };
        let later = sizes.last().is_none_or(|(last, _)| *last < offset);
        if later && (1..=MAX_COLUMNS).contains(&size.columns) && (1..=MAX_ROWS).contains(&size.rows) {
            sizes.push((offset, size));
        }
    }
    sizes
}
