//! The output of the chosen job, under a title that says whose it is.

use chrono::{DateTime, Utc};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use crate::model::{Job, Phase, Run};
use crate::tui::action::Action;
use crate::tui::layout::Layout;
use crate::tui::output::{self, Status};
use crate::tui::state::{Screen, Setup};
use crate::tui::text;
use crate::tui::theme::{Look, Palette};

use super::bar::bar;
use super::paint::{Strip, below};
use super::{empty, row, tiles, when};

/// Draws it; tells where the terminal's cursor goes, if a job is typed into.
pub(super) fn draw(
    screen: &mut Screen,
    layout: &Layout,
    buffer: &mut Buffer,
    now: DateTime<Utc>,
) -> Option<(u16, u16)> {
    if screen.tiles.is_some() {
        return tiles::draw(screen, layout, buffer, now);
    }
    let area = layout.output;
    if area.is_empty() {
        return None;
    }
    let job = screen.chosen();
    let look = appearance(&screen.setup);
    let (status, cursor) = screen.output.draw(layout.output_text(), buffer, &look);
    title(screen, job.as_ref(), status.as_ref(), area, buffer, now);
    match &job {
        Some(job) if job.last_run.is_none() => empty::note(screen, &never_ran(job, screen), below(area), buffer),
        Some(job) if screen.output.is_empty() => {
            let words = if job.phase() == Phase::Running { "nothing printed yet" } else { "it printed nothing" };
            empty::note(screen, words, below(area), buffer);
        }
        _ => {}
    }
    cursor.filter(|_| screen.typing.is_some_and(|typing| !typing.over))
}

/// Whose output it is, how far it says it is, and where the view stands in it.
fn title(
    screen: &Screen,
    job: Option<&Job>,
    status: Option<&Status>,
    area: Rect,
    buffer: &mut Buffer,
    now: DateTime<Utc>,
) {
    let look = &screen.setup.look;
    let focused = screen.lists.focus().output;
    let rule = if focused { look.theme.focus } else { look.theme.rule };
    let mut strip = Strip::new(area, buffer, look.signs);
    strip.left(look.signs.rule, rule).left(" ", Style::new());
    match typing(screen) {
        Some((word, style)) => strip.left(word, style),
        None => strip.left("Output", if focused { look.theme.focus } else { look.theme.title }),
    };
    let facts = status.map(|status| facts(status, area.width, look)).unwrap_or_default();
    for (fact, style) in facts.iter().rev() {
        strip.right(&format!(" {fact} "), *style);
    }
    if let Some(job) = job {
        let label = text::plain_line(&job.label());
        let took = if job.phase() == Phase::Running { String::new() } else { when::took(job, now) };
        let took = match screen.output.earlier() {
            Some(run) => format!("run {} of {}, {}", run.attempt, job.attempts, came_of(run)),
            None => took,
        };
        let took = if took.is_empty() { took } else { format!(" {} {took}", look.signs.dot) };
        // One cell of the rule at the end.
        let room = strip.room().saturating_sub(6 + text::width(&took));
        let label = text::fit(&label, room, look.signs.ellipsis);
        strip
            .left(&format!(" {} ", look.signs.dot), look.theme.dim)
            .left(&label, Style::new())
            .left(&took, look.theme.dim);
    }
    strip.left(" ", Style::new());
    strip.fill(look.signs.rule, rule);
}

/// A word on the keys, while they go to a job.
pub(super) fn typing(screen: &Screen) -> Option<(&'static str, Style)> {
    let theme = &screen.setup.look.theme;
    let (word, style) = if screen.typing?.over { (" ENDED ", theme.bad) } else { (" TYPING ", theme.live) };
    Some((word, style.add_modifier(Modifier::REVERSED)))
}

/// How an earlier run ended.
fn came_of(run: &Run) -> String {
    run.ending.as_ref().map_or_else(|| "running".to_owned(), |ending| row::outcome_words(&ending.outcome))
}

/// What stands at the right of a title so wide.
pub(super) fn facts(status: &Status, width: u16, look: &Look) -> Vec<(String, Style)> {
    let mut facts = Vec::new();
    if let Some(hits) = status.search {
        let looking = if hits.looking { "+" } else { "" };
        let plural = if hits.count == 1 { "" } else { "es" };
        let nth = hits.nth.map(|nth| format!("{} of ", text::count(nth))).unwrap_or_default();
        facts.push((format!("{nth}{}{looking} match{plural}", text::count(hits.count)), look.theme.warn));
    }
    facts.extend(status.below(look.is_ascii()).map(|news| (news, look.theme.live)));
    let position = status.position();
    if !position.is_empty() && !status.following {
        facts.push((position, look.theme.dim));
    }
    facts.extend(bar(status.progress, usize::from(width / 8).min(12), look));
    facts
}

/// The styles of output.
pub(super) fn appearance(setup: &Setup) -> output::Look {
    let (look, plain) = (&setup.look, Style::new());
    output::Look {
        text: plain,
        remark: look.theme.dim,
        error: look.theme.bad,
        found: look.theme.warn.add_modifier(Modifier::UNDERLINED),
        current: plain.add_modifier(Modifier::REVERSED),
        colours: look.theme.palette != Palette::Mono,
        ascii: look.is_ascii(),
        local: setup.local,
    }
}

fn never_ran(job: &Job, screen: &Screen) -> String {
    let run = screen.key(Action::Run);
    match job.phase() {
        Phase::Finished => format!("it never ran; {run} runs it"),
        Phase::Pending | Phase::Running => format!("it has not run yet; {run} runs it now"),
    }
}
