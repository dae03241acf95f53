//! What the views of pages draw from.

use chrono::{DateTime, Utc};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::model::SiteState;
use crate::text;
use crate::tui::details_pane::RunHistory;
use crate::tui::mouse::{ClickTarget, ClickTargets};
use crate::tui::state::ScreenSettings;

use super::line_painter::{LinePainter, lines};

/// What a page shows; each page draws itself in a file of its own.
pub(super) struct PageView<'a> {
    pub(super) settings: &'a ScreenSettings,
    pub(super) site: &'a SiteState,
    /// The runs of the selected job, once they are loaded.
    pub(super) history: Option<&'a RunHistory>,
    pub(super) now: DateTime<Utc>,
}

impl PageView<'_> {
    /// Says why there is nothing to show.
    pub(super) fn draw_note(&self, note: &str, area: Rect, buffer: &mut Buffer) {
        let appearance = &self.settings.appearance;
        let wrapped = text::wrap(note, usize::from(area.width).saturating_sub(4));
        for (line, words) in lines(area).zip(wrapped) {
            let mut painter = LinePainter::new(line, buffer, appearance.symbols);
            painter.left("   ", Style::new()).left(&words, appearance.theme.dim);
        }
    }
}

/// The visible ones of some rows from the one at `offset` on, each with its index and its line, which is recorded for the
/// mouse.
pub(super) fn visible_lines<'r, R>(
    rows: &'r [R],
    offset: usize,
    area: Rect,
    targets: &mut ClickTargets,
) -> Vec<(usize, &'r R, Rect)> {
    let shown = rows.iter().enumerate().skip(offset).zip(lines(area));
    let shown: Vec<_> = shown.map(|((index, row), line)| (index, row, line)).collect();
    for (nth, (.., line)) in shown.iter().enumerate() {
        targets.add(*line, line.x..line.right(), ClickTarget::PageRow(nth));
    }
    shown
}
