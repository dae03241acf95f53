//! Which databases this process is connected to, and what is checked before it connects to one.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::db_paths::{PAGE_SIZE, has_wal, unreadable};
use crate::store::error::StoreError;
use crate::store::private_files::open_to_read;

/// A setlist database that this process is connected to, or about to be. It is kept as long as the connection.
///
/// While there is one, no other descriptor of the file is opened: closing it would release all locks that this process
/// holds on the file. Another process would then believe that it has the last connection, and delete the write-ahead log.
#[derive(Debug)]
pub(super) struct ConnectedDb {
    inode: Inode,
}

/// The device and inode numbers of a file.
type Inode = (u64, u64);

/// How many [`ConnectedDb`]s there are of each file.
static USED: Mutex<BTreeMap<Inode, usize>> = Mutex::new(BTreeMap::new());

/// The first bytes of every `SQLite` database.
const MAGIC: &[u8] = b"SQLite format 3\0";
/// The length of the database header in bytes, and the offset of its `application_id`.
const HEADER_LEN: usize = 100;
const APPLICATION_ID_OFFSET: usize = 68;
/// Marks a database as one of setlist.
pub(super) const APPLICATION_ID: [u8; 4] = *b"sets";

impl ConnectedDb {
    /// The database at `path`, if there is one. Any other file is refused before `SQLite` opens it.
    pub(super) fn find(path: &Path) -> Result<Option<Self>, StoreError> {
        let mut used = lock_used();
        let metadata = match fs::symlink_metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::io(path, error)),
        };
        let inode = (metadata.dev(), metadata.ino());
        if !used.contains_key(&inode) {
            check_header(path)?;
        }
        check_length(path, &metadata)?;
        *used.entry(inode).or_default() += 1;
        Ok(Some(Self { inode }))
    }
}

impl Drop for ConnectedDb {
    fn drop(&mut self) {
        let mut used = lock_used();
        if let Some(count) = used.get_mut(&self.inode) {
            *count -= 1;
            if *count == 0 {
                used.remove(&self.inode);
            }
        }
    }
}

fn lock_used() -> MutexGuard<'static, BTreeMap<Inode, usize>> {
    USED.lock().unwrap_or_else(PoisonError::into_inner)
}

fn check_header(path: &Path) -> Result<(), StoreError> {
    let mut header = Vec::with_capacity(HEADER_LEN);
    open_to_read(path)
        .and_then(|file| file.take(HEADER_LEN as u64).read_to_end(&mut header))
        .map_err(|source| StoreError::io(path, source))?;
    if header.is_empty() {
        // An empty file is never created, so it is what remains of a database.
        Err(unreadable(path, "the file is empty"))
    } else if !header.starts_with(MAGIC) {
        Err(unreadable(path, "not a database"))
    } else if header.len() < HEADER_LEN {
        Err(unreadable(path, "the database is truncated"))
    } else if !header[APPLICATION_ID_OFFSET..].starts_with(&APPLICATION_ID) {
        Err(unreadable(path, "not a setlist database"))
    } else {
        Ok(())
    }
}

fn check_length(path: &Path, metadata: &Metadata) -> Result<(), StoreError> {
    // While there is a write-ahead log, the last page may be incomplete; the log has it too.
    let is_cut_off = !has_wal(path) && !metadata.len().is_multiple_of(PAGE_SIZE);
    if metadata.len() < PAGE_SIZE || is_cut_off {
        return Err(unreadable(path, "the database is truncated"));
    }
    Ok(())
}
