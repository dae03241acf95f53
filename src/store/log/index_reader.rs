//! Reading a stream index while it is written: where the output at some offset came from.

use std::io;
use std::ops::Range;
use std::path::PathBuf;

use super::log_file::LogFile;
use super::stream_index::{ENTRY_LEN, IndexEntry, IndexLayout, OutputOrigin};
use crate::store::private_files::open_to_read;

/// A span of output from one stream whose lines arrived at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputSpan {
    /// The offset at which it starts.
    pub start: u64,
    /// The offset at which the next span starts; `u64::MAX` if there is none yet.
    pub end: u64,
    /// The stream and the time; none if unknown.
    pub origin: Option<OutputOrigin>,
}

/// Reads the stream index of one log.
#[derive(Debug)]
pub(super) struct IndexReader {
    path: PathBuf,
    file: Option<(LogFile, IndexLayout)>,
    cache: SpanCache,
}

/// The consecutive spans that were read last.
#[derive(Debug, Default)]
struct SpanCache {
    spans: Vec<OutputSpan>,
    /// The file position of the next entry and its present content, if the last span is still open.
    next_entry: Option<(u64, Option<RawEntry>)>,
}

type RawEntry = [u8; ENTRY_LEN];

/// The order of the entries in the file, whose second half is a ring.
struct EntryOrder<'a> {
    file: &'a LogFile,
    layout: IndexLayout,
    /// The number of entries.
    len: u64,
    /// How far the ring is rotated.
    rotation: u64,
}

/// How many entries are read at once: one page.
const ENTRIES_PER_READ: u64 = 4096 / ENTRY_LEN as u64;
/// How often to retry when entries were replaced while they were read.
const MAX_READ_ATTEMPTS: usize = 100;
/// The length of an unknown span, when the entries can't be read.
const UNKNOWN_SPAN_LEN: u64 = 4096;

impl OutputSpan {
    /// A span of unknown origin that covers all output.
    pub const UNKNOWN: Self = Self { start: 0, end: u64::MAX, origin: None };

    fn contains(&self, offset: u64) -> bool {
        (self.start..self.end).contains(&offset)
    }
}

impl IndexReader {
    /// The index at `path`, which need not exist yet.
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, file: None, cache: SpanCache::default() }
    }

    /// Whether the index exists.
    pub(super) fn exists(&mut self) -> bool {
        self.opened().is_some()
    }

    /// Uses the index that a store has kept.
    pub(super) fn use_stored(&mut self, bytes: Vec<u8>) {
        self.file = open(LogFile::Stored(bytes));
    }

    /// The span that contains the byte at `offset`, which has been read already.
    pub(super) fn span_at(&mut self, offset: u64) -> OutputSpan {
        if let Some(cached) = self.cached(offset) {
            return cached;
        }
        let Some((file, layout)) = self.opened() else { return OutputSpan::UNKNOWN };
        // On an error the origin is unknown.
        let read = (0..MAX_READ_ATTEMPTS).find_map(|_| read_spans(file, *layout, offset).transpose());
        self.cache = read.and_then(Result::ok).unwrap_or_default();
        let unknown = OutputSpan { start: offset, end: offset.saturating_add(UNKNOWN_SPAN_LEN), origin: None };
        self.cache.find(offset).unwrap_or(unknown)
    }

    fn cached(&self, offset: u64) -> Option<OutputSpan> {
        let found = self.cache.find(offset)?;
        let (file, _) = self.file.as_ref()?;
        let has_grown = |(position, before)| read_raw(file, position).is_ok_and(|now| now != before);
        (found.end < u64::MAX || !self.cache.next_entry.is_some_and(has_grown)).then_some(found)
    }

    fn opened(&mut self) -> Option<&(LogFile, IndexLayout)> {
        if self.file.is_none() {
            self.file = open_to_read(&self.path).ok().and_then(|file| open(LogFile::OnDisk(file)));
        }
        self.file.as_ref()
    }
}

impl SpanCache {
    fn find(&self, offset: u64) -> Option<OutputSpan> {
        let after = self.spans.partition_point(|span| span.start <= offset);
        let found = *self.spans.get(after.checked_sub(1)?)?;
        found.contains(offset).then_some(found)
    }
}

fn open(file: LogFile) -> Option<(LogFile, IndexLayout)> {
    let layout = IndexLayout::read(read_raw(&file, 0).ok()??)?;
    Some((file, layout))
}

