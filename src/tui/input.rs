//! Reads the keyboard on a thread of its own, and notices when the terminal has gone.

use std::fs::File;
use std::io::{self, IsTerminal, PipeReader, PipeWriter, Read, Write, pipe, stdin};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use crossterm::event::{self, Event, MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::Position;
use rustix::event::{PollFd, PollFlags, poll};

use super::keys::Key;
use super::mouse::{Mouse, Move};
use super::wake::{Wake, Why};

/// The keyboard. It can be left to somebody else for a while.
pub(super) struct Input {
    /// A byte pauses the thread, another one lets it go on; closed, it ends.
    control: PipeWriter,
    paused: Receiver<()>,
}

impl Input {
    /// Begins to read.
    pub(super) fn start(wakes: Sender<Wake>) -> io::Result<Self> {
        let (reader, control) = pipe()?;
        let (acknowledge, paused) = channel();
        let terminal = terminal()?;
        let read = move || {
            // Without a keyboard there is no way to go on.
            if listen(&terminal, reader, &wakes, &acknowledge).is_err() {
                let _ = wakes.send(Wake::Leave(Why::Vanished));
            }
        };
        thread::Builder::new().name("input".to_owned()).spawn(read)?;
        Ok(Self { control, paused })
    }

    /// Reads nothing while `meanwhile` runs.
    pub(super) fn lend<T>(&mut self, meanwhile: impl FnOnce() -> T) -> io::Result<T> {
        self.control.write_all(b"p")?;
        // An error means that the thread has ended, which leaves the keyboard alone too.
        let _ = self.paused.recv();
        let result = meanwhile();
        self.control.write_all(b"c")?;
        Ok(result)
    }
}

/// The terminal that crossterm reads from.
fn terminal() -> io::Result<OwnedFd> {
    if stdin().is_terminal() { stdin().as_fd().try_clone_to_owned() } else { Ok(File::open("/dev/tty")?.into()) }
}

fn listen(
    terminal: &OwnedFd,
    mut control: PipeReader,
    wakes: &Sender<Wake>,
    acknowledge: &Sender<()>,
) -> io::Result<()> {
    let gone = PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL;
    loop {
        let mut fds = [PollFd::new(terminal, PollFlags::IN), PollFd::new(&control, PollFlags::IN)];
        match poll(&mut fds, None) {
            Err(rustix::io::Errno::INTR) => continue,
            other => other?,
        };
        let [typed, told] = [fds[0].revents(), fds[1].revents()];
        if !told.is_empty() {
            let mut byte = [0];
            if control.read(&mut byte)? == 0 {
                return Ok(());
            }
            // Nobody waits for this when the screen is being left.
            let _ = acknowledge.send(());
            if control.read(&mut byte)? == 0 {
                return Ok(());
            }
        } else if typed.intersects(gone) {
            // Crossterm would read a vanished terminal for ever.
            let _ = wakes.send(Wake::Leave(Why::Vanished));
            return Ok(());
        } else {
            read_all(wakes)?;
        }
    }
}

/// Reads what there is. Half a sequence stays with crossterm until the rest has come.
fn read_all(wakes: &Sender<Wake>) -> io::Result<()> {
    // With no time at all crossterm would not look.
    while event::poll(Duration::from_millis(1))? {
        let wake = match event::read()? {
            Event::Key(key) => Key::of(key).map(Wake::Key),
            Event::Paste(text) => Some(Wake::Paste(text)),
            // The signal is a wake-up already.
            Event::Mouse(event) => mouse(event).map(Wake::Mouse),
            Event::Resize(..) | Event::FocusGained | Event::FocusLost => None,
        };
        if wake.is_some_and(|wake| wakes.send(wake).is_err()) {
            break;
        }
    }
    Ok(())
}

/// What is made of a mouse's doings.
fn mouse(event: MouseEvent) -> Option<Mouse> {
    let what = match event.kind {
        MouseEventKind::Down(MouseButton::Left) => Move::Click,
        MouseEventKind::ScrollUp => Move::WheelUp,
        MouseEventKind::ScrollDown => Move::WheelDown,
        _ => return None,
    };
    Some(Mouse { at: Position::new(event.column, event.row), what })
}
