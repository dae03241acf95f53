//! Small logs of runs that have ended, which a store keeps instead of their files: a file takes at least a block of the
//! disk, however little is in it.

use std::fmt::{self, Debug, Formatter};
use std::fs;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::files::{head_path, index_path, sizes_path, tail_path};
use super::notices::deletion_notice;
use crate::crash;
use crate::model::RunId;
use crate::store::error::StoreError;
use crate::store::private_files::open_to_read;

/// The files of a log are kept as such if they are larger, together and in bytes.
pub(in crate::store) const MAX_STORED_LEN: u64 = 4096;

/// The files of a small log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::store) struct StoredOutput {
    /// The output.
    pub(in crate::store) head: Vec<u8>,
    /// Its stream index; empty if it has none.
    pub(in crate::store) index: Vec<u8>,
    /// The sizes of its terminal; empty if it had none.
    pub(in crate::store) sizes: Vec<u8>,
}

impl StoredOutput {
    /// Reads the files of a finished log. `None` if it doesn't exist, is large, or has dropped output.
    pub(in crate::store) fn read_files(dir: &Path, run: RunId) -> io::Result<Option<Self>> {
        let Some(head) = read(&head_path(dir, run))? else { return Ok(None) };
        if fs::symlink_metadata(tail_path(dir, run)).is_ok() {
            return Ok(None);
        }
        let (Some(index), Some(sizes)) = (read_or_empty(&index_path(dir, run))?, read_or_empty(&sizes_path(dir, run))?)
        else {
            return Ok(None);
        };
        let output = Self { head, index, sizes };
        Ok(Some(output).filter(|output| output.len() <= MAX_STORED_LEN))
    }

    /// Deletes the files of a log that the store has. The head goes last: what else is left can be found by it.
    pub(in crate::store) fn remove_files(dir: &Path, run: RunId) {
        for path in [index_path, sizes_path, head_path].map(|path| path(dir, run)) {
            // If it fails, the file is deleted when the site is pruned.
            let _ = fs::remove_file(path);
            crash::point("moving-output");
        }
    }

    /// With a line behind it.
    #[must_use]
    pub(in crate::store) fn followed_by(mut self, line: &str) -> Self {
        self.head.extend_from_slice(line.as_bytes());
        self
    }

    /// How many bytes it has.
    pub(in crate::store) fn len(&self) -> u64 {
        (self.head.len() + self.index.len() + self.sizes.len()) as u64
    }

    /// The notice that takes the place of output of this size.
    pub(in crate::store) fn deleted(len: u64, now: DateTime<Utc>) -> Self {
        Self { head: deletion_notice(len, now).into_bytes(), ..Self::default() }
    }
}

/// The content of a file; `None` if it doesn't exist or is too large.
fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    match open_to_read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?.take(MAX_STORED_LEN + 1).read_to_end(&mut bytes)?,
    };
    Ok(Some(bytes).filter(|bytes| bytes.len() as u64 <= MAX_STORED_LEN))
}

/// The content of a file, or nothing if it doesn't exist; `None` if it is too large.
fn read_or_empty(path: &Path) -> io::Result<Option<Vec<u8>>> {
    if fs::symlink_metadata(path).is_ok() { read(path) } else { Ok(Some(Vec::new())) }
}

/// Finds the output of runs in a store.
#[derive(Clone)]
pub(in crate::store) struct StoredOutputs(Arc<FindFn>);

type FindFn = dyn Fn(RunId) -> Result<Option<StoredOutput>, StoreError> + Send + Sync;

impl StoredOutputs {
    pub(in crate::store) fn new(
        find: impl Fn(RunId) -> Result<Option<StoredOutput>, StoreError> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(find))
    }

    pub(super) fn find(&self, run: RunId) -> Result<Option<StoredOutput>, StoreError> {
        (self.0)(run)
    }
}

impl Debug for StoredOutputs {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("StoredOutputs")
    }
}
