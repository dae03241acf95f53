//! Draws an input line in the status line.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::model::QueueId;
use crate::text;
use crate::tui::action_menu::MenuKind;
use crate::tui::dialog::Dialog;
use crate::tui::line_editor::LineEditor;
use crate::tui::theme::Appearance;

use super::line_painter::LinePainter;

/// A dialog with the data that its line shows.
pub(super) struct DialogLine<'a> {
    pub(super) dialog: &'a Dialog,
    /// The queue to which a job is added.
    pub(super) queue: &'a QueueId,
    /// What is wrong with the input, or why it can't be used now.
    pub(super) error: String,
}

/// Draws the dialog. Returns the position of the terminal's cursor if there is an input line.
pub(super) fn draw(
    line: &DialogLine<'_>,
    appearance: &Appearance,
    area: Rect,
    buffer: &mut Buffer,
) -> Option<(u16, u16)> {
    let error = line.error.as_str();
    let input = |label: &str, line: &LineEditor, buffer: &mut Buffer| {
        Some(draw_input((label, error), line, appearance, area, buffer))
    };
    match line.dialog {
        // They have boxes of their own.
        Dialog::Confirm { .. } | Dialog::Inputs(_) | Dialog::Page(_) => None,
        Dialog::Add(draft) if draft.edits_title => input("title: ", &draft.title, buffer),
        Dialog::Add(draft) => input(&format!("add to {}: ", line.queue), &draft.script, buffer),
        Dialog::Filter(filter) => input("filter: ", filter, buffer),
        Dialog::Overview(overview) => input("queue: ", &overview.line, buffer),
        Dialog::SearchAll(search) => input("search all output: ", &search.line, buffer),
        Dialog::Search(text) => input("search: ", text, buffer),
        Dialog::Menu(menu) => {
            input(if menu.kind == MenuKind::Help { "find: " } else { "action: " }, &menu.line, buffer)
        }
    }
}

/// Draws an input line between its label and its error. Returns the position of the cursor.
fn draw_input(
    (label, error): (&str, &str),
    line: &LineEditor,
    appearance: &Appearance,
    area: Rect,
    buffer: &mut Buffer,
) -> (u16, u16) {
    let mut painter = LinePainter::new(area, buffer, appearance.symbols);
    painter.left(" ", Style::new()).left(&text::sanitize_line(label), appearance.theme.key);
    let before = text::sanitize_line(line.text_before_cursor());
    let after = line.text().get(line.text_before_cursor().len()..).unwrap_or_default();
    let column = draw_edited_text(&before, after, Style::new(), &mut painter);
    if !error.is_empty() {
        painter.left("   ", Style::new()).left(&text::sanitize_line(error), appearance.theme.warning);
    }
    (column, area.y)
}

/// Draws a text that is being edited, before and after the cursor. The end of a long text stays visible, since the cursor
/// is usually there. Returns the column of the cursor.
pub(super) fn draw_edited_text(before: &str, after: &str, style: Style, painter: &mut LinePainter<'_>) -> u16 {
    let room = painter.room().saturating_sub(1);
    let mut shown = before;
    while text::width(shown) > room {
        shown = shown.char_indices().nth(1).map_or("", |(next, _)| &shown[next..]);
    }
    let start = painter.column();
    painter.left(shown, style).left(after, style);
    start.saturating_add(u16::try_from(text::width(shown)).unwrap_or(u16::MAX))
}
