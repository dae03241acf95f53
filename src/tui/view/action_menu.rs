//! Draws the command palette and the help: the table of actions, with the reason if an action is unavailable.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::model::QueueId;
use crate::text;
use crate::tui::action::{Action, Group};
use crate::tui::action_menu::{ActionMenu, MenuItem, MenuKind};
use crate::tui::state::ScreenSettings;

use super::line_painter::{LinePainter, lines, without_first_line};

/// The groups with their titles.
const GROUP_TITLES: [(Group, &str); 4] = [
    (Group::Jobs, "Jobs and queues"),
    (Group::Move, "Navigation"),
    (Group::Output, "Output"),
    (Group::Screen, "Screen"),
];

/// The width of the keys of an action, in cells.
const KEYS_WIDTH: usize = 16;

/// The indent of a reason that takes several lines.
const NARROW_INDENT: usize = 4;

/// The minimum width kept for the description of an action in the palette, where the reason is more important.
const MIN_HELP_WIDTH: usize = 24;

/// A line of the menu.
enum MenuLine {
    Title(&'static str),
    /// An item, by index.
    Item(usize),
    /// More of the description of an item, by index.
    MoreHelp(usize, String),
    /// Part of the reason why the selected action is unavailable, if there is no room for it beside the action.
    Reason(String),
    Empty,
}

/// What the menu says about actions.
pub(super) struct MenuContext<'a> {
    pub(super) settings: &'a ScreenSettings,
    /// Why an action is unavailable.
    pub(super) unavailable_reason: &'a dyn Fn(Action) -> Option<String>,
    /// The queue with a number.
    pub(super) queue: &'a dyn Fn(u8) -> Option<QueueId>,
}

/// Draws the menu and keeps the selected item visible.
pub(super) fn draw(menu: &mut ActionMenu, context: &MenuContext<'_>, area: Rect, buffer: &mut Buffer) {
    let (appearance, keymap) = (&context.settings.appearance, &context.settings.keymap);
    let items = menu.items(keymap);
    menu.selected = menu.selected.min(items.len().saturating_sub(1));
    let body = without_first_line(area);
    let mut all = content(&items, menu, context, usize::from(body.width));
    let height = usize::from(body.height);
    let row = all.iter().position(|line| matches!(line, MenuLine::Item(index) if *index == menu.selected)).unwrap_or(0);
    let is_more = |line: &&MenuLine| matches!(line, MenuLine::MoreHelp(index, _) if *index == menu.selected);
    let last_row = row + all.iter().filter(is_more).count();
    let reason = items.get(menu.selected).map(|item| reason_lines(item, context, usize::from(body.width)));
    let reason = reason.unwrap_or_default();
    let (reason_below, end) = (!reason.is_empty(), last_row + reason.len().min(height.saturating_sub(1)));
    let next_row = (last_row + 1).min(all.len());
    all.splice(next_row..next_row, reason.into_iter().map(MenuLine::Reason));
    // The title above the first item becomes visible with it.
    let top = if menu.selected == 0 { 0 } else { row };
    menu.offset = menu.offset.min(top).max((end + 1).saturating_sub(height)).min(all.len().saturating_sub(height));
    let title = if menu.kind == MenuKind::Help { " Help " } else { " Actions " };
    let mut painter = LinePainter::new(area, buffer, appearance.symbols);
    painter.left(appearance.symbols.rule, appearance.theme.focus).left(title, appearance.theme.focus);
    let hidden = all.len().saturating_sub(menu.offset + height);
    if hidden > 0 {
        painter.right(
            &format!(" {} {}{hidden} ", keymap.key(Action::Down), appearance.symbols.below),
            appearance.theme.dim,
        );
    }
    painter.fill(appearance.symbols.rule, appearance.theme.focus);
    if items.is_empty() {
        LinePainter::new(body, buffer, appearance.symbols).left("   No matching action.", appearance.theme.dim);
    }
    for (line, content) in lines(body).zip(&all[menu.offset..]) {
        match content {
            MenuLine::Title(title) => {
                LinePainter::new(line, buffer, appearance.symbols)
                    .left("  ", Style::new())
                    .left(title, appearance.theme.focus);
            }
            MenuLine::Item(index) => {
                let least = if menu.kind == MenuKind::Palette { MIN_HELP_WIDTH } else { usize::MAX };
                let selected = *index == menu.selected;
                let reason = if selected && reason_below { None } else { unavailable_reason(&items[*index], context) };
                draw_item(&items[*index], selected, reason.as_deref(), least, context, line, buffer);
            }
            MenuLine::MoreHelp(index, more) => {
                let is_selected = *index == menu.selected;
                if is_selected {
                    buffer.set_style(line, appearance.theme.cursor);
                }
                let is_unavailable = unavailable_reason(&items[*index], context).is_some();
                let style = match is_unavailable {
                    _ if is_selected => appearance.theme.cursor,
                    true => appearance.theme.dim,
                    false => Style::new(),
                };
                LinePainter::new(line, buffer, appearance.symbols).left(more, style);
            }
            MenuLine::Reason(reason) => {
                buffer.set_style(line, appearance.theme.cursor);
                LinePainter::new(line, buffer, appearance.symbols).left(reason, appearance.theme.cursor);
            }
            MenuLine::Empty => {}
        }
    }
}

