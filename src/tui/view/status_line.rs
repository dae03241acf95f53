//! Draws the status line above the hints: a dialog, the last message, or a summary of the selected job.

use chrono::{DateTime, Utc};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::model::{Job, JobState, QueueId, WaitReason};
use crate::text;
use crate::tui::action::Action;
use crate::tui::message::JobsFileError;
use crate::tui::outcome_text::outcome_text;
use crate::tui::state::ScreenSettings;
use crate::tui::status_line::{Severity, StatusText};
use crate::tui::theme::Appearance;

use super::dialog_line::{self, DialogLine};
use super::line_painter::LinePainter;
use super::time_format;

/// The content of the line.
pub(super) enum StatusLineContent<'a> {
    Dialog(DialogLine<'a>),
    /// The last message.
    Status(&'a StatusText),
    /// `jobs.yaml` has errors or is missing.
    FileErrors {
        error: &'a JobsFileError,
        has_valid_version: bool,
    },
    /// A queue is processing without a worker.
    NoWorker(&'a QueueId),
    /// The selected job, and why it is waiting.
    Job(&'a Job, Option<WaitReason>),
    /// Keys for the first minutes, each with what it does.
    Hints(Vec<(String, &'static str)>),
    Empty,
}

impl StatusLineContent<'_> {
    /// Draws the line. Returns the position of the terminal's cursor if there is an input line.
    pub(super) fn draw(
        &self,
        settings: &ScreenSettings,
        area: Rect,
        buffer: &mut Buffer,
        now: DateTime<Utc>,
    ) -> Option<(u16, u16)> {
        let Appearance { theme, symbols } = &settings.appearance;
        if let Self::Dialog(line) = self {
            return dialog_line::draw(line, &settings.appearance, area, buffer);
        }
        let mut painter = LinePainter::new(area, buffer, symbols);
        painter.left(" ", Style::new());
        match self {
            Self::Dialog(_) | Self::Empty => {}
            Self::Status(status) => {
                let style = match status.severity {
                    Severity::Info => Style::new(),
                    Severity::Warning => theme.warning,
                    Severity::Error => theme.failure,
                };
                painter.left(&text::sanitize_line(&status.text), style);
            }
            Self::FileErrors { error, has_valid_version } => {
                let problem = match error.problem {
                    JobsFileError::HAS_ERRORS => format!("has {}", text::count_noun(error.errors, "error")),
                    problem => problem.to_owned(),
                };
                let stays = if *has_valid_version { "; the last valid version is used" } else { "" };
                let edit = settings.keymap.key(Action::Edit);
                let message = format!("jobs.yaml {problem}{stays}. Press {edit} to edit it.");
                painter.left(symbols.failed, theme.failure).left(" ", Style::new()).left(&message, theme.failure);
            }
            Self::NoWorker(queue) => {
                let process = settings.keymap.key(Action::Process);
                let message = format!("No worker is running the jobs of {queue}. Press {process} to start one.");
                painter.left(&text::sanitize_line(&message), theme.failure);
            }
            Self::Hints(hints) => {
                for (nth, (key, does)) in hints.iter().enumerate() {
                    let separator = if nth == 0 { String::new() } else { format!(" {} ", symbols.dot) };
                    painter.left(&separator, theme.dim).left(key, theme.key).left(&format!(" {does}"), theme.dim);
                }
            }
            Self::Job(job, waiting) => {
                painter.left(&job_summary(job, waiting.as_ref(), settings, now), theme.dim);
            }
        }
        None
    }
}

/// The facts about a job that its row has no room for.
fn job_summary(job: &Job, waiting: Option<&WaitReason>, settings: &ScreenSettings, now: DateTime<Utc>) -> String {
    let mut parts = vec![format!("{} {}", job.id, job.path())];
    parts.push(match &job.state {
        JobState::Pending { requested, .. } => {
            let reason = waiting.map(|waiting| waiting.describe(now)).filter(|reason| !reason.is_empty());
            let reason = reason.map(|reason| format!(", {reason}")).unwrap_or_default();
            format!("pending{}{reason}", if *requested { ", requested" } else { "" })
        }
        JobState::Running { .. } => "running".to_owned(),
        JobState::Finished { outcome, .. } => outcome_text(outcome),
    });
    if job.max_attempts() > 1 && job.current_attempt() > 0 {
        parts.push(format!("attempt {}/{}", job.current_attempt(), job.max_attempts()));
    } else if job.attempts > 1 {
        parts.push(format!("run {}", job.attempts));
    }
    if let Some(run) = job.result_run() {
        let local = |at| time_format::format_time((settings.local)(at), (settings.local)(now));
        parts.push(format!("started {}", local(run.started)));
    }
    if let Some(value) = job.result_value() {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        if !text.is_empty() && !value.is_null() {
            parts.push(format!("value {text}"));
        }
    }
    // Last, because it may be long.
    let cause = job.result_run().and_then(|run| run.end.as_ref()).and_then(|end| end.cause.as_deref());
    parts.extend(cause.filter(|cause| cause.is_informative()).map(ToString::to_string));
    let dot = format!(" {} ", settings.appearance.symbols.dot);
    text::sanitize_line(&parts.join(&dot))
}
