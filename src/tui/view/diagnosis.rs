//! What is wrong with `jobs.yaml`, in place of the lists until it is mended or put away.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::tui::action::Action;
use crate::tui::state::Screen;
use crate::tui::text;
use crate::tui::theme::Look;

use super::paint::{Strip, below, lines};

pub(super) fn draw(screen: &mut Screen, area: Rect, buffer: &mut Buffer) {
    let look = &screen.setup.look;
    let Some(broken) = &screen.file.broken else { return };
    let words = text::plain(&broken.text);
    let all: Vec<&str> = words.lines().collect();
    let body = below(below(below(area)));
    let height = usize::from(body.height);
    screen.file.scroll = screen.file.scroll.min(all.len().saturating_sub(height));
    let mut strip = Strip::new(area, buffer, look.signs);
    strip.left(look.signs.rule, look.theme.bad).left(" jobs.yaml is broken ", look.theme.bad);
    let hidden = all.len().saturating_sub(screen.file.scroll + height);
    if hidden > 0 {
        strip.right(&format!(" {}{hidden} ", look.signs.below), look.theme.dim);
    }
    strip.fill(look.signs.rule, look.theme.bad);
    let (edit, back) = (screen.key(Action::Edit), screen.key(Action::Back));
    let advice = if screen.has_queue() {
        format!("{edit} edits it there; {back} goes on with the last good one")
    } else {
        format!("{edit} edits it there")
    };
    Strip::new(below(area), buffer, look.signs).left("  ", Style::new()).left(&advice, look.theme.dim);
    for (line, words) in lines(body).zip(all.iter().skip(screen.file.scroll)) {
        let mut strip = Strip::new(line, buffer, look.signs);
        strip.left("  ", Style::new());
        for (piece, style) in pieces(words, look) {
            strip.left(piece, style);
        }
    }
}

/// What is wrong and where stands out, what surrounds it steps back.
fn pieces<'a>(line: &'a str, look: &Look) -> Vec<(&'a str, Style)> {
    let (theme, plain) = (&look.theme, Style::new());
    let inside = line.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ');
    let margin = line.len() - inside.len();
    match inside {
        _ if line.starts_with("error") => vec![(line, theme.bad)],
        _ if inside.starts_with("= help") => vec![(line, theme.live)],
        _ if inside.starts_with("-->") || inside.starts_with(":::") || inside.starts_with("= ") => {
            vec![(line, theme.dim)]
        }
        _ if inside.starts_with('|') => {
            let (gutter, text) = line.split_at(margin + 1);
            let points = text.trim_start().starts_with('^');
            vec![(gutter, theme.dim), (text, if points { theme.bad } else { plain })]
        }
        _ => vec![(line, plain)],
    }
}
