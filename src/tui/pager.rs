//! Opens the output of a run in the pager that the person has chosen.

use std::env;
use std::ffi::OsString;
use std::io::Write;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;

use crate::store::log::{LogReader, omission};

use super::output::Printer;

/// How much is read at once, in bytes.
const PIECE: usize = 64 * 1024;

/// Shows the output as it is now, colours and all but nothing else that a terminal would obey, and returns when the pager
/// is closed. The error says what went wrong.
pub(super) fn page(reader: LogReader) -> Result<(), String> {
    let chosen = env::var_os("PAGER").filter(|value| !value.is_empty());
    let pager = chosen.unwrap_or_else(|| OsString::from("less"));
    let shown = pager.to_string_lossy().into_owned();
    let mut child = start(pager).map_err(|error| format!("the pager could not be started: {error}"))?;
    let input = child.stdin.take();
    // It may be closed before it has read everything.
    let feeder = thread::spawn(move || input.and_then(|input| feed(reader, input).err()));
    let status = child.wait().map_err(|error| error.to_string())?;
    let failed = feeder.join().ok().flatten();
    match (status.code(), failed) {
        (Some(126 | 127), _) => Err(format!("there is no pager {shown:?}; set $PAGER to one")),
        (_, Some(why)) => Err(why),
        _ => Ok(()),
    }
}

/// The variable may hold options, so the shell takes it apart.
fn start(pager: OsString) -> std::io::Result<Child> {
    let mut command = Command::new("sh");
    command.arg("-c").arg(pager).stdin(Stdio::piped());
    if env::var_os("LESS").is_none() {
        // Colours are shown, and a short output stays until it is closed.
        command.env("LESS", "R");
    }
    command.spawn()
}

/// Writes what there is; the error is about reading it.
fn feed(mut reader: LogReader, mut pager: ChildStdin) -> Result<(), String> {
    let (mut printer, mut text, mut at) = (Printer::coloured(), String::new(), 0);
    let mut buffer = vec![0; PIECE];
    let end = reader.len().map_err(|error| error.to_string())?;
    while at < end {
        let piece = reader.read_at(at, &mut buffer).map_err(|error| error.to_string())?;
        if piece.len == 0 {
            break;
        }
        if piece.offset > at {
            std::mem::replace(&mut printer, Printer::coloured()).finish(&mut text);
            text.push_str(&omission(piece.offset - at));
            text.push('\n');
        }
        printer.push(&buffer[..piece.len], &mut text);
        at = piece.offset + piece.len as u64;
        if pager.write_all(text.as_bytes()).is_err() {
            return Ok(());
        }
        text.clear();
    }
    printer.finish(&mut text);
    // Nobody reads any more once it is closed.
    let _ = pager.write_all(text.as_bytes());
    Ok(())
}
