//! Draws the form for the inputs of queues in a box in the middle of the screen.

use ratatui::buffer::Buffer;
use ratatui::layout::{Rect, Size};
use ratatui::style::Style;

use crate::text;
use crate::tui::input_form::{FieldValue, FormField, InputForm};
use crate::tui::keys::{KeyCode, KeyPress};
use crate::tui::mouse::{ClickTarget, ClickTargets};
use crate::tui::theme::{Appearance, Symbols};

use super::dialog_box;
use super::dialog_line::draw_edited_text;
use super::line_painter::{LinePainter, lines};

/// The width of the form, where there is room for it.
const FORM_WIDTH: u16 = 68;
/// The widest name, in cells.
const MAX_NAME_WIDTH: usize = 24;

/// A line of the form.
enum FormLine<'a> {
    /// The name and the value of a field, by index.
    Field(usize, &'a FormField),
    /// What is wrong with the field above.
    Error(&'a str),
    /// What the field above is for.
    Note(String),
}

/// Draws the form, and keeps the field with the keys visible. Returns the position of the terminal's cursor if a line is
/// being typed.
pub(super) fn draw(
    form: &mut InputForm,
    appearance: &Appearance,
    area: Rect,
    buffer: &mut Buffer,
    targets: &mut ClickTargets,
) -> Option<(u16, u16)> {
    let Appearance { theme, symbols } = appearance;
    let all = content(form, symbols);
    let size = Size::new(FORM_WIDTH, u16::try_from(all.len()).unwrap_or(u16::MAX));
    let inner = dialog_box::draw(&text::sanitize_line(&form.title), size, appearance, area, buffer);
    let height = usize::from(inner.height);
    let is_focus = |line: &FormLine<'_>| matches!(line, FormLine::Field(nth, _) if *nth == form.focus);
    let first = all.iter().position(is_focus).unwrap_or(0);
    let more = all.iter().skip(first + 1).take_while(|line| !matches!(line, FormLine::Field(..))).count();
    // The notes of a field are visible with it, as far as there is room.
    let last = first + more.min(height.saturating_sub(1));
    let offset = form.offset.max((last + 1).saturating_sub(height)).min(first).min(all.len().saturating_sub(height));
    let names = form.fields.iter().map(|field| text::width(&field.declaration().name));
    let name_width = names.max().unwrap_or_default().min(MAX_NAME_WIDTH).min(usize::from(inner.width) / 3);
    let mut cursor = None;
    for (line, row) in all.iter().skip(offset).zip(lines(inner)) {
        let mut painter = LinePainter::new(row, buffer, symbols);
        match line {
            FormLine::Field(nth, field) => {
                let has_keys = *nth == form.focus;
                let (sign, style) = if has_keys { (symbols.cursor, theme.focus) } else { (" ", Style::new()) };
                painter.left(sign, style).left(" ", style);
                painter.fixed_width(&field.declaration().name, name_width, style).left("  ", Style::new());
                let edited = draw_value(*nth, field, has_keys, appearance, row, &mut painter, targets);
                targets.add(row, row.x..row.right(), ClickTarget::Field(*nth, None));
                cursor = cursor.or(edited.filter(|_| has_keys).map(|column| (column, row.y)));
            }
            FormLine::Error(error) => {
                painter.left("    ", Style::new()).left(symbols.failed, theme.failure).left(" ", Style::new());
                painter.left(&text::sanitize_line(error), theme.failure);
            }
            FormLine::Note(note) => {
                painter.left("    ", Style::new()).left(&text::sanitize_line(note), theme.dim);
            }
        }
    }
    draw_hidden_counts(offset, all.len().saturating_sub(offset + height), appearance, inner, buffer);
    form.offset = offset;
    cursor
}

/// The lines of all fields.
fn content<'a>(form: &'a InputForm, symbols: &Symbols) -> Vec<FormLine<'a>> {
    let mut all = Vec::new();
    for (nth, field) in form.fields.iter().enumerate() {
        all.push(FormLine::Field(nth, field));
        if let Some(error) = &field.error {
            all.push(FormLine::Error(error));
            continue;
        }
        let description = Some(field.declaration().description.clone()).filter(|text| !text.is_empty());
        let last = field.last.as_ref().map(|last| format!("last: {last}"));
        let notes: Vec<String> = description.into_iter().chain(last).collect();
        if !notes.is_empty() {
            all.push(FormLine::Note(notes.join(&format!(" {} ", symbols.dot))));
        }
    }
    all
}

