//! The state of a job as a sign and in words.

use chrono::{DateTime, Utc};
use ratatui::style::Style;

use crate::model::{Job, JobState, SiteState};
use crate::text;
use crate::tui::outcome_text::{outcome_text, without_own_queue};
use crate::tui::theme::Appearance;

use super::time_format;

/// The sign of a job's state, its style, and the state in words: why it waits, how long it has been running, how it ended.
pub(super) fn job_state_text(
    job: &Job,
    site: &SiteState,
    appearance: &Appearance,
    now: DateTime<Utc>,
) -> (&'static str, Style, String) {
    let (sign, style, words) = match &job.state {
        JobState::Pending { .. } => {
            let words = site.wait_reason(job).map(|waiting| waiting.describe(now)).unwrap_or_default();
            let words = if words.is_empty() { "pending".to_owned() } else { words };
            (appearance.symbols.dot, appearance.theme.dim, words)
        }
        JobState::Running { .. } => (
            appearance.symbols.running,
            appearance.theme.accent,
            format!("running {}", time_format::elapsed_seconds(job, now)),
        ),
        JobState::Finished { outcome, .. } => {
            let (sign, style) = appearance.outcome(outcome);
            (sign, style, without_own_queue(&outcome_text(outcome), job))
        }
    };
    (sign, style, text::sanitize_line(&words))
}
