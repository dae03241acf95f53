//! The output of several jobs at once, each under a title of its own.

use chrono::{DateTime, Utc};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::model::{Job, JobId, Phase};
use crate::tui::layout::Layout;
use crate::tui::output::Status;
use crate::tui::state::Screen;
use crate::tui::text;
use crate::tui::tiles;

use super::paint::{Strip, below, lines};
use super::{empty, output, when};

/// Draws the tiles; tells where the terminal's cursor goes, if a job is typed into.
pub(super) fn draw(
    screen: &mut Screen,
    layout: &Layout,
    buffer: &mut Buffer,
    now: DateTime<Utc>,
) -> Option<(u16, u16)> {
    let look = output::appearance(&screen.setup);
    let focused = screen.tiles.as_ref().and_then(tiles::Tiles::focused).map(|tile| tile.job);
    let places = screen.tiles.as_ref().map(|tiles| tiles.laid_out(layout.output)).unwrap_or_default();
    let last = places.last().map(|(nth, _)| *nth);
    let mut cursor = None;
    if places.is_empty() {
        empty::note(screen, "nothing runs", layout.output, buffer);
    }
    for (nth, place) in places {
        let Some(tile) = screen.tiles.as_mut().and_then(|tiles| tiles.tile_mut(nth)) else { continue };
        let (job, waits) = (tile.job, tile.pane.is_empty());
        let (status, typed) = tile.pane.draw(tiles::text(place), buffer, &look);
        let here = Some(job) == focused;
        if waits {
            empty::note(screen, "nothing printed yet", below(place), buffer);
        }
        if place.x > layout.output.x {
            for line in lines(below(place)) {
                let upright = Rect { width: 1, ..line };
                let signs = screen.setup.look.signs;
                Strip::new(upright, buffer, signs).left(signs.upright, screen.setup.look.theme.rule);
            }
        }
        title(screen, job, (here, Some(nth) == last), status.as_ref(), place, buffer, now);
        cursor = cursor.or(typed.filter(|_| here));
    }
    cursor.filter(|_| screen.typing.is_some_and(|typing| !typing.over))
}

/// Whose output it is, how it goes, and where the view stands in it.
fn title(
    screen: &Screen,
    job: JobId,
    (focused, last): (bool, bool),
    status: Option<&Status>,
    area: Rect,
    buffer: &mut Buffer,
    now: DateTime<Utc>,
) {
    let look = &screen.setup.look;
    let Some(job) = screen.site.read(|ledger| ledger.job(job).cloned()) else { return };
    let rule = if focused { look.theme.focus } else { look.theme.rule };
    let mut strip = Strip::new(area, buffer, look.signs);
    strip.left(look.signs.rule, rule).left(" ", Style::new());
    if let Some((word, style)) = output::typing(screen).filter(|_| focused) {
        strip.left(word, style).left(" ", Style::new());
    }
    let (sign, style, took) = how(screen, &job, now);
    strip.left(sign, style).left(" ", Style::new());
    let more = screen.tiles.as_ref().map_or(0, |tiles| tiles.more);
    if last && more > 0 {
        strip.right(&format!(" +{more} more "), look.theme.warn);
    }
    // Where there is little room, the first ones tell more.
    for (fact, style) in status.map(|status| output::facts(status, area.width, look)).unwrap_or_default() {
        strip.right(&format!(" {fact} "), style);
    }
    let all = screen.tiles.as_ref().is_some_and(|tiles| tiles.queue.is_none());
    let label = if all { format!("{} {} {}", job.queue, look.signs.dot, job.label()) } else { job.label() };
    let took = if took.is_empty() { took } else { format!(" {} {took}", look.signs.dot) };
    let room = strip.room().saturating_sub(2 + text::width(&took));
    let label = text::fit(&text::plain_line(&label), room, look.signs.ellipsis).into_owned();
    strip.left(&label, if focused { look.theme.focus } else { Style::new() }).left(&took, look.theme.dim);
    strip.left(" ", Style::new());
    strip.fill(look.signs.rule, rule);
}

fn how(screen: &Screen, job: &Job, now: DateTime<Utc>) -> (&'static str, Style, String) {
    let look = &screen.setup.look;
    match (job.phase(), job.outcome()) {
        (Phase::Running, _) => (look.signs.running, look.theme.live, when::elapsed(job, now)),
        (_, Some(outcome)) => {
            let (sign, style) = look.outcome(outcome);
            (sign, style, when::took(job, now))
        }
        // It failed, and waits for another attempt.
        (_, None) => (look.signs.failed, look.theme.bad, when::took(job, now)),
    }
}
