//! A page: a view that fills the body of the screen and takes the keys until it is closed.

use chrono::{DateTime, TimeDelta, Utc};

use crate::model::{Job, JobId};

use super::action::Action;
use super::changes_table::ChangesTable;
use super::effect::StoreRequest;
use super::keys::{KeyCode, KeyPress};
use super::needs_graph::NeedsGraph;
use super::page_context::{PageContext, PageResponse};
use super::results_table::ResultsTable;
use super::run_chart::RunChart;
use super::timeline::Timeline;
use super::workers_table::WorkersTable;

/// A page by what it shows.
#[derive(Debug)]
pub(super) enum ScreenPage {
    /// The runs of a queue over time.
    Timeline(Timeline),
    /// The runs of a job as a chart.
    History(RunChart),
    /// The needs of a job or a queue.
    Graph(NeedsGraph),
    /// The values of a matrix.
    Results(ResultsTable),
    /// What has changed since some time ago.
    Changes(ChangesTable),
    /// The workers.
    Workers(WorkersTable),
}

impl ScreenPage {
    /// The selected job.
    pub(super) fn selected(&self) -> Option<JobId> {
        match self {
            Self::Timeline(timeline) => timeline.selected_job(),
            Self::History(chart) => Some(chart.job),
            Self::Graph(graph) => graph.selected,
            Self::Results(table) => table.selected,
            Self::Changes(table) => table.selected,
            Self::Workers(table) => table.selected_job(),
        }
    }

    /// Handles a key press.
    pub(super) fn press(&mut self, key: KeyPress, context: &PageContext<'_>) -> PageResponse {
        let action = context.keymap.action(key, false);
        let closes = key.code == KeyCode::Esc || key == KeyPress { code: KeyCode::Char('g'), ctrl: true, alt: false };
        if closes || matches!(action, Some(Action::Back)) || action == Some(self.action()) {
            return PageResponse::Close;
        }
        match self {
            Self::Timeline(timeline) => timeline.press(key, action, context),
            Self::History(chart) => chart.press(key, action, context),
            Self::Graph(graph) => graph.press(key, action, context),
            Self::Results(table) => table.press(key, action, context),
            Self::Changes(table) => table.press(key, action, context),
            Self::Workers(table) => table.press(key, action, context),
        }
    }

    /// Selects a row; a click on the selected row acts as Enter.
    pub(super) fn click(&mut self, row: usize, context: &PageContext<'_>) -> PageResponse {
        let is_selected = match self {
            Self::Timeline(timeline) => timeline.click(row, context),
            Self::History(chart) => chart.click(row, context),
            Self::Graph(graph) => graph.click(row, context),
            Self::Results(table) => table.click(row, context),
            Self::Changes(table) => table.click(row),
            Self::Workers(table) => table.click(row, context),
        };
        if is_selected { self.press(KeyPress::plain(KeyCode::Enter), context) } else { PageResponse::KeepOpen }
    }

    /// Follows a job that has changed.
    pub(super) fn observe(&mut self, job: &Job) {
        match self {
            Self::Timeline(timeline) => timeline.observe(job),
            Self::Changes(table) => table.observe(job),
            Self::History(_) | Self::Graph(_) | Self::Results(_) | Self::Workers(_) => {}
        }
    }

    /// Forgets what was loaded, after an unknown change of the site.
    pub(super) fn invalidate(&mut self) {
        match self {
            Self::Timeline(timeline) => timeline.invalidate(),
            Self::Changes(table) => table.invalidate(),
            Self::History(_) | Self::Graph(_) | Self::Results(_) | Self::Workers(_) => {}
        }
    }

    /// Follows a change of the site or of the time. Returns what to load.
    pub(super) fn sync(&mut self, context: &PageContext<'_>) -> Option<StoreRequest> {
        match self {
            Self::Timeline(timeline) => return timeline.sync(context),
            Self::Changes(table) => return table.sync(context),
            Self::History(_) => {}
            Self::Graph(graph) => graph.sync(context),
            Self::Results(table) => table.sync(context),
            Self::Workers(table) => table.sync(context),
        }
        None
    }

    /// When what it shows changes without a message.
    pub(super) fn next_tick(&self, context: &PageContext<'_>) -> Option<DateTime<Utc>> {
        match self {
            Self::Timeline(timeline) => timeline.next_tick(context),
            Self::Changes(_) => None,
            // A running job counts seconds.
            Self::History(_) | Self::Graph(_) | Self::Results(_) | Self::Workers(_) => {
                let is_running = context.site.queues().iter().any(|(_, queue)| !queue.running.is_empty());
                let millis = 1_000 - i64::from(context.now.timestamp_subsec_millis());
                is_running.then(|| context.now + TimeDelta::milliseconds(millis))
            }
        }
    }

    /// The action that opens it.
    pub(super) fn action(&self) -> Action {
        match self {
            Self::Timeline(_) => Action::Timeline,
            Self::History(_) => Action::History,
            Self::Graph(_) => Action::Graph,
            Self::Results(_) => Action::Results,
            Self::Changes(_) => Action::Changes,
            Self::Workers(_) => Action::Workers,
        }
    }

    /// The keys that are hinted.
    pub(super) fn hints(&self) -> &'static [(&'static str, &'static str)] {
        match self {
            // Nothing ran.
            Self::Timeline(timeline) if timeline.selected_job().is_none() => &[
                ("Esc", "back"),
                ("+", "zoom in"),
                ("-", "zoom out"),
                ("h l", "pan"),
                (".", "now"),
                ("0", "all queues"),
            ],
            Self::Timeline(_) => &[
                ("Enter", "output"),
                ("Esc", "back"),
                ("j k", "job"),
                ("+", "zoom in"),
                ("-", "zoom out"),
                ("h l", "pan"),
                ("< >", "run"),
                (".", "now"),
                ("0", "all queues"),
            ],
            Self::History(_) => &[("Enter", "output"), ("Esc", "back"), ("h l", "run"), ("g G", "first/last")],
            Self::Graph(_) => &[
                ("Enter", "go to job"),
                ("Esc", "back"),
                ("j k", "job"),
                ("l", "needs of this job"),
                ("Tab", "queue/job"),
            ],
            Self::Results(_) => {
                &[("Enter", "output"), ("Esc", "back"), ("j k", "job"), ("h l", "sort by column"), ("c", "reverse")]
            }
            Self::Changes(_) => &[
                ("Enter", "output"),
                ("Esc", "back"),
                ("j k", "job"),
                ("+", "longer ago"),
                ("-", "less long ago"),
                ("0", "this queue/all"),
            ],
            Self::Workers(table) if table.selected_job().is_none() => &[("Esc", "back"), ("j k", "job")],
            Self::Workers(_) => &[("Enter", "output"), ("Esc", "back"), ("j k", "job")],
        }
    }
}
