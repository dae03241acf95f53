//! A question or a line being typed, in the line of messages.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::tui::dialog::Dialog;
use crate::tui::line::Line;
use crate::tui::menu::Kind;
use crate::tui::state::Screen;
use crate::tui::text;

use super::paint::Strip;

/// Draws a dialog that has its place here; tells where the terminal's cursor goes, if a line is being typed.
pub(super) fn draw(dialog: &Dialog, screen: &Screen, area: Rect, buffer: &mut Buffer) -> Option<(u16, u16)> {
    let look = &screen.setup.look;
    let typed = |label: &str, line: &Line, buffer: &mut Buffer| Some(typing((label, ""), line, screen, area, buffer));
    match dialog {
        Dialog::Ask { question, .. } => {
            let mut strip = Strip::new(area, buffer, look.signs);
            // The answer stays in view when the question is too long.
            let room = strip.room().saturating_sub(7);
            let question = text::plain_line(question);
            let fitting = text::fit(&question, room, look.signs.ellipsis);
            strip.left(" ", Style::new()).left(&fitting, look.theme.warn).left(" y/N ", look.theme.key);
            None
        }
        Dialog::Add(draft) if draft.on_title => typed("its title: ", &draft.title, buffer),
        Dialog::Add(draft) => typed(&format!("add to {}: ", screen.queue.id()), &draft.script, buffer),
        Dialog::Filter(line) => {
            let fault = screen.lists.fault().map(ToString::to_string).unwrap_or_default();
            Some(typing(("filter: ", &fault), line, screen, area, buffer))
        }
        Dialog::Search(line) => typed("search: ", line, buffer),
        Dialog::Menu(menu) => typed(if menu.kind == Kind::Help { "find: " } else { "action: " }, &menu.line, buffer),
    }
}

/// A line that is being typed, between what it is for and what is wrong with it.
fn typing((label, fault): (&str, &str), line: &Line, screen: &Screen, area: Rect, buffer: &mut Buffer) -> (u16, u16) {
    let look = &screen.setup.look;
    let mut strip = Strip::new(area, buffer, look.signs);
    strip.left(" ", Style::new()).left(&text::plain_line(label), look.theme.key);
    // The end of a long line matters: that is where people type.
    let room = strip.room().saturating_sub(1);
    let before = text::plain_line(line.before());
    let mut shown = before.as_str();
    while text::width(shown) > room {
        shown = shown.char_indices().nth(1).map_or("", |(next, _)| &shown[next..]);
    }
    let start = strip.column();
    let after = line.text().get(line.before().len()..).unwrap_or_default();
    strip.left(shown, Style::new()).left(after, Style::new());
    if !fault.is_empty() {
        strip.left("   ", Style::new()).left(&text::plain_line(fault), look.theme.warn);
    }
    let column = u16::try_from(text::width(shown)).unwrap_or(u16::MAX);
    (start.saturating_add(column), area.y)
}
