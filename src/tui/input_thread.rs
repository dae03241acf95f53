//! The thread that reads the keyboard and the mouse, and detects that the terminal is gone.

use std::fs::File;
use std::io::{self, IsTerminal, PipeReader, PipeWriter, Read, Write, pipe, stdin};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use crossterm::event::{self, Event, MouseButton, MouseEvent, MouseEventKind};
use ratatui::layout::Position;
use rustix::event::{PollFd, PollFlags, poll};

use super::effect::ExitReason;
use super::keys::KeyPress;
use super::message::Message;
use super::mouse::{MouseAction, MouseInput};

/// The input thread. It can be paused while another program uses the terminal.
pub(super) struct InputThread {
    /// One byte pauses the thread, the next one resumes it; closing the pipe ends it.
    control: PipeWriter,
    paused: Receiver<()>,
}

impl InputThread {
    /// Starts reading.
    pub(super) fn start(messages: Sender<Message>) -> io::Result<Self> {
        let (reader, control) = pipe()?;
        let (acknowledge, paused) = channel();
        let terminal = open_terminal()?;
        let work = move || {
            // Without input, the screen closes.
            if listen(&terminal, reader, &messages, &acknowledge).is_err() {
                let _ = messages.send(Message::Exit(ExitReason::TerminalLost));
            }
        };
        thread::Builder::new().name("input".to_owned()).spawn(work)?;
        Ok(Self { control, paused })
    }

    /// Reads nothing while `meanwhile` runs.
    pub(super) fn pause_while<T>(&mut self, meanwhile: impl FnOnce() -> T) -> io::Result<T> {
        self.control.write_all(b"p")?;
        // An error means that the thread has ended, and reads nothing either.
        let _ = self.paused.recv();
        let result = meanwhile();
        self.control.write_all(b"c")?;
        Ok(result)
    }
}

/// The terminal that crossterm reads from.
fn open_terminal() -> io::Result<OwnedFd> {
    if stdin().is_terminal() { stdin().as_fd().try_clone_to_owned() } else { Ok(File::open("/dev/tty")?.into()) }
}

fn listen(
    terminal: &OwnedFd,
    mut control: PipeReader,
    messages: &Sender<Message>,
    acknowledge: &Sender<()>,
) -> io::Result<()> {
    let gone = PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL;
    loop {
        let mut fds = [PollFd::new(terminal, PollFlags::IN), PollFd::new(&control, PollFlags::IN)];
        match poll(&mut fds, None) {
            Err(rustix::io::Errno::INTR) => continue,
            other => other?,
        };
        let [input, request] = [fds[0].revents(), fds[1].revents()];
        if !request.is_empty() {
            let mut byte = [0];
            if control.read(&mut byte)? == 0 {
                return Ok(());
            }
            // The receiver is gone while the screen closes.
            let _ = acknowledge.send(());
            if control.read(&mut byte)? == 0 {
                return Ok(());
            }
        } else if input.intersects(gone) {
            // Crossterm would read from a lost terminal forever.
            let _ = messages.send(Message::Exit(ExitReason::TerminalLost));
            return Ok(());
        } else {
            read_all(messages)?;
        }
    }
}

/// Reads all available input. Crossterm keeps an incomplete sequence until the rest arrives.
fn read_all(messages: &Sender<Message>) -> io::Result<()> {
    // Crossterm reads nothing with a timeout of zero.
    while event::poll(Duration::from_millis(1))? {
        let message = match event::read()? {
            Event::Key(key) => KeyPress::from_event(key).map(Message::Key),
            Event::Paste(text) => Some(Message::Paste(text)),
            // SIGWINCH reports the size.
            Event::Mouse(event) => mouse_input(event).map(Message::Mouse),
            Event::Resize(..) | Event::FocusGained | Event::FocusLost => None,
        };
        if message.is_some_and(|message| messages.send(message).is_err()) {
            break;
        }
    }
    Ok(())
}

/// Converts a mouse event; none for events that the screen ignores.
fn mouse_input(event: MouseEvent) -> Option<MouseInput> {
    let action = match event.kind {
        MouseEventKind::Down(MouseButton::Left) => MouseAction::Click,
        MouseEventKind::ScrollUp => MouseAction::WheelUp,
        MouseEventKind::ScrollDown => MouseAction::WheelDown,
        _ => return None,
    };
    Some(MouseInput { at: Position::new(event.column, event.row), action })
}
