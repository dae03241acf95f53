//! Writing a stream index. Output has priority: if an entry can't be written, only the entry is lost.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use super::files::create;
use super::stream_index::{IndexEntry, IndexLayout, OutputOrigin};

/// Records the origin of the output of a log.
#[derive(Debug)]
pub(super) struct IndexWriter {
    path: PathBuf,
    layout: IndexLayout,
    file: Option<File>,
    /// The number of entries written.
    count: u64,
    last: Option<IndexEntry>,
    /// Whether the output ends in the middle of a line.
    is_mid_line: bool,
    /// The offset from which on entries could not be written.
    missed_from: Option<u64>,
}

impl IndexWriter {
    /// An index at `path` for a log of at most `limit` bytes. The file is created with the first entry.
    pub(super) fn new(path: PathBuf, limit: u64) -> Self {
        let layout = IndexLayout::for_limit(limit);
        Self { path, layout, file: None, count: 0, last: None, is_mid_line: false, missed_from: None }
    }

    /// Records the origin of `bytes`, which are written at `offset` next.
    pub(super) fn record(&mut self, offset: u64, origin: OutputOrigin, bytes: &[u8]) {
        let [before @ .., last] = bytes else { return };
        // The time is recorded where a line starts, the stream everywhere.
        let known = self.missed_from.is_none()
            && self.last.and_then(|last| last.origin).is_some_and(|last| {
                let begins = || !self.is_mid_line || memchr::memchr(b'\n', before).is_some();
                last.stream == origin.stream && (same_millisecond(last, origin) || !begins())
            });
        self.is_mid_line = *last != b'\n';
        if known {
            return;
        }
        let marked = self.write_gap().and_then(|()| self.write_entry(offset, Some(origin)));
        if marked.is_err() {
            self.missed_from.get_or_insert(offset);
        }
    }

    /// Ends the index. If it has a gap that can't be recorded, the file is removed, because its last entry would seem
    /// to describe the output in the gap.
    pub(super) fn finish(mut self) {
        if self.write_gap().is_err() {
            // If that fails too, the directory was removed.
            let _ = std::fs::remove_file(&self.path);
        }
    }

    fn write_gap(&mut self) -> io::Result<()> {
        let Some(offset) = self.missed_from else { return Ok(()) };
        self.write_entry(offset, None)?;
        self.missed_from = None;
        Ok(())
    }

    fn write_entry(&mut self, offset: u64, origin: Option<OutputOrigin>) -> io::Result<()> {
        // An entry with the same offset belongs to output that could not be written.
        let nth = self.count - u64::from(self.last.is_some_and(|last| last.offset == offset));
        let entry = IndexEntry { offset, origin, lap: self.layout.lap(nth) };
        if let Some(file) = &self.file {
            file.write_all_at(&entry.bytes(), IndexLayout::slot_offset(self.layout.slot(nth)))?;
        } else {
            let file = create(&self.path)?;
            file.write_all_at(&[self.layout.header(), entry.bytes()].concat(), 0)?;
            self.file = Some(file);
        }
        self.last = Some(entry);
        self.count = nth + 1;
        Ok(())
    }
}

fn same_millisecond(one: OutputOrigin, other: OutputOrigin) -> bool {
    one.at.timestamp_millis() == other.at.timestamp_millis()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use chrono::DateTime;

    use super::super::index_reader::{IndexReader, OutputSpan};
    use super::*;
    use crate::model::Stream;

    const OUT: OutputOrigin = OutputOrigin { stream: Stream::Out, at: DateTime::UNIX_EPOCH };
    const ERR: OutputOrigin = OutputOrigin { stream: Stream::Err, at: DateTime::UNIX_EPOCH };

    fn known(path: &std::path::Path, until: u64) -> Vec<OutputSpan> {
        let (mut reader, mut offset, mut known) = (IndexReader::new(path.to_owned()), 0, Vec::new());
        while offset < until {
            let span = reader.span_at(offset);
            offset = span.end;
            known.push(span);
        }
        known
    }

    #[test]
    fn output_that_could_not_be_written_leaves_no_mark() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("7.marks");
        let mut writer = IndexWriter::new(path.clone(), 0);
        writer.record(0, OUT, b"a\n");
        writer.record(2, ERR, b"lost");
        writer.record(2, OUT, b"b\n");
        writer.record(4, ERR, b"c\n");
        let all = [(0, 2, OUT), (2, 4, OUT), (4, u64::MAX, ERR)];
        assert_eq!(known(&path, 6), all.map(|(start, end, origin)| OutputSpan { start, end, origin: Some(origin) }));
    }

    /// A file that can't be written to simulates a full disk.
    #[test]
    fn a_full_disk_makes_a_gap_or_ends_the_marks() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("7.marks");
        let mut writer = IndexWriter::new(path.clone(), 0);
        writer.record(0, OUT, b"a\n");
        let good = writer.file.replace(File::open(&path).unwrap());
        writer.record(2, ERR, b"b\n");
        writer.record(4, OUT, b"c\n");
        let full = std::mem::replace(&mut writer.file, good);
        writer.record(6, OUT, b"d\n");
        let all = [(0, 2, Some(OUT)), (2, 6, None), (6, u64::MAX, Some(OUT))];
        assert_eq!(known(&path, 8), all.map(|(start, end, origin)| OutputSpan { start, end, origin }));
        writer.file = full;
        writer.record(8, ERR, b"e\n");
        writer.finish();
        assert!(!fs::exists(&path).unwrap(), "the last entry would speak of what came after it");
    }
}
