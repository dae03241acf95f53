//! Summary lines: `build/lint  succeeded  1.2s  no warnings`.

use std::collections::BTreeMap;

use crate::model::{AfterRun, Job, Outcome, Run, RunEnd};
use crate::text;

/// The maximum width of the value or error in a line, in cells.
const MAX_DETAIL_WIDTH: usize = 120;

/// Describes the outcome of a job.
pub(super) fn describe_outcome(job: &Job, outcome: &Outcome) -> String {
    let run = job.result_run().filter(|_| !matches!(outcome, Outcome::Skipped { .. }));
    let took = run.and_then(Run::duration).map(text::duration).unwrap_or_default();
    let detail = match (outcome, &job.value) {
        (Outcome::Failed(failure), _) => {
            let known = run.and_then(|run| run.end.as_ref()).and_then(RunEnd::failure_line);
            text::sanitize_line(known.as_ref().unwrap_or(&failure.message))
        }
        (Outcome::Skipped { reason, .. }, _) => text::sanitize_line(reason),
        (Outcome::Succeeded, Some(value)) => {
            text::sanitize_line(&value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        }
        _ => String::new(),
    };
    let detail = text::fit(&detail, MAX_DETAIL_WIDTH, text::ELLIPSIS);
    format!("{}  {outcome}  {took}  {detail}", text::sanitize_line(&job.path())).trim_end().to_owned()
}

/// Describes the end of a run, and the retry if there is one.
pub(super) fn describe_run_end(job: &Job, outcome: &Outcome, after_run: AfterRun) -> String {
    let line = describe_outcome(job, outcome);
    match after_run {
        AfterRun::Retry { .. } => {
            format!("{line}  (attempt {}/{} follows)", job.current_attempt() + 1, job.max_attempts())
        }
        AfterRun::Finish | AfterRun::StayPending => line,
    }
}

/// Describes counts by outcome or state: `2 succeeded, 1 failed`; `None` if all are zero.
pub(super) fn describe_counts<N: Copy + Default + PartialEq + std::fmt::Display>(
    counts: &BTreeMap<&str, N>,
) -> Option<String> {
    let order = ["succeeded", "failed", "interrupted", "cancelled", "skipped", "pending"];
    let describe = |word: &&str| Some(format!("{} {word}", counts.get(word).filter(|count| **count != N::default())?));
    let words: Vec<String> = order.iter().filter_map(describe).collect();
    (!words.is_empty()).then(|| words.join(", "))
}
