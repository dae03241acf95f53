//! The overview: a row per queue, and a search for one of them.

use std::cmp::Reverse;
use std::time::Duration;

use nucleo_matcher::pattern::{CaseMatching, Normalization, Pattern};
use nucleo_matcher::{Config, Matcher, Utf32Str};

use crate::model::{QueueId, QueueState, SiteState};

use super::action::Action;
use super::keymap::Keymap;
use super::keys::{KeyCode, KeyPress};
use super::line_editor::LineEditor;

/// From this number of queues on, the screen opens with the overview.
pub(super) const MIN_QUEUES_TO_OPEN: usize = 13;

/// The queues as a table, one of them selected.
#[derive(Debug)]
pub(super) struct Overview {
    /// The selected queue.
    pub(super) selected: Option<QueueId>,
    /// The search text.
    pub(super) line: LineEditor,
    /// Whether the search text is being typed.
    pub(super) is_typing: bool,
    /// The order of the rows.
    pub(super) order: QueueOrder,
    /// The first visible row.
    pub(super) offset: usize,
}

/// The estimated time until all jobs of a queue are finished.
pub(super) type TimeLeftOf<'a> = dyn Fn(&QueueId, &QueueState) -> Option<Duration> + 'a;

/// The order of the queues.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum QueueOrder {
    /// As in the tabs.
    #[default]
    Tabs,
    /// Most failed jobs first.
    Failed,
    /// The one that is expected to end last first.
    TimeLeft,
    /// Most pending and running jobs first.
    Unfinished,
    /// By name.
    Name,
}

/// The result of a key press in the overview.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum OverviewResponse {
    /// The overview stays open.
    KeepOpen,
    /// The overview is closed.
    Close,
    /// The overview is closed, and this queue is shown.
    Enter(QueueId),
    /// This queue becomes the current one, and the action is performed; the overview stays open.
    Perform(QueueId, Action),
    /// The action is performed.
    Leave(Action),
}

/// A row of the overview.
#[derive(Clone, Copy, Debug)]
pub(super) struct QueueRow<'a> {
    /// The number of its tab, counted from 1.
    pub(super) number: usize,
    pub(super) id: &'a QueueId,
    pub(super) queue: &'a QueueState,
}

impl Overview {
    /// The overview with this queue selected.
    pub(super) fn new(selected: Option<QueueId>, is_typing: bool) -> Self {
        Self { selected, line: LineEditor::default(), is_typing, order: QueueOrder::default(), offset: 0 }
    }

