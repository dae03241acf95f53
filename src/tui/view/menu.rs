//! The palette and the help: the table of actions, drawn, with what can't be done now and why.

use chrono::{DateTime, Utc};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::tui::action::{Action, Group};
use crate::tui::menu::{Item, Kind, Menu};
use crate::tui::state::Screen;
use crate::tui::text;

use super::paint::{Strip, below, lines};

/// The groups with their titles.
const GROUPS: [(Group, &str); 4] = [
    (Group::Jobs, "Jobs and queues"),
    (Group::Move, "Moving about"),
    (Group::Output, "Output"),
    (Group::Screen, "Screen"),
];

/// Room for the keys of an action.
const KEYS: usize = 16;

/// How far a reason of several lines is indented.
const NARROW: usize = 4;

/// In the palette the reason is worth more than what everybody knows: this much is left of what an action does.
const LEAST: usize = 24;

/// A line of the menu.
enum Line {
    Title(&'static str),
    /// An item, by its number.
    Item(usize),
    /// Why the chosen one can't be done, where there was no room for that beside it.
    Why(String),
    Empty,
}

/// Draws it, with the chosen item in view.
pub(super) fn draw(menu: &mut Menu, screen: &Screen, area: Rect, buffer: &mut Buffer, now: DateTime<Utc>) {
    let (look, keymap) = (&screen.setup.look, &screen.setup.keymap);
    let items = menu.items(keymap);
    menu.chosen = menu.chosen.min(items.len().saturating_sub(1));
    let mut all = content(&items, menu);
    let body = below(area);
    let height = usize::from(body.height);
    let row = all.iter().position(|line| matches!(line, Line::Item(nth) if *nth == menu.chosen)).unwrap_or(0);
    let why = items.get(menu.chosen).map(|item| why_below(item, screen, usize::from(body.width), now));
    let why = why.unwrap_or_default();
    let (told_below, end) = (!why.is_empty(), row + why.len().min(height.saturating_sub(1)));
    let behind = (row + 1).min(all.len());
    all.splice(behind..behind, why.into_iter().map(Line::Why));
    // The title above the first item comes into view with it.
    let top = if menu.chosen == 0 { 0 } else { row };
    menu.offset = menu.offset.min(top).max((end + 1).saturating_sub(height)).min(all.len().saturating_sub(height));
    let title = if menu.kind == Kind::Help { " Help " } else { " Actions " };
    let mut strip = Strip::new(area, buffer, look.signs);
    strip.left(look.signs.rule, look.theme.focus).left(title, look.theme.focus);
    let hidden = all.len().saturating_sub(menu.offset + height);
    if hidden > 0 {
        strip.right(&format!(" {} {}{hidden} ", keymap.key(Action::Down), look.signs.below), look.theme.dim);
    }
    strip.fill(look.signs.rule, look.theme.focus);
    if items.is_empty() {
        Strip::new(body, buffer, look.signs).left("   no action matches", look.theme.dim);
    }
    for (line, content) in lines(body).zip(&all[menu.offset..]) {
        match content {
            Line::Title(title) => {
                Strip::new(line, buffer, look.signs).left("  ", Style::new()).left(title, look.theme.focus);
            }
            Line::Item(nth) => {
                let least = if menu.kind == Kind::Palette { LEAST } else { usize::MAX };
                let chosen = *nth == menu.chosen;
                let now = (!chosen || !told_below).then_some(now);
                item(&items[*nth], chosen, least, screen, line, buffer, now);
            }
            Line::Why(why) => {
                buffer.set_style(line, look.theme.cursor);
                Strip::new(line, buffer, look.signs).left(why, look.theme.cursor);
            }
            Line::Empty => {}
        }
    }
}

/// Draws an item, with why it can't be done `now`; what it does gets `least` cells even where there is no room for that.
fn item(
    item: &Item,
    chosen: bool,
    least: usize,
    screen: &Screen,
    area: Rect,
    buffer: &mut Buffer,
    now: Option<DateTime<Utc>>,
) {
    let (look, keymap) = (&screen.setup.look, &screen.setup.keymap);
    if chosen {
        buffer.set_style(area, look.theme.cursor);
    }
    // Under the cursor one style holds for the whole row, so that every part of it can be read.
    let over = |style: Style| if chosen { look.theme.cursor } else { style };
    let why = now.and_then(|now| screen.hindrance(item.action()?, now));
    let (keys, help) = if why.is_some() { (look.theme.dim, look.theme.dim) } else { (look.theme.key, Style::new()) };
    let mut strip = Strip::new(area, buffer, look.signs);
    strip.left(if chosen { look.signs.cursor } else { " " }, over(look.theme.live)).left(" ", over(Style::new()));
    strip.column_of(&item.keys(keymap), KEYS, over(keys));
    let words = help_of(item, screen);
    let Some(why) = why else {
        strip.left(&words, over(help));
        return;
    };
    let why = format!(" {} {}", look.signs.dot, text::plain_line(&why));
    let room = strip.room().saturating_sub(text::width(&why)).max(least);
    strip.left(&text::fit(&words, room, look.signs.ellipsis), over(help)).left(&why, over(look.theme.warn));
}

/// Why an item can't be done, in lines of their own, where it doesn't fit beside what the item does.
fn why_below(item: &Item, screen: &Screen, width: usize, now: DateTime<Utc>) -> Vec<String> {
    let Some(why) = item.action().and_then(|action| screen.hindrance(action, now)) else { return Vec::new() };
    let why = format!("{} {}", screen.setup.look.signs.dot, text::plain_line(&why));
    if 2 + KEYS + text::width(&help_of(item, screen)) + 1 + text::width(&why) <= width {
        return Vec::new();
    }
    let indent = if 2 + KEYS + text::width(&why) <= width { 2 + KEYS } else { NARROW };
    let mut lines: Vec<String> = Vec::new();
    for word in why.split(' ') {
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

/// What it does; to which queue a number leads.
fn help_of(item: &Item, screen: &Screen) -> String {
    let [entry] = item.entries else { return item.help().to_owned() };
    let Action::NthQueue(nth) = entry.action else { return entry.help.to_owned() };
    screen
        .nth(usize::from(nth))
        .map_or_else(|_| entry.help.to_owned(), |id| text::plain_line(&format!("to queue {id}")))
}

fn content(items: &[Item], menu: &Menu) -> Vec<Line> {
    let each = items.iter().enumerate();
    if menu.kind == Kind::Palette {
        return each.map(|(nth, _)| Line::Item(nth)).collect();
    }
    let mut lines = Vec::new();
    for (group, title) in GROUPS {
        let mut members = each.clone().filter(|(_, item)| item.group() == Some(group)).peekable();
        if members.peek().is_some() {
            if !lines.is_empty() {
                lines.push(Line::Empty);
            }
            lines.push(Line::Title(title));
            lines.extend(members.map(|(nth, _)| Line::Item(nth)));
        }
    }
    lines
}
