//! Our ends of a process's pipes.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::io::{Errno, ioctl_fionread, read, write};

/// What a pipe holds unless it is enlarged.
const DEFAULT_SIZE: usize = 64 * 1024;
/// What the pipe of a chatty process is enlarged to.
const LARGE_SIZE: usize = 1024 * 1024;

/// Where a process's output is read.
pub(super) struct OutPipe {
    fd: OwnedFd,
    large: bool,
}

/// Where a process's input is written.
pub(super) struct InPipe {
    fd: OwnedFd,
    rest: Vec<u8>,
    written: usize,
}

impl OutPipe {
    pub(super) fn new(fd: OwnedFd) -> Self {
        Self { fd, large: false }
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Reads once; `poll` has said that this doesn't wait. None when there will be no more.
    pub(super) fn read(&mut self, ready: PollFlags, buffer: &mut [u8]) -> Option<usize> {
        // Hung up with nothing left: saves asking for the end.
        if !ready.contains(PollFlags::IN) {
            return None;
        }
        match read(&self.fd, buffer) {
            Ok(0) => None,
            Ok(len) => {
                if len >= DEFAULT_SIZE && !self.large {
                    self.enlarge();
                }
                Some(len)
            }
            Err(Errno::INTR | Errno::AGAIN) => Some(0),
            Err(_) => None,
        }
    }

    /// Reads what the pipe holds by now, without waiting for more, in pieces for `take`. A process that was left
    /// behind may hold the other end for ever, and may go on writing.
    pub(super) fn drain(&self, buffer: &mut [u8], mut take: impl FnMut(&[u8])) {
        let mut left = ioctl_fionread(&self.fd).map_or(0, |held| usize::try_from(held).unwrap_or(usize::MAX));
        while left > 0 {
            let most = left.min(buffer.len());
            match read(&self.fd, &mut buffer[..most]) {
                Ok(len @ 1..) => {
                    take(&buffer[..len]);
                    left -= len;
                }
                Err(Errno::INTR) => {}
                Ok(0) | Err(_) => break,
            }
        }
    }

    /// Leaves the pipe to a process of its own, which throws away what others still write to it: they would be killed
    /// if nobody read it, and they were left in the background on purpose.
    pub(super) fn hand_over(self) {
        let mut fds = [PollFd::new(&self.fd, PollFlags::IN)];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        // Nobody writes to most: they were closed when the run ended.
        let abandoned = poll(&mut fds, Some(&at_once)).is_ok() && fds[0].revents() == PollFlags::HUP;
        if !abandoned {
            // The shell ends at once, so that we leave no zombie. What it runs in the background would get no input
            // by that number.
            let mut shell = Command::new("sh");
            shell.args(["-c", "exec 3<&0; cat <&3 &"]).current_dir("/").process_group(0);
            // Without it, they are killed when they write.
            let _ = shell.stdin(self.fd).stdout(Stdio::null()).stderr(Stdio::null()).status();
        }
    }

    /// Fewer, larger reads. It only saves time, so it may be refused.
    fn enlarge(&mut self) {
        self.large = true;
        #[cfg(target_os = "linux")]
        let _ = rustix::pipe::fcntl_setpipe_size(&self.fd, LARGE_SIZE);
    }
}

impl InPipe {
    /// Writes what the pipe takes at once; none if that was all.
    pub(super) fn feeding(fd: OwnedFd, text: &str) -> Option<Self> {
        fcntl_setfl(&fd, OFlags::NONBLOCK).ok()?;
        Self { fd, rest: text.as_bytes().to_vec(), written: 0 }.write()
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Writes what the pipe takes; none, and the pipe closed, when all is written or nobody reads it.
    pub(super) fn write(mut self) -> Option<Self> {
        while self.written < self.rest.len() {
            match write(&self.fd, &self.rest[self.written..]) {
                Ok(len) => self.written += len,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Some(self),
                Err(_) => return None,
            }
        }
        None
    }
}
