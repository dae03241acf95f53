//! The end of a long log: its tail is moved behind its head.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::discard::hold;
use super::tail::{NOTE, Note};
use super::{head_path, omission, tail_path};
use crate::crash;
use crate::model::RunId;
use crate::store::StoreError;

/// Finishes the log of a run whose worker died, as [`LogWriter::finish`](super::LogWriter::finish) would have. A log
/// that is whole already is left alone.
pub fn mend(folder: &Path, run: RunId) -> Result<(), StoreError> {
    let path = tail_path(folder, run);
    let failed = |error| StoreError::io(&path, error);
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    let tail = match options.open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        result => result.map_err(failed)?,
    };
    let Some(note) = Note::read(&tail).map_err(failed)? else {
        return std::fs::remove_file(&path).map_err(failed);
    };
    let head = head_path(folder, run);
    let head = options.open(&head).map_err(|error| StoreError::io(head, error))?;
    hold(&head);
    gather(folder, run, &head, &tail, note)
}

/// Moves the tail. At every moment a reader finds each byte in the place that the note tells, and only there.
pub(super) fn gather(folder: &Path, run: RunId, head: &File, tail: &File, note: Note) -> Result<(), StoreError> {
    let path = tail_path(folder, run);
    let failed = |error| StoreError::io(&path, error);
    let note = if note.moved == 0 { begin(head, tail, note).map_err(failed)? } else { note };
    let head_failed = |error| StoreError::io(head_path(folder, run), error);
    transfer(head, tail, note).map_err(head_failed)?;
    if note.kept == note.head {
        // Nothing is missing: offsets are those of the file.
        std::fs::remove_file(&path).map_err(failed)
    } else {
        tail.set_len(NOTE).map_err(failed)
    }
}

/// Settles where the tail starts and what stands before it.
fn begin(head: &File, tail: &File, mut note: Note) -> io::Result<Note> {
    let mut line = String::new();
    if note.kept > note.head {
        note.kept += to_next_line(tail, &note)?;
        let mut last = [0];
        head.read_exact_at(&mut last, note.head - 1)?;
        if last != *b"\n" {
            line.push('\n');
        }
        line.push_str(&omission(note.kept - note.head));
        line.push('\n');
    }
    head.set_len(note.head)?;
    head.write_all_at(line.as_bytes(), note.head)?;
    note.line = line.len() as u64;
    note.moved = note.kept;
    note.write(tail)?;
    Ok(note)
}

fn transfer(mut head: &File, tail: &File, mut note: Note) -> io::Result<()> {
    // A worker that died while moving may have left something behind this point.
    let end = note.place_in_head(note.moved);
    head.set_len(end)?;
    head.seek(SeekFrom::Start(end))?;
    let mut buffer = vec![0; 256 * 1024];
    while note.moved < note.len {
        let (at, together) = note.place(note.moved);
        let most = together.min(note.len - note.moved).min(buffer.len() as u64);
        let piece = &mut buffer[..usize::try_from(most).unwrap_or(usize::MAX)];
        tail.read_exact_at(piece, at)?;
        head.write_all(piece)?;
        note.moved += most;
        note.write(tail)?;
        crash::point("gathering");
        give_back(tail, at, most);
    }
    Ok(())
}

/// How far it is to the start of a line; not at all if that is too far.
fn to_next_line(tail: &File, note: &Note) -> io::Result<u64> {
    let (at, together) = note.place(note.kept);
    let most = together.min(note.step()).min(note.len - note.kept);
    let mut bytes = vec![0; usize::try_from(most).unwrap_or(0)];
    tail.read_exact_at(&mut bytes, at)?;
    let end = memchr::memchr(b'\n', &bytes).map_or(0, |end| end as u64 + 1);
    Ok(if end < note.len - note.kept { end } else { 0 })
}

/// Frees the disk under what has been moved, so that both never take more than the limit. Where the system can't, the
/// tail is freed at the end.
fn give_back(tail: &File, at: u64, len: u64) {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{FallocateFlags, fallocate};
        let _ = fallocate(tail, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, at, len);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (tail, at, len);
}
