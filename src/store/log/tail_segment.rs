//! The tail of a long log: a header and a ring of the newest bytes.
//!
//! The file starts with a [`TailHeader`]; the ring starts at [`RING_OFFSET`]. The byte at offset `o` of the output is
//! at `(o - head_len) % ring_len`. A writer updates the header before it overwrites bytes that the header declares as
//! kept, so a reader that reads the header, the ring and the header again knows whether its bytes are valid.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// The file offset of the ring; one page, so that the ring is aligned.
pub(super) const RING_OFFSET: u64 = 4096;

/// Where the parts of a log are. All fields are offsets of the output or lengths, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct TailHeader {
    /// The length of the head.
    pub(super) head_len: u64,
    /// The capacity of the ring.
    pub(super) ring_len: u64,
    /// The length of the output, including dropped bytes.
    pub(super) output_len: u64,
    /// Where the tail starts; output between the head and this offset was dropped.
    pub(super) kept_from: u64,
    /// The length of the notice between head and tail, once the run has ended.
    pub(super) notice_len: u64,
    /// Up to where the tail has been moved behind the head; 0 before the run has ended.
    pub(super) moved_until: u64,
}

/// How often to retry when a header is read while it is written.
const MAX_READ_ATTEMPTS: usize = 1000;
const FIELD_COUNT: usize = 6;
const HEADER_LEN: usize = (FIELD_COUNT + 1) * 8;
/// The length of the header in the file.
pub(super) const HEADER_LEN_U64: u64 = HEADER_LEN as u64;

/// How many lines ended in the dropped part of an output, behind the header of a tail that was moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DroppedLines(pub(super) u64);

impl DroppedLines {
    /// What the second word is combined with, so that other bytes aren't taken for it.
    const CHECK: u64 = 0x6c69_6e65_7301_0001;

    /// Reads the number. None if it is not known.
    pub(super) fn read(file: &File) -> io::Result<Option<Self>> {
        let mut bytes = [0; 16];
        match file.read_exact_at(&mut bytes, HEADER_LEN_U64) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            result => result?,
        }
        let (words, _) = bytes.as_chunks::<8>();
        let [count, check] = [0, 1].map(|nth| words.get(nth).map_or(0, |word| u64::from_le_bytes(*word)));
        Ok((count ^ Self::CHECK == check).then_some(Self(count)))
    }

    /// Writes the number.
    pub(super) fn write(self, file: &File) -> io::Result<()> {
        let words = [self.0, self.0 ^ Self::CHECK].map(u64::to_le_bytes);
        file.write_all_at(words.as_flattened(), HEADER_LEN_U64)
    }
}

impl TailHeader {
    /// Reads the header; none if it has not been written yet.
    pub(super) fn read(file: &File) -> io::Result<Option<Self>> {
        for _ in 0..MAX_READ_ATTEMPTS {
            let mut bytes = [0; HEADER_LEN];
            match file.read_exact_at(&mut bytes, 0) {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
                result => result?,
            }
            let (words, _) = bytes.as_chunks::<8>();
            let mut fields = [0; FIELD_COUNT + 1];
            for (field, word) in fields.iter_mut().zip(words) {
                *field = u64::from_le_bytes(*word);
            }
            let [head_len, ring_len, output_len, kept_from, notice_len, moved_until, checksum] = fields;
            let header = Self { head_len, ring_len, output_len, kept_from, notice_len, moved_until };
            if header.checksum() == checksum && ring_len > 0 {
                return Ok(Some(header));
            }
        }
        Err(io::Error::new(io::ErrorKind::InvalidData, "not a log tail"))
    }

    /// Writes the header.
    pub(super) fn write(&self, file: &File) -> io::Result<()> {
        let mut bytes = [0; HEADER_LEN];
        for (at, field) in bytes.chunks_exact_mut(8).zip(self.fields().into_iter().chain([self.checksum()])) {
            at.copy_from_slice(&field.to_le_bytes());
        }
        file.write_all_at(&bytes, 0)
    }

    /// The most that is written to the ring at once, and the least that is dropped at once.
    pub(super) fn max_write_len(&self) -> u64 {
        (self.ring_len / 8).max(1)
    }

    /// The file offset of the byte at `offset`, and how many bytes follow it contiguously.
    pub(super) fn file_position(&self, offset: u64) -> (u64, u64) {
        let at = (offset - self.head_len) % self.ring_len;
        (RING_OFFSET + at, self.ring_len - at)
    }

    /// The offset of a moved byte in the head's file.
    pub(super) fn head_position(&self, offset: u64) -> u64 {
        self.head_len + self.notice_len + (offset - self.kept_from)
    }

    /// The fields in the order in which they are written.
    fn fields(&self) -> [u64; FIELD_COUNT] {
        let Self { head_len, ring_len, output_len, kept_from, notice_len, moved_until } = *self;
        [head_len, ring_len, output_len, kept_from, notice_len, moved_until]
    }

    /// Detects a header that was read while it was written.
    fn checksum(&self) -> u64 {
        self.fields()
            .iter()
            .fold(0x5345_544c_4953_5431, |sum: u64, field| (sum ^ field).wrapping_mul(0x0100_0000_01b3).rotate_left(29))
    }
}
