//! The pseudo-terminal of a run: what it shows, and the input that is sent to it.

use crate::model::{JobId, RunId, WindowSize};
use crate::store::{TerminalInputError, TerminalInputWriter};

use super::keys::{KeyCode, KeyPress};
use super::layout::Focus;
use super::output::{Scroll, TerminalView};

/// The pseudo-terminal of a run in the output pane.
pub(super) struct JobTerminal {
    pub(super) view: TerminalView,
    input: TerminalInputWriter,
    /// The size that was sent to the run last.
    sent_size: Option<WindowSize>,
    /// Whether the log is shown in place of the terminal.
    pub(super) shows_log: bool,
}

impl JobTerminal {
    pub(super) fn new(view: TerminalView, input: TerminalInputWriter) -> Self {
        Self { view, input, sent_size: None, shows_log: false }
    }

    /// Resizes the view; sends the size to a run that is `live`.
    pub(super) fn resize(&mut self, size: WindowSize, live: bool) {
        self.view.resize(size, live);
        // Its worker may not have opened the input yet; the next message tries again.
        if live && self.sent_size != Some(size) && self.input.resize(size).is_ok() {
            self.sent_size = Some(size);
        }
    }

    /// Sends the size again with the next resize: another screen may have changed it.
    pub(super) fn resend_size(&mut self) {
        self.sent_size = None;
    }

    /// Sends input to the job.
    pub(super) fn send(&mut self, bytes: &[u8]) -> Result<(), TerminalInputError> {
        self.input.send(bytes)
    }

    /// Scrolls the terminal, or returns why it can't; `first` is the key that goes to the top.
    pub(super) fn scroll(&mut self, scroll: Scroll, first: &str) -> Result<(), String> {
        match self.view.scroll(scroll) {
            true => Ok(()),
            false if self.view.is_full_screen() => {
                Err(format!("A full-screen program is running. Press {first} in the output to show the log."))
            }
            false => {
                Err(format!("The terminal keeps no more lines. Press {first} in the output to show the whole log."))
            }
        }
    }
}

/// The key that ends typing into a job.
pub(super) const LEAVE_KEY: KeyPress = KeyPress { code: KeyCode::Char('z'), ctrl: true, alt: false };

/// The run that receives the keys.
#[derive(Clone, Copy, Debug)]
pub(super) struct TypingSession {
    /// The job.
    pub(super) job: JobId,
    /// Its run.
    pub(super) run: RunId,
    /// The run has ended. Keys are dropped until the user leaves, as they weren't meant for the screen.
    pub(super) run_ended: bool,
    /// The focus before typing started.
    pub(super) focus_before: Focus,
}
