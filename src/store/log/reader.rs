//! Reading a log, finished or not.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::callbacks::{Fetch, FetchFn};
use super::deletion::lock_shared;
use super::files::{has_printed, head_path, index_path, sizes_path, tail_path};
use super::index_reader::{IndexReader, OutputSpan};
use super::log_file::LogFile;
use super::notices::read_deletion_notice;
use super::stored_output::{StoredOutput, StoredOutputs};
use super::tail_segment::{DroppedLines, TailHeader};
use super::watched_runs::WatchedRuns;
use super::{hook_result, log_watch, terminal_sizes};
use crate::model::{HookResult, Run, RunId, WindowSize};
use crate::store::error::StoreError;
use crate::store::notifier::{NotifyFn, Subscription};
use crate::store::private_files::{create_private_dir, open_to_read};

/// Reads the output of one run, finished or not. Offsets are bytes since the start of the output and stay valid while
/// it grows and after it has ended, also when its middle is dropped to stay within the limit.
#[derive(Debug)]
pub struct LogReader {
    dir: PathBuf,
    run: RunId,
    head: Option<LogFile>,
    tail: Option<File>,
    index: IndexReader,
    fetch: Option<FetchFn>,
    stored: Option<StoredOutputs>,
    /// Whether the run has ended: no tail is created any more.
    is_ended: bool,
    /// Whether there is no tail, and there will be none.
    has_no_tail: bool,
}

/// A chunk of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogChunk {
    /// The offset of the first byte. It is larger than requested if the bytes between were dropped.
    pub offset: u64,
    /// The number of bytes in the buffer; 0 at the current end of the output.
    pub len: usize,
}

impl LogReader {
    /// A reader for the log of `run` in `dir`, which need not exist yet.
    pub fn new(dir: PathBuf, run: RunId) -> Self {
        let index = IndexReader::new(index_path(&dir, run));
        Self { dir, run, head: None, tail: None, index, fetch: None, stored: None, is_ended: false, has_no_tail: false }
    }

    /// Another reader of the same log.
    #[must_use]
    pub fn reopen(&self) -> Self {
        let (fetch, stored, is_ended) = (self.fetch.clone(), self.stored.clone(), self.is_ended);
        Self { fetch, stored, is_ended, ..Self::new(self.dir.clone(), self.run) }
    }

    /// Reads the output of a run that has ended, with fewer looks at its files.
    #[must_use]
    pub fn of_ended_run(self) -> Self {
        // What is fetched from another machine still grows.
        Self { is_ended: self.fetch.is_none(), ..self }
    }

    /// Calls `fetch` before it reads.
    #[must_use]
    pub(in crate::store) fn fetched_by(self, fetch: FetchFn) -> Self {
        Self { fetch: Some(fetch), ..self }
    }

    /// Also reads what the store has of runs that have ended.
    #[must_use]
    pub(in crate::store) fn stored_in(self, stored: StoredOutputs) -> Self {
        Self { stored: Some(stored), ..self }
    }

    /// Fetches the output if it is that of another machine, so that reading does not have to wait for it.
    pub fn prefetch(&self) {
        if let Some(fetch) = &self.fetch {
            fetch.call(Fetch::Start);
        }
    }

    /// Fetches the rest of the output of a run that has ended, if it ran on another machine.
    pub fn fetch_rest(&self) {
        if let Some(fetch) = &self.fetch {
            fetch.call(Fetch::Rest);
        }
    }

    /// The result of the hook of this run; none while it is unknown.
    pub fn hook_result(&self, run: &Run) -> Option<HookResult> {
        let known = hook_result::load(&self.dir, run);
        match &self.fetch {
            Some(fetch) if known.is_none() && run.end.is_some() => {
                fetch.call(Fetch::HookResult);
                hook_result::load(&self.dir, run)
            }
            _ => known,
        }
    }

    /// The length of the output until now, including dropped bytes.
    #[expect(clippy::len_without_is_empty, reason = "a log that is empty now may have grown before one has looked")]
    pub fn len(&mut self) -> Result<u64, StoreError> {
        self.prefetch();
        if let Some(header) = self.tail_header()? {
            return Ok(header.output_len);
        }
        let path = head_path(&self.dir, self.run);
        let len = match self.head()? {
            Some(head) => head.len().map_err(|error| StoreError::io(path, error))?,
            None => 0,
        };
        Ok(self.tail_header()?.map_or(len, |header| header.output_len))
    }

