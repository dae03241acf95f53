//! The pseudo-terminal of a run: its master side, the input typed into it and its size.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Child, Command};

use pty_process::blocking::{self, Pts};
use rustix::event::PollFlags;
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::io::{Errno, read, write};
use rustix::termios::{InputModes, OptionalActions, Winsize, tcgetattr, tcsetattr, tcsetwinsize};

use crate::model::{TerminalInput, WindowSize};

/// How the pseudo-terminal of a run starts.
#[derive(Debug, Default)]
pub struct PtyOptions {
    /// Its initial size.
    pub size: WindowSize,
    /// Where typed input comes from; none by default.
    pub input: Option<Box<dyn PtyInput>>,
}

/// A source of typed input and size changes. It is read when its descriptor is readable, on the thread that drives all
/// runs, so it must not block.
pub trait PtyInput: AsFd + fmt::Debug + Send {
    /// Everything that has arrived, in order.
    fn read(&mut self) -> Vec<TerminalInput>;
}

/// The master side of a pseudo-terminal.
pub(super) struct Pty {
    master: OwnedFd,
    /// The job's side, kept open so that the terminal does not hang up when the job closes it and opens it again.
    _slave: OwnedFd,
    input: Option<Box<dyn PtyInput>>,
    /// Typed input that the terminal has not accepted yet.
    pending_input: Vec<u8>,
    /// Reading has failed or reached the end.
    is_hung_up: bool,
}

/// How much is read at once, so that a flood does not starve the other runs.
const MAX_READ_BYTES: usize = 64 * 1024;
/// How much is read after the run has ended. That is more than a terminal holds; anything beyond it comes from a
/// background process.
const MAX_DRAIN_BYTES: usize = 256 * 1024;
/// Typed input is not read from its source while this much waits for the job.
const MAX_PENDING_INPUT_BYTES: usize = 64 * 1024;
/// The end-of-file character (Ctrl-D): ends the input at the start of a line; within a line, it sends the line.
const END_OF_INPUT: u8 = 0x04;

/// Variables that describe the terminal of this process, not the job's.
const OTHER_TERMINAL_VARIABLES: [&str; 6] =
    ["COLUMNS", "LINES", "TERMCAP", "TERM_PROGRAM", "TERM_PROGRAM_VERSION", "VTE_VERSION"];

/// The environment variables that describe the job's terminal; those without a value are unset.
pub(super) fn terminal_variables() -> impl Iterator<Item = (&'static str, Option<&'static str>)> {
    let others = OTHER_TERMINAL_VARIABLES.into_iter().map(|name| (name, None));
    others.chain([("TERM", Some("xterm-256color"))])
}

/// Starts a process in a new session with a new pseudo-terminal. If there is a `text`, it is typed into the terminal and
/// followed by the end of input; otherwise the input stays open.
pub(super) fn spawn(command: Command, options: PtyOptions, text: &str) -> io::Result<(Child, Pty)> {
    let (master, pts) = blocking::open().map_err(into_io_error)?;
    let PtyOptions { size, input } = options;
    let master = OwnedFd::from(master);
    let slave = pts.as_fd().try_clone_to_owned()?;
    fcntl_setfl(&master, OFlags::NONBLOCK)?;
    configure(&slave, size)?;
    let child = spawn_in(command, pts)?;
    let mut pending_input = text.as_bytes().to_vec();
    if !text.is_empty() {
        pending_input.extend((!text.ends_with('\n')).then_some(END_OF_INPUT));
        pending_input.push(END_OF_INPUT);
    }
    Ok((child, Pty { master, _slave: slave, input, pending_input, is_hung_up: false }))
}

impl Pty {
    /// The descriptor and events to poll for the terminal itself.
    pub(super) fn terminal_source(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        let wanted = if self.pending_input.is_empty() { PollFlags::IN } else { PollFlags::IN | PollFlags::OUT };
        (!self.is_hung_up).then(|| (self.master.as_fd(), wanted))
    }

    /// The descriptor to poll for typed input.
    pub(super) fn input_source(&self) -> Option<BorrowedFd<'_>> {
        let input = self.input.as_ref()?;
        (self.pending_input.len() < MAX_PENDING_INPUT_BYTES).then(|| input.as_fd())
    }

    /// Writes pending input and reads output into `buffer`; returns how many bytes were read.
    pub(super) fn on_terminal_ready(&mut self, buffer: &mut [u8]) -> usize {
        self.flush_input();
        let mut filled = 0;
        while filled < MAX_READ_BYTES.min(buffer.len()) {
            match read(&self.master, &mut buffer[filled..]) {
                Ok(len @ 1..) => filled += len,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Ok(0) | Err(_) => {
                    self.is_hung_up = true;
                    break;
                }
            }
        }
        filled
    }

    /// Reads typed input; returns the new size if it has changed.
    pub(super) fn on_input_ready(&mut self) -> Option<WindowSize> {
        let mut new_size = None;
        for item in self.input.iter_mut().flat_map(|input| input.read()) {
            match item {
                TerminalInput::Bytes(bytes) => self.pending_input.extend(bytes),
                TerminalInput::Size(size) => {
                    // If it fails, the job keeps its size.
                    if tcsetwinsize(&self.master, to_winsize(size)).is_ok() {
                        new_size = Some(size);
                    }
                }
            }
        }
        self.flush_input();
        new_size
    }

    /// Reads the output that the terminal still holds and passes it to `take`. A background process may still be writing.
    pub(super) fn drain(mut self, buffer: &mut [u8], mut take: impl FnMut(&[u8])) {
        self.pending_input.clear();
        let mut left = MAX_DRAIN_BYTES;
        while left > 0 {
            match self.on_terminal_ready(buffer) {
                0 => break,
                len => {
                    take(&buffer[..len]);
                    left = left.saturating_sub(len);
                }
            }
        }
    }

    fn flush_input(&mut self) {
        while !self.pending_input.is_empty() {
            match write(&self.master, &self.pending_input) {
                Ok(len) => drop(self.pending_input.drain(..len)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                // The terminal is gone.
                Err(_) => self.pending_input.clear(),
            }
        }
    }
}

/// Sets the size and makes the terminal erase multi-byte characters as one, as terminal emulators do.
fn configure(slave: &OwnedFd, size: WindowSize) -> io::Result<()> {
    let mut modes = tcgetattr(slave)?;
    modes.input_modes |= InputModes::IUTF8;
    tcsetattr(slave, OptionalActions::Now, &modes)?;
    Ok(tcsetwinsize(slave, to_winsize(size))?)
}

fn spawn_in(command: Command, pts: Pts) -> io::Result<Child> {
    blocking::Command::from(command).spawn(pts).map_err(into_io_error)
}

fn to_winsize(size: WindowSize) -> Winsize {
    Winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 }
}

fn into_io_error(error: pty_process::Error) -> io::Error {
    match error {
        pty_process::Error::Io(error) => error,
        pty_process::Error::Rustix(error) => error.into(),
    }
}
