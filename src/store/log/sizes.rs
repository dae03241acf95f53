//! The file beside a log that says how large the terminal of the run was, for a run that had one.
//!
//! `7.sizes` is a row of records of 16 bytes: from where on in the output, so many columns, so many rows. What was
//! printed for one size looks wrong in another. Where records are missing or damaged, the size is taken to have stayed
//! as it was; that is never an error.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::create;
use crate::model::WindowSize;

/// Writes the sizes.
#[derive(Debug)]
pub(super) struct Sizes {
    path: PathBuf,
    file: Option<File>,
    count: u64,
    /// Where the last one begins.
    last: u64,
    /// The size before there is any output.
    first: Option<WindowSize>,
}

const RECORD: usize = 16;
/// When there are so many, the last one is overwritten.
const MOST: u64 = 1024;
/// No terminal is larger, and one that were would take the memory of whoever shows it.
const WIDEST: u16 = 2048;
const HIGHEST: u16 = 1024;

impl Sizes {
    /// They go to `path`, which is made when there are any.
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, file: None, count: 0, last: 0, first: None }
    }

    /// What comes from `offset` on is printed for this size. Where that can't be noted, it is taken for printed in another.
    pub(super) fn resize(&mut self, size: WindowSize, offset: u64) {
        match &self.file {
            Some(_) => self.put(size, offset),
            // No file is made before there is output.
            None => self.first = Some(size),
        }
    }

    /// The first output is about to be written.
    pub(super) fn begin(&mut self) {
        if let Some(size) = self.first.take() {
            self.file = create(&self.path).ok();
            self.put(size, 0);
        }
    }

    fn put(&mut self, size: WindowSize, offset: u64) {
        let Some(file) = &self.file else { return };
        let again = self.count > 0 && (offset == self.last || self.count == MOST);
        let place = if again { self.count - 1 } else { self.count };
        let mut record = [0; RECORD];
        record[..8].copy_from_slice(&offset.to_le_bytes());
        record[8..10].copy_from_slice(&size.columns.to_le_bytes());
        record[10..12].copy_from_slice(&size.rows.to_le_bytes());
        if file.write_all_at(&record, place * RECORD as u64).is_ok() {
            self.count = place + 1;
            self.last = offset;
        }
    }
}

/// The sizes, each with the offset from which on it holds, in order.
pub(super) fn read(path: &Path) -> Vec<(u64, WindowSize)> {
    let mut bytes = Vec::new();
    // What has been read before it fails is as good as ever.
    let _ = File::open(path).and_then(|file| file.take(MOST * RECORD as u64).read_to_end(&mut bytes));
    let (records, _) = bytes.as_chunks::<RECORD>();
    let mut sizes: Vec<(u64, WindowSize)> = Vec::new();
    for record in records {
        let number = |at: usize| u16::from_le_bytes([record[at], record[at + 1]]);
        let offset = record.first_chunk().map_or(0, |offset| u64::from_le_bytes(*offset));
        let size = WindowSize { columns: number(8), rows: number(10) };
        let later = sizes.last().is_none_or(|(last, _)| *last < offset);
        if later && (1..=WIDEST).contains(&size.columns) && (1..=HIGHEST).contains(&size.rows) {
            sizes.push((offset, size));
        }
    }
    sizes
}
