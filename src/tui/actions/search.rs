//! The search over the output of all jobs: opens it, and shows what it has found.

use chrono::{DateTime, Utc};

use super::plan::{ActionPlan, PlanResult};
use crate::model::Job;
use crate::tui::dialog::Dialog;
use crate::tui::effect::{Effect, StoreRequest};
use crate::tui::keys::KeyPress;
use crate::tui::log_search::{LogHit, LogSearch, LogSearchResponse};
use crate::tui::state::Screen;

impl Screen {
    /// Opens a new search.
    pub(super) fn plan_search(&self) -> PlanResult {
        if !self.has_queue() {
            return Err("There are no queues yet.".to_owned());
        }
        let cause = |job: Job| job.last_run?.end?.cause;
        let error = self.selected_job().and_then(cause).map(|cause| cause.detail.trim_end_matches('…').to_owned());
        let error = error.filter(|error| !error.is_empty());
        let search = LogSearch::new(self.queue.id().clone(), error);
        Ok(ActionPlan::open(Dialog::SearchAll(Box::new(search))))
    }

    /// Handles a key press in the search.
    pub(in crate::tui) fn press_in_search(
        &mut self,
        mut search: Box<LogSearch>,
        key: KeyPress,
        now: DateTime<Utc>,
    ) -> Vec<Effect> {
        let page = usize::from(self.layout().page().0.height.saturating_sub(2)).max(1);
        match search.press(key, page) {
            LogSearchResponse::KeepOpen => self.dialog = Some(Dialog::SearchAll(search)),
            LogSearchResponse::Search(request) => {
                self.dialog = Some(Dialog::SearchAll(search));
                return vec![Effect::Store(StoreRequest::SearchLogs(request))];
            }
            LogSearchResponse::Close => search.stop(),
            LogSearchResponse::Show(hit) => {
                search.stop();
                return self.show_hit(search, &hit, now);
            }
        }
        Vec::new()
    }

    /// Shows a line in the output of its run; `Esc` goes back to the search.
    fn show_hit(&mut self, search: Box<LogSearch>, hit: &LogHit, now: DateTime<Utc>) -> Vec<Effect> {
        let job = if self.go_to_job(hit.job, now) { self.selected_job() } else { None };
        let Some(job) = job.filter(|job| job.id == hit.job) else {
            self.dialog = Some(Dialog::SearchAll(search));
            return Vec::new();
        };
        self.lists.focus_output(true);
        let text = search.line.text().to_owned();
        self.last_search = Some((search, Some(hit.run.id)));
        self.output.show_place(&job, &hit.run, &text, hit.offset)
    }
}
