//! Writing a log.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use super::callbacks::{LogProgress, ProgressFn};
use super::compact;
use super::deletion::lock_shared;
use super::files::{create, head_path, index_path, record_printed, sizes_path, tail_path};
use super::index_writer::IndexWriter;
use super::lost_notes::LostNotes;
use super::stream_index::OutputOrigin;
use super::tail_segment::TailHeader;
use super::terminal_sizes::SizeWriter;
use crate::model::{RunId, Stream, WindowSize};
use crate::store::error::StoreError;
use crate::store::private_files::create_private_dir;
use crate::text;

/// Writes the output of one run.
#[derive(Debug)]
pub struct LogWriter {
    dir: PathBuf,
    run: RunId,
    /// The maximum length of the head.
    head_limit: u64,
    /// The capacity of the tail's ring.
    ring_len: u64,
    head: Option<File>,
    /// The length of the head.
    head_len: u64,
    tail: Option<(File, TailHeader)>,
    /// How many lines ended in what was written to the tail.
    tail_line_ends: u64,
    index_writer: IndexWriter,
    size_writer: SizeWriter,
    lost: LostOutput,
    /// Where it is noted what is missing if the log has no room for that.
    lost_notes: Option<LostNotes>,
    progress: Option<ProgressFn>,
}

/// Output that could not be written.
#[derive(Debug, Default)]
struct LostOutput {
    bytes: u64,
    reason: String,
    /// When its last part arrived.
    at: DateTime<Utc>,
}

impl LostOutput {
    /// The line in the log that says what is missing.
    fn notice(&self) -> String {
        format!("\n[setlist: {} lost: {}]\n", text::bytes(self.bytes), self.reason)
    }
}

/// The smallest limit of a log, in bytes.
const MIN_LIMIT: u64 = 4096;

impl LogWriter {
    /// A log of `run` in `dir` that keeps at most `limit` bytes (but at least 4 KiB) in its head and tail. Nothing
    /// is created before the first output.
    pub fn new(dir: PathBuf, run: RunId, limit: u64) -> Self {
        let limit = limit.max(MIN_LIMIT);
        let head_limit = limit / 2;
        let ring_len = limit - head_limit;
        let index_writer = IndexWriter::new(index_path(&dir, run), limit);
        let size_writer = SizeWriter::new(sizes_path(&dir, run));
        Self {
            dir,
            run,
            head_limit,
            ring_len,
            head: None,
            head_len: 0,
            tail: None,
            tail_line_ends: 0,
            index_writer,
            size_writer,
            lost: LostOutput::default(),
            lost_notes: None,
            progress: None,
        }
    }

    /// Also calls `progress` after output was written, and when the log is finished.
    #[must_use]
    pub(in crate::store) fn with_progress(self, progress: ProgressFn) -> Self {
        Self { progress: Some(progress), ..self }
    }

    /// Also notes there what is missing if the log could not be written at all.
    #[must_use]
    pub(in crate::store) fn noting_losses(self, notes: LostNotes) -> Self {
        Self { lost_notes: Some(notes), ..self }
    }

    /// Appends output that arrived from `stream` at `at`. If it can't be written, it is dropped and the error is
    /// returned; the next write tries again and adds a line that says how much is missing.
    pub fn write(&mut self, stream: Stream, bytes: &[u8], at: DateTime<Utc>) -> Result<(), StoreError> {
        let result = self.report_lost().and_then(|()| self.append(bytes, OutputOrigin { stream, at }));
        if let Err(error) = &result {
            self.lost.bytes += bytes.len() as u64;
            self.lost.at = at;
            self.lost.reason = match error {
                StoreError::Io { source, .. } => source.to_string(),
                StoreError::DiskFull { .. } => "the disk is full".to_owned(),
                StoreError::FileSizeLimit { .. } => "the limit of file sizes (`ulimit -f`) is reached".to_owned(),
                error => error.to_string(),
            };
        }
        if let Some(progress) = &self.progress {
            progress.call(LogProgress::Grown);
        }
        result
    }

    /// Output that is written from now on was printed for this size.
    pub fn resize(&mut self, size: WindowSize) {
        self.size_writer.resize(size, self.output_len());
    }

    /// Finishes the log after the run has ended: a single file is left. On an error the output can still be read as
    /// before.
    pub fn finish(mut self) -> Result<(), StoreError> {
        let admitted = self.report_lost().or_else(|error| self.note_lost(error));
        self.index_writer.finish();
        if let (Some(head), Some((tail, header))) = (&self.head, &self.tail) {
            compact::compact(&self.dir, self.run, head, tail, *header, Some(self.tail_line_ends))?;
        }
        if let Some(progress) = &self.progress {
            progress.call(LogProgress::Finished);
        }
        admitted
    }

    fn report_lost(&mut self) -> Result<(), StoreError> {
        if self.lost.bytes > 0 {
            let notice = self.lost.notice();
            self.append(notice.as_bytes(), OutputOrigin { stream: Stream::Err, at: self.lost.at })?;
            self.lost = LostOutput::default();
        }
        Ok(())
    }

