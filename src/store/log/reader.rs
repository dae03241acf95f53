//! Reading a log, finished or not.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::discard::{farewell, hold};
use super::heard::Heard;
use super::stretch::{Marks, Stretch};
use super::tail::Note;
use super::{aftermath, create_folder, head_path, marks_path, sizes, sizes_path, tail_path};
use crate::model::{HookEnd, Run, RunId, WindowSize};
use crate::store::{Listener, Ring, StoreError};

/// Reads the output of one run, finished or not. Offsets are bytes since the start of the output and stay valid while
/// it grows and when it has ended, even when the middle has been dropped to keep within the limit.
#[derive(Debug)]
pub struct LogReader {
    folder: PathBuf,
    run: RunId,
    head: Option<File>,
    tail: Option<File>,
    marks: Marks,
}

/// A piece of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Where the bytes start; later than asked for where the bytes between were dropped.
    pub offset: u64,
    /// How many were read into the buffer; 0 at the end of what has been written by now.
    pub len: usize,
}

impl LogReader {
    /// The log of `run` in `folder`; that there is none yet is no error.
    pub fn new(folder: PathBuf, run: RunId) -> Self {
        let marks = Marks::new(marks_path(&folder, run));
        Self { folder, run, head: None, tail: None, marks }
    }

    /// Another reader of the same log.
    #[must_use]
    pub fn again(&self) -> Self {
        Self::new(self.folder.clone(), self.run)
    }

    /// What came of the program that was run after this run, whose log this is; none while that isn't known.
    pub fn hook_end(&self, run: &Run) -> Option<HookEnd> {
        aftermath::of(&self.folder, run)
    }

    /// How many bytes have been written by now, dropped ones counted.
    #[expect(clippy::len_without_is_empty, reason = "a log that is empty now may have grown before one has looked")]
    pub fn len(&mut self) -> Result<u64, StoreError> {
        if let Some(note) = self.note()? {
            return Ok(note.len);
        }
        let path = head_path(&self.folder, self.run);
        let len = match opened(&mut self.head, &path)? {
            Some(head) => head.metadata().map_err(|error| StoreError::io(path, error))?.len(),
            None => 0,
        };
        Ok(self.note()?.map_or(len, |note| note.len))
    }

    /// Reads from `offset` on, as much as lies there in one piece; what is there may take several calls. A piece never
    /// spans a gap: where `offset` is in one, the piece starts behind it.
    pub fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<Piece, StoreError> {
        loop {
            // What has been read is valid if the note still says so afterwards; else it says what to read instead.
            let piece = match self.note()? {
                None => {
                    let len = self.read_head(offset, buffer)?;
                    self.note()?.is_none().then_some(Piece { offset, len })
                }
                Some(note) if offset < note.head => {
                    let len = self.read_head(offset, up_to(buffer, note.head - offset))?;
                    Some(Piece { offset, len })
                }
                Some(note) => {
                    let offset = offset.max(note.kept);
                    if offset < note.moved {
                        let len = self.read_head(note.place_in_head(offset), up_to(buffer, note.moved - offset))?;
                        Some(Piece { offset, len })
                    } else {
                        let (at, together) = note.place(offset);
                        let most = together.min(note.len.saturating_sub(offset));
                        let len = self.read_tail(at, up_to(buffer, most))?;
                        let sound = self.note()?.is_none_or(|now| now.kept.max(now.moved) <= offset);
                        sound.then_some(Piece { offset, len })
                    }
                }
            };
            if let Some(piece) = piece {
                return Ok(piece);
            }
        }
    }

    /// Which stream the byte at `offset`, which was read, came from, and when; with all that came like it. What nobody
    /// knows, because the log is old or a crash has cut it short, is no error.
    pub fn stretch_at(&mut self, offset: u64) -> Stretch {
        self.marks.stretch_at(offset)
    }

    /// Whether streams and times have been noted at all; what an older version has written has none.
    pub fn is_marked(&mut self) -> bool {
        self.marks.are_there()
    }

    /// The line that stands in place of output that was deleted to make room; none while the output is there.
    pub fn farewell(&mut self) -> Result<Option<String>, StoreError> {
        let path = head_path(&self.folder, self.run);
        let marked = self.is_marked();
        match opened(&mut self.head, &path)? {
            Some(head) if !marked => farewell(head).map_err(|error| StoreError::io(path, error)),
            _ => Ok(None),
        }
    }

    /// The sizes of the terminal that the output was printed for, each with the offset from which on it holds; none where
    /// there was no terminal.
    pub fn sizes(&self) -> Vec<(u64, WindowSize)> {
        sizes::read(&sizes_path(&self.folder, self.run))
    }

    /// Rings when the log has grown, or its terminal has another size; not for every write where there are many. That the
    /// run has ended, and with it the log, is news of the store.
    pub fn listen(&self, ring: Ring) -> Result<Listener, StoreError> {
        let heard = Heard::default();
        heard.set([self.run]).map_err(|error| StoreError::io(&self.folder, error))?;
        self.listen_to(&heard, ring)
    }

    /// The same for all runs that are `heard`, whose logs lie in the same folder; which ones these are may change.
    pub fn listen_to(&self, heard: &Heard, ring: Ring) -> Result<Listener, StoreError> {
        create_folder(&self.folder)?;
        heard.listen(&self.folder, ring)
    }

    /// What the tail's file says; none while there is no tail.
    fn note(&mut self) -> Result<Option<Note>, StoreError> {
        let path = tail_path(&self.folder, self.run);
        match opened(&mut self.tail, &path)? {
            Some(tail) => Note::read(tail).map_err(|error| StoreError::io(path, error)),
            None => Ok(None),
        }
    }

    fn read_head(&mut self, at: u64, buffer: &mut [u8]) -> Result<usize, StoreError> {
        read(&mut self.head, &head_path(&self.folder, self.run), at, buffer)
    }

    fn read_tail(&mut self, at: u64, buffer: &mut [u8]) -> Result<usize, StoreError> {
        read(&mut self.tail, &tail_path(&self.folder, self.run), at, buffer)
    }
}

fn up_to(buffer: &mut [u8], most: u64) -> &mut [u8] {
    let most = usize::try_from(most).unwrap_or(usize::MAX).min(buffer.len());
    &mut buffer[..most]
}

fn read(file: &mut Option<File>, path: &Path, at: u64, buffer: &mut [u8]) -> Result<usize, StoreError> {
    match opened(file, path)? {
        Some(file) => file.read_at(buffer, at).map_err(|error| StoreError::io(path, error)),
        None => Ok(0),
    }
}

/// The file, opened if it is there by now. It is never replaced by another, so it stays open.
fn opened<'a>(file: &'a mut Option<File>, path: &Path) -> Result<Option<&'a File>, StoreError> {
    if file.is_none() {
        match File::open(path) {
            Ok(new) => {
                hold(&new);
                *file = Some(new);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(StoreError::io(path, error)),
        }
    }
    Ok(file.as_ref())
}