    /// Reads contiguous bytes from `offset` on; reading all that is available may take several calls. A chunk never
    /// spans a gap: if `offset` is in one, the chunk starts behind it.
    pub fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<LogChunk, StoreError> {
        self.prefetch();
        loop {
            // What was read is valid if the header still says so afterwards; else it says what to read instead.
            let chunk = match self.tail_header()? {
                None => {
                    let len = self.read_head(offset, buffer)?;
                    self.tail_header()?.is_none().then_some(LogChunk { offset, len })
                }
                Some(header) if offset < header.head_len => {
                    let len = self.read_head(offset, up_to(buffer, header.head_len - offset))?;
                    Some(LogChunk { offset, len })
                }
                Some(header) => {
                    let offset = offset.max(header.kept_from);
                    if offset < header.moved_until {
                        let len =
                            self.read_head(header.head_position(offset), up_to(buffer, header.moved_until - offset))?;
                        Some(LogChunk { offset, len })
                    } else {
                        let (at, contiguous) = header.file_position(offset);
                        let limit = contiguous.min(header.output_len.saturating_sub(offset));
                        let len = self.read_tail(at, up_to(buffer, limit))?;
                        let is_valid =
                            self.tail_header()?.is_none_or(|now| now.kept_from.max(now.moved_until) <= offset);
                        is_valid.then_some(LogChunk { offset, len })
                    }
                }
            };
            if let Some(chunk) = chunk {
                return Ok(chunk);
            }
        }
    }

    /// The span of the byte at `offset`, which has been read already. Its origin is unknown if the log is old or was
    /// cut short by a crash.
    pub fn span_at(&mut self, offset: u64) -> OutputSpan {
        self.open_index();
        self.index.span_at(offset)
    }

    /// How many bytes between the head and the tail were dropped to stay within the limit.
    pub fn dropped_len(&mut self) -> Result<u64, StoreError> {
        self.prefetch();
        Ok(self.tail_header()?.map_or(0, |header| header.kept_from.saturating_sub(header.head_len)))
    }

    /// How many lines ended in the part of the output that was dropped. None while the run is not over, or if this is not
    /// known.
    pub fn dropped_lines(&mut self) -> Result<Option<u64>, StoreError> {
        let path = tail_path(&self.dir, self.run);
        match opened(&mut self.tail, &path)? {
            Some(tail) => {
                let dropped = DroppedLines::read(tail).map_err(|error| StoreError::io(path, error))?;
                Ok(dropped.map(|DroppedLines(count)| count))
            }
            None => Ok(None),
        }
    }

    /// Whether the log has a stream index. Logs of older versions have none.
    pub fn has_stream_index(&mut self) -> bool {
        self.prefetch();
        self.open_index();
        self.index.exists()
    }

    /// The notice that replaces deleted output; none while the output exists.
    pub fn deletion_notice(&mut self) -> Result<Option<String>, StoreError> {
        let path = head_path(&self.dir, self.run);
        let has_index = self.has_stream_index();
        match self.head()? {
            Some(head) if !has_index => read_deletion_notice(head).map_err(|error| StoreError::io(path, error)),
            _ => Ok(None),
        }
    }

    /// Whether the log file was deleted: while it was open here, or although the run has printed something. Of runs of
    /// earlier versions, that is known only as long as their index is left.
    pub fn is_deleted(&mut self) -> Result<bool, StoreError> {
        self.prefetch();
        let path = head_path(&self.dir, self.run);
        let links = match self.head()? {
            Some(LogFile::OnDisk(head)) => Some(head.metadata().map_err(|error| StoreError::io(path, error))?.nlink()),
            Some(LogFile::Stored(_)) => Some(0),
            None => None,
        };
        match links {
            // The store may have it instead.
            Some(0) => Ok(self.find_stored()?.is_none()),
            Some(_) => Ok(false),
            None if has_printed(&self.dir, self.run) => Ok(self.head()?.is_none()),
            None => Ok(self.has_stream_index()),
        }
    }

