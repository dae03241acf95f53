//! `setlist log --diff`: how the output of a run differs from that of the run before.

use std::io::{BufWriter, Write};
use std::ops::{ControlFlow, Range};

use super::error::{CliError, warn};
use super::exit::ExitStatus;
use super::log_args::LogArgs;
use super::open_site::OpenSite;
use super::run_feed::runs_of;
use super::safe_output;
use super::time_text::local_time;
use crate::model::{Job, Run};
use crate::store::log::{DiffLine, LineEquality, MAX_COMPARED_LINES, OutputDiff};
use crate::text;

/// Prints the differences as `diff -u` does, for each of these jobs.
pub(super) fn print(site: &mut OpenSite, jobs: &[Job], options: &LogArgs, color: bool) -> Result<ExitStatus, CliError> {
    let equality = if options.ignore_numbers { LineEquality::ExceptNumbers } else { LineEquality::Exact };
    let mut out = BufWriter::new(safe_output::coloured_stdout(color));
    let mut exit = ExitStatus::Success;
    for job in jobs {
        let runs = runs_of(site.store.as_mut(), job)?;
        let (old, new) = match two_runs(job, &runs, options.run) {
            Ok(runs) => runs,
            // Many jobs of a queue may have run once.
            Err(CliError::Usage(reason)) if jobs.len() > 1 => {
                warn(&reason);
                continue;
            }
            Err(error) => return Err(error),
        };
        let readers = [old, new].map(|run| site.store.log_reader(run.id));
        for log in &readers {
            log.fetch_rest();
        }
        let [mut old_log, mut new_log] = readers;
        let diff = OutputDiff::new(&mut old_log, &mut new_log, equality)?;
        if diff.is_cut() {
            let first = text::count_noun(MAX_COMPARED_LINES, "line");
            warn(&format!("{}: only the first {first} are compared", text::sanitize_line(&job.path())));
        }
        if diff.is_empty() {
            let path = text::sanitize_line(&job.path());
            warn(&format!("{path}: the output of run {} is the same as that of run {}", new.attempt, old.attempt));
            continue;
        }
        exit = ExitStatus::JobFailed;
        for (sign, run) in [("---", old), ("+++", new)] {
            let at = local_time(run.started);
            let on = run.snapshot().map(|snapshot| format!("  on {}", snapshot.short_id())).unwrap_or_default();
            let line = format!("{sign} {} run {}  {at}{on}", text::sanitize_line(&job.path()), run.attempt);
            writeln!(out, "{}", styled(&line, "1", color))?;
        }
        let mut written = Ok(());
        diff.visit_lines(&mut old_log, &mut new_log, &mut |line| {
            let line = match line {
                DiffLine::Group { old, new } => {
                    styled(&format!("@@ -{} +{} @@", range_text(&old), range_text(&new)), "36", color)
                }
                DiffLine::Same(line) => format!(" {line}"),
                DiffLine::Removed(line) => styled(&format!("-{line}"), "31", color),
                DiffLine::Added(line) => styled(&format!("+{line}"), "32", color),
            };
            written = writeln!(out, "{line}");
            if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        written?;
    }
    out.flush()?;
    Ok(exit)
}

/// The run that was asked for, or else the last one, and the one before.
fn two_runs<'r>(job: &Job, runs: &'r [Run], attempt: Option<u32>) -> Result<(&'r Run, &'r Run), CliError> {
    let path = job.path();
    let last = runs.last().ok_or_else(|| CliError::Usage(format!("{path} has not run yet")))?;
    let attempt = attempt.unwrap_or(last.attempt);
    let at = runs.iter().position(|run| run.attempt == attempt);
    let at = at.ok_or_else(|| CliError::Usage(format!("{path} has no run {attempt}; it has {}", runs.len())))?;
    match at.checked_sub(1).and_then(|before| Some((runs.get(before)?, runs.get(at)?))) {
        Some(runs) => Ok(runs),
        None => Err(CliError::Usage(format!("{path} has no kept run before run {attempt}"))),
    }
}

/// Lines as in a unified diff: `12,3`, counted from 1.
fn range_text(lines: &Range<usize>) -> String {
    let first = if lines.is_empty() { lines.start } else { lines.start + 1 };
    if lines.len() == 1 { first.to_string() } else { format!("{first},{}", lines.len()) }
}

fn styled(line: &str, style: &str, color: bool) -> String {
    if color { format!("\x1b[{style}m{line}\x1b[0m") } else { line.to_owned() }
}
