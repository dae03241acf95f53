//! Draws the errors in `jobs.yaml` in place of the lists until they are fixed or dismissed.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::text;
use crate::tui::action::Action;
use crate::tui::state::ScreenSettings;
use crate::tui::theme::Appearance;

use super::line_painter::{LinePainter, lines, without_first_line};

/// The errors with what the user can do.
pub(super) struct FileErrors<'a> {
    /// The diagnostics.
    pub(super) text: &'a str,
    /// What is wrong with the file: `has errors`.
    pub(super) problem: &'static str,
    /// Whether there is a valid version to continue with.
    pub(super) can_dismiss: bool,
}

/// Draws the errors from line `scroll` on, which is limited to their length.
pub(super) fn draw(
    errors: &FileErrors<'_>,
    scroll: &mut usize,
    settings: &ScreenSettings,
    area: Rect,
    buffer: &mut Buffer,
) {
    let appearance = &settings.appearance;
    let text = text::sanitize(errors.text);
    let all: Vec<&str> = text.lines().collect();
    let body = without_first_line(without_first_line(without_first_line(area)));
    let height = usize::from(body.height);
    *scroll = (*scroll).min(all.len().saturating_sub(height));
    let mut painter = LinePainter::new(area, buffer, appearance.symbols);
    painter
        .left(appearance.symbols.rule, appearance.theme.failure)
        .left(&format!(" jobs.yaml {} ", errors.problem), appearance.theme.failure);
    let hidden = all.len().saturating_sub(*scroll + height);
    if hidden > 0 {
        painter.right(&format!(" {}{hidden} ", appearance.symbols.below), appearance.theme.dim);
    }
    painter.fill(appearance.symbols.rule, appearance.theme.failure);
    let (edit, back) = (settings.keymap.key(Action::Edit), settings.keymap.key(Action::Back));
    let advice = if errors.can_dismiss {
        format!("Press {edit} to edit it, or {back} to continue with the last valid version.")
    } else {
        format!("Press {edit} to edit it.")
    };
    LinePainter::new(without_first_line(area), buffer, appearance.symbols)
        .left("  ", Style::new())
        .left(&advice, appearance.theme.dim);
    for (line, content) in lines(body).zip(all.iter().skip(*scroll)) {
        let mut painter = LinePainter::new(line, buffer, appearance.symbols);
        painter.left("  ", Style::new());
        for (piece, style) in styled_pieces(content, appearance) {
            painter.left(piece, style);
        }
    }
}

/// Splits a line of a diagnostic into styled pieces: errors and positions stand out, context is dimmed.
fn styled_pieces<'a>(line: &'a str, appearance: &Appearance) -> Vec<(&'a str, Style)> {
    let (theme, plain) = (&appearance.theme, Style::new());
    let inside = line.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ');
    let margin = line.len() - inside.len();
    match inside {
        _ if line.starts_with("error") => vec![(line, theme.failure)],
        _ if inside.starts_with("= help") => vec![(line, theme.accent)],
        _ if inside.starts_with("-->") || inside.starts_with(":::") || inside.starts_with("= ") => {
            vec![(line, theme.dim)]
        }
        _ if inside.starts_with('|') => {
            let (gutter, text) = line.split_at(margin + 1);
            let points = text.trim_start().starts_with('^');
            vec![(gutter, theme.dim), (text, if points { theme.failure } else { plain })]
        }
        _ => vec![(line, plain)],
    }
}
