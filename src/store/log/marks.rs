//! The file beside a log that says which stream each stretch of the output came from, and when.
//!
//! `7.marks` is a header and a row of [`Mark`]s of 16 bytes, in the order of their offsets. It is bounded as the log
//! is: the first marks stay for ever, the others go round in a ring, in which the newest replace the oldest. Where
//! marks are missing, torn or replaced, the output is of unknown origin; that is never an error.
//!
//! A mark is written before the bytes that it is about, so whoever has read a byte finds its mark. What comes from the
//! same stream within a millisecond shares a mark, and so does what goes on in the same line.

use chrono::{DateTime, Utc};

use crate::model::Stream;

/// From which stream some output came, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Which of the two.
    pub stream: Stream,
    /// When its first byte arrived, to the millisecond.
    pub at: DateTime<Utc>,
}

/// What comes from `offset` on, up to the next mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) offset: u64,
    /// None where it could not be noted.
    pub(super) origin: Option<Origin>,
    /// How often the ring had been full when it was written: the first marks are of lap 0; 2 stands for all above.
    pub(super) lap: u64,
}

/// Where marks lie in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// How many marks stay; the ring holds as many.
    pub(super) room: u64,
}

/// How long a mark is, and the header.
pub(super) const MARK: usize = 16;
const LEN: u64 = MARK as u64;
const MAGIC: &[u8; 8] = b"SLMARKS1";
/// So many bytes of a log pay for one mark: the file takes at most a quarter of the log's limit.
const BYTES_PER_MARK: u64 = 64;
/// But a small log has this many, twice.
const LEAST_ROOM: u64 = 256;
/// How many bits of a mark say in which lap and from which stream, and guard it; the rest is the offset and the time.
const KIND: u32 = 8;
const GUARD: u32 = 16;

impl Layout {
    /// For a log that keeps so many bytes.
    pub(super) fn for_limit(limit: u64) -> Self {
        Self { room: (limit / 2 / BYTES_PER_MARK).max(LEAST_ROOM) }
    }

    /// What a header says; none if it is none.
    pub(super) fn read(header: [u8; MARK]) -> Option<Self> {
        let (magic, room) = header.split_first_chunk()?;
        let room = u64::from_le_bytes(room.try_into().ok()?);
        (magic == MAGIC && room > 0 && room < u64::MAX >> KIND).then_some(Self { room })
    }

    /// The header.
    pub(super) fn header(self) -> [u8; MARK] {
        let mut header = [0; MARK];
        header[..MAGIC.len()].copy_from_slice(MAGIC);
        header[MAGIC.len()..].copy_from_slice(&self.room.to_le_bytes());
        header
    }

    /// In which slot of the file the `nth` mark goes, counted from 0.
    pub(super) fn slot(self, nth: u64) -> u64 {
        if nth < self.room { nth } else { self.room + nth % self.room }
    }

    /// Which lap the `nth` mark is of.
    pub(super) fn lap(self, nth: u64) -> u64 {
        (nth / self.room).min(2)
    }

    /// How many slots there are.
    pub(super) fn slots(self) -> u64 {
        2 * self.room
    }

    /// How many of them a file of this length has.
    pub(super) fn filled(self, len: u64) -> u64 {
        (len / LEN).saturating_sub(1).min(self.slots())
    }

    /// Where a slot lies in the file.
    pub(super) fn place(slot: u64) -> u64 {
        (slot + 1) * LEN
    }
}

impl Mark {
    /// The mark in these bytes; none if it was never written whole.
    pub(super) fn read(bytes: [u8; MARK]) -> Option<Self> {
        let (words, _) = bytes.as_chunks::<8>();
        let &[what, when] = words else { return None };
        let (what, when) = (u64::from_le_bytes(what), u64::from_le_bytes(when));
        if when != guarded(what, when >> GUARD) {
            return None;
        }
        let stream = match what & 3 {
            1 => Some(Stream::Out),
            2 => Some(Stream::Err),
            _ => None,
        };
        let at = i64::try_from(when >> GUARD).ok().and_then(DateTime::from_timestamp_millis);
        let origin = stream.zip(at).map(|(stream, at)| Origin { stream, at });
        Some(Self { offset: what >> KIND, origin, lap: what >> 2 & 3 })
    }

    /// The bytes of the mark.
    pub(super) fn bytes(self) -> [u8; MARK] {
        let stream = match self.origin.map(|origin| origin.stream) {
            None => 0,
            Some(Stream::Out) => 1,
            Some(Stream::Err) => 2,
        };
        let what = self.offset << KIND | self.lap << 2 | stream;
        // Nothing was printed before 1970.
        let time = self.origin.map_or(0, |origin| u64::try_from(origin.at.timestamp_millis()).unwrap_or(0));
        let mut bytes = [0; MARK];
        bytes[..8].copy_from_slice(&what.to_le_bytes());
        bytes[8..].copy_from_slice(&guarded(what, time).to_le_bytes());
        bytes
    }
}

/// A time with a guard that tells the mark from one that is torn, or that a crash has left as zeros.
fn guarded(what: u64, time: u64) -> u64 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let sum = (what ^ ODD).wrapping_mul(ODD).rotate_left(32) ^ time.wrapping_mul(ODD);
    time << GUARD | sum.wrapping_mul(ODD) >> (u64::BITS - GUARD)
}