/// Draws an item and the reason why it is unavailable. Its description keeps at least `least` cells.
fn draw_item(
    item: &MenuItem,
    selected: bool,
    reason: Option<&str>,
    least: usize,
    context: &MenuContext<'_>,
    area: Rect,
    buffer: &mut Buffer,
) {
    let (appearance, keymap) = (&context.settings.appearance, &context.settings.keymap);
    if selected {
        buffer.set_style(area, appearance.theme.cursor);
    }
    // The row under the cursor has one style, so that all of it is readable.
    let over = |style: Style| if selected { appearance.theme.cursor } else { style };
    let (keys_style, help_style) = if reason.is_some() {
        (appearance.theme.dim, appearance.theme.dim)
    } else {
        (appearance.theme.key, Style::new())
    };
    let mut painter = LinePainter::new(area, buffer, appearance.symbols);
    painter
        .left(if selected { appearance.symbols.cursor } else { " " }, over(appearance.theme.accent))
        .left(" ", over(Style::new()));
    painter.fixed_width(&item.keys(keymap), KEYS_WIDTH, over(keys_style));
    let is_wrapped = least == usize::MAX;
    let mut lines = help_lines(item, context, usize::from(area.width)).into_iter();
    let help = lines.next().filter(|_| is_wrapped).unwrap_or_else(|| help_text(item, context));
    let reason = reason.map(|reason| format!(" {} {}", appearance.symbols.dot, text::sanitize_line(reason)));
    // The rest of a wrapped description follows it, and a reason that doesn't fit is shown below the selected item.
    let fits = |reason: &String| text::width(&help) + text::width(reason) <= painter.room();
    let Some(reason) = reason.filter(|reason| !is_wrapped || lines.next().is_none() && fits(reason)) else {
        painter.left(&help, over(help_style));
        return;
    };
    let room = painter.room().saturating_sub(text::width(&reason)).max(least);
    painter
        .left(&text::fit(&help, room, appearance.symbols.ellipsis), over(help_style))
        .left(&reason, over(appearance.theme.warning));
}

/// The lines with the reason why an item is unavailable, if it doesn't fit beside the description.
fn reason_lines(item: &MenuItem, context: &MenuContext<'_>, width: usize) -> Vec<String> {
    let Some(reason) = unavailable_reason(item, context) else { return Vec::new() };
    let reason = format!("{} {}", context.settings.appearance.symbols.dot, text::sanitize_line(&reason));
    if 2 + KEYS_WIDTH + text::width(&help_text(item, context)) + 1 + text::width(&reason) <= width {
        return Vec::new();
    }
    let indent = if 2 + KEYS_WIDTH + text::width(&reason) <= width { 2 + KEYS_WIDTH } else { NARROW_INDENT };
    let mut lines: Vec<String> = Vec::new();
    for word in reason.split(' ') {
        match lines.last_mut() {
            Some(line) if text::width(line) + 1 + text::width(word) <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(" ".repeat(indent) + word),
        }
    }
    lines
}

/// The description of an item in lines that fit beside its keys.
fn help_lines(item: &MenuItem, context: &MenuContext<'_>, width: usize) -> Vec<String> {
    text::wrap(&help_text(item, context), width.saturating_sub(2 + KEYS_WIDTH))
}

fn unavailable_reason(item: &MenuItem, context: &MenuContext<'_>) -> Option<String> {
    (context.unavailable_reason)(item.action()?)
}

/// The description of an item, with the name of the queue if it is a queue number.
fn help_text(item: &MenuItem, context: &MenuContext<'_>) -> String {
    let [entry] = item.entries else { return item.help().to_owned() };
    let Action::NthQueue(number) = entry.action else { return entry.help.to_owned() };
    (context.queue)(number)
        .map_or_else(|| entry.help.to_owned(), |id| text::sanitize_line(&format!("go to queue {id}")))
}

fn content(items: &[MenuItem], menu: &ActionMenu, context: &MenuContext<'_>, width: usize) -> Vec<MenuLine> {
    let each = items.iter().enumerate();
    if menu.kind == MenuKind::Palette {
        return each.map(|(index, _)| MenuLine::Item(index)).collect();
    }
    let mut lines = Vec::new();
    for (group, title) in GROUP_TITLES {
        let mut members = each.clone().filter(|(_, item)| item.group() == Some(group)).peekable();
        if members.peek().is_some() {
            if !lines.is_empty() {
                lines.push(MenuLine::Empty);
            }
            lines.push(MenuLine::Title(title));
            for (index, item) in members {
                lines.push(MenuLine::Item(index));
                let more = help_lines(item, context, width).into_iter().skip(1);
                let indent = " ".repeat(2 + KEYS_WIDTH);
                lines.extend(more.map(|line| MenuLine::MoreHelp(index, format!("{indent}{line}"))));
            }
        }
    }
    lines
}
