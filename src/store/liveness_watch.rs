//! Notifies at once when a worker on this machine dies, and when the site is moved or removed, without polling.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::thread;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::Pid;

use super::notifier::NotifyFn;
use super::state_dir::StateDir;
use crate::model::WorkerId;

/// Watches the live workers of a site on this machine, until it is dropped.
#[derive(Debug)]
pub struct LivenessWatch {
    waker: UnixStream,
}

/// The state of the watching thread.
struct WatchThread {
    dir: StateDir,
    notify: NotifyFn,
    wake: UnixStream,
    /// Becomes readable when the directory is moved or removed.
    dir_watch: Option<OwnedFd>,
    /// The watched workers. A descriptor becomes readable when its process ends.
    watched: Vec<(WorkerId, OwnedFd)>,
    /// The workers that were found dead.
    dead: Vec<WorkerId>,
}

/// Why the watching thread woke.
enum Wakeup {
    /// A worker has died or joined.
    Worker,
    /// The directory was moved or removed.
    DirMoved,
    /// The watch was dropped.
    Dropped,
}

impl LivenessWatch {
    /// Watches the workers of the site in `dir`, and notifies when one dies, and when the directory or one that holds it is
    /// moved or removed. It does not notify when a worker leaves or was dead before. On systems without pidfds and inotify
    /// it never notifies.
    pub fn start(dir: &StateDir, notify: NotifyFn) -> io::Result<Self> {
        let (wake, waker) = UnixStream::pair()?;
        waker.set_nonblocking(true)?;
        wake.set_nonblocking(true)?;
        let dir_watch = watch_dir_moves(dir);
        let mut watcher =
            WatchThread { dir: dir.clone(), notify, wake, dir_watch, watched: Vec::new(), dead: Vec::new() };
        watcher.scan();
        thread::Builder::new().name("liveness-watch".to_owned()).spawn(move || watcher.run())?;
        Ok(Self { waker })
    }

    /// Looks for new workers to watch, after one has joined.
    pub fn rescan(&self) {
        // If the buffer is full, a rescan is pending anyway.
        let _ = (&self.waker).write(b"!");
    }
}

impl WatchThread {
    fn run(mut self) {
        loop {
            // A worker registers before it locks its file, and holds the registration lock in between.
            drop(self.dir.lock_registration());
            if self.scan() {
                (self.notify)();
            }
            match self.wait() {
                Wakeup::Dropped => return,
                Wakeup::Worker => {}
                Wakeup::DirMoved => {
                    // It is found by its path from now on, if at all.
                    self.dir_watch = None;
                    (self.notify)();
                }
            }
        }
    }

    /// Waits until something happens.
    fn wait(&mut self) -> Wakeup {
        let mut fds = vec![PollFd::new(&self.wake, PollFlags::IN)];
        fds.extend(self.dir_watch.iter().map(|dir_watch| PollFd::new(dir_watch, PollFlags::IN)));
        fds.extend(self.watched.iter().map(|(_, process)| PollFd::from_borrowed_fd(process.as_fd(), PollFlags::IN)));
        // After a signal or a failure an extra scan does no harm.
        let _ = poll(&mut fds, None);
        let mut ended = fds.iter().map(|fd| !fd.revents().is_empty()).collect::<Vec<_>>().into_iter().skip(1);
        let is_moved = self.dir_watch.is_some() && ended.next().unwrap_or(false);
        self.watched.retain(|_| !ended.next().unwrap_or(false));
        let mut bytes = [0; 64];
        match self.wake.read(&mut bytes) {
            Ok(0) => Wakeup::Dropped,
            _ if is_moved => Wakeup::DirMoved,
            _ => Wakeup::Worker,
        }
    }

    /// Scans the workers' files and watches new workers; returns whether one was found dead.
    fn scan(&mut self) -> bool {
        let mut died = false;
        for worker in self.dir.registered_workers() {
            if self.watched.iter().any(|(watched, _)| *watched == worker) || self.dead.contains(&worker) {
                continue;
            }
            // Opened before the liveness check: if the worker is alive then, this is its process and not a later one
            // with the same id.
            let pidfd = self.dir.worker_pid(worker).and_then(open_pidfd);
            match (self.dir.is_worker_alive(worker), pidfd) {
                (true, Some(process)) => self.watched.push((worker, process)),
                // It runs in another PID namespace; periodic checks find its death.
                (true, None) => {}
                (false, _) => {
                    self.dead.push(worker);
                    died = true;
                }
            }
        }
        died
    }
}

#[cfg(target_os = "linux")]
fn open_pidfd(process: Pid) -> Option<OwnedFd> {
    use rustix::process::{PidfdFlags, pidfd_open};

    pidfd_open(process, PidfdFlags::empty()).ok()
}

/// Not available on other systems.
#[cfg(not(target_os = "linux"))]
fn open_pidfd(_process: Pid) -> Option<OwnedFd> {
    None
}

/// Watches whether a directory, or one of those that hold it, is moved or removed. Other changes in them cause no events.
#[cfg(target_os = "linux")]
fn watch_dir_moves(dir: &StateDir) -> Option<OwnedFd> {
    use rustix::fs::inotify::{CreateFlags, WatchFlags, add_watch, init};

    let inotify = init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok()?;
    for ancestor in std::path::absolute(dir.path()).ok()?.ancestors() {
        // A directory that can't be watched is noticed by the routine check.
        let _ = add_watch(&inotify, ancestor, WatchFlags::MOVE_SELF | WatchFlags::DELETE_SELF | WatchFlags::ONLYDIR);
    }
    Some(inotify)
}

/// Not available on other systems.
#[cfg(not(target_os = "linux"))]
fn watch_dir_moves(_dir: &StateDir) -> Option<OwnedFd> {
    None
}
