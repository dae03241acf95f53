//! The format of a stream index: the stream and arrival time of each part of a log.
//!
//! `7.marks` has a header and entries of 16 bytes in order of their offsets. Its size is bounded: the first entries are
//! permanent, the others form a ring in which the newest replace the oldest. Where entries are missing, torn or
//! replaced, the origin of the output is unknown, which is not an error.
//!
//! An entry is written before its bytes, so a reader of a byte finds the entry. Bytes from the same stream within a
//! millisecond share an entry, and so do those that continue a line.

use chrono::{DateTime, Utc};

use crate::model::Stream;

/// The stream and arrival time of output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputOrigin {
    /// The stream.
    pub stream: Stream,
    /// When the first byte arrived, in milliseconds.
    pub at: DateTime<Utc>,
}

/// The origin of the output from `offset` to the next entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct IndexEntry {
    pub(super) offset: u64,
    /// None if it could not be recorded.
    pub(super) origin: Option<OutputOrigin>,
    /// How often the ring was full when the entry was written: 0 for the permanent entries; 2 also for all later laps.
    pub(super) lap: u64,
}

/// The layout of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct IndexLayout {
    /// The number of permanent entries, and of entries in the ring.
    pub(super) capacity: u64,
}

/// The length of an entry and of the header, in bytes.
pub(super) const ENTRY_LEN: usize = 16;
const ENTRY_LEN_U64: u64 = ENTRY_LEN as u64;
const MAGIC: &[u8; 8] = b"SLMARKS1";
/// One entry per this many bytes of log, so that the file takes at most a quarter of the log's limit.
const LOG_BYTES_PER_ENTRY: u64 = 64;
/// The minimum capacity, for small logs.
const MIN_CAPACITY: u64 = 256;
/// How many bits of an entry hold the lap and stream, and the checksum; the others hold the offset and the time.
const KIND_BITS: u32 = 8;
const CHECKSUM_BITS: u32 = 16;

impl IndexLayout {
    /// The layout for a log of at most `limit` bytes.
    pub(super) fn for_limit(limit: u64) -> Self {
        Self { capacity: (limit / 2 / LOG_BYTES_PER_ENTRY).max(MIN_CAPACITY) }
    }

    /// Decodes a header; none if it is invalid.
    pub(super) fn read(header: [u8; ENTRY_LEN]) -> Option<Self> {
        let (magic, capacity) = header.split_first_chunk()?;
        let capacity = u64::from_le_bytes(capacity.try_into().ok()?);
        (magic == MAGIC && capacity > 0 && capacity < u64::MAX >> KIND_BITS).then_some(Self { capacity })
    }

    /// Encodes the header.
    pub(super) fn header(self) -> [u8; ENTRY_LEN] {
        let mut header = [0; ENTRY_LEN];
        header[..MAGIC.len()].copy_from_slice(MAGIC);
        header[MAGIC.len()..].copy_from_slice(&self.capacity.to_le_bytes());
        header
    }

    /// The slot of the `nth` entry, counted from 0.
    pub(super) fn slot(self, nth: u64) -> u64 {
        if nth < self.capacity { nth } else { self.capacity + nth % self.capacity }
    }

    /// The lap of the `nth` entry.
    pub(super) fn lap(self, nth: u64) -> u64 {
        (nth / self.capacity).min(2)
    }

    /// The number of slots.
    pub(super) fn slots(self) -> u64 {
        2 * self.capacity
    }

    /// How many slots a file of this length has.
    pub(super) fn filled(self, len: u64) -> u64 {
        (len / ENTRY_LEN_U64).saturating_sub(1).min(self.slots())
    }

    /// The file offset of a slot.
    pub(super) fn slot_offset(slot: u64) -> u64 {
        (slot + 1) * ENTRY_LEN_U64
    }
}

impl IndexEntry {
    /// Decodes an entry; none if it is incomplete.
    pub(super) fn read(bytes: [u8; ENTRY_LEN]) -> Option<Self> {
        let (words, _) = bytes.as_chunks::<8>();
        let &[what, when] = words else { return None };
        let (what, when) = (u64::from_le_bytes(what), u64::from_le_bytes(when));
        if when != with_checksum(what, when >> CHECKSUM_BITS) {
            return None;
        }
        let stream = match what & 3 {
            1 => Some(Stream::Out),
            2 => Some(Stream::Err),
            _ => None,
        };
        let at = i64::try_from(when >> CHECKSUM_BITS).ok().and_then(DateTime::from_timestamp_millis);
        let origin = stream.zip(at).map(|(stream, at)| OutputOrigin { stream, at });
        Some(Self { offset: what >> KIND_BITS, origin, lap: what >> 2 & 3 })
    }

    /// Encodes the entry.
    pub(super) fn bytes(self) -> [u8; ENTRY_LEN] {
        let stream = match self.origin.map(|origin| origin.stream) {
            None => 0,
            Some(Stream::Out) => 1,
            Some(Stream::Err) => 2,
        };
        let what = self.offset << KIND_BITS | self.lap << 2 | stream;
        // There is no output from before 1970.
        let time = self.origin.map_or(0, |origin| u64::try_from(origin.at.timestamp_millis()).unwrap_or(0));
        let mut bytes = [0; ENTRY_LEN];
        bytes[..8].copy_from_slice(&what.to_le_bytes());
        bytes[8..].copy_from_slice(&with_checksum(what, time).to_le_bytes());
        bytes
    }
}

/// A time with a checksum, which detects torn entries and those that a crash has left as zeros.
fn with_checksum(what: u64, time: u64) -> u64 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let sum = (what ^ ODD).wrapping_mul(ODD).rotate_left(32) ^ time.wrapping_mul(ODD);
    time << CHECKSUM_BITS | sum.wrapping_mul(ODD) >> (u64::BITS - CHECKSUM_BITS)
}
