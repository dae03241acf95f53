//! The line above the hints: a question, a line being typed, what happened last, or a word on the chosen job.

use chrono::{DateTime, Utc};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::model::{Job, State};
use crate::tui::action::Action;
use crate::tui::dialog::Dialog;
use crate::tui::notice::Tone;
use crate::tui::state::Screen;
use crate::tui::text;

use super::paint::Strip;
use super::{dialog, row, when};

/// Draws it; tells where the terminal's cursor goes, if a line is being typed.
pub(super) fn draw(screen: &Screen, area: Rect, buffer: &mut Buffer, now: DateTime<Utc>) -> Option<(u16, u16)> {
    let look = &screen.setup.look;
    match &screen.dialog {
        None => {}
        Some(Dialog::Menu(menu)) if !menu.typing => {}
        Some(open) => return dialog::draw(open, screen, area, buffer),
    }
    let mut strip = Strip::new(area, buffer, look.signs);
    strip.left(" ", Style::new());
    if let Some(notice) = screen.notices.shown() {
        let style = match notice.tone {
            Tone::Done => Style::new(),
            Tone::Refused => look.theme.warn,
            Tone::Failed => look.theme.bad,
        };
        strip.left(&text::plain_line(&notice.text), style);
    } else if let Some(broken) = &screen.file.broken {
        let errors = if broken.errors == 1 { "an error".to_owned() } else { format!("{} errors", broken.errors) };
        let stays = if screen.has_queue() { "; the last good one stays in force" } else { "" };
        let words = format!("jobs.yaml has {errors}{stays}; {} edits it", screen.key(Action::Edit));
        strip.left(look.signs.failed, look.theme.bad).left(" ", Style::new()).left(&words, look.theme.bad);
    } else if screen.has_queue() && screen.site.read(|ledger| screen.is_unattended(screen.queue.id(), ledger, now)) {
        let words =
            format!("nobody runs the jobs of {}; {} starts a worker", screen.queue.id(), screen.key(Action::Process));
        strip.left(&text::plain_line(&words), look.theme.bad);
    } else if let Some(job) = screen.chosen() {
        strip.left(&about(&job, screen, now), look.theme.dim);
    }
    None
}

/// What the list has no room for.
fn about(job: &Job, screen: &Screen, now: DateTime<Utc>) -> String {
    let mut parts = vec![format!("{} {}", job.id, job.path())];
    parts.push(match &job.state {
        State::Pending { asked, .. } => {
            let waiting = screen.site.read(|ledger| ledger.waiting(job));
            let words = waiting.map(|waiting| waiting.words(now)).filter(|words| !words.is_empty());
            let words = words.map(|words| format!(", {words}")).unwrap_or_default();
            format!("pending{}{words}", if *asked { ", asked for" } else { "" })
        }
        State::Running { .. } => "running".to_owned(),
        State::Finished { outcome, .. } => row::outcome_words(outcome),
    });
    if job.max_attempts() > 1 && job.attempt() > 0 {
        parts.push(format!("attempt {}/{}", job.attempt(), job.max_attempts()));
    } else if job.attempts > 1 {
        parts.push(format!("run {}", job.attempts));
    }
    if let Some(run) = &job.last_run {
        let local = |at| when::moment((screen.setup.local)(at), (screen.setup.local)(now));
        parts.push(format!("started {}", local(run.started)));
    }
    if let Some(value) = job.value.as_ref().filter(|_| job.outcome().is_some()) {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        if !text.is_empty() && !value.is_null() {
            parts.push(format!("value {text}"));
        }
    }
    let dot = format!(" {} ", screen.setup.look.signs.dot);
    text::plain_line(&parts.join(&dot))
}
