//! One job in one line.

use chrono::{DateTime, Utc};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};

use crate::model::{Job, Ledger, Outcome, State, Stop, Waiting};
use crate::tui::output::Progress;
use crate::tui::state::Setup;
use crate::tui::text;
use crate::tui::theme::Look;

use super::bar::bar;
use super::paint::Strip;
use super::when;

/// How the cursor stands to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cursor {
    /// It is elsewhere.
    No,
    /// The row is chosen, but its list has not the focus.
    Away,
    /// It is here.
    On,
}

/// How a row stands in its list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) cursor: Cursor,
    pub(super) marked: bool,
    /// Jobs of other queues stand in the list, too.
    pub(super) queue: bool,
}

/// The widths of what stands right of the titles, the same for all rows in view.
#[derive(Clone, Copy, Debug)]
pub(super) struct Columns {
    note: usize,
    moment: usize,
}

/// A row's parts.
struct Parts {
    sign: &'static str,
    sign_style: Style,
    note: String,
    note_style: Style,
    moment: String,
    took: String,
}

/// Room for `59m 59s`.
const TOOK: usize = 7;

impl Columns {
    pub(super) fn of<'a>(jobs: impl Iterator<Item = &'a Job>, width: u16, setup: &Setup, now: DateTime<Utc>) -> Self {
        let longest = jobs.filter_map(|job| finished(job, setup, now)).map(|moment| moment.len()).max();
        // From `interrupted` to most of what the operating system has to say.
        let note = (usize::from(width) / 4).saturating_sub(2).clamp(11, 30);
        Self { note, moment: longest.unwrap_or(0) }
    }
}

#[expect(clippy::too_many_arguments, reason = "a row is drawn from all of these and they belong to nobody together")]
pub(super) fn draw(
    job: &Job,
    ledger: &Ledger,
    progress: Progress,
    columns: &Columns,
    place: Place,
    setup: &Setup,
    area: Rect,
    buffer: &mut Buffer,
    now: DateTime<Utc>,
) {
    let look = &setup.look;
    let cursor = place.cursor;
    let mut parts = parts(job, ledger, setup, now);
    if parts.note.is_empty() {
        // A title that can be read is worth more than a long bar.
        let cells = usize::from(area.width / 5).saturating_sub(2).min(12);
        (parts.note, parts.note_style) = bar(progress, cells, look).unwrap_or_default();
    }
    // Under the cursor one style holds for the whole row, so that every part of it can be read.
    let over = |style: Style| if cursor == Cursor::On { look.theme.cursor } else { style };
    if cursor == Cursor::On {
        buffer.set_style(area, look.theme.cursor);
    }
    let mut strip = Strip::new(area, buffer, look.signs);
    strip.left(if cursor == Cursor::No { " " } else { look.signs.cursor }, over(look.theme.live));
    strip.column_of(parts.sign, 1, over(parts.sign_style));
    strip.column_of(if place.marked { look.signs.mark } else { " " }, 1, over(look.theme.warn));
    if job.outcome().is_some() {
        strip.right(" ", over(Style::new()));
        strip.right(&format!("{:>TOOK$}", parts.took), over(look.theme.dim));
        strip.right(&format!(" {:>width$} ", parts.moment, width = columns.moment), over(look.theme.dim));
        let note = text::pad(&parts.note, columns.note, look.signs.ellipsis);
        // A title that can't be read any more is worth less than the outcome in words.
        if strip.room() > columns.note + 12 {
            strip.right(&format!(" {note}"), over(parts.note_style));
        }
    } else {
        strip.right(" ", over(Style::new()));
        if !parts.took.is_empty() {
            strip.right(&format!(" {}", parts.took), over(look.theme.live));
        }
        let room = strip.room().saturating_sub(14).min(40);
        let note = text::fit(&parts.note, room, look.signs.ellipsis);
        if !note.is_empty() {
            strip.right(&format!(" {note} "), over(parts.note_style));
        }
    }
    if place.queue {
        let queue = text::plain_line(job.queue.as_str());
        let room = strip.room() / 3;
        strip.left(&text::fit(&queue, room, look.signs.ellipsis), over(look.theme.dim)).left("/", over(look.theme.dim));
    }
    let label = text::plain_line(&job.label());
    let room = strip.room();
    strip.column_of(&label, room, over(title(job, cursor, look)));
}

/// A title that somebody gave; a script that stands in for one is dimmed.
fn title(job: &Job, cursor: Cursor, look: &Look) -> Style {
    let style = if job.title().is_empty() { look.theme.dim } else { Style::new() };
    if cursor == Cursor::Away { style.add_modifier(Modifier::BOLD) } else { style }
}

fn parts(job: &Job, ledger: &Ledger, setup: &Setup, now: DateTime<Utc>) -> Parts {
    let look = &setup.look;
    let (theme, signs) = (&look.theme, look.signs);
    match &job.state {
        State::Pending { asked, .. } => {
            let failed = job.failure().map(|failure| text::plain_line(&failure.message));
            let (sign, sign_style) = match (&failed, asked) {
                (_, true) => (signs.asked, theme.live),
                (Some(_), false) => (signs.failed, theme.bad),
                (None, false) => (" ", Style::new()),
            };
            let waiting = ledger.waiting(job);
            let words = waiting.as_ref().map(|waiting| text::plain_line(&waiting.words(now))).unwrap_or_default();
            let (note, note_style) = match (waiting, failed) {
                (Some(Waiting::Paused | Waiting::Confirm), _) => (words, theme.warn),
                (Some(Waiting::Lost(_)), _) => (words, theme.bad),
                (Some(Waiting::Turn), _) if *asked => (words, theme.live),
                // In a queue that processes it goes without saying that they wait for their turn.
                (Some(Waiting::Turn | Waiting::Process | Waiting::Stopped), Some(why)) => (why, theme.bad),
                (Some(Waiting::Turn | Waiting::Process | Waiting::Stopped) | None, None) => {
                    (String::new(), Style::new())
                }
                (_, _) => (words, theme.dim),
            };
            Parts { sign, sign_style, note, note_style, moment: String::new(), took: String::new() }
        }
        State::Running { stop, .. } => {
            let (sign, note) = match stop {
                None => (signs.running, ""),
                Some(Stop::Terminate) => (signs.stopping, "stopping"),
                Some(Stop::Kill) => (signs.stopping, "killing"),
            };
            let took = when::elapsed(job, now);
            let note_style = theme.warn;
            Parts { sign, sign_style: theme.live, note: note.to_owned(), note_style, moment: String::new(), took }
        }
        State::Finished { outcome, .. } => {
            let (sign, sign_style) = look.outcome(outcome);
            let note_style = if matches!(outcome, Outcome::Succeeded) { theme.dim } else { sign_style };
            // A cancelled job that never ran has no times.
            let ran = job.last_run.as_ref().is_some_and(|run| run.ending.is_some());
            let took = if ran { when::took(job, now) } else { String::new() };
            let moment = finished(job, setup, now).unwrap_or_default();
            Parts { sign, sign_style, note: outcome_words(outcome), note_style, moment, took }
        }
    }
}

/// What came of it, as exactly as it can be said in a few words.
pub(super) fn outcome_words(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Failed(failure) => text::plain_line(&failure.message),
        Outcome::Skipped { reason } => format!("skipped: {}", text::plain_line(reason)),
        other => other.word().to_owned(),
    }
}

fn finished(job: &Job, setup: &Setup, now: DateTime<Utc>) -> Option<String> {
    match &job.state {
        State::Finished { at, .. } => Some(when::moment((setup.local)(*at), (setup.local)(now))),
        _ => None,
    }
}
