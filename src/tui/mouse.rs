//! Mouse input, and the parts of the screen that a click activates.

use std::ops::Range;

use ratatui::layout::{Position, Rect};

use crate::model::{Phase, QueueId};

use super::keys::KeyPress;

/// An action of the mouse, and where it happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MouseInput {
    /// The cell.
    pub at: Position,
    /// The action.
    pub action: MouseAction,
}

/// An action of the mouse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MouseAction {
    /// The first button was pressed.
    Click,
    /// The wheel scrolled up.
    WheelUp,
    /// The wheel scrolled down.
    WheelDown,
}

/// Something that a click activates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ClickTarget {
    /// A key.
    Key(KeyPress),
    /// The tab of a queue.
    Queue(QueueId),
    /// The row of a queue in the overview.
    QueueRow(QueueId),
    /// A line that a search has found.
    SearchHit(usize),
    /// A row of a page, counted from the first visible one.
    PageRow(usize),
    /// The tab of a list.
    List(Phase),
    /// The field of a form, by index, and the key that it gets.
    Field(usize, Option<KeyPress>),
}

/// The click targets of the last frame.
#[derive(Clone, Debug, Default)]
pub(super) struct ClickTargets(Vec<(Rect, ClickTarget)>);

impl ClickTargets {
    /// Adds a target in the first line of `area`, in these columns.
    pub(super) fn add(&mut self, area: Rect, columns: Range<u16>, target: ClickTarget) {
        if area.height > 0 && !columns.is_empty() {
            let area = Rect { x: columns.start, width: columns.end - columns.start, height: 1, ..area };
            self.0.push((area, target));
        }
    }

    /// What a click at this cell activates.
    pub(super) fn at(&self, at: Position) -> Option<&ClickTarget> {
        self.0.iter().find(|(area, _)| area.contains(at)).map(|(_, target)| target)
    }
}
