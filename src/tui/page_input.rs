//! Opens pages, and passes keys and changes to the page that is open.

use chrono::{DateTime, Utc};

use crate::model::{Job, JobId, Phase, Run, RunId, RunPeriod, RunSpan};

use super::action::{Action, Group};
use super::changes_table::ChangesTable;
use super::dialog::Dialog;
use super::effect::{Effect, StoreRequest};
use super::keys::KeyPress;
use super::needs_graph::NeedsGraph;
use super::page::ScreenPage;
use super::page_context::{PageContext, PageResponse};
use super::results_table::ResultsTable;
use super::run_chart::RunChart;
use super::state::Screen;
use super::status_line::Severity;
use super::timeline::Timeline;
use super::workers_table::WorkersTable;

/// How many finished jobs are searched for one of a matrix.
const MAX_SEARCHED_JOBS: usize = 20_000;

impl Screen {
    /// The page that an action opens; the error says why there is none.
    pub(super) fn page_of(&self, action: Action) -> Result<ScreenPage, String> {
        if !self.has_queue() {
            return Err("There are no queues yet.".to_owned());
        }
        let selected = self.selected_job().map(|job| job.id);
        let queue = (!self.lists.shows_all_queues()).then(|| self.queue.id().clone());
        Ok(match action {
            Action::History => ScreenPage::History(RunChart::new(self.require_selected()?.id)),
            Action::Graph => {
                // A job without needs shows nothing; its queue may have some.
                let has_needs = |id: &JobId| {
                    self.site.read(|site| {
                        let needs = site.job(*id).is_some_and(|job| !job.needs.is_empty());
                        needs || site.dependents_of(*id).next().is_some()
                    })
                };
                let queue = self.selected_job().map_or_else(|| self.queue.id().clone(), |job| job.queue);
                ScreenPage::Graph(NeedsGraph::new(queue, selected.filter(has_needs)))
            }
            Action::Results => {
                let job = self.require_selected()?;
                let none = || format!("{} has no matrix or list of items to compare.", job.id);
                if job.definition.matrix.is_some() {
                    ScreenPage::Results(ResultsTable::new(job.id))
                } else {
                    let mut table = ResultsTable::new(self.latest_result().ok_or_else(none)?);
                    // The best one.
                    table.selected = None;
                    ScreenPage::Results(table)
                }
            }
            Action::Changes => ScreenPage::Changes(ChangesTable::new(self.queue.id().clone())),
            Action::Workers => ScreenPage::Workers(WorkersTable::default()),
            _ => ScreenPage::Timeline(Timeline::new(queue, selected)),
        })
    }

    /// The shown job of a matrix or list that finished last.
    fn latest_result(&self) -> Option<JobId> {
        self.queue.read(|record, site| {
            let jobs = self.lists.rows(record, Phase::Finished).iter().take(MAX_SEARCHED_JOBS);
            let of_matrix = jobs.filter_map(|id| site.job(id)).filter(|job| job.definition.matrix.is_some());
            of_matrix.max_by_key(|job| job.result_run().map(|run| run.id)).map(|job| job.id)
        })
    }

    /// Handles a key press on a page.
    pub(super) fn press_on_page(&mut self, page: ScreenPage, key: KeyPress, now: DateTime<Utc>) -> Vec<Effect> {
        self.with_page(page, now, |page, context| page.press(key, context))
    }

    /// Handles a click on a row of the page that is open.
    pub(super) fn click_on_page(&mut self, row: usize, now: DateTime<Utc>) -> Vec<Effect> {
        match self.dialog.take() {
            Some(Dialog::Page(page)) => self.with_page(*page, now, |page, context| page.click(row, context)),
            other => {
                self.dialog = other;
                Vec::new()
            }
        }
    }

