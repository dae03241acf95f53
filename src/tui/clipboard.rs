//! The clipboard of the person's own machine, reached through the terminal, also over ssh.

use std::env;
use std::io::{self, Write};
use std::process::{Command, Stdio};

use crossterm::Command as _;
use crossterm::clipboard::CopyToClipboard;

/// What stands between this process and the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Multiplexer {
    None,
    Tmux,
    Screen,
}

impl Multiplexer {
    /// As the environment tells.
    pub(super) fn of_this_process() -> Self {
        let set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
        match () {
            () if set("TMUX") => Self::Tmux,
            () if set("STY") => Self::Screen,
            () => Self::None,
        }
    }

    /// A sequence for the terminal so that it gets there: tmux hands on what is wrapped for it, if it is allowed to
    /// (`allow-passthrough`), and GNU screen too, in pieces that it has room for.
    pub(super) fn wrapped(self, sequence: &str) -> String {
        const PIECE: usize = 500;
        match self {
            Self::None => sequence.to_owned(),
            Self::Tmux => format!("\x1bPtmux;{}\x1b\\", sequence.replace('\x1b', "\x1b\x1b")),
            Self::Screen => {
                let mut wrapped = String::new();
                let mut piece = String::new();
                for character in sequence.chars() {
                    // What ends a piece must not stand in one.
                    let ends = character == '\\' && piece.ends_with('\x1b');
                    if ends || piece.len() + character.len_utf8() > PIECE {
                        wrapped.extend(["\x1bP", &piece, "\x1b\\"]);
                        piece.clear();
                    }
                    piece.push(character);
                }
                wrapped + "\x1bP" + &piece + "\x1b\\"
            }
        }
    }
}

/// Puts a text into the clipboard; `terminal` takes what is meant for it. Inside tmux, which by default drops what programs
/// have to say about clipboards, it is for tmux to do, and pasting there has it too.
pub(super) fn copy(text: &str, terminal: &mut impl Write) -> io::Result<()> {
    let between = Multiplexer::of_this_process();
    if between == Multiplexer::Tmux {
        if tmux(&["load-buffer", "-w", "-"], text) {
            return Ok(());
        }
        // An older one has its own buffer at least; perhaps it hands on what the terminal is told.
        tmux(&["load-buffer", "-"], text);
    }
    let mut sequence = String::new();
    CopyToClipboard::to_clipboard_from(text).write_ansi(&mut sequence).map_err(io::Error::other)?;
    // For tmux it is no secret what a clipboard is.
    let sequence = if between == Multiplexer::Tmux { sequence } else { between.wrapped(&sequence) };
    terminal.write_all(sequence.as_bytes())?;
    terminal.flush()
}

/// Gives a text to a command of tmux; tells whether it has taken it.
fn tmux(words: &[&str], text: &str) -> bool {
    let child =
        Command::new("tmux").args(words).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let Ok(mut child) = child else { return false };
    // The input is closed when it is dropped.
    let written = child.stdin.take().is_some_and(|mut input| input.write_all(text.as_bytes()).is_ok());
    child.wait().is_ok_and(|status| status.success()) && written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_meant_for_the_terminal_is_handed_on_by_what_stands_between() {
        let sequence = "\x1b]9;done\x1b\\";
        assert_eq!(Multiplexer::None.wrapped(sequence), sequence);
        assert_eq!(Multiplexer::Tmux.wrapped(sequence), "\x1bPtmux;\x1b\x1b]9;done\x1b\x1b\\\x1b\\");

        // GNU screen takes pieces, and an end within one would be its own.
        let long = format!("\x1b]52;c;{}\x1b\\", "é".repeat(700));
        let wrapped = Multiplexer::Screen.wrapped(&long);
        let pieces: Vec<&str> = wrapped.split_inclusive("\x1b\\").collect();
        let inside = pieces.iter().map(|piece| piece.strip_prefix("\x1bP").and_then(|it| it.strip_suffix("\x1b\\")));
        let inside: Vec<&str> = inside.map(Option::unwrap_or_default).collect();
        assert_eq!(inside.concat(), long);
        assert!(pieces.len() > 2 && pieces.iter().all(|piece| piece.len() <= 510), "{pieces:?}");
    }
}
