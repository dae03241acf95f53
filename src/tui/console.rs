//! The terminal of a run with the line into it: what it shows, and what is typed.

use crate::model::WindowSize;
use crate::store::{LineWriter, Unreachable};

use super::output::{Scroll, Terminal};

/// A run in a pseudo-terminal, as the output pane has it.
pub(super) struct Console {
    pub(super) view: Terminal,
    line: LineWriter,
    /// The size that the run has been told.
    told: Option<WindowSize>,
    /// The log itself is shown in place of the terminal, for a look at what came long before.
    pub(super) aside: bool,
}

impl Console {
    pub(super) fn new(view: Terminal, line: LineWriter) -> Self {
        Self { view, line, told: None, aside: false }
    }

    /// It is shown so large; a run that is `live` is told.
    pub(super) fn fit(&mut self, size: WindowSize, live: bool) {
        self.view.resize(size, live);
        // Its worker may not have opened the line yet: then it is told when something else has happened.
        if live && self.told != Some(size) && self.line.resize(size).is_ok() {
            self.told = Some(size);
        }
    }

    /// The run is to be told of its size again: another screen may have shown it since.
    pub(super) fn insist(&mut self) {
        self.told = None;
    }

    /// Sends what was typed, in the way in which the job wants it.
    pub(super) fn send(&mut self, bytes: &[u8]) -> Result<(), Unreachable> {
        self.line.send(bytes)
    }

    /// Scrolls the terminal, or says why it can't; `first` is the key that goes to the top.
    pub(super) fn scroll(&mut self, scroll: Scroll, first: &str) -> Result<(), String> {
        match self.view.scroll(scroll) {
            true => Ok(()),
            false if self.view.is_full_screen() => {
                Err(format!("a program has the whole screen; {first} in the output shows the log"))
            }
            false => {
                Err(format!("this is as far as the terminal remembers; {first} in the output shows all of the log"))
            }
        }
    }
}
