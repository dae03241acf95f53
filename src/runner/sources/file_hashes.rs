//! The known hashes of files, so that a file is read again only when its size, times or inode have changed. They are kept
//! in a file of the site, which is only a cache: losing it costs time.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::{self, Metadata, OpenOptions};
use std::io::Write;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// A larger file is deleted: most of its entries are outdated.
const MAX_CACHE_BYTES: u64 = 64 << 20;
/// A file that was changed so recently may change again without another time.
const MIN_AGE: Duration = Duration::from_secs(2);

/// The known hashes of files.
#[derive(Debug)]
pub struct FileHashes {
    path: PathBuf,
    state: Mutex<HashState>,
}

#[derive(Debug, Default)]
struct HashState {
    is_loaded: bool,
    known: HashMap<PathBuf, (FileStamp, u64)>,
    /// Lines that have not been written.
    unsaved: Vec<u8>,
}

/// What changes when a file is written or replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileStamp([i64; 7]);

impl FileStamp {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self([
            metadata.dev().cast_signed(),
            metadata.ino().cast_signed(),
            metadata.size().cast_signed(),
            metadata.mtime(),
            metadata.mtime_nsec(),
            metadata.ctime(),
            metadata.ctime_nsec(),
        ])
    }

    /// Whether a later change can't have the same times.
    fn is_settled(self) -> bool {
        let [.., changed, _] = self.0;
        let changed = SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(changed).unwrap_or_default());
        changed.elapsed().is_ok_and(|age| age >= MIN_AGE)
    }
}

impl FileHashes {
    /// The hashes that are kept in this file, which need not exist.
    pub fn new(path: PathBuf) -> Self {
        Self { path, state: Mutex::default() }
    }

    /// The known hash of a file with this stamp.
    pub(super) fn find(&self, path: &Path, stamp: FileStamp) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.load(&self.path);
        state.known.get(path).filter(|(known, _)| *known == stamp).map(|(_, hash)| *hash)
    }

    /// Keeps the hash of a file.
    pub(super) fn remember(&self, path: &Path, stamp: FileStamp, hash: u64) {
        if !stamp.is_settled() {
            return;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut line = format!("{hash:016x}");
        for number in stamp.0 {
            // Writing to a string can't fail.
            let _ = write!(line, " {number}");
        }
        // A name with a newline is not kept in the file.
        if !path.as_os_str().as_bytes().contains(&b'\n') {
            state.unsaved.extend([line.as_bytes(), b" ", path.as_os_str().as_bytes(), b"\n"].concat());
        }
        state.known.insert(path.to_owned(), (stamp, hash));
    }

    /// Writes new hashes to the file. If that fails, the files are read again another time.
    pub(super) fn save(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = std::mem::take(&mut state.unsaved);
        drop(state);
        if lines.is_empty() {
            return;
        }
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&self.path);
        // In one write, so that the lines of several workers don't mix.
        let _ = file.and_then(|mut file| file.write_all(&lines));
    }
}

impl HashState {
    fn load(&mut self, path: &Path) {
        if std::mem::replace(&mut self.is_loaded, true) {
            return;
        }
        if fs::metadata(path).is_ok_and(|file| file.len() > MAX_CACHE_BYTES) {
            // Then it grows again.
            let _ = fs::remove_file(path);
        }
        let Ok(text) = fs::read(path) else { return };
        // A line that was cut short doesn't parse, and of several lines for a file the last one counts.
        self.known.extend(text.split_inclusive(|byte| *byte == b'\n').filter_map(parse_line));
    }
}

fn parse_line(line: &[u8]) -> Option<(PathBuf, (FileStamp, u64))> {
    let mut fields = line.strip_suffix(b"\n")?.splitn(9, |byte| *byte == b' ');
    let mut next = || std::str::from_utf8(fields.next()?).ok();
    let hash = u64::from_str_radix(next()?, 16).ok()?;
    let mut stamp = [0; 7];
    for number in &mut stamp {
        *number = next()?.parse().ok()?;
    }
    let path = PathBuf::from(OsString::from_vec(fields.next()?.to_vec()));
    path.is_absolute().then_some((path, (FileStamp(stamp), hash)))
}
