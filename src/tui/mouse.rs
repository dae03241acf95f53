//! The mouse: it selects, scrolls, and presses what the hints and the tabs say.

use std::ops::Range;

use chrono::{DateTime, Utc};
use ratatui::layout::{Position, Rect};

use crate::model::{Phase, QueueId};

use super::action::Action;
use super::dialog::Dialog;
use super::keys::{Code, Key};
use super::layout::PHASES;
use super::lists::Step;
use super::notice::Tone;
use super::output::Scroll;
use super::state::Screen;
use super::wake::Effect;

/// How many lines a turn of the wheel goes.
const TURN: usize = 3;

/// What was done with the mouse, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mouse {
    /// The cell.
    pub at: Position,
    /// What was done.
    pub what: Move,
}

/// What can be done with a mouse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// The first button was pressed.
    Click,
    /// The wheel was turned so that what is above comes into view.
    WheelUp,
    /// The other way.
    WheelDown,
}

/// Something drawn that a click presses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// A key.
    Key(Key),
    /// The tab of a queue.
    Queue(QueueId),
    /// The tab of a list.
    List(Phase),
}

/// What can be pressed, and where it was drawn last.
#[derive(Clone, Debug, Default)]
pub(super) struct Targets(Vec<(Rect, Target)>);

impl Targets {
    /// Takes note of what was drawn in the first line of `area`, from one column up to another.
    pub(super) fn add(&mut self, area: Rect, columns: Range<u16>, target: Target) {
        if area.height > 0 && !columns.is_empty() {
            let area = Rect { x: columns.start, width: columns.end - columns.start, height: 1, ..area };
            self.0.push((area, target));
        }
    }

    fn at(&self, at: Position) -> Option<&Target> {
        self.0.iter().find(|(area, _)| area.contains(at)).map(|(_, target)| target)
    }
}

impl Screen {
    /// Does what the mouse asks for.
    pub(super) fn click(&mut self, mouse: Mouse, now: DateTime<Utc>) -> Vec<Effect> {
        if self.typing.is_some() {
            return Vec::new();
        }
        match (mouse.what, self.targets.at(mouse.at).cloned()) {
            (Move::Click, Some(Target::Key(key))) => return self.press(key, now),
            // What lies under a dialog is out of reach.
            _ if self.dialog.is_some() => return self.wheel_in_dialog(mouse.what, now),
            _ if self.diagnosis().is_some() => {
                let key = if mouse.what == Move::WheelUp { Code::Up } else { Code::Down };
                return if mouse.what == Move::Click { Vec::new() } else { self.press(Key::plain(key), now) };
            }
            (Move::Click, Some(Target::Queue(queue))) => self.show(&queue),
            (Move::Click, Some(Target::List(phase))) => self.lists.focus_list(phase),
            _ => self.click_on_pane(mouse),
        }
        Vec::new()
    }

    /// Takes the mouse, or lets go of it, and says what that means.
    pub(super) fn toggle_mouse(&mut self, now: DateTime<Utc>) -> Vec<Effect> {
        self.mouse = !self.mouse;
        let key = self.key(Action::Mouse);
        let words = if self.mouse {
            format!("the mouse selects and scrolls here; {key} lets go of it")
        } else {
            format!("the terminal has the mouse: it selects text; {key} takes it again")
        };
        self.notices.say(Tone::Done, words, now);
        vec![Effect::Mouse(self.mouse)]
    }

    fn wheel_in_dialog(&mut self, what: Move, now: DateTime<Utc>) -> Vec<Effect> {
        let code = match (&self.dialog, what) {
            (Some(Dialog::Menu(_)), Move::WheelUp) => Code::Up,
            (Some(Dialog::Menu(_)), Move::WheelDown) => Code::Down,
            _ => return Vec::new(),
        };
        (0..TURN).flat_map(|_| self.press(Key::plain(code), now)).collect()
    }

    fn click_on_pane(&mut self, mouse: Mouse) {
        let layout = self.layout();
        if layout.output.contains(mouse.at) {
            let rows = TURN.cast_signed();
            match mouse.what {
                Move::Click if self.tiles.is_none() => self.lists.focus_output(self.lists.focus().zoom),
                Move::Click => {}
                // There may be nothing to scroll, which is plain to see.
                Move::WheelUp => drop(self.pane_mut().scroll(Scroll::Rows(-rows), "")),
                Move::WheelDown => drop(self.pane_mut().scroll(Scroll::Rows(rows), "")),
            }
            return;
        }
        let Some(phase) = PHASES.into_iter().find(|phase| layout.list(*phase).contains(mouse.at)) else { return };
        let area = layout.list(phase);
        let zoom = self.lists.focus().zoom;
        self.lists.focus_list(phase);
        if zoom {
            self.lists.toggle_zoom();
        }
        let step = match mouse.what {
            Move::WheelUp => Step::Up(TURN),
            Move::WheelDown => Step::Down(TURN),
            Move::Click => {
                let title = usize::from(area.height).saturating_sub(layout.rows(phase));
                let Some(line) = usize::from(mouse.at.y - area.y).checked_sub(title) else { return };
                let row = self.lists.offset(phase) + line;
                return self.with_lists(|lists, record, _| lists.go_to(row, record));
            }
        };
        self.with_lists(|lists, record, _| lists.step(step, record));
    }
}
