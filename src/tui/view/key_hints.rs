//! Draws the last line: the most useful keys, taken from the action table.

use std::ops::Range;

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use crate::text;
use crate::tui::action::{Action, ActionEntry, Context, Group, TABLE};
use crate::tui::dialog::Dialog;
use crate::tui::input_form::{FieldValue, InputForm};
use crate::tui::job_terminal::{LEAVE_KEY, TypingSession};
use crate::tui::keys::{KeyCode, KeyPress};
use crate::tui::mouse::{ClickTarget, ClickTargets};
use crate::tui::state::ScreenSettings;
use crate::tui::theme::Theme;

use super::line_painter::LinePainter;

/// The actions that are always shown, at the right end.
const PINNED: [Action; 2] = [Action::Quit, Action::Help];

/// What decides which keys are useful.
#[expect(clippy::struct_excessive_bools, reason = "independent facts about the screen")]
pub(super) struct KeyHints<'a> {
    pub(super) settings: &'a ScreenSettings,
    /// The typing session, while keys are sent to a job.
    pub(super) typing: Option<TypingSession>,
    pub(super) dialog: Option<&'a Dialog>,
    pub(super) is_output_focused: bool,
    pub(super) can_type: bool,
    /// Whether a field of `jobs.yaml` fixes the selected failure.
    pub(super) can_fix: bool,
    /// The selected job needs approval.
    pub(super) can_approve: bool,
    pub(super) has_queue: bool,
    pub(super) shows_file_errors: bool,
}

impl KeyHints<'_> {
    /// Draws the hints and records the position of each key for the mouse.
    pub(super) fn draw(&self, area: Rect, buffer: &mut Buffer, targets: &mut ClickTargets) {
        let keymap = &self.settings.keymap;
        let theme = &self.settings.appearance.theme;
        let mut painter = LinePainter::new(area, buffer, self.settings.appearance.symbols);
        if let Some(typing) = self.typing {
            for (key, hint) in typing_hints(typing) {
                draw_hint(&key.to_string(), &hint, theme, &mut painter);
            }
            return;
        }
        if let Some(dialog) = self.dialog {
            let form_keys = match dialog {
                Dialog::Inputs(form) => form_hints(form),
                _ => Vec::new(),
            };
            for (key, hint) in dialog_hints(dialog).iter().chain(&form_keys) {
                if hint_width(key, hint) > painter.room() {
                    continue;
                }
                let columns = draw_hint(key, hint, theme, &mut painter);
                // A hint with two keys is not a mouse target.
                if let Ok(key) = key.parse() {
                    targets.add(area, columns, ClickTarget::Key(key));
                }
            }
            return;
        }
        for entry in PINNED.iter().filter_map(|action| action.entry()) {
            let end = painter.end();
            painter.right(&format!("{} ", entry.hint), theme.dim);
            painter.right(&format!(" {} ", keymap.key(entry.action)), theme.key);
            if let Some(key) = keymap.keys(entry.action).first() {
                targets.add(area, painter.end()..end, ClickTarget::Key(*key));
            }
        }
        if self.can_approve {
            let columns = draw_hint(&keymap.key(Action::Copy), "approve", theme, &mut painter);
            if let Some(key) = keymap.keys(Action::Copy).first() {
                targets.add(area, columns, ClickTarget::Key(*key));
            }
        }
        // Actions of the focused pane come first.
        let (near, far): (Vec<_>, Vec<_>) = TABLE
            .iter()
            .filter(|entry| self.is_hinted(entry))
            .partition(|entry| !self.is_output_focused || entry.group == Group::Output);
        for entry in near.into_iter().chain(far) {
            let key = keymap.key(entry.action);
            if hint_width(&key, entry.hint) > painter.room() {
                break;
            }
            let columns = draw_hint(&key, entry.hint, theme, &mut painter);
            if let Some(key) = keymap.keys(entry.action).first() {
                targets.add(area, columns, ClickTarget::Key(*key));
            }
        }
    }

    fn is_hinted(&self, entry: &ActionEntry) -> bool {
        let context = if self.is_output_focused { Context::Output } else { Context::Lists };
        let is_useful = match entry.action {
            Action::Edit => true,
            Action::Back => self.has_queue,
            Action::Copy if self.can_approve => false,
            Action::Fix => self.has_queue && !self.shows_file_errors && self.can_fix,
            Action::Type => self.has_queue && !self.shows_file_errors && self.can_type,
            _ => self.has_queue && !self.shows_file_errors,
        };
        is_useful && entry.context.overlaps(context) && !entry.hint.is_empty() && !PINNED.contains(&entry.action)
    }
}