    /// The terminal's sizes, each with the offset from which on it applies; none if there was no terminal.
    pub fn terminal_sizes(&self) -> Vec<(u64, WindowSize)> {
        let stored = || self.find_stored().ok().flatten().map(|stored| stored.sizes);
        let bytes = terminal_sizes::read(&sizes_path(&self.dir, self.run)).or_else(stored);
        terminal_sizes::decode(&bytes.unwrap_or_default())
    }

    /// Notifies when the log grows or its terminal is resized, at a limited rate. The end of the run is an event of the
    /// store.
    pub fn subscribe(&self, notify: NotifyFn) -> Result<Subscription, StoreError> {
        let watched = WatchedRuns::default();
        watched.set([self.run]).map_err(|error| StoreError::io(&self.dir, error))?;
        self.subscribe_to(&watched, notify)
    }

    /// The same for all `watched` runs, whose logs are in the same directory. The set may change.
    pub fn subscribe_to(&self, watched: &WatchedRuns, notify: NotifyFn) -> Result<Subscription, StoreError> {
        create_private_dir(&self.dir)?;
        log_watch::subscribe(watched, &self.dir, notify)
    }

    /// The header of the tail; none if there is no tail.
    fn tail_header(&mut self) -> Result<Option<TailHeader>, StoreError> {
        if self.has_no_tail {
            return Ok(None);
        }
        let path = tail_path(&self.dir, self.run);
        if let Some(tail) = opened(&mut self.tail, &path)? {
            return TailHeader::read(tail).map_err(|error| StoreError::io(path, error));
        }
        self.has_no_tail = self.is_ended;
        Ok(None)
    }

    /// The head; none if the run has printed nothing.
    fn head(&mut self) -> Result<Option<&LogFile>, StoreError> {
        if self.head.is_none() {
            let on_disk = open_shared(&head_path(&self.dir, self.run))?.map(LogFile::OnDisk);
            // The file is deleted after the store has its content.
            self.head = match on_disk {
                Some(file) => Some(file),
                None => self.find_stored()?.map(|stored| LogFile::Stored(stored.head)),
            };
        }
        Ok(self.head.as_ref())
    }

    /// Opens the index, if there is one.
    fn open_index(&mut self) {
        // Without it, the origin of the output is unknown.
        if !self.index.exists()
            && let Ok(Some(stored)) = self.find_stored()
        {
            self.index.use_stored(stored.index);
        }
    }

    fn find_stored(&self) -> Result<Option<StoredOutput>, StoreError> {
        self.stored.as_ref().map_or(Ok(None), |stored| stored.find(self.run))
    }

    fn read_head(&mut self, at: u64, buffer: &mut [u8]) -> Result<usize, StoreError> {
        let path = head_path(&self.dir, self.run);
        match self.head()? {
            Some(file) => file.read_at(buffer, at).map_err(|error| StoreError::io(path, error)),
            None => Ok(0),
        }
    }

    fn read_tail(&mut self, at: u64, buffer: &mut [u8]) -> Result<usize, StoreError> {
        let path = tail_path(&self.dir, self.run);
        match opened(&mut self.tail, &path)? {
            Some(file) => file.read_at(buffer, at).map_err(|error| StoreError::io(path, error)),
            None => Ok(0),
        }
    }
}

fn up_to(buffer: &mut [u8], limit: u64) -> &mut [u8] {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX).min(buffer.len());
    &mut buffer[..limit]
}

/// Opens the file if it exists and is not open. It is never replaced, so it stays open.
fn opened<'a>(file: &'a mut Option<File>, path: &Path) -> Result<Option<&'a File>, StoreError> {
    if file.is_none() {
        *file = open_shared(path)?;
    }
    Ok(file.as_ref())
}

/// Opens a file of a log, if it exists.
fn open_shared(path: &Path) -> Result<Option<File>, StoreError> {
    match open_to_read(path) {
        Ok(file) => {
            lock_shared(&file);
            Ok(Some(file))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StoreError::io(path, error)),
    }
}
