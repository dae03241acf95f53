//! The clipboard of the user's machine, reached through the terminal, also over ssh.

use std::env;
use std::io::{self, Write};
use std::process::{Command, Stdio};

use crossterm::Command as _;
use crossterm::clipboard::CopyToClipboard;

/// The program multiplexer this process and the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TerminalMultiplexer {
    None,
    Tmux,
    Screen,
}

impl TerminalMultiplexer {
    /// The multiplexer that the environment names.
    pub(super) fn of_this_process() -> Self {
        let set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
        match () {
            () if set("TMUX") => Self::Tmux,
            () if set("STY") => Self::Screen,
            () => Self::None,
        }
    }

    /// Wraps an escape sequence so that it reaches the terminal: tmux passes it on if `allow-passthrough` is set, GNU
    /// screen in pieces of limited length.
    pub(super) fn wrapped(self, sequence: &str) -> String {
        const MAX_PIECE_BYTES: usize = 500;
        match self {
            Self::None => sequence.to_owned(),
            Self::Tmux => format!("\x1bPtmux;{}\x1b\\", sequence.replace('\x1b', "\x1b\x1b")),
            Self::Screen => {
                let mut wrapped = String::new();
                let mut piece = String::new();
                for character in sequence.chars() {
                    // A piece must not contain the sequence that ends it.
                    let ends = character == '\\' && piece.ends_with('\x1b');
                    if ends || piece.len() + character.len_utf8() > MAX_PIECE_BYTES {
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

/// Copies a text to the clipboard, with a sequence written to `terminal`. Inside tmux, which ignores such sequences by
/// default, tmux copies the text, and can paste it too.
pub(super) fn copy(text: &str, terminal: &mut impl Write) -> io::Result<()> {
    let multiplexer = TerminalMultiplexer::of_this_process();
    if multiplexer == TerminalMultiplexer::Tmux {
        if tmux(&["load-buffer", "-w", "-"], text) {
            return Ok(());
        }
        // An older tmux only fills its own buffer; it may pass the sequence on.
        tmux(&["load-buffer", "-"], text);
    }
    let mut sequence = String::new();
    CopyToClipboard::to_clipboard_from(text).write_ansi(&mut sequence).map_err(io::Error::other)?;
    // Tmux understands the sequence itself.
    let sequence = if multiplexer == TerminalMultiplexer::Tmux { sequence } else { multiplexer.wrapped(&sequence) };
    terminal.write_all(sequence.as_bytes())?;
    terminal.flush()
}

/// Pipes a text to a tmux command; returns whether that succeeded.
fn tmux(words: &[&str], text: &str) -> bool {
    let child =
        Command::new("tmux").args(words).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let Ok(mut child) = child else { return false };
    // Dropping the pipe closes it.
    let written = child.stdin.take().is_some_and(|mut input| input.write_all(text.as_bytes()).is_ok());
    child.wait().is_ok_and(|status| status.success()) && written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_are_wrapped_for_the_multiplexer() {
        let sequence = "\x1b]9;done\x1b\\";
        assert_eq!(TerminalMultiplexer::None.wrapped(sequence), sequence);
        assert_eq!(TerminalMultiplexer::Tmux.wrapped(sequence), "\x1bPtmux;\x1b\x1b]9;done\x1b\x1b\\\x1b\\");

        // GNU screen takes pieces, none of which may contain the end sequence.
        let long = format!("\x1b]52;c;{}\x1b\\", "é".repeat(700));
        let wrapped = TerminalMultiplexer::Screen.wrapped(&long);
        let pieces: Vec<&str> = wrapped.split_inclusive("\x1b\\").collect();
        let inside = pieces.iter().map(|piece| piece.strip_prefix("\x1bP").and_then(|it| it.strip_suffix("\x1b\\")));
        let inside: Vec<&str> = inside.map(Option::unwrap_or_default).collect();
        assert_eq!(inside.concat(), long);
        assert!(pieces.len() > 2 && pieces.iter().all(|piece| piece.len() <= 510), "{pieces:?}");
    }
}