    /// The queues that match the search text, in their order; without an order, best matches come first.
    pub(super) fn rows<'a>(&self, site: &'a SiteState, time_left: &TimeLeftOf<'_>) -> Vec<QueueRow<'a>> {
        let all = site.queues().into_iter().zip(1..).map(|((id, queue), number)| QueueRow { number, id, queue });
        let needle = self.line.text().trim();
        let mut rows: Vec<QueueRow<'a>> = if needle.is_empty() {
            all.collect()
        } else {
            let pattern = Pattern::parse(needle, CaseMatching::Smart, Normalization::Smart);
            let (mut matcher, mut buffer) = (Matcher::new(Config::DEFAULT), Vec::new());
            let score = |row: QueueRow<'a>| {
                let name = row.id.as_str();
                let text = format!("{name} {}", row.queue.settings.title);
                let score = pattern.score(Utf32Str::new(&text, &mut buffer), &mut matcher)?;
                Some((score, row))
            };
            let mut found: Vec<(u32, QueueRow<'a>)> = all.filter_map(score).collect();
            found.sort_by_key(|(score, _)| Reverse(*score));
            found.into_iter().map(|(_, row)| row).collect()
        };
        let unfinished = |row: &QueueRow<'_>| row.queue.pending.len() + row.queue.running.len();
        match self.order {
            QueueOrder::Tabs => {}
            QueueOrder::Failed => rows.sort_by_key(|row| Reverse(site.failed_count(row.id))),
            QueueOrder::TimeLeft => {
                rows.sort_by_cached_key(|row| Reverse((time_left(row.id, row.queue), row.queue.running.len())));
            }
            QueueOrder::Unfinished => rows.sort_by_key(|row| Reverse(unfinished(row))),
            QueueOrder::Name => rows.sort_by_key(|row| row.id),
        }
        rows
    }

    /// The index of the selected queue, or else of the first one.
    pub(super) fn selected_row(&self, rows: &[QueueRow<'_>]) -> usize {
        rows.iter().position(|row| Some(row.id) == self.selected.as_ref()).unwrap_or(0)
    }

    /// Handles a key press; `page` is the number of visible rows.
    pub(super) fn press(
        &mut self,
        key: KeyPress,
        keymap: &Keymap,
        site: &SiteState,
        time_left: &TimeLeftOf<'_>,
        page: usize,
    ) -> OverviewResponse {
        let rows = self.rows(site, time_left);
        let last = rows.len().saturating_sub(1);
        let row = self.selected_row(&rows);
        let selected = rows.get(row).map(|row| row.id.clone());
        let is = |code: char| key == KeyPress { code: KeyCode::Char(code), ctrl: true, alt: false };
        let action = keymap.action(key, false);
        let next = match key.code {
            KeyCode::Esc if self.is_typing || !self.line.text().is_empty() => {
                (self.line, self.is_typing) = (LineEditor::default(), false);
                return OverviewResponse::KeepOpen;
            }
            KeyCode::Esc => return OverviewResponse::Close,
            _ if is('g') => return OverviewResponse::Close,
            KeyCode::Enter => return selected.map_or(OverviewResponse::KeepOpen, OverviewResponse::Enter),
            KeyCode::Down | KeyCode::Tab => row + 1,
            KeyCode::Up | KeyCode::BackTab => row.saturating_sub(1),
            KeyCode::PageDown => row + page,
            KeyCode::PageUp => row.saturating_sub(page),
            _ if self.is_typing => {
                if self.line.press(key) {
                    self.selected = self.rows(site, time_left).first().map(|row| row.id.clone());
                }
                return OverviewResponse::KeepOpen;
            }
            _ => match (action, selected) {
                (Some(Action::Down), _) => row + 1,
                (Some(Action::Up), _) => row.saturating_sub(1),
                (Some(Action::HalfDown), _) => row + page / 2,
                (Some(Action::HalfUp), _) => row.saturating_sub(page / 2),
                (Some(Action::First), _) => 0,
                (Some(Action::Last), _) => last,
                (Some(Action::Find | Action::FindQueue), _) => {
                    self.is_typing = true;
                    return OverviewResponse::KeepOpen;
                }
                (Some(Action::Sort), _) => {
                    self.order = self.order.next();
                    return OverviewResponse::KeepOpen;
                }
                (Some(Action::Overview | Action::Back), _) => return OverviewResponse::Close,
                (Some(action @ (Action::Process | Action::MoreParallel | Action::LessParallel)), Some(queue)) => {
                    return OverviewResponse::Perform(queue, action);
                }
                (Some(action), _) => return OverviewResponse::Leave(action),
                (None, _) => return OverviewResponse::KeepOpen,
            },
        };
        self.selected = rows.get(next.min(last)).map(|row| row.id.clone());
        OverviewResponse::KeepOpen
    }
}

impl QueueOrder {
    fn next(self) -> Self {
        match self {
            Self::Tabs => Self::Failed,
            Self::Failed => Self::TimeLeft,
            Self::TimeLeft => Self::Unfinished,
            Self::Unfinished => Self::Name,
            Self::Name => Self::Tabs,
        }
    }

    /// The order in words; none for that of the tabs.
    pub(super) fn label(self) -> Option<&'static str> {
        match self {
            Self::Tabs => None,
            Self::Failed => Some("most failed first"),
            Self::TimeLeft => Some("most time left first"),
            Self::Unfinished => Some("most to do first"),
            Self::Name => Some("by name"),
        }
    }
}
