//! What came of a run, in one line: `build/lint  succeeded  1.2s  no warnings`.

use std::collections::BTreeMap;

use super::record::took;
use crate::model::{AfterRun, Job, Outcome};
use crate::text;

/// How much of what a job said the line shows, in cells: a value may be as long as a line of its output.
const SAID: usize = 120;

/// The line for the latest run of a job, or for a job that will not run.
pub(super) fn of(job: &Job, outcome: &Outcome) -> String {
    let ran = job.last_run.as_deref().filter(|_| !matches!(outcome, Outcome::Skipped { .. }));
    let took = ran.and_then(took).map(text::duration).unwrap_or_default();
    let said = match (outcome, &job.value) {
        (Outcome::Failed(failure), _) => text::plain_line(&failure.message),
        (Outcome::Skipped { reason }, _) => text::plain_line(reason),
        (Outcome::Succeeded, Some(value)) => {
            text::plain_line(&value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        }
        _ => String::new(),
    };
    let said = text::fit(&said, SAID, text::ELLIPSIS);
    format!("{}  {outcome}  {took}  {said}", text::plain_line(&job.path())).trim_end().to_owned()
}

/// The same for a run that has just ended, with what becomes of the job if it isn't finished.
pub(super) fn ended(job: &Job, outcome: &Outcome, then: AfterRun) -> String {
    let line = of(job, outcome);
    match then {
        AfterRun::Retry { .. } => format!("{line}  (retry {}/{})", job.current_attempt() + 1, job.max_attempts()),
        AfterRun::Finish | AfterRun::StayPending => line,
    }
}

/// `2 succeeded, 1 failed`, of counts by outcome or state; none where all are zero.
pub(super) fn counts<N: Copy + Default + PartialEq + std::fmt::Display>(counts: &BTreeMap<&str, N>) -> Option<String> {
    let order = ["succeeded", "failed", "interrupted", "cancelled", "skipped", "pending"];
    let some = |word: &&str| Some(format!("{} {word}", counts.get(word).filter(|count| **count != N::default())?));
    let words: Vec<String> = order.iter().filter_map(some).collect();
    (!words.is_empty()).then(|| words.join(", "))
}
