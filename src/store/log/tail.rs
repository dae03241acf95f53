//! The tail of a long log: a ring of the newest bytes, and a note of where everything is.
//!
//! The file starts with a [`Note`]; from [`DATA`] on comes the ring. The byte at offset `o` of the output lies at
//! `(o - head) % ring`. A writer never overwrites what the note calls kept without having changed the note first, so a
//! reader that reads the note, the ring and the note again knows whether what it got is sound.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Where the ring starts; a page, so that the ring's pages are whole.
pub(super) const DATA: u64 = 4096;

/// Where the parts of a log are. All are offsets of the output or lengths, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Note {
    /// How much is in the head.
    pub(super) head: u64,
    /// How much the ring holds when it is full.
    pub(super) ring: u64,
    /// How much has been written, dropped bytes counted.
    pub(super) len: u64,
    /// Where the tail starts: what lies between the head and this has been dropped.
    pub(super) kept: u64,
    /// How long the line is that stands between head and tail; once the run is over.
    pub(super) line: u64,
    /// Up to where the tail has been moved behind the head; 0 before the run is over.
    pub(super) moved: u64,
}

/// A note that is read while it is written may be half old, half new; how often to look again.
const ATTEMPTS: usize = 1000;
const FIELDS: usize = 6;
const LEN: usize = (FIELDS + 1) * 8;
/// How long a note is in the file.
pub(super) const NOTE: u64 = LEN as u64;

impl Note {
    /// The note of this file; none if it has not been written yet.
    pub(super) fn read(file: &File) -> io::Result<Option<Self>> {
        for _ in 0..ATTEMPTS {
            let mut bytes = [0; LEN];
            match file.read_exact_at(&mut bytes, 0) {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
                result => result?,
            }
            let (words, _) = bytes.as_chunks::<8>();
            let mut fields = [0; FIELDS + 1];
            for (field, word) in fields.iter_mut().zip(words) {
                *field = u64::from_le_bytes(*word);
            }
            let [head, ring, len, kept, line, moved, check] = fields;
            let note = Self { head, ring, len, kept, line, moved };
            if note.check() == check && ring > 0 {
                return Ok(Some(note));
            }
        }
        Err(io::Error::new(io::ErrorKind::InvalidData, "not the tail of a log"))
    }

    /// Puts the note into this file.
    pub(super) fn write(&self, file: &File) -> io::Result<()> {
        let Self { head, ring, len, kept, line, moved } = *self;
        let mut bytes = [0; LEN];
        for (at, field) in bytes.chunks_exact_mut(8).zip([head, ring, len, kept, line, moved, self.check()]) {
            at.copy_from_slice(&field.to_le_bytes());
        }
        file.write_all_at(&bytes, 0)
    }

    /// The most that is written into the ring at once, and how much is dropped at once.
    pub(super) fn step(&self) -> u64 {
        (self.ring / 8).max(1)
    }

    /// Where in the file the byte at `offset` lies, and how many bytes follow it there without a turn.
    pub(super) fn place(&self, offset: u64) -> (u64, u64) {
        let at = (offset - self.head) % self.ring;
        (DATA + at, self.ring - at)
    }

    /// Where in the head's file a moved byte lies.
    pub(super) fn place_in_head(&self, offset: u64) -> u64 {
        self.head + self.line + (offset - self.kept)
    }

    /// Tells a whole note from one that is half old, half new.
    fn check(&self) -> u64 {
        let Self { head, ring, len, kept, line, moved } = *self;
        [head, ring, len, kept, line, moved]
            .iter()
            .fold(0x5345_544c_4953_5431, |sum: u64, field| (sum ^ field).wrapping_mul(0x0100_0000_01b3).rotate_left(29))
    }
}