/// Draws the value of a field. Returns the column of the cursor if it is a line.
fn draw_value(
    nth: usize,
    field: &FormField,
    has_keys: bool,
    appearance: &Appearance,
    row: Rect,
    painter: &mut LinePainter<'_>,
    targets: &mut ClickTargets,
) -> Option<u16> {
    let Appearance { theme, symbols } = appearance;
    let style = if has_keys { theme.focus } else { Style::new() };
    let mut click = |painter: &mut LinePainter<'_>, text: &str, style: Style, key: KeyCode| {
        let start = painter.column();
        painter.left(text, style);
        targets.add(row, start..painter.column(), ClickTarget::Field(nth, Some(KeyPress::plain(key))));
    };
    match &field.value {
        FieldValue::Line(line) | FieldValue::Secret(line) => {
            let before = line.text_before_cursor();
            let after = line.text().get(before.len()..).unwrap_or_default();
            let column = if matches!(field.value, FieldValue::Secret(_)) {
                let dots = |text: &str| symbols.mark.repeat(text.chars().count());
                draw_edited_text(&dots(before), &dots(after), style, painter)
            } else {
                draw_edited_text(&text::sanitize_line(before), &text::sanitize_line(after), style, painter)
            };
            if line.text().is_empty() {
                let cursor = if has_keys { " " } else { "" };
                painter.left(cursor, style).left(&empty_text(field), theme.dim);
            }
            Some(column)
        }
        FieldValue::Choice(options, chosen) => {
            let option = chosen.and_then(|chosen| options.get(chosen)).map(|option| text::sanitize_line(option));
            click(painter, "< ", theme.key, KeyCode::Left);
            match &option {
                Some(option) => click(painter, option, style, KeyCode::Right),
                None => click(painter, "choose", theme.dim, KeyCode::Right),
            }
            click(painter, " >", theme.key, KeyCode::Right);
            let position = chosen.map_or_else(
                || text::count_noun(options.len(), "option"),
                |nth| format!("{} of {}", nth + 1, options.len()),
            );
            painter.left("  ", style).left(&position, theme.dim);
            None
        }
        FieldValue::Switch(value) => {
            let (box_text, word) = match value {
                Some(true) => ("[x]", "true"),
                Some(false) => ("[ ]", "false"),
                None => ("[?]", "choose"),
            };
            click(painter, box_text, theme.key, KeyCode::Char(' '));
            click(painter, &format!(" {word}"), if value.is_some() { style } else { theme.dim }, KeyCode::Char(' '));
            None
        }
    }
}

/// What is shown in an empty field.
fn empty_text(field: &FormField) -> String {
    let type_name = field.declaration().input_type.as_str();
    if field.is_required() { format!("{type_name}, required") } else { type_name.to_owned() }
}

/// Says in the border how many lines are hidden.
fn draw_hidden_counts(above: usize, below: usize, appearance: &Appearance, inner: Rect, buffer: &mut Buffer) {
    let Appearance { theme, symbols } = appearance;
    for (count, symbol, y) in
        [(above, symbols.above, inner.y.saturating_sub(1)), (below, symbols.below, inner.bottom())]
    {
        if count > 0 {
            let mut painter = LinePainter::new(Rect { y, height: 1, ..inner }, buffer, symbols);
            painter.right(&format!(" {symbol}{count} "), theme.dim);
        }
    }
}
