//! Who notices at once that a worker of this machine has died, without asking every now and then.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::thread;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::Pid;

use super::{Folder, Ring};
use crate::model::WorkerId;

/// Watches the workers of a site that are alive on this machine, until it is dropped.
#[derive(Debug)]
pub struct Vigil {
    waker: UnixStream,
}

/// The thread that watches.
struct Watcher {
    folder: Folder,
    ring: Ring,
    wake: UnixStream,
    /// Those that are watched; the descriptor becomes readable when the process ends.
    watched: Vec<(WorkerId, OwnedFd)>,
    /// Those that were found dead.
    dead: Vec<WorkerId>,
}

impl Vigil {
    /// Watches the workers of the site whose state is in `folder`, and rings when one dies. One that leaves wakes nobody,
    /// nor does one that was dead before. Where the system can't tell, it never rings.
    pub fn begin(folder: &Folder, ring: Ring) -> io::Result<Self> {
        let (wake, waker) = UnixStream::pair()?;
        waker.set_nonblocking(true)?;
        wake.set_nonblocking(true)?;
        let mut watcher = Watcher { folder: folder.clone(), ring, wake, watched: Vec::new(), dead: Vec::new() };
        watcher.look();
        thread::Builder::new().name("vigil".to_owned()).spawn(move || watcher.serve())?;
        Ok(Self { waker })
    }

    /// A worker has joined: it is to be watched too.
    pub fn look_again(&self) {
        // When there is no room for the byte, enough others are on their way.
        let _ = (&self.waker).write(b"!");
    }
}

impl Watcher {
    fn serve(mut self) {
        loop {
            // A worker joins before it gives its sign of life, and holds the roll call in between.
            drop(self.folder.roll_call());
            if self.look() {
                (self.ring)();
            }
            if !self.wait() {
                return;
            }
        }
    }

    /// Waits until somebody has died or joined. Tells whether anybody still wants to know.
    fn wait(&mut self) -> bool {
        let mut fds = vec![PollFd::new(&self.wake, PollFlags::IN)];
        fds.extend(self.watched.iter().map(|(_, process)| PollFd::from_borrowed_fd(process.as_fd(), PollFlags::IN)));
        // Interrupted by a signal, or short of memory: a look too many does no harm.
        let _ = poll(&mut fds, None);
        let ended: Vec<bool> = fds.iter().skip(1).map(|fd| !fd.revents().is_empty()).collect();
        let mut ended = ended.into_iter();
        self.watched.retain(|_| !ended.next().unwrap_or(false));
        let mut bytes = [0; 64];
        !matches!(self.wake.read(&mut bytes), Ok(0))
    }

    /// Looks at all signs of life, and watches whoever isn't watched yet. Tells whether somebody was found dead.
    fn look(&mut self) -> bool {
        let mut died = false;
        for worker in self.folder.signs_of_life() {
            if self.watched.iter().any(|(watched, _)| *watched == worker) || self.dead.contains(&worker) {
                continue;
            }
            // Held before it is asked for: if the worker lives then, this is its process, and not a later one of the same
            // number.
            let held = self.folder.worker_process(worker).and_then(hold);
            match (self.folder.worker_lives(worker), held) {
                (true, Some(process)) => self.watched.push((worker, process)),
                // It is in a container of its own: the rounds have to do.
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
fn hold(process: Pid) -> Option<OwnedFd> {
    use rustix::process::{PidfdFlags, pidfd_open};

    pidfd_open(process, PidfdFlags::empty()).ok()
}

/// See above.
#[cfg(not(target_os = "linux"))]
fn hold(_process: Pid) -> Option<OwnedFd> {
    None
}