/// The cells that a key with its hint takes.
fn hint_width(key: &str, hint: &str) -> usize {
    text::width(key) + text::width(hint) + 3
}

/// Draws a key with its hint. Returns the columns that they take.
fn draw_hint(key: &str, hint: &str, theme: &Theme, painter: &mut LinePainter<'_>) -> Range<u16> {
    let start = painter.column();
    painter.left(&format!(" {key} "), theme.key).left(hint, theme.dim).left(" ", Style::new());
    start..painter.column()
}

/// The hints while keys are sent to a job.
fn typing_hints(typing: TypingSession) -> Vec<(KeyPress, String)> {
    if typing.run_ended {
        let why = format!("return to the screen ({} has ended)", typing.job);
        return vec![(LEAVE_KEY, String::new()), (KeyPress::plain(KeyCode::Esc), why)];
    }
    vec![(LEAVE_KEY, format!("return to the screen; all other keys go to {}", typing.job))]
}

/// The hints while a dialog is open.
fn dialog_hints(dialog: &Dialog) -> &'static [(&'static str, &'static str)] {
    match dialog {
        // The box of the question shows its keys.
        Dialog::Confirm { .. } => &[],
        Dialog::Inputs(_) => &[("Enter", "start"), ("Tab", "next"), ("Esc", "cancel")],
        Dialog::Add(draft) if draft.edits_title => &[("Enter", "add"), ("Tab", "script"), ("Esc", "cancel")],
        Dialog::Add(_) => &[("Enter", "add"), ("Tab", "title"), ("Esc", "cancel")],
        Dialog::Filter(_) => &[("Enter", "apply"), ("Esc", "clear")],
        Dialog::Search(_) => &[("Enter", "search"), ("Esc", "cancel")],
        Dialog::Menu(menu) if menu.is_typing => &[("Enter", "run"), ("Down Up", "select"), ("Esc", "back")],
        Dialog::Overview(overview) if overview.is_typing => {
            &[("Enter", "open"), ("Down Up", "select"), ("Esc", "back")]
        }
        Dialog::Overview(_) => &[
            ("Enter", "open"),
            ("j k", "select"),
            ("p", "process/pause"),
            ("/", "find"),
            ("c", "sort"),
            ("Esc", "back"),
            ("q", "quit"),
        ],
        Dialog::SearchAll(search) if search.error_to_find().is_some() => {
            &[("Enter", "find the error"), ("Esc", "back")]
        }
        Dialog::SearchAll(search) if search.searches_all => {
            &[("Enter", "show"), ("Down Up", "select"), ("Tab", "only this queue"), ("Esc", "back")]
        }
        Dialog::SearchAll(_) => &[("Enter", "show"), ("Down Up", "select"), ("Tab", "all queues"), ("Esc", "back")],
        Dialog::Page(page) => page.hints(),
        Dialog::Menu(_) => &[("/", "find"), ("Enter", "run"), ("j k", "select"), ("Esc", "close")],
    }
}

/// More hints while the form for inputs is open.
fn form_hints(form: &InputForm) -> Vec<(&'static str, &'static str)> {
    let of_field = match form.focused().map(|field| &field.value) {
        Some(FieldValue::Choice(..)) => Some(("Left Right", "choose")),
        Some(FieldValue::Switch(_)) => Some(("Space", "change")),
        Some(FieldValue::Line(_) | FieldValue::Secret(_)) | None => None,
    };
    of_field.into_iter().chain(form.offers_last().then_some(("^r", "last values"))).collect()
}
