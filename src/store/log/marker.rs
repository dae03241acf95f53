//! Writing marks. The output comes first: that a mark can't be written costs nothing but the mark.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use super::create;
use super::marks::{Layout, Mark, Origin};

/// Marks what a log is given.
#[derive(Debug)]
pub(super) struct Marker {
    path: PathBuf,
    layout: Layout,
    file: Option<File>,
    /// How many marks have been written.
    count: u64,
    last: Option<Mark>,
    /// Whether the output ends in the middle of a line.
    in_line: bool,
    /// From where on the marks could not be written.
    missed: Option<u64>,
}

impl Marker {
    /// The marks go to `path`, which is made with the first one; the log keeps `limit` bytes.
    pub(super) fn new(path: PathBuf, limit: u64) -> Self {
        let layout = Layout::for_limit(limit);
        Self { path, layout, file: None, count: 0, last: None, in_line: false, missed: None }
    }

    /// Says where `bytes` came from, which are about to be written at `offset`.
    pub(super) fn mark(&mut self, offset: u64, origin: Origin, bytes: &[u8]) {
        let [before @ .., last] = bytes else { return };
        // The time matters where a line begins, the stream everywhere.
        let known = self.missed.is_none()
            && self.last.and_then(|last| last.origin).is_some_and(|last| {
                let begins = || !self.in_line || memchr::memchr(b'\n', before).is_some();
                last.stream == origin.stream && (same_moment(last, origin) || !begins())
            });
        self.in_line = *last != b'\n';
        if known {
            return;
        }
        let marked = self.admit_miss().and_then(|()| self.put(offset, Some(origin)));
        if marked.is_err() {
            self.missed.get_or_insert(offset);
        }
    }

    /// There is no more output. Marks that could not be written are made good, or else all are given up: the last one
    /// would seem to speak of what came after it.
    pub(super) fn finish(mut self) {
        if self.admit_miss().is_err() {
            // If that fails too, somebody has taken the folder away.
            let _ = std::fs::remove_file(&self.path);
        }
    }

    fn admit_miss(&mut self) -> io::Result<()> {
        let Some(offset) = self.missed else { return Ok(()) };
        self.put(offset, None)?;
        self.missed = None;
        Ok(())
    }

    fn put(&mut self, offset: u64, origin: Option<Origin>) -> io::Result<()> {
        // Where the last mark speaks of the same place, what it was about could not be written.
        let nth = self.count - u64::from(self.last.is_some_and(|last| last.offset == offset));
        let mark = Mark { offset, origin, lap: self.layout.lap(nth) };
        if let Some(file) = &self.file {
            file.write_all_at(&mark.bytes(), Layout::place(self.layout.slot(nth)))?;
        } else {
            let file = create(&self.path)?;
            file.write_all_at(&[self.layout.header(), mark.bytes()].concat(), 0)?;
            self.file = Some(file);
        }
        self.last = Some(mark);
        self.count = nth + 1;
        Ok(())
    }
}

fn same_moment(one: Origin, other: Origin) -> bool {
    one.at.timestamp_millis() == other.at.timestamp_millis()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use chrono::DateTime;

    use super::super::stretch::{Marks, Stretch};
    use super::*;
    use crate::model::Stream;

    const OUT: Origin = Origin { stream: Stream::Out, at: DateTime::UNIX_EPOCH };
    const ERR: Origin = Origin { stream: Stream::Err, at: DateTime::UNIX_EPOCH };

    fn known(path: &std::path::Path, until: u64) -> Vec<Stretch> {
        let (mut marks, mut offset, mut known) = (Marks::new(path.to_owned()), 0, Vec::new());
        while offset < until {
            let stretch = marks.stretch_at(offset);
            offset = stretch.end;
            known.push(stretch);
        }
        known
    }

    #[test]
    fn output_that_could_not_be_written_leaves_no_mark() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("7.marks");
        let mut marker = Marker::new(path.clone(), 0);
        marker.mark(0, OUT, b"a\n");
        marker.mark(2, ERR, b"lost");
        marker.mark(2, OUT, b"b\n");
        marker.mark(4, ERR, b"c\n");
        let all = [(0, 2, OUT), (2, 4, OUT), (4, u64::MAX, ERR)];
        assert_eq!(known(&path, 6), all.map(|(start, end, origin)| Stretch { start, end, origin: Some(origin) }));
    }

    /// A file that can't be written to stands for a full disk.
    #[test]
    fn a_full_disk_makes_a_gap_or_ends_the_marks() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("7.marks");
        let mut marker = Marker::new(path.clone(), 0);
        marker.mark(0, OUT, b"a\n");
        let good = marker.file.replace(File::open(&path).unwrap());
        marker.mark(2, ERR, b"b\n");
        marker.mark(4, OUT, b"c\n");
        let full = std::mem::replace(&mut marker.file, good);
        marker.mark(6, OUT, b"d\n");
        let all = [(0, 2, Some(OUT)), (2, 6, None), (6, u64::MAX, Some(OUT))];
        assert_eq!(known(&path, 8), all.map(|(start, end, origin)| Stretch { start, end, origin }));
        marker.file = full;
        marker.mark(8, ERR, b"e\n");
        marker.finish();
        assert!(!fs::exists(&path).unwrap(), "the last mark would speak of what came after it");
    }
}
