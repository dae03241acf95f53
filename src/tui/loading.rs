//! The screen while most jobs of a long site are still being loaded: it shows the ends of the lists, and answers the keys
//! that need no more. Other input waits until all jobs are loaded, and so does what follows it.

use chrono::{DateTime, Utc};

use super::action::Action;
use super::action_menu::MenuKind;
use super::dialog::Dialog;
use super::effect::Effect;
use super::keys::{KeyCode, KeyPress};
use super::layout::Focus;
use super::message::Message;
use super::state::Screen;
use super::status_line::Severity;

/// What is shown when a key has to wait.
const LOADING: &str = "Loading all jobs…";

impl Screen {
    /// Shows a part of the site until [`Message::SiteLoaded`] brings all of it.
    #[must_use]
    pub fn while_loading(mut self) -> Self {
        self.waiting_input = Some(Vec::new());
        self
    }

    /// Handles a message; returns the effects to carry out.
    pub fn handle(&mut self, message: Message, now: DateTime<Utc>) -> Vec<Effect> {
        let has_to_wait = self.waiting_input.as_ref().is_some_and(|waiting| {
            needs_order(&message) && (!waiting.is_empty() || !self.answers_while_loading(&message))
        });
        if let Some(waiting) = self.waiting_input.as_mut().filter(|_| has_to_wait) {
            waiting.push(message);
            self.status_line.show(Severity::Info, LOADING, now);
            return Vec::new();
        }
        let is_loaded = matches!(message, Message::SiteLoaded(_));
        let mut effects = self.handle_at_once(message, now);
        if let Some(waiting) = self.waiting_input.take_if(|_| is_loaded) {
            self.status_line.clear_text(LOADING);
            for message in waiting {
                effects.extend(self.handle_at_once(message, now));
            }
        }
        effects
    }

    /// Whether only a part of the site is loaded.
    pub(super) fn is_loading(&self) -> bool {
        self.waiting_input.is_some()
    }

    /// Whether this input needs no more jobs than are loaded.
    fn answers_while_loading(&self, message: &Message) -> bool {
        let Message::Key(key) = message else { return false };
        match &self.dialog {
            // Enter performs an action.
            Some(Dialog::Menu(menu)) => menu.kind == MenuKind::Help && key.code != KeyCode::Enter,
            Some(Dialog::Overview(overview)) => !overview.is_typing && self.moves_in_overview(*key),
            Some(_) => false,
            None => self.settings.keymap.action(*key, self.lists.focus().output).is_some_and(|action| match action {
                Action::NextPane
                | Action::PreviousPane
                | Action::ZoomPane
                | Action::Back
                | Action::Help
                | Action::Mouse
                | Action::Suspend
                | Action::Quit => true,
                action => is_move(action) && self.stays_in_loaded_rows(action),
            }),
        }
    }

    fn moves_in_overview(&self, key: KeyPress) -> bool {
        let is_move =
            self.settings.keymap.action(key, false).is_some_and(|action| is_move(action) || action == Action::Quit);
        is_move || matches!(key.code, KeyCode::Down | KeyCode::Up | KeyCode::PageDown | KeyCode::PageUp)
    }

    /// Whether the rows are loaded that can be visible after the cursor has moved.
    fn stays_in_loaded_rows(&self, action: Action) -> bool {
        // The output and the details wait for the store.
        let Focus { output: false, details: false, .. } = self.lists.focus() else { return false };
        let (step, height) = (self.cursor_move(action), usize::from(self.size.height));
        self.queue.read(|record, site_state| {
            let rows = self.lists.rows(record, self.lists.focus().list);
            let target = self.lists.row_after(step, record);
            let visible = target.saturating_sub(height)..rows.len().min(target + height);
            visible.filter_map(|row| rows.get(row)).all(|id| site_state.job(id).is_some())
        })
    }
}

/// Whether input has to be handled in order: what a key does depends on those before it.
fn needs_order(message: &Message) -> bool {
    matches!(message, Message::Key(_) | Message::Paste(_) | Message::Mouse(_))
}

/// Whether an action moves the cursor.
fn is_move(action: Action) -> bool {
    matches!(
        action,
        Action::Down
            | Action::Up
            | Action::First
            | Action::Last
            | Action::PageDown
            | Action::PageUp
            | Action::HalfDown
            | Action::HalfUp
    )
}
