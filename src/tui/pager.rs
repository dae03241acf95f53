//! Opens the output of a run, or the list of its artifacts, in the user's pager.

use std::env;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;

use crate::store::StoreError;
use crate::store::job_folders::ArtifactList;
use crate::store::log::{DiffLine, LineEquality, LogReader, MAX_COMPARED_LINES, OutputDiff, omission_notice};
use crate::text;

use super::output::StreamSanitizer;

/// How many bytes are read at once.
const READ_BYTES: usize = 64 * 1024;

/// Shows the current output with its colours, but without other escape sequences, and returns when the pager is closed.
pub(super) fn page(reader: LogReader) -> Result<(), String> {
    run_pager(move |input| feed(reader, input))
}

/// Shows how an output differs from an earlier one.
pub(super) fn page_diff(readers: [LogReader; 2]) -> Result<(), String> {
    run_pager(move |input| feed_diff(readers, input).map_err(|error| error.to_string()))
}

/// Writes the differences to the pager, as `setlist log --diff` does.
fn feed_diff([mut old, mut new]: [LogReader; 2], mut pager: ChildStdin) -> Result<(), StoreError> {
    for log in [&old, &new] {
        log.fetch_rest();
    }
    let diff = OutputDiff::new(&mut old, &mut new, LineEquality::Exact)?;
    let mut write = |line: String| match writeln!(pager, "{line}") {
        Ok(()) => ControlFlow::Continue(()),
        // The pager may be closed.
        Err(_) => ControlFlow::Break(()),
    };
    if diff.is_cut() {
        let _ = write(format!("Only the first {} are compared.", text::count_noun(MAX_COMPARED_LINES, "line")));
    }
    if diff.is_empty() {
        let _ = write("The output is the same as that of the run before.".to_owned());
    }
    diff.visit_lines(&mut old, &mut new, &mut |line| {
        write(match line {
            DiffLine::Group { new, .. } => format!("\x1b[36m@@ line {} @@\x1b[0m", new.start + 1),
            DiffLine::Same(line) => format!(" {line}"),
            DiffLine::Removed(line) => format!("\x1b[31m-{line}\x1b[0m"),
            DiffLine::Added(line) => format!("\x1b[32m+{line}\x1b[0m"),
        })
    })
}

/// Shows where the artifacts of a run are, and which files there are.
pub(super) fn page_artifacts(folder: &Path, list: &ArtifactList) -> Result<(), String> {
    let ArtifactList { files, count, bytes } = list;
    let size = text::bytes(*bytes);
    let mut shown = format!("{}\n{}, {size}\n\n", sanitized(folder), text::count_noun(*count, "file"));
    for (path, bytes) in files {
        // Writing to a string can't fail.
        let _ = writeln!(shown, "{:>9}  {}", text::bytes(*bytes), sanitized(path));
    }
    let more = count.saturating_sub(files.len());
    if more > 0 {
        let _ = writeln!(shown, "{:>9}  {}", "", text::count_noun(more, "more file"));
    }
    run_pager(move |mut input| {
        // The pager may be closed.
        let _ = input.write_all(shown.as_bytes());
        Ok(())
    })
}

fn sanitized(path: &Path) -> String {
    text::sanitize_line(&path.to_string_lossy())
}

/// Starts the pager, lets `feed` write to it, and returns when it is closed.
fn run_pager(feed: impl FnOnce(ChildStdin) -> Result<(), String> + Send + 'static) -> Result<(), String> {
    let configured = env::var_os("PAGER").filter(|value| !value.is_empty());
    let pager = configured.unwrap_or_else(|| OsString::from("less"));
    let shown = pager.to_string_lossy().into_owned();
    let mut child = start(pager).map_err(|error| format!("Can't start the pager: {error}"))?;
    let input = child.stdin.take();
    // The pager may be closed before it has read everything.
    let feeder = thread::spawn(move || input.and_then(|input| feed(input).err()));
    let status = child.wait().map_err(|error| error.to_string())?;
    let read_error = feeder.join().ok().flatten();
    match (status.code(), read_error) {
        (Some(126 | 127), _) => Err(format!("Pager {shown:?} not found. Set $PAGER to a pager.")),
        (_, Some(why)) => Err(why),
        _ => Ok(()),
    }
}

/// The variable may hold options, so the shell splits it.
fn start(pager: OsString) -> std::io::Result<Child> {
    let mut command = Command::new("sh");
    command.arg("-c").arg(pager).stdin(Stdio::piped());
    if env::var_os("LESS").is_none() {
        // Show colours, and stay open for a short output.
        command.env("LESS", "R");
    }
    command.spawn()
}

/// Writes the output to the pager; the error is about reading it.
fn feed(mut reader: LogReader, mut pager: ChildStdin) -> Result<(), String> {
    let (mut printer, mut text, mut at) = (StreamSanitizer::coloured(), String::new(), 0);
    let mut buffer = vec![0; READ_BYTES];
    let end = reader.len().map_err(|error| error.to_string())?;
    while at < end {
        let piece = reader.read_at(at, &mut buffer).map_err(|error| error.to_string())?;
        if piece.len == 0 {
            break;
        }
        if piece.offset > at {
            std::mem::replace(&mut printer, StreamSanitizer::coloured()).finish(&mut text);
            text.push_str(&omission_notice(piece.offset - at));
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
    // The pager may be closed.
    let _ = pager.write_all(text.as_bytes());
    Ok(())
}
