//! The output of the chosen job, under a title that says whose it is.

use chrono::{DateTime, Utc};
use ratatui::buffer::Buffer;
use ratatui::style::Style;

use crate::model::{Job, Phase};
use crate::tui::action::Action;
use crate::tui::layout::Layout;
use crate::tui::state::Screen;
use crate::tui::text;

use super::paint::{Strip, below};
use super::{empty, when};

pub(super) fn draw(screen: &mut Screen, layout: &Layout, buffer: &mut Buffer, now: DateTime<Utc>) {
    let area = layout.output;
    if area.is_empty() {
        return;
    }
    let look = screen.setup.look;
    let job = screen.chosen();
    let focused = screen.lists.focus().output;
    let rule = if focused { look.theme.focus } else { look.theme.rule };
    let title = if focused { look.theme.focus } else { look.theme.title };
    let mut strip = Strip::new(area, buffer, &look.signs);
    strip.left(look.signs.rule, rule).left(" ", Style::new()).left("Output", title);
    if let Some(job) = &job {
        strip.left(&format!(" {} {} ", look.signs.dot, text::plain_line(&job.label())), look.theme.dim);
    } else {
        strip.left(" ", Style::new());
    }
    strip.fill(look.signs.rule, rule);
    let body = below(area);
    match &job {
        None => {}
        Some(job) if job.last_run.is_none() => empty::note(screen, &never_ran(job), body, buffer),
        Some(job) => {
            let _ = when::took(job, now);
        }
    }
}

fn never_ran(job: &Job) -> String {
    let run = Action::Run.key();
    match job.phase() {
        Phase::Finished => format!("it never ran; {run} runs it"),
        Phase::Pending | Phase::Running => format!("it has not run yet; {run} runs it now"),
    }
}
