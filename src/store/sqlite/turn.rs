//! Whose turn it is to write, and how far the site had come when the last turn was over.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use crate::store::folder::open_private;
use crate::store::{Folder, StoreError};

/// How long a note is, in bytes: as many digits as a number may have, and a line end.
const LEN: usize = 21;

/// One connection's way to its turns. Others wait for theirs, in this process and in any other.
#[derive(Debug)]
pub(super) struct Turn {
    path: PathBuf,
    /// None where nobody can write, and so none has a turn.
    file: Option<File>,
}

impl Turn {
    /// The turns at the site in a folder that is there.
    pub(super) fn at(folder: &Folder) -> Result<Self, StoreError> {
        let path = folder.turn();
        let file = Some(open_private(&path)?);
        Ok(Self { path, file })
    }

    /// No turns: this connection is one to read.
    pub(super) fn none(folder: &Folder) -> Self {
        Self { path: folder.turn(), file: None }
    }

    /// Waits for the turn. It is over with [`end`](Self::end), or when this is dropped.
    pub(super) fn begin(&self) -> Result<(), StoreError> {
        let Some(file) = &self.file else {
            return Err(StoreError::ReadOnly { path: self.path.with_file_name("") });
        };
        file.lock().map_err(|source| StoreError::io(&self.path, source))
    }

    /// Lets others have theirs.
    pub(super) fn end(&self) -> Result<(), StoreError> {
        self.file.as_ref().map_or(Ok(()), |file| file.unlock().map_err(|source| StoreError::io(&self.path, source)))
    }

    /// Notes the number of the last event, which is on the disk. The note needn't be: one that is too old, or can't be
    /// written or read, says less and nothing wrong.
    pub(super) fn note(&self, seq: u64) {
        if let Some(file) = &self.file {
            let _ = file.write_all_at(format!("{seq:0digits$}\n", digits = LEN - 1).as_bytes(), 0);
        }
    }
}

/// The number of the last event that was ever noted at a site. A database that knows less has lost something.
pub(super) fn noted(folder: &Folder) -> Option<u64> {
    let mut note = [0; LEN];
    File::open(folder.turn()).and_then(|file| file.read_exact_at(&mut note, 0)).ok()?;
    std::str::from_utf8(&note).ok()?.strip_suffix('\n')?.parse().ok()
}
