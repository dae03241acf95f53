//! Compacting the log of a run that has ended: its tail is moved behind its head.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::deletion::lock_shared;
use super::files::{head_path, tail_path};
use super::notices::omission_notice;
use super::tail_segment::{DroppedLines, HEADER_LEN_U64, TailHeader};
use crate::crash;
use crate::model::RunId;
use crate::store::error::StoreError;
use crate::store::private_files;

/// Finishes the log of a run whose worker died, as [`LogWriter::finish`](super::LogWriter::finish) would have. A
/// finished log is not changed.
pub fn recover(dir: &Path, run: RunId) -> Result<(), StoreError> {
    let path = tail_path(dir, run);
    let failed = |error| StoreError::io(&path, error);
    let mut options = private_files::options();
    options.read(true).write(true);
    let tail = match private_files::open(&options, &path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        result => result.map_err(failed)?,
    };
    let Some(header) = TailHeader::read(&tail).map_err(failed)? else {
        return std::fs::remove_file(&path).map_err(failed);
    };
    let head = head_path(dir, run);
    let head = private_files::open(&options, &head).map_err(|error| StoreError::io(head, error))?;
    lock_shared(&head);
    compact(dir, run, &head, &tail, header, None)
}

/// Moves the tail. At every moment the header tells readers where each byte is. `line_ends` is how many lines ended in all
/// that was written behind the head, if this is known.
pub(super) fn compact(
    dir: &Path,
    run: RunId,
    head: &File,
    tail: &File,
    header: TailHeader,
    line_ends: Option<u64>,
) -> Result<(), StoreError> {
    let path = tail_path(dir, run);
    let failed = |error| StoreError::io(&path, error);
    let header = if header.moved_until == 0 { start_compaction(head, tail, header).map_err(failed)? } else { header };
    let head_failed = |error| StoreError::io(head_path(dir, run), error);
    let kept_line_ends = move_tail(head, tail, header).map_err(head_failed)?;
    if header.kept_from == header.head_len {
        // Nothing was dropped: offsets of the output are offsets of the file.
        std::fs::remove_file(&path).map_err(failed)
    } else {
        let dropped = line_ends.map(|line_ends| DroppedLines(line_ends.saturating_sub(kept_line_ends)));
        tail.set_len(HEADER_LEN_U64).map_err(failed)?;
        dropped.map_or(Ok(()), |dropped| dropped.write(tail)).map_err(failed)
    }
}

/// Determines where the tail starts, and writes the notice before it.
fn start_compaction(head: &File, tail: &File, mut header: TailHeader) -> io::Result<TailHeader> {
    let mut line = String::new();
    if header.kept_from > header.head_len {
        header.kept_from += len_to_next_line(tail, &header)?;
        let mut last = [0];
        head.read_exact_at(&mut last, header.head_len - 1)?;
        if last != *b"\n" {
            line.push('\n');
        }
        line.push_str(&omission_notice(header.kept_from - header.head_len));
        line.push('\n');
    }
    head.set_len(header.head_len)?;
    head.write_all_at(line.as_bytes(), header.head_len)?;
    header.notice_len = line.len() as u64;
    header.moved_until = header.kept_from;
    header.write(tail)?;
    Ok(header)
}

/// Returns how many lines ended in what was moved.
fn move_tail(mut head: &File, tail: &File, mut header: TailHeader) -> io::Result<u64> {
    let mut line_ends = 0;
    // A worker that died while moving may have written beyond this point.
    let end = header.head_position(header.moved_until);
    head.set_len(end)?;
    head.seek(SeekFrom::Start(end))?;
    let mut buffer = vec![0; 256 * 1024];
    while header.moved_until < header.output_len {
        let (at, contiguous) = header.file_position(header.moved_until);
        let len = contiguous.min(header.output_len - header.moved_until).min(buffer.len() as u64);
        let chunk = &mut buffer[..usize::try_from(len).unwrap_or(usize::MAX)];
        tail.read_exact_at(chunk, at)?;
        head.write_all(chunk)?;
        line_ends += memchr::memchr_iter(b'\n', chunk).count() as u64;
        header.moved_until += len;
        header.write(tail)?;
        crash::point("compacting");
        punch_hole(tail, at, len);
    }
    Ok(line_ends)
}

/// The distance to the start of the next line; 0 if that is too far.
fn len_to_next_line(tail: &File, header: &TailHeader) -> io::Result<u64> {
    let (at, contiguous) = header.file_position(header.kept_from);
    let len = contiguous.min(header.max_write_len()).min(header.output_len - header.kept_from);
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
    tail.read_exact_at(&mut bytes, at)?;
    let end = memchr::memchr(b'\n', &bytes).map_or(0, |end| end as u64 + 1);
    Ok(if end < header.output_len - header.kept_from { end } else { 0 })
}

/// Frees the disk space of what was moved, so that both files stay within the limit. Where this isn't supported, it is
/// freed at the end.
fn punch_hole(tail: &File, at: u64, len: u64) {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{FallocateFlags, fallocate};
        let _ = fallocate(tail, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, at, len);
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (tail, at, len);
}
