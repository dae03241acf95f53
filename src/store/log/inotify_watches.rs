//! One-shot inotify watches on logs.
//!
//! A log may grow thousands of times between two frames, and a watch that fires every time would slow down its writer. So
//! each file is watched for one change only and armed again before the next notification. `notify` has no such watches.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;

use super::files::{head_path, sizes_path, tail_path};
use crate::model::RunId;

/// The size of the buffer for inotify events, in bytes.
const EVENT_BUFFER_LEN: usize = 4096;

/// The watches on the logs in a directory.
#[derive(Debug)]
pub(super) struct LogWatches {
    dir: PathBuf,
    inotify: OwnedFd,
}

impl LogWatches {
    /// Watches the directory for new files; [`arm`](Self::arm) adds those that exist.
    pub(super) fn new(dir: &Path) -> io::Result<Self> {
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        inotify::add_watch(&inotify, dir, WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::ONLYDIR)?;
        Ok(Self { dir: dir.to_owned(), inotify })
    }

    /// Watches each of these logs for its next change.
    pub(super) fn arm(&self, runs: impl IntoIterator<Item = RunId>) -> io::Result<()> {
        for run in runs {
            for path in [head_path, tail_path, sizes_path].map(|path| path(&self.dir, run)) {
                match inotify::add_watch(&self.inotify, &path, WatchFlags::MODIFY | WatchFlags::ONESHOT) {
                    // The watch on the directory reports the file when it is created.
                    Ok(_) | Err(Errno::NOENT) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }

    /// Reads all queued events; returns whether one of them is about a file that is included.
    pub(super) fn drain_events(&self, includes_file: impl Fn(&str) -> bool) -> bool {
        let (mut events, mut found) = ([MaybeUninit::uninit(); EVENT_BUFFER_LEN], false);
        let mut reader = Reader::new(&self.inotify, &mut events);
        loop {
            match reader.next() {
                Ok(event) => {
                    // A one-shot watch that has fired is followed by IGNORED.
                    found |= !event.events().contains(ReadFlags::IGNORED)
                        && event.file_name().is_none_or(|name| name.to_str().is_ok_and(&includes_file));
                }
                Err(Errno::INTR) => {}
                Err(_) => return found,
            }
        }
    }
}

impl AsFd for LogWatches {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}
