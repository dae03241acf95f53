//! The last line: what can be pressed, drawn from the table of actions.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::tui::action::{Action, Context, Entry, TABLE};
use crate::tui::state::Screen;
use crate::tui::text;

use super::paint::Strip;

/// These stay when everything else is dropped, and stand at the right.
const LAST: [Action; 2] = [Action::Quit, Action::Help];

pub(super) fn draw(screen: &Screen, area: Rect, buffer: &mut Buffer) {
    let look = &screen.setup.look;
    let mut strip = Strip::new(area, buffer, &look.signs);
    let entry = |action: &Action| TABLE.iter().find(|entry| entry.action == *action);
    for entry in LAST.iter().filter_map(entry) {
        strip.right(&format!("{} ", entry.hint), look.theme.dim);
        strip.right(&format!(" {} ", entry.key()), look.theme.key);
    }
    for entry in TABLE.iter().filter(|entry| is_hinted(entry, screen)) {
        if text::width(entry.key()) + text::width(entry.hint) + 3 > strip.room() {
            break;
        }
        strip
            .left(&format!(" {} ", entry.key()), look.theme.key)
            .left(entry.hint, look.theme.dim)
            .left(" ", Style::new());
    }
}

fn is_hinted(entry: &Entry, screen: &Screen) -> bool {
    let here = if screen.lists.focus().output { Context::Output } else { Context::Lists };
    let works = entry.context.overlaps(here);
    let diagnosis = screen.diagnosis().is_none() || matches!(entry.action, Action::Edit | Action::Back);
    works && diagnosis && !entry.hint.is_empty() && !LAST.contains(&entry.action)
}
