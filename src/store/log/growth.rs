//! Noticing that logs grow, however fast they do.
//!
//! A job may print a thousand times while a frame is drawn, and a thread that is woken for each time keeps others from
//! working. So each file is watched for one change only, which costs who writes it nothing from then on, and anew
//! before a ring, which comes no more often than every [`PACE`]. `notify` knows no such watches.

use std::io::{self, PipeReader, pipe};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;

use super::heard::Heard;
use super::{head_path, sizes_path, tail_path};
use crate::model::RunId;
use crate::store::{Listener, Ring};

/// The shortest time between two rings.
const PACE: Duration = Duration::from_millis(10);
/// How long until one looks again where a file could not be watched.
const BLIND: Duration = Duration::from_secs(1);
/// For many changes at once.
const EVENTS: usize = 4096;

/// The watches on the logs in a folder.
#[derive(Debug)]
pub(super) struct Watches {
    folder: PathBuf,
    inotify: OwnedFd,
}

impl Watches {
    /// Watches the folder, so far for new files only.
    pub(super) fn on(folder: &Path) -> io::Result<Self> {
        let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        inotify::add_watch(&inotify, folder, WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::ONLYDIR)?;
        Ok(Self { folder: folder.to_owned(), inotify })
    }

    /// The next change of each of these logs is noticed.
    pub(super) fn arm(&self, runs: impl IntoIterator<Item = RunId>) -> io::Result<()> {
        for run in runs {
            for path in [head_path, tail_path, sizes_path].map(|path| path(&self.folder, run)) {
                match inotify::add_watch(&self.inotify, &path, WatchFlags::MODIFY | WatchFlags::ONESHOT) {
                    // It is a new file when it comes.
                    Ok(_) | Err(Errno::NOENT) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }

    /// Takes what has been noticed; tells whether anything has changed that is `heard`.
    fn noticed(&self, heard: &Heard) -> bool {
        let (mut events, mut any) = ([MaybeUninit::uninit(); EVENTS], false);
        let mut reader = Reader::new(&self.inotify, &mut events);
        loop {
            match reader.next() {
                Ok(event) => {
                    // A watch that has done its work says so, too.
                    any |= !event.events().contains(ReadFlags::IGNORED)
                        && event.file_name().is_none_or(|name| name.to_str().is_ok_and(|name| heard.hears(name)));
                }
                Err(Errno::INTR) => {}
                Err(_) => return any,
            }
        }
    }
}

/// Rings when a log that is `heard` grows, until the listener is dropped.
pub(super) fn listen(watches: Arc<Watches>, heard: Heard, ring: Ring) -> io::Result<Listener> {
    let (closed, open) = pipe()?;
    let follow = move || follow(&watches, &heard, &closed, &ring);
    thread::Builder::new().name("growth".to_owned()).spawn(follow)?;
    Ok(Listener::holding(open))
}

fn follow(watches: &Watches, heard: &Heard, closed: &PipeReader, ring: &Ring) {
    let (mut last, mut blind) = (None::<Instant>, false);
    loop {
        if is_over(closed, Some(watches), blind.then_some(BLIND)) {
            return;
        }
        if !watches.noticed(heard) && !blind {
            continue;
        }
        if let Some(pause) = last.and_then(|last| PACE.checked_sub(last.elapsed()))
            && is_over(closed, None, Some(pause))
        {
            return;
        }
        // What has come meanwhile is seen by whoever looks after the ring, and what comes from now on rings again.
        watches.noticed(heard);
        blind = heard.arm(watches).is_err();
        ring();
        last = Some(Instant::now());
    }
}

/// Waits until a watch notices something, or for this long; tells whether nobody listens any more.
fn is_over(closed: &PipeReader, watches: Option<&Watches>, at_most: Option<Duration>) -> bool {
    let mut fds = vec![PollFd::new(closed, PollFlags::IN)];
    fds.extend(watches.map(|watches| PollFd::from_borrowed_fd(watches.inotify.as_fd(), PollFlags::IN)));
    let timeout = at_most.and_then(|at_most| Timespec::try_from(at_most).ok());
    // Interrupted by a signal, which is as good as something noticed.
    let _ = poll(&mut fds, timeout.as_ref());
    !fds[0].revents().is_empty()
}