    /// Says what is missing from a log that can't grow: in place of its last bytes, or else beside it.
    fn note_lost(&mut self, error: StoreError) -> Result<(), StoreError> {
        let beside = self.lost.notice();
        // The bytes that the notice replaces are lost as well.
        self.lost.bytes += beside.len() as u64;
        let notice = self.lost.notice();
        let len = notice.len() as u64;
        let replaced = match &mut self.tail {
            Some((_, header)) if header.output_len >= header.kept_from + len => {
                header.output_len -= len;
                self.append_to_tail(notice.as_bytes())
            }
            None if self.head_len >= len => {
                self.head_len -= len;
                self.append_to_head(notice.as_bytes())
            }
            _ => Err(error),
        };
        replaced.or_else(|error| {
            let notes = self.lost_notes.as_ref().ok_or(error)?;
            let is_empty = self.output_len() == 0;
            notes.add(self.run, if is_empty { beside.trim_start().to_owned() } else { beside });
            Ok(())
        })
    }

    fn append(&mut self, bytes: &[u8], origin: OutputOrigin) -> Result<(), StoreError> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.head()?;
        let written = self.output_len();
        self.index_writer.record(written, origin, bytes);
        self.size_writer.start();
        let fits = bytes.len().min(usize::try_from(self.head_limit - self.head_len).unwrap_or(usize::MAX));
        let (first, rest) = bytes.split_at(fits);
        if !first.is_empty() {
            self.append_to_head(first)?;
        }
        if rest.is_empty() { Ok(()) } else { self.append_to_tail(rest) }
    }

    /// The length of the output, including dropped bytes.
    fn output_len(&self) -> u64 {
        self.tail.as_ref().map_or(self.head_len, |(_, header)| header.output_len)
    }

    fn head(&mut self) -> Result<&File, StoreError> {
        match &mut self.head {
            Some(head) => Ok(head),
            none => Ok(none.insert(create_head(&self.dir, self.run)?)),
        }
    }

    fn append_to_head(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let len = self.head_len;
        let (written, result) = write_at(self.head()?, len, bytes);
        self.head_len += written;
        result.map_err(|error| StoreError::io(head_path(&self.dir, self.run), error))
    }

    fn append_to_tail(&mut self, mut bytes: &[u8]) -> Result<(), StoreError> {
        let path = tail_path(&self.dir, self.run);
        let failed = |error| StoreError::io(&path, error);
        let (file, header) = match &mut self.tail {
            Some(tail) => tail,
            none => {
                let head = self.head_len;
                let first = TailHeader {
                    head_len: head,
                    ring_len: self.ring_len,
                    output_len: head,
                    kept_from: head,
                    ..TailHeader::default()
                };
                let new = create(&path).map_err(failed)?;
                first.write(&new).map_err(failed)?;
                none.insert((new, first))
            }
        };
        while !bytes.is_empty() {
            let (at, contiguous) = header.file_position(header.output_len);
            let len = contiguous.min(header.max_write_len()).min(bytes.len() as u64);
            // The bytes to be overwritten are dropped in the header first, many at a time, which is one additional
            // write in many.
            if header.output_len + len > header.kept_from + header.ring_len {
                header.kept_from = (header.output_len + len + header.max_write_len())
                    .saturating_sub(header.ring_len)
                    .min(header.output_len);
                header.write(file).map_err(failed)?;
            }
            let (chunk, rest) = bytes.split_at(usize::try_from(len).unwrap_or(bytes.len()));
            let (written, result) = write_at(file, at, chunk);
            header.output_len += written;
            let appended = &chunk[..usize::try_from(written).unwrap_or(chunk.len())];
            self.tail_line_ends += memchr::memchr_iter(b'\n', appended).count() as u64;
            header.write(file).map_err(failed)?;
            result.map_err(failed)?;
            bytes = rest;
        }
        Ok(())
    }
}

/// Writes all bytes at this offset; returns how many were written.
fn write_at(file: &File, at: u64, bytes: &[u8]) -> (u64, io::Result<()>) {
    let mut written = 0;
    while written < bytes.len() {
        match file.write_at(&bytes[written..], at + written as u64) {
            Ok(0) => return (written as u64, Err(io::ErrorKind::WriteZero.into())),
            Ok(len) => written += len,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (written as u64, Err(error)),
        }
    }
    (written as u64, Ok(()))
}

fn create_head(dir: &Path, run: RunId) -> Result<File, StoreError> {
    let path = head_path(dir, run);
    // They may have been left by a run of the same number, like the head that is replaced.
    for left in [tail_path(dir, run), index_path(dir, run)] {
        let _ = std::fs::remove_file(left);
    }
    let created = match create(&path) {
        // Where the site was moved or removed, nothing is created in its place.
        Err(error) if error.kind() == io::ErrorKind::NotFound && dir.parent().is_none_or(Path::exists) => {
            create_private_dir(dir)?;
            create(&path)
        }
        result => result,
    };
    let head = created.map_err(|error| StoreError::io(path, error))?;
    lock_shared(&head);
    // If this fails, a deleted log may look like one of a run without output.
    let _ = record_printed(dir, run);
    Ok(head)
}
