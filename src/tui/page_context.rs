//! What a page knows of the screen, what it answers to a key, and how its cursor moves.

use chrono::{DateTime, Utc};

use crate::model::{JobId, RunId, SiteState};

use super::action::Action;
use super::details_pane::RunHistory;
use super::keymap::Keymap;
use super::keys::{KeyCode, KeyPress};

/// What a page knows of the screen when it handles a key.
pub(super) struct PageContext<'a> {
    pub(super) keymap: &'a Keymap,
    pub(super) site: &'a SiteState,
    /// The runs of the selected job, once they are loaded.
    pub(super) history: Option<&'a RunHistory>,
    /// The size of the body.
    pub(super) width: u16,
    pub(super) height: u16,
    pub(super) now: DateTime<Utc>,
}

/// The result of a key press on a page.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum PageResponse {
    /// The page stays open.
    KeepOpen,
    /// The page is closed.
    Close,
    /// The page is closed, and the output of this run is shown; without a run, that of the latest one.
    ShowRun(JobId, Option<RunId>),
    /// The page is closed, and this job is selected.
    GoTo(JobId),
    /// The action is performed.
    Perform(Action),
    /// The page stays open, and says why the key does nothing.
    Refuse(&'static str),
}

/// The row that a key moves the cursor to, of `count` rows of which `visible` are seen; `None` for other keys.
pub(super) fn next_row(
    key: KeyPress,
    action: Option<Action>,
    row: usize,
    visible: usize,
    count: usize,
) -> Option<usize> {
    let page = visible.saturating_sub(1).max(1);
    let next = match (key.code, action) {
        (KeyCode::Down, _) | (_, Some(Action::Down)) => row + 1,
        (KeyCode::Up, _) | (_, Some(Action::Up)) => row.saturating_sub(1),
        (KeyCode::PageDown, _) | (_, Some(Action::PageDown)) => row + page,
        (KeyCode::PageUp, _) | (_, Some(Action::PageUp)) => row.saturating_sub(page),
        (_, Some(Action::HalfDown)) => row + page.div_ceil(2),
        (_, Some(Action::HalfUp)) => row.saturating_sub(page.div_ceil(2)),
        (_, Some(Action::First)) => 0,
        (_, Some(Action::Last)) => count,
        _ => return None,
    };
    Some(next.min(count.saturating_sub(1)))
}

/// The first of `count` rows to draw, so that `row` is visible: `offset`, unless that must change.
pub(super) fn scrolled_to(row: usize, offset: usize, visible: usize, count: usize) -> usize {
    let least = (row + 1).saturating_sub(visible);
    offset.clamp(least, row.max(least)).min(count.saturating_sub(visible))
}
