//! Writing a log.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use super::discard::hold;
use super::marker::Marker;
use super::marks::Origin;
use super::sizes::Sizes;
use super::tail::Note;
use super::{create, create_folder, gather, head_path, marks_path, size, sizes_path, tail_path};
use crate::model::{RunId, Stream, WindowSize};
use crate::store::StoreError;

/// Writes the output of one run.
#[derive(Debug)]
pub struct LogWriter {
    folder: PathBuf,
    run: RunId,
    /// How much the head takes.
    head_limit: u64,
    /// How much the ring of the tail takes.
    ring: u64,
    head: Option<File>,
    /// How much is in the head.
    len: u64,
    tail: Option<(File, Note)>,
    marker: Marker,
    sizes: Sizes,
    lost: Lost,
}

/// Output that could not be written.
#[derive(Debug, Default)]
struct Lost {
    bytes: u64,
    reason: String,
    /// When the last of it came.
    at: DateTime<Utc>,
}

/// Less than this is never kept: the limit of a log can't be lower.
const LEAST: u64 = 4096;

impl LogWriter {
    /// A log of `run` in `folder` that keeps at most `limit` bytes (and never less than 4 KiB), the head and the tail.
    /// No file or folder is made before there is output.
    pub fn new(folder: PathBuf, run: RunId, limit: u64) -> Self {
        let limit = limit.max(LEAST);
        let head_limit = limit / 2;
        let ring = limit - head_limit;
        let marker = Marker::new(marks_path(&folder, run), limit);
        let sizes = Sizes::new(sizes_path(&folder, run));
        Self { folder, run, head_limit, ring, head: None, len: 0, tail: None, marker, sizes, lost: Lost::default() }
    }

    /// Appends what arrived from `stream` at `at`. What can't be written is dropped and the error returned; the next
    /// write tries again, and a line in the log says how much is missing.
    pub fn write(&mut self, stream: Stream, bytes: &[u8], at: DateTime<Utc>) -> Result<(), StoreError> {
        let result = self.admit_loss().and_then(|()| self.append(bytes, Origin { stream, at }));
        if let Err(error) = &result {
            self.lost.bytes += bytes.len() as u64;
            self.lost.at = at;
            if let StoreError::Io { source, .. } = error {
                self.lost.reason = source.to_string();
            }
        }
        result
    }

    /// What is written from now on was printed in a terminal of this size.
    pub fn resize(&mut self, size: WindowSize) {
        self.sizes.resize(size, self.written());
    }

    /// The run is over: leaves one file that any pager opens. On an error the output is still read as before.
    pub fn finish(mut self) -> Result<(), StoreError> {
        let admitted = self.admit_loss();
        self.marker.finish();
        if let (Some(head), Some((tail, note))) = (&self.head, &self.tail) {
            gather::gather(&self.folder, self.run, head, tail, *note)?;
        }
        admitted
    }

    fn admit_loss(&mut self) -> Result<(), StoreError> {
        if self.lost.bytes > 0 {
            let Lost { bytes, reason, at } = &self.lost;
            let notice = format!("\n[setlist: {} lost: {reason}]\n", size(*bytes));
            self.append(notice.as_bytes(), Origin { stream: Stream::Err, at: *at })?;
            self.lost = Lost::default();
        }
        Ok(())
    }

    fn append(&mut self, bytes: &[u8], origin: Origin) -> Result<(), StoreError> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.head()?;
        let written = self.written();
        self.marker.mark(written, origin, bytes);
        self.sizes.begin();
        let fits = bytes.len().min(usize::try_from(self.head_limit - self.len).unwrap_or(usize::MAX));
        let (first, rest) = bytes.split_at(fits);
        if !first.is_empty() {
            self.append_to_head(first)?;
        }
        if rest.is_empty() { Ok(()) } else { self.append_to_tail(rest) }
    }

    /// How much was written, dropped bytes counted.
    fn written(&self) -> u64 {
        self.tail.as_ref().map_or(self.len, |(_, note)| note.len)
    }

    fn head(&mut self) -> Result<&File, StoreError> {
        match &mut self.head {
            Some(head) => Ok(head),
            none => Ok(none.insert(create_head(&self.folder, self.run)?)),
        }
    }

    fn append_to_head(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let len = self.len;
        let (written, result) = write_at(self.head()?, len, bytes);
        self.len += written;
        result.map_err(|error| StoreError::io(head_path(&self.folder, self.run), error))
    }

    fn append_to_tail(&mut self, mut bytes: &[u8]) -> Result<(), StoreError> {
        let path = tail_path(&self.folder, self.run);
        let failed = |error| StoreError::io(&path, error);
        let (file, note) = match &mut self.tail {
            Some(tail) => tail,
            none => {
                let head = self.len;
                let first = Note { head, ring: self.ring, len: head, kept: head, ..Note::default() };
                let new = create(&path).map_err(failed)?;
                first.write(&new).map_err(failed)?;
                none.insert((new, first))
            }
        };
        while !bytes.is_empty() {
            let (at, together) = note.place(note.len);
            let most = together.min(note.step()).min(bytes.len() as u64);
            // What is about to be overwritten is given up first, and a step at a time: that is one more write in many.
            if note.len + most > note.kept + note.ring {
                note.kept = (note.len + most + note.step()).saturating_sub(note.ring).min(note.len);
                note.write(file).map_err(failed)?;
            }
            let (piece, rest) = bytes.split_at(usize::try_from(most).unwrap_or(bytes.len()));
            let (written, result) = write_at(file, at, piece);
            note.len += written;
            note.write(file).map_err(failed)?;
            result.map_err(failed)?;
            bytes = rest;
        }
        Ok(())
    }
}

/// Writes all of it at this place; tells how much it was.
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

fn create_head(folder: &Path, run: RunId) -> Result<File, StoreError> {
    let path = head_path(folder, run);
    // These may have been left by a run of the same number, like the head that is replaced.
    for left in [tail_path(folder, run), marks_path(folder, run)] {
        let _ = std::fs::remove_file(left);
    }
    let created = match create(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            create_folder(folder)?;
            create(&path)
        }
        result => result,
    };
    let head = created.map_err(|error| StoreError::io(path, error))?;
    hold(&head);
    Ok(head)
}
