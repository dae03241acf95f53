//! A part of a log that is read: a file, or what a store has kept of it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Bytes that are read at offsets.
#[derive(Debug)]
pub(super) enum LogFile {
    /// A file, which may grow.
    OnDisk(File),
    /// What the store has of a run that has ended.
    Stored(Vec<u8>),
}

impl LogFile {
    pub(super) fn len(&self) -> io::Result<u64> {
        match self {
            Self::OnDisk(file) => Ok(file.metadata()?.len()),
            Self::Stored(bytes) => Ok(bytes.len() as u64),
        }
    }

    /// Reads bytes from this offset on; returns how many.
    pub(super) fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        match self {
            Self::OnDisk(file) => file.read_at(buffer, at),
            Self::Stored(bytes) => {
                let rest = usize::try_from(at).ok().and_then(|at| bytes.get(at..)).unwrap_or_default();
                let len = rest.len().min(buffer.len());
                buffer[..len].copy_from_slice(&rest[..len]);
                Ok(len)
            }
        }
    }

    /// Fills the buffer with the bytes from this offset on.
    pub(super) fn read_exact_at(&self, buffer: &mut [u8], at: u64) -> io::Result<()> {
        match self {
            Self::OnDisk(file) => file.read_exact_at(buffer, at),
            Self::Stored(_) if self.read_at(buffer, at)? < buffer.len() => Err(io::ErrorKind::UnexpectedEof.into()),
            Self::Stored(_) => Ok(()),
        }
    }
}
