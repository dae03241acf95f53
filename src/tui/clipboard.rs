//! The clipboard of the person's own machine, reached through the terminal, also over ssh.

use std::env;
use std::io::{self, Write};
use std::process::{Command, Stdio};

use crossterm::Command as _;
use crossterm::clipboard::CopyToClipboard;

/// Puts a text into the clipboard; `terminal` takes what is meant for it. Inside tmux, which by default drops what programs
/// have to say about clipboards, it is for tmux to do, and pasting there has it too.
pub(super) fn copy(text: &str, terminal: &mut impl Write) -> io::Result<()> {
    let set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
    if set("TMUX") {
        if tmux(&["load-buffer", "-w", "-"], text) {
            return Ok(());
        }
        // An older one has its own buffer at least; perhaps it hands on what the terminal is told.
        tmux(&["load-buffer", "-"], text);
    }
    terminal.write_all(sequence(text, set("STY"))?.as_bytes())?;
    terminal.flush()
}

/// What the terminal is told. GNU screen hands on what is wrapped for it, in pieces that it has room for.
fn sequence(text: &str, in_screen: bool) -> io::Result<String> {
    const PIECE: usize = 500;
    let mut sequence = String::new();
    CopyToClipboard::to_clipboard_from(text).write_ansi(&mut sequence).map_err(io::Error::other)?;
    if !in_screen {
        return Ok(sequence);
    }
    let pieces = sequence.as_bytes().chunks(PIECE).map(String::from_utf8_lossy);
    Ok(pieces.fold(String::new(), |all, piece| all + "\x1bP" + &piece + "\x1b\\"))
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
