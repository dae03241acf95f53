//! Draws the lines that a search over all output has found.

use chrono::{DateTime, Utc};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::text;
use crate::tui::log_search::{LogHit, LogSearch, LogSearchState};
use crate::tui::mouse::{ClickTarget, ClickTargets};
use crate::tui::state::ScreenSettings;
use crate::tui::theme::Appearance;

use super::line_painter::{LinePainter, lines, without_first_line};
use super::time_format;

/// The widest column with the name of a job.
const MAX_PATH_WIDTH: usize = 36;
/// What that column shows.
const PLACE_TITLE: &str = "Job:run:line";
/// The width of the time at which a run started, and the width from which on it is shown.
const STARTED_WIDTH: usize = 12;
const MIN_WIDTH_FOR_TIMES: u16 = 100;

/// Draws the results and keeps the selected line visible.
pub(super) fn draw(
    search: &mut LogSearch,
    settings: &ScreenSettings,
    area: Rect,
    buffer: &mut Buffer,
    targets: &mut ClickTargets,
    now: DateTime<Utc>,
) {
    let (appearance, local) = (&settings.appearance, settings.local);
    let Appearance { theme, symbols } = appearance;
    let heading = without_first_line(area);
    let body = without_first_line(heading);
    let height = usize::from(body.height);
    let least = (search.selected + 1).saturating_sub(height);
    search.offset = search.offset.clamp(least, search.selected.max(least));
    draw_title(search, appearance, area, height, buffer);
    if search.hits.is_empty() {
        for (line, note) in lines(heading).zip(notes(search)) {
            let note = if appearance.is_ascii() { note.replace('…', "...") } else { note };
            LinePainter::new(line, buffer, symbols).left("   ", Style::new()).left(&note, theme.dim);
        }
        return;
    }
    let visible = || search.hits.iter().enumerate().skip(search.offset).take(height);
    let widest = visible().map(|(_, hit)| text::width(&place(hit))).max().unwrap_or(0);
    let width = widest.max(PLACE_TITLE.len()).min(MAX_PATH_WIDTH).min(usize::from(body.width) / 2);
    let has_times = body.width >= MIN_WIDTH_FOR_TIMES;
    draw_heading(width, has_times, appearance, heading, buffer);
    for (line, (index, hit)) in lines(body).zip(visible()) {
        let is_selected = index == search.selected;
        if is_selected {
            buffer.set_style(line, theme.cursor);
        }
        let over = |style: Style| if is_selected { theme.cursor } else { style };
        let mut painter = LinePainter::new(line, buffer, symbols);
        painter.left(if is_selected { symbols.cursor } else { " " }, over(theme.accent)).left(" ", over(Style::new()));
        let place = text::fit_middle(&place(hit), width, None, symbols.ellipsis).into_owned();
        painter.fixed_width(&place, width, over(theme.dim)).left("  ", over(Style::new()));
        if has_times {
            let started = time_format::format_time(local(hit.run.started), local(now));
            painter.right(&format!("  {started:>STARTED_WIDTH$} "), over(theme.dim));
        }
        painter.left(&hit.text, over(Style::new()));
        targets.add(line, line.x..line.right(), ClickTarget::SearchHit(index));
    }
}

/// Names the columns.
fn draw_heading(width: usize, has_times: bool, appearance: &Appearance, area: Rect, buffer: &mut Buffer) {
    let Appearance { theme, symbols } = appearance;
    let mut painter = LinePainter::new(area, buffer, symbols);
    painter.left("  ", theme.dim).fixed_width(PLACE_TITLE, width, theme.dim).left("  Text", theme.dim);
    if has_times {
        painter.right(&format!("{:>STARTED_WIDTH$} ", "Run started"), theme.dim);
    }
}

/// What is said in place of lines: what can be searched for, or that nothing was found.
fn notes(search: &LogSearch) -> Vec<String> {
    let note = match search.state {
        LogSearchState::NoText => "Type a text to find it in the output of all kept runs.",
        LogSearchState::Searching => "Searching…",
        LogSearchState::Complete | LogSearchState::Cut => "No line has this text.",
    };
    let error = search.error_to_find().map(|error| format!("Enter finds: {}", text::sanitize_line(error)));
    [note.to_owned()].into_iter().chain(error).collect()
}

/// The job, the run and the line.
fn place(hit: &LogHit) -> String {
    let number = hit.number.map_or_else(|| "?".to_owned(), |number| number.to_string());
    text::sanitize_line(&format!("{}:{}:{number}", hit.path, hit.run.attempt))
}

fn draw_title(search: &LogSearch, appearance: &Appearance, area: Rect, height: usize, buffer: &mut Buffer) {
    let Appearance { theme, symbols } = appearance;
    let mut painter = LinePainter::new(area, buffer, symbols);
    painter.left(symbols.rule, theme.focus).left(" Search ", theme.focus);
    let scope = if search.searches_all { "all queues" } else { "this queue" };
    painter.left(&format!("{} {scope}", symbols.dot), theme.dim);
    if !search.hits.is_empty() {
        let more = match search.state {
            LogSearchState::Searching => " so far",
            LogSearchState::Cut => ", and there may be more",
            LogSearchState::Complete | LogSearchState::NoText => "",
        };
        let count = text::count_noun(search.hits.len(), "line");
        painter.left(&format!(" {} {count}{more}", symbols.dot), theme.dim);
    }
    painter.left(" ", Style::new());
    let hidden = search.hits.len().saturating_sub(search.offset + height);
    if hidden > 0 {
        painter.right(&format!(" {}{hidden} ", symbols.below), theme.dim);
    }
    painter.fill(symbols.rule, theme.focus);
}
