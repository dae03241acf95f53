//! The help: the table of actions, drawn.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::tui::action::{Action, Group, TABLE};
use crate::tui::text;
use crate::tui::theme::Look;

use super::paint::{Strip, below, lines};

/// The groups with their titles.
const GROUPS: [(Group, &str); 4] = [
    (Group::Jobs, "Jobs and queues"),
    (Group::Move, "Moving about"),
    (Group::Output, "Output"),
    (Group::Screen, "Screen"),
];

/// A line of the help.
enum Line {
    Title(&'static str),
    Keys(String, &'static str),
    Empty,
}

/// Draws it; `scroll` is brought within what there is.
pub(super) fn draw(scroll: &mut usize, look: &Look, area: Rect, buffer: &mut Buffer) {
    let all = content();
    let body = below(area);
    *scroll = (*scroll).min(all.len().saturating_sub(usize::from(body.height)));
    let mut strip = Strip::new(area, buffer, look.signs);
    strip.left(look.signs.rule, look.theme.focus).left(" Help ", look.theme.focus);
    let hidden = all.len().saturating_sub(*scroll + usize::from(body.height));
    if hidden > 0 {
        strip.right(&format!(" {} {}{hidden} ", Action::Down.key(), look.signs.below), look.theme.dim);
    }
    strip.fill(look.signs.rule, look.theme.focus);
    for (line, content) in lines(body).zip(&all[*scroll..]) {
        let mut strip = Strip::new(line, buffer, look.signs);
        match content {
            Line::Title(title) => strip.left("  ", Style::new()).left(title, look.theme.focus),
            Line::Keys(keys, help) => {
                strip.left("  ", Style::new()).column_of(keys, 16, look.theme.key).left(help, Style::new())
            }
            Line::Empty => &mut strip,
        };
    }
}

fn content() -> Vec<Line> {
    let mut lines = Vec::new();
    for (group, title) in GROUPS {
        if !lines.is_empty() {
            lines.push(Line::Empty);
        }
        lines.push(Line::Title(title));
        let entries: Vec<_> = TABLE.iter().filter(|entry| entry.group == group).collect();
        for same in entries.chunk_by(|a, b| a.help == b.help) {
            let keys = match same {
                [first, .., last] => format!("{}-{}", first.key(), last.key()),
                _ => same.iter().flat_map(|entry| entry.keys).copied().collect::<Vec<_>>().join(" "),
            };
            debug_assert!(text::width(&keys) < 16, "the column of keys is wide enough");
            lines.push(Line::Keys(keys, same.first().map_or("", |entry| entry.help)));
        }
    }
    lines
}
