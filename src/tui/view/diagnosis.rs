//! What is wrong with `jobs.yaml`, in place of the lists until it is mended or put away.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::tui::action::Action;
use crate::tui::state::Screen;
use crate::tui::text;

use super::paint::{Strip, below, lines};

pub(super) fn draw(screen: &mut Screen, area: Rect, buffer: &mut Buffer) {
    let look = &screen.setup.look;
    let Some(broken) = &screen.file.broken else { return };
    let words = text::plain(&broken.text);
    let all: Vec<&str> = words.lines().collect();
    let body = below(below(area));
    let height = usize::from(body.height);
    screen.file.scroll = screen.file.scroll.min(all.len().saturating_sub(height));
    let mut strip = Strip::new(area, buffer, look.signs);
    strip.left(look.signs.rule, look.theme.bad).left(" jobs.yaml is broken ", look.theme.bad);
    let hidden = all.len().saturating_sub(screen.file.scroll + height);
    if hidden > 0 {
        strip.right(&format!(" {}{hidden} ", look.signs.below), look.theme.dim);
    }
    strip.fill(look.signs.rule, look.theme.bad);
    let (edit, back) = (Action::Edit.key(), Action::Back.key());
    let advice = format!("{edit} edits it there; {back} goes on with the last good one");
    Strip::new(below(area), buffer, look.signs).left("  ", Style::new()).left(&advice, look.theme.dim);
    for (line, words) in lines(body).zip(all.iter().skip(screen.file.scroll)) {
        let style = if words.starts_with("error") { look.theme.bad } else { Style::new() };
        Strip::new(line, buffer, look.signs).left("  ", Style::new()).left(words, style);
    }
}
