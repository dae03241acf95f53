//! The lists of pending, running and finished jobs. Only what is in view is looked at.

use chrono::{DateTime, Utc};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::model::{Job, Phase};
use crate::tui::layout::{Layout, PHASES, Shape};
use crate::tui::mouse::{Target, Targets};
use crate::tui::sort::Sort;
use crate::tui::state::Screen;
use crate::tui::text;

use super::empty;
use super::paint::{Strip, below, lines};
use super::row::{self, Columns};

/// The title of a pane.
pub(super) fn title(phase: Phase) -> &'static str {
    match phase {
        Phase::Pending => "Pending",
        Phase::Running => "Running",
        Phase::Finished => "Finished",
    }
}

/// One list with its title.
pub(super) fn draw(screen: &Screen, phase: Phase, layout: &Layout, buffer: &mut Buffer, now: DateTime<Utc>) {
    let area = layout.list(phase);
    if area.is_empty() {
        return;
    }
    let body = if layout.shape == Shape::Tabs { area } else { below(area) };
    if layout.shape != Shape::Tabs {
        heading(screen, phase, area, usize::from(body.height), buffer);
    }
    let focus = screen.lists.focus();
    let chosen = screen.lists.chosen_in(phase);
    screen.queue.read(|record, ledger| {
        let rows = screen.lists.rows(record, phase);
        if rows.is_empty() {
            empty::list(screen, phase, (record, ledger), body, buffer, now);
            return;
        }
        let first = screen.lists.offset(phase);
        let jobs: Vec<(Rect, &Job)> = lines(body)
            .zip(first..rows.len())
            .filter_map(|(line, nth)| Some((line, ledger.job(rows.get(nth)?)?)))
            .collect();
        let all = screen.lists.is_of_all();
        let marks = screen.lists.marks();
        let columns = Columns::of(jobs.iter().map(|(_, job)| *job), body.width, &screen.setup, now);
        for (line, job) in jobs {
            let under = match chosen == Some(job.id) {
                true if focus.list == phase && !focus.output => row::Cursor::On,
                true if focus.list == phase => row::Cursor::Away,
                _ => row::Cursor::No,
            };
            let place = row::Place { cursor: under, marked: marks.contains(&job.id), queue: all };
            let progress = job.running().map(|run| screen.attendance.progress(run)).unwrap_or_default();
            row::draw(job, ledger, progress, &columns, place, &screen.setup, line, buffer, now);
        }
    });
}

/// Name, count, and how much is above and below what is shown.
fn heading(screen: &Screen, phase: Phase, area: Rect, height: usize, buffer: &mut Buffer) {
    let look = &screen.setup.look;
    let focus = screen.lists.focus();
    let focused = focus.list == phase && !focus.output;
    let shown = screen.queue.read(|record, _| screen.lists.rows(record, phase).len());
    let all = screen.count(phase);
    let mut strip = Strip::new(area, buffer, look.signs);
    let rule = if focused { look.theme.focus } else { look.theme.rule };
    strip.left(look.signs.rule, rule).left(" ", Style::new());
    strip.left(title(phase), if focused { look.theme.focus } else { look.theme.title });
    if all > 0 {
        strip.left(&format!(" {}", number(all)), look.theme.dim);
    }
    let needle = text::plain_line(screen.lists.filter_text());
    if !needle.is_empty() {
        strip.left(&format!(" {} {} match {needle}", look.signs.dot, number(shown)), look.theme.warn);
    }
    let marked = marked(screen, phase);
    if marked > 0 {
        strip.left(&format!(" {} {} marked", look.signs.dot, number(marked)), look.theme.warn);
    }
    if screen.lists.sort() != Sort::Queue {
        strip.left(&format!(" {} {}", look.signs.dot, screen.lists.sort().words()), look.theme.dim);
    }
    strip.left(" ", Style::new());
    let above = screen.lists.offset(phase);
    let under = shown.saturating_sub(above + height);
    let hidden = |sign: &str, count: usize| if count > 0 { format!(" {sign}{}", number(count)) } else { String::new() };
    let more = hidden(look.signs.above, above) + &hidden(look.signs.below, under);
    if !more.is_empty() {
        strip.right(&format!("{more} "), look.theme.dim);
    }
    strip.fill(look.signs.rule, rule);
}

/// The states as tabs, where only one list fits.
pub(super) fn states(screen: &Screen, layout: &Layout, buffer: &mut Buffer, targets: &mut Targets) {
    let look = &screen.setup.look;
    let focus = screen.lists.focus();
    let mut strip = Strip::new(layout.states, buffer, look.signs);
    for phase in PHASES {
        let here = focus.list == phase;
        let start = strip.column();
        strip.left(" ", Style::new());
        strip.left(title(phase), if here { look.theme.tab } else { look.theme.title });
        strip.left(&format!(" {} ", number(screen.count(phase))), look.theme.dim);
        targets.add(layout.states, start..strip.column(), Target::List(phase));
    }
    let needle = text::plain_line(screen.lists.filter_text());
    if !needle.is_empty() {
        strip.left(&format!(" {} match {needle}", look.signs.dot), look.theme.warn);
    }
}

/// The line between the lists and the output.
pub(super) fn divide(screen: &Screen, area: Rect, buffer: &mut Buffer) {
    let look = &screen.setup.look;
    for line in lines(area) {
        Strip::new(line, buffer, look.signs).left(look.signs.upright, look.theme.rule);
    }
}

/// How many jobs of a list are marked.
fn marked(screen: &Screen, phase: Phase) -> usize {
    let marks = screen.lists.marks();
    screen.site.read(|ledger| {
        let jobs = marks.iter().filter_map(|id| ledger.job(*id));
        jobs.filter(|job| job.phase() == phase).count()
    })
}

fn number(count: usize) -> String {
    text::count(u64::try_from(count).unwrap_or(u64::MAX))
}
