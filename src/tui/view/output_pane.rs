//! Draws the output of the selected job with a title.

use chrono::{DateTime, Utc};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::model::{Job, Phase, Run};
use crate::text;
use crate::tui::action::Action;
use crate::tui::job_terminal::TypingSession;
use crate::tui::layout::ScreenLayout;
use crate::tui::outcome_text::end_text;
use crate::tui::output::ViewStatus;
use crate::tui::output_pane::OutputPane;
use crate::tui::state::ScreenSettings;
use crate::tui::theme::Appearance;

use super::line_painter::{LinePainter, without_first_line};
use super::output_title::{output_styles, status_facts, typing_badge};
use super::{empty_states, time_format};

/// With less room, the title behind the name of a job is left out.
const MIN_TITLE_WIDTH: usize = 6;

/// What is drawn beside the output itself.
pub(super) struct OutputContext<'a> {
    pub(super) settings: &'a ScreenSettings,
    pub(super) job: Option<&'a Job>,
    /// Whether the job needs approval now.
    pub(super) can_approve: bool,
    pub(super) is_focused: bool,
    /// The typing session, while keys are sent to the job.
    pub(super) typing: Option<TypingSession>,
    pub(super) now: DateTime<Utc>,
}

/// Draws the pane. Returns the position of the terminal's cursor while keys are sent to the job.
pub(super) fn draw(
    pane: &mut OutputPane,
    context: &OutputContext<'_>,
    layout: &ScreenLayout,
    buffer: &mut Buffer,
) -> Option<(u16, u16)> {
    let area = layout.output;
    if area.is_empty() {
        return None;
    }
    let styles = output_styles(context.settings);
    let (status, cursor) = pane.draw(layout.output_text(), buffer, &styles);
    draw_title(context, pane.earlier_run(), status.as_ref(), area, buffer);
    if let Some(note) = context.job.and_then(|job| empty_note(job, pane, context)) {
        empty_states::draw_note(&note, &context.settings.appearance, without_first_line(area), buffer);
    }
    cursor.filter(|_| context.typing.is_some_and(|typing| !typing.run_ended))
}

/// Why there is no output.
fn empty_note(job: &Job, pane: &OutputPane, context: &OutputContext<'_>) -> Option<String> {
    let run = context.settings.keymap.key(Action::Run);
    match (&job.last_run, job.phase()) {
        (None, Phase::Pending) if context.can_approve => {
            let approve = context.settings.keymap.key(Action::Copy);
            Some(format!("Needs approval. Press {approve} to approve it."))
        }
        (None, Phase::Finished) => Some(format!("Never ran. Press {run} to run it.")),
        (None, Phase::Pending | Phase::Running) => Some(format!("Not run yet. Press {run} to run it.")),
        (Some(_), Phase::Running) if pane.is_empty() => Some("No output yet.".to_owned()),
        (Some(_), _) if pane.is_empty() => Some("No output.".to_owned()),
        _ => None,
    }
}

/// Draws the title: the job, its progress, and the position in the output.
fn draw_title(
    context: &OutputContext<'_>,
    earlier_run: Option<&Run>,
    status: Option<&ViewStatus>,
    area: Rect,
    buffer: &mut Buffer,
) {
    let appearance = &context.settings.appearance;
    let theme = &appearance.theme;
    let rule = if context.is_focused { theme.focus } else { theme.rule };
    let mut painter = LinePainter::new(area, buffer, appearance.symbols);
    painter.left(appearance.symbols.rule, rule).left(" ", Style::new());
    match context.typing.map(|typing| typing_badge(typing, theme)) {
        Some((label, style)) => painter.left(label, style),
        None => painter.left("Output", if context.is_focused { theme.focus } else { theme.title }),
    };
    let facts = status.map(|status| status_facts(status, area.width, appearance)).unwrap_or_default();
    for (fact, style) in facts.iter().rev() {
        painter.right(&format!(" {fact} "), *style);
    }
    if let Some(job) = context.job {
        let note = match earlier_run {
            Some(run) => format!("run {} of {}, {}", run.attempt, job.attempts, run_outcome(run)),
            None if job.phase() == Phase::Running => String::new(),
            // The job is pending or finished again without another run.
            None if job.result_run().is_none() => match job.last_run.as_deref() {
                Some(run) => format!("run {} of {}, {}", run.attempt, job.attempts, run_outcome(run)),
                None => String::new(),
            },
            None => time_format::last_run_duration(job, context.now),
        };
        let note = if note.is_empty() { note } else { format!(" {} {note}", appearance.symbols.dot) };
        // Leaves one cell of the rule at the end.
        let room = painter.room().saturating_sub(6 + text::width(&note));
        let (path, title) = name_and_title(job, room, appearance);
        painter
            .left(&format!(" {} ", appearance.symbols.dot), theme.dim)
            .left(&path, Style::new())
            .left(&title, theme.dim)
            .left(&note, theme.dim);
    }
    painter.left(" ", Style::new());
    painter.fill(appearance.symbols.rule, rule);
}

/// The name that every command takes, and the title behind it, in at most `room` cells.
fn name_and_title(job: &Job, room: usize, appearance: &Appearance) -> (String, String) {
    let ellipsis = appearance.symbols.ellipsis;
    let path = text::fit_middle(&text::sanitize_line(&job.path()), room, None, ellipsis).into_owned();
    let label = text::sanitize_line(&job.display_title());
    let dot = format!(" {} ", appearance.symbols.dot);
    let left = room.saturating_sub(text::width(&path) + text::width(&dot));
    if label.is_empty() || left < MIN_TITLE_WIDTH.min(text::width(&label)) {
        return (path, String::new());
    }
    (path, dot + &text::fit(&label, left, ellipsis))
}

/// The outcome of an earlier run.
fn run_outcome(run: &Run) -> String {
    run.end.as_ref().map_or_else(|| "running".to_owned(), end_text)
}
