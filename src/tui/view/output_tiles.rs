//! Draws the output of several jobs side by side, each with a title.

use chrono::{DateTime, Utc};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::model::{Job, Phase, Site};
use crate::text;
use crate::tui::job_label::title_or_name;
use crate::tui::job_terminal::TypingSession;
use crate::tui::output::ViewStatus;
use crate::tui::state::ScreenSettings;
use crate::tui::theme::Appearance;
use crate::tui::tiles::{self, Tiles};

use super::line_painter::{LinePainter, lines, without_first_line};
use super::output_title::{output_styles, status_facts, typing_badge};
use super::{empty_states, time_format};

/// What is drawn beside the tiles themselves.
pub(super) struct TilesContext<'a> {
    pub(super) settings: &'a ScreenSettings,
    pub(super) site: &'a Site,
    /// The typing session, while keys are sent to a job.
    pub(super) typing: Option<TypingSession>,
    pub(super) now: DateTime<Utc>,
}

/// The title of a tile.
struct TileTitle<'a> {
    job: &'a Job,
    is_focused: bool,
    shows_queue: bool,
    /// The number of running jobs without a tile, shown in the last tile.
    hidden: usize,
    status: Option<&'a ViewStatus>,
}

/// Draws the tiles. Returns the position of the terminal's cursor while keys are sent to a job.
pub(super) fn draw(
    tiles: &mut Tiles,
    context: &TilesContext<'_>,
    area: Rect,
    buffer: &mut Buffer,
) -> Option<(u16, u16)> {
    let appearance = &context.settings.appearance;
    let styles = output_styles(context.settings);
    let focused = tiles.focused().map(|tile| tile.job);
    let (shows_queue, hidden) = (tiles.queue.is_none(), tiles.hidden);
    let places = tiles.layout(area);
    let last = places.last().map(|(index, _)| *index);
    let mut cursor = None;
    if places.is_empty() {
        empty_states::draw_note("No running jobs.", appearance, area, buffer);
    }
    for (index, place) in places {
        let Some(tile) = tiles.tile_mut(index) else { continue };
        let (status, tile_cursor) = tile.pane.draw(tiles::inner_area(place, area), buffer, &styles);
        let is_focused = Some(tile.job) == focused;
        if tile.pane.is_empty() {
            empty_states::draw_note("No output yet.", appearance, without_first_line(place), buffer);
        }
        if place.x > area.x {
            for line in lines(without_first_line(place)) {
                let border = Rect { width: 1, ..line };
                LinePainter::new(border, buffer, appearance.symbols)
                    .left(appearance.symbols.vertical, appearance.theme.rule);
            }
        }
        if let Some(job) = context.site.read(|site| site.job(tile.job).cloned()) {
            let hidden = if Some(index) == last { hidden } else { 0 };
            let heading = TileTitle { job: &job, is_focused, shows_queue, hidden, status: status.as_ref() };
            draw_title(&heading, context, place, buffer);
        }
        cursor = cursor.or(tile_cursor.filter(|_| is_focused));
    }
    cursor.filter(|_| context.typing.is_some_and(|typing| !typing.run_ended))
}

/// Draws the title of a tile: the job, its state, and the position in the output.
fn draw_title(title: &TileTitle<'_>, context: &TilesContext<'_>, area: Rect, buffer: &mut Buffer) {
    let appearance = &context.settings.appearance;
    let theme = &appearance.theme;
    let rule = if title.is_focused { theme.focus } else { theme.rule };
    let mut painter = LinePainter::new(area, buffer, appearance.symbols);
    painter.left(appearance.symbols.rule, rule).left(" ", Style::new());
    if let Some(typing) = context.typing.filter(|_| title.is_focused) {
        let (label, style) = typing_badge(typing, theme);
        painter.left(label, style).left(" ", Style::new());
    }
    let (sign, style, took) = state_sign(title.job, appearance, context.now);
    painter.left(sign, style).left(" ", Style::new());
    if title.hidden > 0 {
        painter.right(&format!(" +{} more ", title.hidden), theme.warning);
    }
    // The most important facts come first, in case there is little room.
    for (fact, style) in title.status.map(|status| status_facts(status, area.width, appearance)).unwrap_or_default() {
        painter.right(&format!(" {fact} "), style);
    }
    let name = title_or_name(title.job);
    let label = if title.shows_queue { format!("{} {} {name}", title.job.queue, appearance.symbols.dot) } else { name };
    let took = if took.is_empty() { took } else { format!(" {} {took}", appearance.symbols.dot) };
    let room = painter.room().saturating_sub(2 + text::width(&took));
    let label = text::fit(&text::sanitize_line(&label), room, appearance.symbols.ellipsis).into_owned();
    painter.left(&label, if title.is_focused { theme.focus } else { Style::new() }).left(&took, theme.dim);
    painter.left(" ", Style::new());
    painter.fill(appearance.symbols.rule, rule);
}

/// The sign of a job's state, with its style and the duration.
fn state_sign(job: &Job, appearance: &Appearance, now: DateTime<Utc>) -> (&'static str, Style, String) {
    match (job.phase(), job.outcome()) {
        (Phase::Running, _) => {
            (appearance.symbols.running, appearance.theme.accent, time_format::elapsed_seconds(job, now))
        }
        (_, Some(outcome)) => {
            let (sign, style) = appearance.outcome(outcome);
            (sign, style, time_format::last_run_duration(job, now))
        }
        // The job failed and waits for a retry.
        (_, None) => (appearance.symbols.failed, appearance.theme.failure, time_format::last_run_duration(job, now)),
    }
}