    fn with_page(
        &mut self,
        mut page: ScreenPage,
        now: DateTime<Utc>,
        handle: impl FnOnce(&mut ScreenPage, &PageContext<'_>) -> PageResponse,
    ) -> Vec<Effect> {
        match self.in_page_context(now, |context| handle(&mut page, context)) {
            PageResponse::KeepOpen => self.dialog = Some(Dialog::Page(Box::new(page))),
            PageResponse::Refuse(why) => {
                self.status_line.show(Severity::Warning, why, now);
                self.dialog = Some(Dialog::Page(Box::new(page)));
            }
            PageResponse::Close => {}
            PageResponse::GoTo(job) => drop(self.go_to_job(job, now)),
            PageResponse::ShowRun(job, run) => return self.show_output_of(job, run, now),
            PageResponse::Perform(action) => {
                // The action means the job that the page shows as selected, not that of the lists behind it.
                let is_on_job = is_on_selected_job(action);
                match page.selected() {
                    Some(job) if is_on_job || shows_selected_job(action) => {
                        if !self.go_to_job(job, now) {
                            return Vec::new();
                        }
                        self.lists.marks_mut().clear();
                    }
                    // The editor opens the file in any case.
                    None if is_on_job && action != Action::Edit => {
                        self.status_line.show(Severity::Warning, "No job is selected on this page.", now);
                        self.dialog = Some(Dialog::Page(Box::new(page)));
                        return Vec::new();
                    }
                    _ => {}
                }
                return self.perform_over(Dialog::Page(Box::new(page)), action, now);
            }
        }
        Vec::new()
    }

    /// Calls `read` with what pages know of the screen.
    pub(super) fn in_page_context<T>(&self, now: DateTime<Utc>, read: impl FnOnce(&PageContext<'_>) -> T) -> T {
        let (body, _) = self.layout().page();
        self.site.read(|site| {
            read(&PageContext {
                keymap: &self.settings.keymap,
                site,
                history: self.details.history(),
                width: body.width,
                height: body.height,
                now,
            })
        })
    }

    /// Keeps the page that is open in step with the site. Returns what to load.
    pub(super) fn sync_page(&mut self, now: DateTime<Utc>) -> Option<Effect> {
        let Some(Dialog::Page(mut page)) = self.dialog.take_if(|dialog| matches!(dialog, Dialog::Page(_))) else {
            return None;
        };
        let request = self.in_page_context(now, |context| page.sync(context));
        self.dialog = Some(Dialog::Page(page));
        request.map(Effect::Store)
    }

    /// Passes the runs of a period to the page that is open.
    pub(super) fn set_page_runs(&mut self, period: &RunPeriod, runs: Vec<RunSpan>, now: DateTime<Utc>) {
        if let Some(Dialog::Page(page)) = &mut self.dialog {
            match page.as_mut() {
                ScreenPage::Timeline(timeline) => timeline.set_runs(period, runs, now),
                ScreenPage::Changes(table) => self.site.read(|site| table.set_runs(period, runs, site)),
                ScreenPage::History(_) | ScreenPage::Graph(_) | ScreenPage::Results(_) | ScreenPage::Workers(_) => {}
            }
        }
    }

    /// Whether the history of a job is shown.
    pub(super) fn shows_run_chart(&self) -> bool {
        matches!(&self.dialog, Some(Dialog::Page(page)) if matches!(**page, ScreenPage::History(_)))
    }

    /// The job that a page or a search shows as selected, or else that of the lists.
    pub(super) fn job_in_focus(&self) -> Option<Job> {
        let selected = match &self.dialog {
            Some(Dialog::Page(page)) => page.selected(),
            Some(Dialog::SearchAll(search)) => search.selected_job(),
            _ => return self.selected_job(),
        };
        self.site.read(|site| site.job(selected?).cloned())
    }

    /// Selects a job in the lists, of whichever queue it is. Returns whether it still exists.
    pub(super) fn go_to_job(&mut self, id: JobId, now: DateTime<Utc>) -> bool {
        let Some(job) = self.site.read(|site| site.job(id).cloned()) else {
            self.status_line.show(Severity::Warning, format!("{id} was removed."), now);
            return false;
        };
        if !self.lists.shows_all_queues() {
            self.switch_queue(&job.queue);
        }
        self.close_tiles();
        let is_hidden = !self.lists.filter_text().is_empty()
            && self.queue.read(|record, site| self.lists.rows(record, job.phase()).row_of(job.id, site).is_none());
        if is_hidden {
            self.with_lists(|lists, _, site| lists.clear_filter(site));
        }
        self.lists.set_following(false);
        self.with_lists(|lists, _, site| {
            lists.focus_list(job.phase());
            lists.select(id, site);
        });
        true
    }

    /// Shows the output of a run full screen.
    fn show_output_of(&mut self, job: JobId, run: Option<RunId>, now: DateTime<Utc>) -> Vec<Effect> {
        let was_selected = self.selected_job().is_some_and(|selected| selected.id == job);
        if !self.go_to_job(job, now) {
            return Vec::new();
        }
        self.lists.focus_output(true);
        let latest = self.selected_job().and_then(|job| job.last_run.map(|run| run.id));
        // The latest run of another job is shown anyway; of the selected one, an earlier run may be shown.
        let is_shown = |run: RunId| if was_selected { self.pane().run() == Some(run) } else { latest == Some(run) };
        let other = run.or(latest).filter(|run| !is_shown(*run));
        other.map(|run| Effect::Store(StoreRequest::FindRun { job, run })).into_iter().collect()
    }

    /// Shows the output of a run that was found, unless another job is selected by now.
    pub(super) fn show_found_run(&mut self, job: JobId, run: Option<Run>, now: DateTime<Utc>) -> Option<Effect> {
        let Some(run) = run else {
            self.status_line.show(Severity::Warning, "That run was deleted.", now);
            return None;
        };
        if self.selected_job().is_none_or(|selected| selected.id != job) {
            return None;
        }
        let pane = self.pane_mut();
        let shown = pane.run()?;
        pane.show_run(shown, run)
    }
}

/// Whether an action changes the selected job.
fn is_on_selected_job(action: Action) -> bool {
    action.entry().is_some_and(|entry| entry.group == Group::Jobs) && super::actions::selects_job(action)
}

/// Whether an action opens a page about the selected job.
fn shows_selected_job(action: Action) -> bool {
    matches!(action, Action::History | Action::Graph | Action::Results)
}
