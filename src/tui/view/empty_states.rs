//! What is shown where there is nothing to list, with the key that changes it.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::model::Phase;
use crate::text;
use crate::tui::action::Action;
use crate::tui::layout::MIN_SIZE;
use crate::tui::state::ScreenSettings;
use crate::tui::theme::Appearance;

use super::idle_reason::IdleReason;
use super::line_painter::{LinePainter, lines};

/// A list without rows.
#[expect(clippy::struct_excessive_bools, reason = "independent facts about the screen")]
pub(super) struct EmptyList {
    pub(super) phase: Phase,
    pub(super) is_scanning: bool,
    pub(super) is_filtered: bool,
    pub(super) shows_all_queues: bool,
    pub(super) has_pending: bool,
    /// Why no job is running.
    pub(super) idle_reason: Option<IdleReason>,
}

impl EmptyList {
    /// Why the list is empty and how to fill it.
    pub(super) fn note(&self, settings: &ScreenSettings) -> String {
        match self.phase {
            _ if self.is_scanning => "Searching…".to_owned(),
            _ if self.is_filtered => {
                format!("No matches. {} shows all jobs.", settings.keymap.key(Action::Back))
            }
            Phase::Pending if self.shows_all_queues => "No pending jobs.".to_owned(),
            Phase::Pending => format!("No pending jobs. Press {} to add one.", settings.keymap.key(Action::Add)),
            Phase::Running => match &self.idle_reason {
                Some(reason) => reason.sentence(),
                None if self.shows_all_queues || !self.has_pending => "No running jobs.".to_owned(),
                None => "The next job is about to start.".to_owned(),
            },
            Phase::Finished => "No finished jobs yet.".to_owned(),
        }
    }
}

/// Draws a dimmed line at the top of a pane.
pub(super) fn draw_note(note: &str, appearance: &Appearance, area: Rect, buffer: &mut Buffer) {
    LinePainter::new(area, buffer, appearance.symbols).left("   ", Style::new()).left(note, appearance.theme.dim);
}

/// Draws the page of a site without queues.
pub(super) fn draw_no_queues(settings: &ScreenSettings, area: Rect, buffer: &mut Buffer) {
    let edit = settings.keymap.key(Action::Edit);
    let page = [
        "There are no queues yet.",
        "",
        &format!("Press {edit} to open jobs.yaml in your editor. Example:"),
        "",
        "  queues:",
        "    build:",
        "      - cargo test",
    ];
    for (line, content) in lines(area).skip(1).zip(page) {
        LinePainter::new(line, buffer, settings.appearance.symbols)
            .left("   ", Style::new())
            .left(content, Style::new());
    }
}

/// Draws the page of a terminal that is too small: failures, the size needed, and how to quit, as far as there is room.
pub(super) fn draw_too_small(failed: usize, settings: &ScreenSettings, area: Rect, buffer: &mut Buffer) {
    let appearance = &settings.appearance;
    let need = format!("needs {}x{}, has {}x{}", MIN_SIZE.width, MIN_SIZE.height, area.width, area.height);
    let failures = if failed > 0 { format!("{} {failed} failed", appearance.symbols.failed) } else { String::new() };
    let quit = format!("{} to quit", settings.keymap.key(Action::Quit));
    let page = [(failures, appearance.theme.failure), (need, Style::new()), (quit, appearance.theme.dim)];
    let shown = page.into_iter().filter(|(content, _)| !content.is_empty());
    for (line, (content, style)) in lines(area).zip(shown) {
        LinePainter::new(line, buffer, appearance.symbols).left(&text::sanitize_line(&content), style);
    }
}
