//! The pseudo-terminal of a run: our end of it, what is typed into it, and how large it is.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::{Child, Command};

use pty_process::blocking::{self, Pts};
use rustix::event::PollFlags;
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::io::{Errno, read, write};
use rustix::termios::{InputModes, OptionalActions, Winsize, tcgetattr, tcsetattr, tcsetwinsize};

use crate::model::{Typed, WindowSize};

/// What a run in a pseudo-terminal starts with.
#[derive(Debug, Default)]
pub struct Terminal {
    /// How large it is at first.
    pub size: WindowSize,
    /// Where others type into it; nowhere by default.
    pub input: Option<Box<dyn Input>>,
}

/// Where others type into a run. It is looked at when its descriptor can be read, on the thread that looks after all
/// runs, so it must not wait.
pub trait Input: AsFd + fmt::Debug + Send {
    /// What has come by now, in order.
    fn read(&mut self) -> Vec<Typed>;
}

/// Our end of a pseudo-terminal.
pub(super) struct Tty {
    master: OwnedFd,
    /// The job's end: as long as we have it too, nothing hangs up when the job closes its own, and may open it again.
    _slave: OwnedFd,
    input: Option<Box<dyn Input>>,
    /// What was typed and has not been taken by the terminal yet.
    typed: Vec<u8>,
    /// Nothing can be read any more.
    broken: bool,
}

/// What is read at once, so that a flood leaves the other runs their turn.
const TURN: usize = 64 * 1024;
/// More than a terminal holds: what comes on top of it is of a process that was left behind.
const HELD: usize = 256 * 1024;
/// When so much that was typed waits for the job, no more of it is fetched.
const TYPED: usize = 64 * 1024;
/// Ends the input at the start of a line; within one, it sends the line.
const END_OF_INPUT: u8 = 0x04;

/// What describes another terminal than the one that the job gets.
const OF_ANOTHER: [&str; 6] = ["COLUMNS", "LINES", "TERMCAP", "TERM_PROGRAM", "TERM_PROGRAM_VERSION", "VTE_VERSION"];

/// Tells the job in its environment what its terminal is.
pub(super) fn describe(command: &mut Command) {
    command.env("TERM", "xterm-256color");
    for name in OF_ANOTHER {
        command.env_remove(name);
    }
}

/// Starts a process that leads a session of its own in a new terminal, into which `text` is typed, and the end of input
/// after it; without a text the input stays open.
pub(super) fn spawn(command: Command, terminal: Terminal, text: &str) -> io::Result<(Child, Tty)> {
    let (master, pts) = blocking::open().map_err(plain)?;
    let Terminal { size, input } = terminal;
    let master = OwnedFd::from(master);
    let slave = pts.as_fd().try_clone_to_owned()?;
    fcntl_setfl(&master, OFlags::NONBLOCK)?;
    set_up(&slave, size)?;
    let child = spawn_in(command, pts)?;
    let mut typed = text.as_bytes().to_vec();
    if !text.is_empty() {
        typed.extend((!text.ends_with('\n')).then_some(END_OF_INPUT));
        typed.push(END_OF_INPUT);
    }
    Ok((child, Tty { master, _slave: slave, input, typed, broken: false }))
}

impl Tty {
    /// What to wait for at the terminal itself.
    pub(super) fn terminal(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        let wanted = if self.typed.is_empty() { PollFlags::IN } else { PollFlags::IN | PollFlags::OUT };
        (!self.broken).then(|| (self.master.as_fd(), wanted))
    }

    /// Where to wait for what others type.
    pub(super) fn input(&self) -> Option<BorrowedFd<'_>> {
        let input = self.input.as_ref()?;
        (self.typed.len() < TYPED).then(|| input.as_fd())
    }

    /// Types what the terminal takes, and reads what it has printed; tells how much.
    pub(super) fn on_ready(&mut self, buffer: &mut [u8]) -> usize {
        self.type_on();
        let mut filled = 0;
        while filled < TURN.min(buffer.len()) {
            match read(&self.master, &mut buffer[filled..]) {
                Ok(len @ 1..) => filled += len,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Ok(0) | Err(_) => {
                    self.broken = true;
                    break;
                }
            }
        }
        filled
    }

    /// Takes what others have typed; tells if the terminal has another size now.
    pub(super) fn on_input(&mut self) -> Option<WindowSize> {
        let mut resized = None;
        for typed in self.input.iter_mut().flat_map(|input| input.read()) {
            match typed {
                Typed::Bytes(bytes) => self.typed.extend(bytes),
                Typed::Size(size) => {
                    // Otherwise the job goes on with the size that it has.
                    if tcsetwinsize(&self.master, winsize(size)).is_ok() {
                        resized = Some(size);
                    }
                }
            }
        }
        self.type_on();
        resized
    }

    /// Reads what the terminal holds by now, in pieces for `take`. A process that was left behind may go on writing.
    pub(super) fn drain(mut self, buffer: &mut [u8], mut take: impl FnMut(&[u8])) {
        self.typed.clear();
        let mut left = HELD;
        while left > 0 {
            match self.on_ready(buffer) {
                0 => break,
                len => {
                    take(&buffer[..len]);
                    left = left.saturating_sub(len);
                }
            }
        }
    }

    fn type_on(&mut self) {
        while !self.typed.is_empty() {
            match write(&self.master, &self.typed) {
                Ok(len) => drop(self.typed.drain(..len)),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                // Nobody will ever read it.
                Err(_) => self.typed.clear(),
            }
        }
    }
}

/// As every terminal of today is: a character of several bytes is erased whole.
fn set_up(slave: &OwnedFd, size: WindowSize) -> io::Result<()> {
    let mut modes = tcgetattr(slave)?;
    modes.input_modes |= InputModes::IUTF8;
    tcsetattr(slave, OptionalActions::Now, &modes)?;
    Ok(tcsetwinsize(slave, winsize(size))?)
}

fn spawn_in(command: Command, pts: Pts) -> io::Result<Child> {
    blocking::Command::from(command).spawn(pts).map_err(plain)
}

fn winsize(size: WindowSize) -> Winsize {
    Winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 }
}

fn plain(error: pty_process::Error) -> io::Error {
    match error {
        pty_process::Error::Io(error) => error,
        pty_process::Error::Rustix(error) => error.into(),
    }
}
