//! What the end of a condition means, and its output, which is marked in the log of the run.

use std::ops::RangeInclusive;

use super::output_tail::OutputTail;
use super::run_log::SharedLog;
use crate::model::{ConditionKind, Exit, FailureKind, Outcome, RunReport, Stream};
use crate::runner::Output;

/// The exit codes of a shell that could not execute a command, or did not find it.
const NOT_EXECUTED: [i32; 2] = [126, 127];
/// The exit codes of a shell whose command was ended by a signal.
const ENDED_BY_SIGNAL: RangeInclusive<i32> = 129..=192;

/// What the end of a condition means for its run.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ConditionAnswer {
    /// The job runs, as far as this condition is concerned.
    Run,
    /// The run is skipped; why.
    Skip(String),
    /// It could not be evaluated, so that the run fails; why.
    Fail(String),
    /// The run is stopped.
    Cancelled,
}

/// What the end of a condition means, and the last line that it printed.
pub(super) fn answer_of(kind: ConditionKind, report: &RunReport, last_line: &str) -> ConditionAnswer {
    let name = kind.as_str();
    let code = match (&report.outcome, report.exit) {
        (Outcome::Succeeded, _) => 0,
        (Outcome::Failed(failure), Some(Exit::Code(code))) if failure.kind == FailureKind::Exit => code,
        (Outcome::Failed(failure), _) => return ConditionAnswer::Fail(format!("`{name}`: {}", failure.message)),
        _ => return ConditionAnswer::Cancelled,
    };
    let detail = if last_line.is_empty() { String::new() } else { format!(": {last_line}") };
    if NOT_EXECUTED.contains(&code) {
        return ConditionAnswer::Fail(format!("`{name}` could not be executed (exit code {code}){detail}"));
    }
    if ENDED_BY_SIGNAL.contains(&code) {
        return ConditionAnswer::Fail(format!("`{name}` was ended by a signal (exit code {code}){detail}"));
    }
    if kind.allows_run(code == 0) {
        return ConditionAnswer::Run;
    }
    let why = if last_line.is_empty() { format!("`{name}` exited with {code}") } else { last_line.to_owned() };
    ConditionAnswer::Skip(format!("condition: {why}"))
}

/// Writes the output of a condition to the log of its run, each line after `if: ` or `unless: `.
pub(super) struct ConditionOutput {
    kind: ConditionKind,
    log: SharedLog,
    /// Whether the current line of each stream is empty: standard output, then standard error.
    at_line_start: [bool; 2],
    tail: OutputTail,
}

impl ConditionOutput {
    pub(super) fn new(kind: ConditionKind, log: SharedLog) -> Self {
        Self { kind, log, at_line_start: [true; 2], tail: OutputTail::default() }
    }

    /// What it prints last.
    pub(super) fn tail(&self) -> OutputTail {
        self.tail.clone()
    }

    fn marked(&mut self, stream: Stream, bytes: &[u8]) -> Vec<u8> {
        let at_line_start = &mut self.at_line_start[usize::from(stream == Stream::Err)];
        let mut marked = Vec::with_capacity(bytes.len() + 16);
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            if *at_line_start {
                marked.extend(format!("{}: ", self.kind.as_str()).as_bytes());
            }
            marked.extend(line);
            *at_line_start = line.ends_with(b"\n");
        }
        marked
    }
}

impl Output for ConditionOutput {
    fn write(&mut self, stream: Stream, bytes: &[u8]) {
        self.tail.push(bytes);
        let marked = self.marked(stream, bytes);
        self.log.write(stream, &marked);
    }

    /// Ends an unfinished line. The log continues with the output of the job.
    fn finish(mut self: Box<Self>) {
        for (stream, at_line_start) in [Stream::Out, Stream::Err].into_iter().zip(self.at_line_start) {
            if !at_line_start {
                self.log.write(stream, b"\n");
            }
        }
    }
}