/// The spans from `offset` on; none if entries were replaced while they were read.
fn read_spans(file: &LogFile, layout: IndexLayout, offset: u64) -> io::Result<Option<SpanCache>> {
    let order = EntryOrder::new(file, layout)?;
    let before = |nth| Ok(order.entry(nth)?.is_some_and(|entry| entry.offset <= offset));
    let Some(first) = partition_point(order.len, before)?.checked_sub(1) else {
        // The beginning of the output has no entry.
        let end = if order.len == 0 { None } else { order.entry(0)?.map(|entry| entry.offset) };
        let beginning = end.filter(|end| offset < *end).map(|end| OutputSpan { end, ..OutputSpan::UNKNOWN });
        return Ok(Some(SpanCache { spans: beginning.into_iter().collect(), next_entry: None }));
    };
    let entries = first..order.len.min(first + ENTRIES_PER_READ);
    let raw_entries = order.raw_entries(entries.clone())?;
    let position = IndexLayout::slot_offset(order.slot(entries.end));
    let next_entry = if entries.end == order.len { Some((position, read_raw(file, position)?)) } else { None };
    let spans = order.spans(entries.start, &raw_entries, next_entry.is_some()).filter(|spans| {
        let newer = |entry: IndexEntry| spans.last().is_some_and(|last| entry.offset > last.start);
        let overtaken = next_entry.and_then(|(_, raw)| IndexEntry::read(raw?)).is_some_and(newer);
        spans.first().is_some_and(|first| first.start <= offset) && !overtaken
    });
    let is_unchanged = order.is_unchanged(entries, &raw_entries)?;
    Ok(spans.filter(|_| is_unchanged).map(|spans| SpanCache { spans, next_entry }))
}

impl<'a> EntryOrder<'a> {
    fn new(file: &'a LogFile, layout: IndexLayout) -> io::Result<Self> {
        let len = layout.filled(file.len()?);
        let mut order = Self { file, layout, len, rotation: 0 };
        if len == layout.slots()
            && let Some(start) = order.entry(layout.capacity)?
        {
            let newer = |nth| Ok(order.entry(layout.capacity + nth)?.is_some_and(|entry| entry.offset >= start.offset));
            order.rotation = partition_point(layout.capacity, newer)? % layout.capacity;
        }
        Ok(order)
    }

    /// The slot of the `nth` entry that exists, or of the next one to be written.
    fn slot(&self, nth: u64) -> u64 {
        let capacity = self.layout.capacity;
        if nth < capacity { nth } else { capacity + (nth - capacity + self.rotation) % capacity }
    }

    fn entry(&self, nth: u64) -> io::Result<Option<IndexEntry>> {
        Ok(read_raw(self.file, IndexLayout::slot_offset(self.slot(nth)))?.and_then(IndexEntry::read))
    }

    fn raw_entries(&self, entries: Range<u64>) -> io::Result<Vec<RawEntry>> {
        let mut raw_entries = Vec::new();
        let mut nth = entries.start;
        while nth < entries.end {
            let slot = self.slot(nth);
            let contiguous = if nth < self.layout.capacity { self.layout.capacity } else { self.layout.slots() } - slot;
            let count = contiguous.min(entries.end - nth);
            let mut piece = vec![RawEntry::default(); usize::try_from(count).unwrap_or(0)];
            self.file.read_exact_at(piece.as_flattened_mut(), IndexLayout::slot_offset(slot))?;
            raw_entries.append(&mut piece);
            nth += count;
        }
        Ok(raw_entries)
    }

    /// Whether these entries are unchanged. Those of the ring are replaced in order.
    fn is_unchanged(&self, entries: Range<u64>, raw_entries: &[RawEntry]) -> io::Result<bool> {
        let first = entries.start.max(self.layout.capacity);
        if first >= entries.end {
            return Ok(true);
        }
        let then = usize::try_from(first - entries.start).ok().and_then(|at| raw_entries.get(at));
        Ok(read_raw(self.file, IndexLayout::slot_offset(self.slot(first)))?.as_ref() == then)
    }

    /// The spans of these entries, where `first` is the number of the first entry. Unless these are `all` entries, the
    /// last one only ends the span before it. None if they are out of order.
    fn spans(&self, first: u64, raw_entries: &[RawEntry], all: bool) -> Option<Vec<OutputSpan>> {
        let mut spans: Vec<OutputSpan> = Vec::with_capacity(raw_entries.len());
        for (nth, raw) in (first..).zip(raw_entries) {
            let last = spans.last_mut();
            match (IndexEntry::read(*raw), last) {
                (Some(entry), Some(last)) if entry.offset <= last.start => return None,
                (Some(entry), last) => {
                    if let Some(last) = last {
                        last.end = entry.offset;
                        // The entries that followed the permanent ones have been replaced.
                        if nth == self.layout.capacity && (self.rotation > 0 || entry.lap != 1) {
                            last.origin = None;
                        }
                    }
                    spans.push(OutputSpan { start: entry.offset, end: u64::MAX, origin: entry.origin });
                }
                // An entry is missing here.
                (None, Some(last)) => last.origin = None,
                (None, None) => {}
            }
        }
        if !all {
            spans.pop();
        }
        Some(spans)
    }
}

fn read_raw(file: &LogFile, position: u64) -> io::Result<Option<RawEntry>> {
    let mut raw = RawEntry::default();
    match file.read_exact_at(&mut raw, position) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        result => result.map(|()| Some(raw)),
    }
}

/// How many of the first `len` entries are `before`; all of them precede the others.
fn partition_point(len: u64, before: impl Fn(u64) -> io::Result<bool>) -> io::Result<u64> {
    let (mut low, mut high) = (0, len);
    while low < high {
        let middle = low + (high - low) / 2;
        if before(middle)? {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(low)
}
