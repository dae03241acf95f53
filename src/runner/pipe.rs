//! The parent's ends of a run's pipes.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::io::{Errno, ioctl_fionread, read, write};

/// The capacity of a new pipe.
const DEFAULT_PIPE_BYTES: usize = 64 * 1024;
/// The capacity that a pipe is enlarged to once a read fills the default.
const LARGE_PIPE_BYTES: usize = 1024 * 1024;

/// Reads a run's standard output or standard error.
pub(super) struct OutPipe {
    fd: OwnedFd,
    is_enlarged: bool,
}

/// Writes a run's standard input.
pub(super) struct InPipe {
    fd: OwnedFd,
    text: Vec<u8>,
    written: usize,
}

impl OutPipe {
    pub(super) fn new(fd: OwnedFd) -> Self {
        Self { fd, is_enlarged: false }
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Reads once, after `poll` has returned these events. None at the end of the output.
    pub(super) fn read(&mut self, ready: PollFlags, buffer: &mut [u8]) -> Option<usize> {
        // Hung up and empty: no read needed to find the end.
        if !ready.contains(PollFlags::IN) {
            return None;
        }
        match read(&self.fd, buffer) {
            Ok(0) => None,
            Ok(len) => {
                if len >= DEFAULT_PIPE_BYTES && !self.is_enlarged {
                    self.enlarge();
                }
                Some(len)
            }
            Err(Errno::INTR | Errno::AGAIN) => Some(0),
            Err(_) => None,
        }
    }

    /// Reads what the pipe holds now and passes it to `take`, without waiting for more: a background process may keep the
    /// other end open and write for ever.
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

    /// Hands the pipe to a background process that reads and discards what is written to it. Without a reader, a job's
    /// background processes would be killed by SIGPIPE, and they were started on purpose.
    pub(super) fn discard_in_background(self) {
        let mut fds = [PollFd::new(&self.fd, PollFlags::IN)];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        // Most pipes have no writer left after the run has ended.
        let is_closed = poll(&mut fds, Some(&at_once)).is_ok() && fds[0].revents() == PollFlags::HUP;
        if !is_closed {
            // The shell exits at once and leaves no zombie. Descriptor 3, because a shell connects the standard input of
            // a background command to /dev/null.
            let mut shell = Command::new("sh");
            shell.args(["-c", "exec 3<&0; cat <&3 &"]).current_dir("/").process_group(0);
            // If it fails, the background processes get SIGPIPE when they write.
            let _ = shell.stdin(self.fd).stdout(Stdio::null()).stderr(Stdio::null()).status();
        }
    }

    /// Enlarges the pipe, for fewer and larger reads. If that is refused, reads stay small.
    fn enlarge(&mut self) {
        self.is_enlarged = true;
        #[cfg(target_os = "linux")]
        let _ = rustix::pipe::fcntl_setpipe_size(&self.fd, LARGE_PIPE_BYTES);
    }
}

impl InPipe {
    /// Writes as much of `text` as fits into the pipe; none if that was all.
    pub(super) fn new(fd: OwnedFd, text: &str) -> Option<Self> {
        fcntl_setfl(&fd, OFlags::NONBLOCK).ok()?;
        Self { fd, text: text.as_bytes().to_vec(), written: 0 }.write()
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Writes as much as fits. When all is written or the reader has closed its end, closes the pipe and returns none.
    pub(super) fn write(mut self) -> Option<Self> {
        while self.written < self.text.len() {
            match write(&self.fd, &self.text[self.written..]) {
                Ok(len) => self.written += len,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Some(self),
                Err(_) => return None,
            }
        }
        None
    }
}
