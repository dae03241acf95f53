//! Draws a question in a box in the middle of the screen, with its answers.

use ratatui::buffer::Buffer;
use ratatui::layout::{Rect, Size};
use ratatui::style::Style;

use crate::text;
use crate::tui::keys::{KeyCode, KeyPress};
use crate::tui::mouse::{ClickTarget, ClickTargets};
use crate::tui::theme::Appearance;

use super::dialog_box::{self, BORDERS, MARGIN};
use super::line_painter::LinePainter;

/// The widest text in a box.
const MAX_TEXT_WIDTH: usize = 72;

/// A question with what each answer does.
pub(super) struct ConfirmBox<'a> {
    pub(super) question: &'a str,
    /// What `y` does.
    pub(super) yes: &'a str,
    /// What `n` does, if that is something else than to go back.
    pub(super) no: Option<&'a str>,
}

impl ConfirmBox<'_> {
    /// Draws the box in the middle of `area`, and records the position of each answer for the mouse.
    pub(super) fn draw(&self, appearance: &Appearance, area: Rect, buffer: &mut Buffer, targets: &mut ClickTargets) {
        let Appearance { theme, symbols } = appearance;
        let room = usize::from(area.width.saturating_sub(MARGIN)).min(MAX_TEXT_WIDTH);
        let separator = format!(" {} ", symbols.dot);
        let answers = self.answer_lines(room, text::width(&separator));
        let mut question = text::wrap(&text::sanitize_line(self.question), room);
        // The answers stay visible if the question is too long.
        let height = usize::from(area.height.saturating_sub(BORDERS)).saturating_sub(answers.len());
        if question.len() > height {
            question.truncate(height);
            if let Some(last) = question.last_mut() {
                *last = text::fit(&format!("{last} {}", symbols.ellipsis), room, symbols.ellipsis).into_owned();
            }
        }
        // An empty line between them, if there is space for it.
        let gap = usize::from(question.len() < height);
        let widths = question.iter().map(|line| text::width(line));
        let answer_width = |line: &Vec<Answer<'_>>| {
            line.iter().map(Answer::width).sum::<usize>() + (line.len() - 1) * text::width(&separator)
        };
        let width = widths.chain(answers.iter().map(answer_width)).max().unwrap_or_default();
        let lines = question.len() + gap + answers.len();
        let inner = dialog_box::draw("", Size::new(to_u16(width), to_u16(lines)), appearance, area, buffer);
        let mut rows = inner.rows();
        for (line, row) in question.iter().zip(&mut rows) {
            LinePainter::new(row, buffer, symbols).left(line, theme.warning);
        }
        let mut rows = rows.skip(gap);
        for (line, row) in answers.iter().zip(&mut rows) {
            let mut painter = LinePainter::new(row, buffer, symbols);
            for (nth, answer) in line.iter().enumerate() {
                if nth > 0 {
                    painter.left(&separator, theme.dim);
                }
                let start = painter.column();
                painter
                    .left(&answer.key.to_string(), theme.key)
                    .left(" ", Style::new())
                    .left(answer.label, Style::new());
                targets.add(row, start..painter.column(), ClickTarget::Key(answer.key));
            }
        }
    }

    /// The answers, in as few lines as fit.
    fn answer_lines(&self, room: usize, separator: usize) -> Vec<Vec<Answer<'_>>> {
        let yes = Answer { key: KeyPress::char('y'), label: self.yes };
        let no = self.no.map(|label| Answer { key: KeyPress::char('n'), label });
        let back = Answer { key: KeyPress::plain(KeyCode::Esc), label: "go back" };
        let mut lines: Vec<Vec<Answer<'_>>> = Vec::new();
        let mut taken = 0;
        for answer in [Some(yes), no, Some(back)].into_iter().flatten() {
            match lines.last_mut() {
                Some(line) if taken + separator + answer.width() <= room => {
                    taken += separator + answer.width();
                    line.push(answer);
                }
                _ => {
                    taken = answer.width();
                    lines.push(vec![answer]);
                }
            }
        }
        lines
    }
}

/// A key and what it does.
struct Answer<'a> {
    key: KeyPress,
    label: &'a str,
}

impl Answer<'_> {
    fn width(&self) -> usize {
        text::width(&self.key.to_string()) + 1 + text::width(self.label)
    }
}

fn to_u16(number: usize) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX - MARGIN)
}
