//! What is expected of a job and of its queue, in the job details.

use ratatui::style::Style;

use crate::model::{ExpectationState, ScheduleTarget};
use crate::text;

use super::detail_column::{DetailColumn, DetailLine};
use super::job_row;

impl DetailColumn<'_> {
    /// By when the job, and its queue, should have succeeded, and whether they have.
    pub(super) fn expectations(&self) -> Vec<DetailLine> {
        let job = self.site.expectation(&ScheduleTarget::Job(self.job.id));
        let queue = self.site.expectation(&ScheduleTarget::Queue(self.job.queue.clone()));
        let job = job.into_iter().flat_map(|state| self.expectation("Expected", state));
        job.chain(queue.into_iter().flat_map(|state| self.expectation("Expected of the queue", state))).collect()
    }

    fn expectation(&self, heading: &str, state: &ExpectationState) -> Vec<DetailLine> {
        let (plain, theme) = (Style::new(), &self.appearance().theme);
        let mut lines =
            vec![DetailLine::new(), self.heading(heading, &text::sanitize_line(&state.expectation.to_string()))];
        let sign = self.appearance().symbols.overdue;
        if let Some(overdue) = state.overdue_at(self.now) {
            let text = job_row::overdue_text(overdue, self.settings, self.now);
            lines.push(vec![(format!("  {sign} {text}"), theme.failure)]);
        } else if let Some(next) = state.next_expected() {
            lines.push(vec![("  next ".to_owned(), theme.dim), (self.time_text(next), plain)]);
        }
        let last = state.last_success.map_or("none yet".to_owned(), |last| self.time_text(last));
        lines.push(vec![("  last success ".to_owned(), theme.dim), (last, plain)]);
        lines
    }
}
