//! The last line: what can be pressed, drawn from the table of actions.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::tui::action::{Action, Context, Entry, Group, TABLE};
use crate::tui::dialog::Dialog;
use crate::tui::keys::{Code, Key};
use crate::tui::mouse::{Target, Targets};
use crate::tui::state::Screen;
use crate::tui::text;
use crate::tui::typing::{Typing, WAY_OUT};

use super::paint::Strip;

/// These stay when everything else is dropped, and stand at the right.
const LAST: [Action; 2] = [Action::Quit, Action::Help];

/// Draws it; takes note of where each key stands.
pub(super) fn draw(screen: &Screen, area: Rect, buffer: &mut Buffer, targets: &mut Targets) {
    let look = &screen.setup.look;
    let mut strip = Strip::new(area, buffer, look.signs);
    if let Some(typing) = &screen.typing {
        for (key, hint) in ways_out(typing) {
            strip.left(&format!(" {key} "), look.theme.key).left(&hint, look.theme.dim).left(" ", Style::new());
        }
        return;
    }
    let entry = |action: &Action| TABLE.iter().find(|entry| entry.action == *action);
    let last = if screen.dialog.is_none() { &LAST[..] } else { &[] };
    for entry in last.iter().filter_map(entry) {
        let end = strip.end();
        strip.right(&format!("{} ", entry.hint), look.theme.dim);
        strip.right(&format!(" {} ", screen.key(entry.action)), look.theme.key);
        if let Some(key) = screen.setup.keymap.keys(entry.action).first() {
            targets.add(area, strip.end()..end, Target::Key(*key));
        }
    }
    if let Some(dialog) = &screen.dialog {
        for (key, hint) in answers(dialog) {
            let start = strip.column();
            strip.left(&format!(" {key} "), look.theme.key).left(hint, look.theme.dim).left(" ", Style::new());
            // Where two keys stand, nobody knows which is meant.
            if let Ok(key) = key.parse() {
                targets.add(area, start..strip.column(), Target::Key(key));
            }
        }
        return;
    }
    // What concerns the pane with the focus comes first.
    let in_output = screen.lists.focus().output;
    let (near, far): (Vec<_>, Vec<_>) = TABLE
        .iter()
        .filter(|entry| is_hinted(entry, screen))
        .partition(|entry| !in_output || entry.group == Group::Output);
    for entry in near.into_iter().chain(far) {
        let key = screen.key(entry.action);
        if text::width(&key) + text::width(entry.hint) + 3 > strip.room() {
            break;
        }
        let start = strip.column();
        strip.left(&format!(" {key} "), look.theme.key).left(entry.hint, look.theme.dim).left(" ", Style::new());
        if let Some(key) = screen.setup.keymap.keys(entry.action).first() {
            targets.add(area, start..strip.column(), Target::Key(*key));
        }
    }
}

/// While keys go to a job, few mean anything else.
fn ways_out(typing: &Typing) -> Vec<(Key, String)> {
    if typing.over {
        let why = format!("back to the screen: {} has ended", typing.job);
        return vec![(WAY_OUT, String::new()), (Key::plain(Code::Esc), why)];
    }
    vec![(WAY_OUT, format!("back to the screen; all other keys go to {}", typing.job))]
}

/// A dialog has few keys, and takes all the others for text or for nothing.
fn answers(dialog: &Dialog) -> &'static [(&'static str, &'static str)] {
    match dialog {
        Dialog::Ask { otherwise: Some(_), .. } => &[("y", "yes"), ("n", "runs the others only"), ("Esc", "runs none")],
        Dialog::Ask { .. } => &[("y", "yes"), ("n", "no"), ("Esc", "no")],
        Dialog::Add(draft) if draft.on_title => &[("Enter", "adds the job"), ("Tab", "its script"), ("Esc", "doesn't")],
        Dialog::Add(_) => &[("Enter", "adds the job"), ("Tab", "its title"), ("Esc", "doesn't")],
        Dialog::Filter(_) => &[("Enter", "keeps the filter"), ("Esc", "shows all")],
        Dialog::Search(_) => &[("Enter", "searches"), ("Esc", "doesn't")],
        Dialog::Menu(menu) if menu.typing => &[("Enter", "does it"), ("Down Up", "choose"), ("Esc", "back")],
        Dialog::Menu(_) => &[("/", "finds"), ("Enter", "does it"), ("j k", "choose"), ("Esc", "closes")],
    }
}

fn is_hinted(entry: &Entry, screen: &Screen) -> bool {
    let here = if screen.lists.focus().output { Context::Output } else { Context::Lists };
    let works = entry.context.overlaps(here);
    let diagnosis = screen.diagnosis().is_none() || matches!(entry.action, Action::Edit | Action::Back);
    let acts = entry.action != Action::Type || screen.can_type().is_ok();
    // Without a queue there is nothing that any other key could be for.
    let queue = screen.has_queue() || entry.action == Action::Edit;
    works && diagnosis && acts && queue && !entry.hint.is_empty() && !LAST.contains(&entry.action)
}
