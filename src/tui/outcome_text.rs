//! How jobs and runs ended, as short text.

use crate::model::{Job, Outcome, RunEnd};
use crate::text;

/// How a job ended, as short text. The sign alone says that it succeeded, which leaves room for its title.
pub(super) fn finished_note(job: &Job) -> String {
    match job.outcome() {
        None | Some(Outcome::Succeeded) => String::new(),
        Some(outcome) => {
            let end = job.result_run().and_then(|run| run.end.as_ref()).filter(|end| end.outcome == *outcome);
            let note = end.map_or_else(|| outcome_text(outcome), end_text);
            without_own_queue(&note, job)
        }
    }
}

/// The end of a run as short text: its outcome, and the cause if it says more.
pub(super) fn end_text(end: &RunEnd) -> String {
    end.failure_summary().map_or_else(|| outcome_text(&end.outcome), |failure| text::sanitize_line(&failure))
}

/// An outcome as short text.
pub(super) fn outcome_text(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Failed(failure) => text::sanitize_line(&failure.message),
        Outcome::Skipped { reason, .. } => format!("skipped: {}", text::sanitize_line(reason)),
        Outcome::Unreachable { .. } => text::sanitize_line(&outcome.to_string()),
        other => other.as_str().to_owned(),
    }
}

/// A text about a job that names jobs of its own queue without the queue.
pub(super) fn without_own_queue(note: &str, job: &Job) -> String {
    note.replacen(&format!("needs {}/", job.queue), "needs ", 1)
}
