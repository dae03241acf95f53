//! Handles the mouse: it selects, scrolls, and presses the keys in the hints and the tabs.

use chrono::{DateTime, Utc};

use super::action::Action;
use super::dialog::Dialog;
use super::effect::Effect;
use super::job_lists::CursorMove;
use super::keys::{KeyCode, KeyPress};
use super::layout::PHASES;
use super::mouse::{ClickTarget, MouseAction, MouseInput};
use super::output::Scroll;
use super::state::Screen;
use super::status_line::Severity;

/// How many lines one step of the wheel scrolls.
const WHEEL_LINES: usize = 3;

impl Screen {
    /// Handles an action of the mouse.
    pub(super) fn click(&mut self, mouse: MouseInput, now: DateTime<Utc>) -> Vec<Effect> {
        if self.typing.is_some() {
            return Vec::new();
        }
        match (mouse.action, self.click_targets.at(mouse.at).cloned()) {
            (MouseAction::Click, Some(ClickTarget::Key(key))) => return self.press(key, now),
            (MouseAction::Click, Some(ClickTarget::QueueRow(queue))) => {
                self.dialog = None;
                self.switch_queue(&queue);
                return Vec::new();
            }
            (MouseAction::Click, Some(ClickTarget::SearchHit(index))) => {
                if let Some(Dialog::SearchAll(search)) = &mut self.dialog {
                    search.selected = index;
                }
                return self.press(KeyPress::plain(KeyCode::Enter), now);
            }
            (MouseAction::Click, Some(ClickTarget::Field(field, key))) => {
                if let Some(Dialog::Inputs(form)) = &mut self.dialog {
                    form.focus_field(field);
                }
                return key.map_or_else(Vec::new, |key| self.press(key, now));
            }
            (MouseAction::Click, Some(ClickTarget::PageRow(row))) => return self.click_on_page(row, now),
            // A dialog covers everything else.
            _ if self.dialog.is_some() => return self.wheel_in_dialog(mouse.action, now),
            _ if self.visible_file_error().is_some() => {
                let key = if mouse.action == MouseAction::WheelUp { KeyCode::Up } else { KeyCode::Down };
                return if mouse.action == MouseAction::Click {
                    Vec::new()
                } else {
                    self.press(KeyPress::plain(key), now)
                };
            }
            (MouseAction::Click, Some(ClickTarget::Queue(queue))) => self.switch_queue(&queue),
            (MouseAction::Click, Some(ClickTarget::List(phase))) => self.lists.focus_list(phase),
            _ => self.click_on_pane(mouse),
        }
        Vec::new()
    }

    /// Captures the mouse or releases it, and shows what that means.
    pub(super) fn toggle_mouse(&mut self, now: DateTime<Utc>) -> Vec<Effect> {
        self.captures_mouse = !self.captures_mouse;
        let key = self.key(Action::Mouse);
        let text = if self.captures_mouse {
            format!("The mouse selects and scrolls here. Press {key} to release it.")
        } else {
            format!("The mouse selects text in the terminal. Press {key} to capture it again.")
        };
        self.status_line.show(Severity::Info, text, now);
        vec![Effect::CaptureMouse(self.captures_mouse)]
    }

    fn wheel_in_dialog(&mut self, action: MouseAction, now: DateTime<Utc>) -> Vec<Effect> {
        let code = match (&self.dialog, action) {
            (Some(Dialog::Menu(_) | Dialog::Overview(_) | Dialog::SearchAll(_) | Dialog::Page(_)), action) => {
                match action {
                    MouseAction::WheelUp => KeyCode::Up,
                    MouseAction::WheelDown => KeyCode::Down,
                    MouseAction::Click => return Vec::new(),
                }
            }
            // One field a step.
            (Some(Dialog::Inputs(_)), MouseAction::WheelUp) => return self.press(KeyPress::plain(KeyCode::Up), now),
            (Some(Dialog::Inputs(_)), MouseAction::WheelDown) => {
                return self.press(KeyPress::plain(KeyCode::Down), now);
            }
            _ => return Vec::new(),
        };
        (0..WHEEL_LINES).flat_map(|_| self.press(KeyPress::plain(code), now)).collect()
    }

    fn click_on_pane(&mut self, mouse: MouseInput) {
        let layout = self.layout();
        if layout.output.contains(mouse.at) {
            let rows = WHEEL_LINES.cast_signed();
            match mouse.action {
                MouseAction::Click if self.tiles.is_none() => self.lists.focus_output(self.lists.focus().zoom),
                MouseAction::Click => {}
                // Fails only where nothing can be scrolled.
                MouseAction::WheelUp => drop(self.pane_mut().scroll(Scroll::Rows(-rows), "")),
                MouseAction::WheelDown => drop(self.pane_mut().scroll(Scroll::Rows(rows), "")),
            }
            return;
        }
        let Some(phase) = PHASES.into_iter().find(|phase| layout.list(*phase).contains(mouse.at)) else { return };
        let area = layout.list(phase);
        let zoom = self.lists.focus().zoom;
        self.lists.set_following(false);
        self.lists.focus_list(phase);
        if zoom {
            self.lists.toggle_zoom();
        }
        let step = match mouse.action {
            MouseAction::WheelUp => CursorMove::Up(WHEEL_LINES),
            MouseAction::WheelDown => CursorMove::Down(WHEEL_LINES),
            MouseAction::Click => {
                let title = usize::from(area.height).saturating_sub(layout.rows(phase));
                let Some(line) = usize::from(mouse.at.y - area.y).checked_sub(title) else { return };
                let row = self.lists.offset(phase) + line;
                return self.with_lists(|lists, record, _| lists.select_row(row, record));
            }
        };
        self.with_lists(|lists, record, _| lists.move_cursor(step, record));
    }
}
