//! A column of the job details, with the helpers that its parts share.

use chrono::{DateTime, Utc};
use ratatui::style::{Modifier, Style};

use crate::model::{Job, RunId, SiteState};
use crate::text;
use crate::tui::details_pane::RunHistory;
use crate::tui::due_history::DueTimesPane;
use crate::tui::run_usage::RunUsage;
use crate::tui::sort_order::SortOrder;
use crate::tui::state::ScreenSettings;
use crate::tui::theme::Appearance;

use super::time_format;

/// A line as styled pieces.
pub(super) type DetailLine = Vec<(String, Style)>;

/// The most lines of a script, and the most runs, shown when the details are collapsed.
const MAX_COLLAPSED_LINES: usize = 6;

/// The details of a job, laid out for a column of this width.
pub(super) struct DetailColumn<'a> {
    pub(super) settings: &'a ScreenSettings,
    pub(super) site: &'a SiteState,
    pub(super) job: &'a Job,
    /// The runs of the job, once they are loaded.
    pub(super) history: Option<&'a RunHistory>,
    pub(super) due_times: &'a DueTimesPane,
    /// The run whose output is shown.
    pub(super) shown_run: Option<RunId>,
    /// Whether the details are expanded, so that nothing is left out.
    pub(super) is_expanded: bool,
    /// The order of the lists.
    pub(super) sort: SortOrder,
    /// What the job uses, if it is running.
    pub(super) usage: Option<RunUsage>,
    pub(super) now: DateTime<Utc>,
    pub(super) width: usize,
}

impl DetailColumn<'_> {
    pub(super) fn appearance(&self) -> &Appearance {
        &self.settings.appearance
    }

    pub(super) fn time_text(&self, at: DateTime<Utc>) -> String {
        let local = self.settings.local;
        time_format::format_time(local(at), local(self.now))
    }

    pub(super) fn history(&self) -> Option<&RunHistory> {
        self.history.filter(|_| self.job.last_run.is_some())
    }

    pub(super) fn job_label(&self, job: &Job) -> String {
        let is_current = job.queue == self.job.queue;
        text::sanitize_line(&match job.name() {
            Some(name) if is_current => name.to_owned(),
            None if is_current => job.id.to_string(),
            _ => job.path(),
        })
    }

    pub(super) fn heading(&self, heading: &str, note: &str) -> DetailLine {
        let bold = Style::new().add_modifier(Modifier::BOLD);
        vec![(heading.to_owned(), bold), (format!("  {note}"), self.appearance().theme.dim)]
    }

    /// Limits the number of lines and adds how many were left out. Returns all of them if the details are expanded.
    pub(super) fn limited(&self, mut lines: Vec<DetailLine>, what: &str) -> Vec<DetailLine> {
        let more = if self.is_expanded { 0 } else { lines.len().saturating_sub(MAX_COLLAPSED_LINES) };
        // Replacing a single line with a note would save nothing.
        if more > 1 {
            let appearance = self.appearance();
            lines.truncate(MAX_COLLAPSED_LINES);
            let more = text::count_noun(more, &format!("more {what}"));
            lines.push(vec![(format!("  {} {more}", appearance.symbols.ellipsis), appearance.theme.dim)]);
        }
        lines
    }
}
