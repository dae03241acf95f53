//! Draws the screen. Each view is given what it draws; only this file reads the state of the screen.

mod action_menu;
mod changes_table;
mod confirm_box;
mod detail_column;
mod dialog_box;
mod dialog_line;
mod empty_states;
mod expectation_details;
mod file_errors;
mod header;
mod idle_reason;
mod input_form;
mod job_details;
mod job_lists;
mod job_row;
mod job_state_text;
mod key_hints;
mod line_painter;
mod log_search;
mod matrix_results;
mod needs_graph;
mod needs_tree;
mod output_pane;
mod output_tiles;
mod output_title;
mod overview;
mod page_title;
mod page_view;
mod progress_bar;
mod results_table;
mod run_chart;
mod run_history;
mod run_table;
mod schedule_details;
mod status_line;
mod time_format;
mod timeline;
mod workers_table;

use chrono::{DateTime, Utc};
use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Position;

use crate::model::{Job, QueueMode, RunId, SiteState};

use super::action::Action;
use super::action_menu::ActionMenu;
use super::dialog::Dialog;
use super::layout::{LayoutKind, PHASES, ScreenLayout};
use super::mouse::ClickTargets;
use super::overview::Overview;
use super::page::ScreenPage;
use super::state::Screen;
use action_menu::MenuContext;
use confirm_box::ConfirmBox;
use dialog_line::DialogLine;
use file_errors::FileErrors;
use header::Header;
use idle_reason::IdleCheck;
use job_details::JobDetails;
use job_lists::ListView;
use key_hints::KeyHints;
use output_pane::OutputContext;
use output_tiles::TilesContext;
use overview::OverviewContext;
use page_view::PageView;
use status_line::StatusLineContent;

impl Screen {
    /// Draws the screen as of `now`. Returns the position of the terminal's cursor, if it is shown.
    pub fn draw(&mut self, frame: &mut Frame<'_>, now: DateTime<Utc>) -> Option<Position> {
        let layout = self.layout();
        // A terminal that has just shrunk may not have reported its new size yet.
        if frame.area().width < self.size.width || frame.area().height < self.size.height {
            return None;
        }
        let cursor = self.paint(&layout, frame.buffer_mut(), now);
        let cursor = cursor.map(Position::from);
        if let Some(cursor) = cursor {
            frame.set_cursor_position(cursor);
        }
        cursor
    }

    /// Fills the buffer. Returns the position of the terminal's cursor if there is an input line.
    fn paint(&mut self, layout: &ScreenLayout, buffer: &mut Buffer, now: DateTime<Utc>) -> Option<(u16, u16)> {
        if layout.kind == LayoutKind::TooSmall {
            let failed = self.site.read(|site| site.queues().iter().map(|(id, _)| site.failed_count(id)).sum());
            empty_states::draw_too_small(failed, &self.settings, layout.body, buffer);
            return None;
        }
        let mut targets = ClickTargets::default();
        self.draw_header(layout, buffer, &mut targets, now);
        let mut cursor = None;
        if let Some(Dialog::Menu(mut menu)) = self.dialog.take_if(|dialog| matches!(dialog, Dialog::Menu(_))) {
            self.draw_menu(&mut menu, layout, buffer, now);
            self.dialog = Some(Dialog::Menu(menu));
        } else if self.visible_file_error().is_some() {
            self.draw_file_errors(layout, buffer);
        } else if let Some(Dialog::Overview(mut overview)) =
            self.dialog.take_if(|dialog| matches!(dialog, Dialog::Overview(_)))
        {
            self.draw_overview(&mut overview, layout, buffer, &mut targets, now);
            self.dialog = Some(Dialog::Overview(overview));
        } else if let Some(Dialog::SearchAll(search)) = &mut self.dialog {
            let (area, details) = layout.page();
            log_search::draw(search, &self.settings, area, buffer, &mut targets, now);
            self.draw_page_details(&ScreenLayout { details, ..*layout }, buffer, now);
        } else if let Some(Dialog::Page(page)) = &self.dialog {
            self.draw_page(page, layout, buffer, &mut targets, now);
            let (_, details) = layout.page();
            self.draw_page_details(&ScreenLayout { details, ..*layout }, buffer, now);
        } else if !self.has_queue() {
            empty_states::draw_no_queues(&self.settings, layout.body, buffer);
        } else {
            self.draw_lists(layout, buffer, &mut targets, now);
            cursor = self.draw_output(layout, buffer, now);
            self.draw_details(layout, buffer, now);
        }
        self.draw_hints(layout, buffer, &mut targets);
        if let Some(Dialog::Confirm { question, yes, on_no, .. }) = &self.dialog {
            let no = on_no.as_ref().map(|(label, _)| *label);
            ConfirmBox { question, yes, no }.draw(&self.settings.appearance, layout.body, buffer, &mut targets);
            // The cursor of the job's terminal would show through the box.
            cursor = None;
        }
        if let Some(Dialog::Inputs(form)) = &mut self.dialog {
            cursor = input_form::draw(form, &self.settings.appearance, layout.body, buffer, &mut targets);
        }
        self.click_targets = targets;
        self.draw_status_line(layout, buffer, now).or(cursor)
    }

    fn idle_check<'a>(&'a self, site: &'a SiteState, now: DateTime<Utc>) -> IdleCheck<'a> {
        IdleCheck { settings: &self.settings, site, reports_missing_worker: self.reports_missing_worker(now), now }
    }

    fn draw_header(&self, layout: &ScreenLayout, buffer: &mut Buffer, targets: &mut ClickTargets, now: DateTime<Utc>) {
        let stats = self.queue_stats(now);
        let (shows_all_queues, outage) = (self.lists.shows_all_queues(), self.outage.as_ref());
        if self.has_queue() {
            self.queue.read(|queue, site| {
                let queue = Some((self.queue.id(), queue));
                Header { idle: self.idle_check(site, now), queue, shows_all_queues, stats: &stats, outage }
                    .draw(layout, buffer, targets);
            });
        } else {
            self.site.read(|site| {
                Header { idle: self.idle_check(site, now), queue: None, shows_all_queues, stats: &stats, outage }
                    .draw(layout, buffer, targets);
            });
        }
    }

    fn draw_menu(&self, menu: &mut ActionMenu, layout: &ScreenLayout, buffer: &mut Buffer, now: DateTime<Utc>) {
        let context = MenuContext {
            settings: &self.settings,
            unavailable_reason: &|action| self.unavailable_reason(action, now),
            queue: &|number| self.nth(usize::from(number)).ok(),
        };
        action_menu::draw(menu, &context, layout.body, buffer);
    }

    fn draw_overview(
        &self,
        overview: &mut Overview,
        layout: &ScreenLayout,
        buffer: &mut Buffer,
        targets: &mut ClickTargets,
        now: DateTime<Utc>,
    ) {
        self.site.read(|site| {
            let context = OverviewContext {
                idle: self.idle_check(site, now),
                stats: &|id, queue| self.stats_of(id, queue, site, now),
            };
            context.draw(overview, layout.body, buffer, targets);
        });
    }

    fn draw_page(
        &self,
        page: &ScreenPage,
        layout: &ScreenLayout,
        buffer: &mut Buffer,
        targets: &mut ClickTargets,
        now: DateTime<Utc>,
    ) {
        let (settings, history, (area, _)) = (&self.settings, self.details.history(), layout.page());
        self.site.read(|site| {
            let view = PageView { settings, site, history, now };
            match page {
                ScreenPage::Timeline(timeline) => view.draw_timeline(timeline, area, buffer, targets),
                ScreenPage::History(chart) => view.draw_history(chart, area, buffer, targets),
                ScreenPage::Graph(graph) => view.draw_needs(graph, area, buffer, targets),
                ScreenPage::Results(table) => view.draw_results(table, area, buffer, targets),
                ScreenPage::Changes(table) => view.draw_changes(table, area, buffer, targets),
                ScreenPage::Workers(table) => view.draw_workers(table, area, buffer, targets),
            }
        });
    }

    fn draw_file_errors(&mut self, layout: &ScreenLayout, buffer: &mut Buffer) {
        let can_dismiss = self.has_queue();
        if let Some(error) = &self.file.error {
            let errors = FileErrors { text: &error.text, problem: error.problem, can_dismiss };
            file_errors::draw(&errors, &mut self.file.scroll, &self.settings, layout.body, buffer);
        }
    }

    fn draw_lists(&self, layout: &ScreenLayout, buffer: &mut Buffer, targets: &mut ClickTargets, now: DateTime<Utc>) {
        self.queue.read(|queue, site| {
            let view = ListView {
                lists: &self.lists,
                queue_id: self.queue.id(),
                queue,
                subscriptions: &self.subscriptions,
                usages: &self.usages,
                idle: self.idle_check(site, now),
            };
            view.draw_tabs(layout, buffer, targets);
            for phase in PHASES {
                view.draw(phase, layout, buffer);
            }
        });
        for divider in layout.dividers {
            job_lists::draw_divider(&self.settings.appearance, divider, buffer);
        }
    }

    fn draw_output(&mut self, layout: &ScreenLayout, buffer: &mut Buffer, now: DateTime<Utc>) -> Option<(u16, u16)> {
        if let Some(tiles) = &mut self.tiles {
            let context = TilesContext { settings: &self.settings, site: &self.site, typing: self.typing, now };
            return output_tiles::draw(tiles, &context, layout.output, buffer);
        }
        let job = self.selected_job();
        let context = OutputContext {
            settings: &self.settings,
            job: job.as_ref(),
            can_approve: self.selected_approval().is_some(),
            is_focused: self.lists.focus().output,
            typing: self.typing,
            now,
        };
        output_pane::draw(&mut self.output, &context, layout, buffer)
    }

    fn draw_details(&mut self, layout: &ScreenLayout, buffer: &mut Buffer, now: DateTime<Utc>) {
        let job = self.selected_job();
        let mut scroll = self.details.scroll;
        self.draw_details_of(job.as_ref(), self.output.run(), &mut scroll, layout, buffer, now);
        self.details.scroll = scroll;
    }

    /// Draws the details of the job that a page or a search shows as selected.
    fn draw_page_details(&self, layout: &ScreenLayout, buffer: &mut Buffer, now: DateTime<Utc>) {
        self.draw_details_of(self.job_in_focus().as_ref(), None, &mut 0, layout, buffer, now);
    }

    fn draw_details_of(
        &self,
        job: Option<&Job>,
        shown_run: Option<RunId>,
        scroll: &mut usize,
        layout: &ScreenLayout,
        buffer: &mut Buffer,
        now: DateTime<Utc>,
    ) {
        if layout.details.is_empty() {
            return;
        }
        self.site.read(|site| {
            let details = JobDetails {
                settings: &self.settings,
                site,
                job,
                history: self.details.history(),
                due_times: &self.due_times,
                shown_run,
                is_expanded: self.lists.focus().details,
                sort: self.lists.sort(),
                usage: job.and_then(|job| self.usage_of(job)),
                now,
            };
            details.draw(scroll, layout, buffer);
        });
    }

    fn draw_hints(&self, layout: &ScreenLayout, buffer: &mut Buffer, targets: &mut ClickTargets) {
        let hints = KeyHints {
            settings: &self.settings,
            typing: self.typing,
            dialog: self.dialog.as_ref(),
            is_output_focused: self.lists.focus().output,
            can_type: self.can_type().is_ok(),
            can_fix: self.can_fix(),
            can_approve: self.selected_approval().is_some(),
            has_queue: self.has_queue(),
            shows_file_errors: self.visible_file_error().is_some(),
        };
        hints.draw(layout.hints, buffer, targets);
    }

    /// The keys of the first minutes that were not used yet and do now what is said; `None` if there are none, or where
    /// other keys count.
    fn first_hints(&self, now: DateTime<Utc>) -> Option<Vec<(String, &'static str)>> {
        if !self.has_queue() || self.dialog.is_some() {
            return None;
        }
        let focus = self.lists.focus();
        let is_true = |action: Action| match action {
            // It would pause the queue.
            Action::Process => self.queue.read(|queue, _| queue.mode != QueueMode::Processing),
            Action::Open => self.tiles.is_none() && !focus.details && !(focus.output && focus.zoom),
            _ => true,
        };
        let left = self.settings.hints.left().filter(|(action, _)| is_true(*action));
        let left = left.filter(|(action, _)| self.unavailable_reason(*action, now).is_none());
        let left: Vec<_> = left.map(|(action, does)| (self.key(*action), *does)).collect();
        (!left.is_empty()).then_some(left)
    }

    fn draw_status_line(&self, layout: &ScreenLayout, buffer: &mut Buffer, now: DateTime<Utc>) -> Option<(u16, u16)> {
        let job = self.job_in_focus();
        let line = if let Some(dialog) = self.dialog.as_ref().filter(|dialog| shows_line(dialog)) {
            let error = match (dialog, &self.outage) {
                (Dialog::Filter(_), _) => self.lists.query_error().map(ToString::to_string),
                (Dialog::Add(_) | Dialog::SearchAll(_), Some(outage)) => Some(outage.reason()),
                _ => None,
            };
            StatusLineContent::Dialog(DialogLine { dialog, queue: self.queue.id(), error: error.unwrap_or_default() })
        } else if let Some(status) = self.status_line.shown() {
            StatusLineContent::Status(status)
        } else if let Some(error) = &self.file.error {
            StatusLineContent::FileErrors { error, has_valid_version: self.has_queue() }
        } else if self.has_queue() && self.site.read(|site| self.idle_check(site, now).lacks_worker(self.queue.id())) {
            StatusLineContent::NoWorker(self.queue.id())
        } else if let Some(hints) = self.first_hints(now) {
            StatusLineContent::Hints(hints)
        } else if let Some(job) = job.as_ref().filter(|_| !matches!(self.dialog, Some(Dialog::Overview(_)))) {
            StatusLineContent::Job(job, self.site.read(|site| site.wait_reason(job)))
        } else {
            StatusLineContent::Empty
        };
        line.draw(&self.settings, layout.status_line, buffer, now)
    }
}

/// Whether a dialog is shown in the status line.
fn shows_line(dialog: &Dialog) -> bool {
    match dialog {
        Dialog::Confirm { .. } | Dialog::Inputs(_) | Dialog::Page(_) => false,
        Dialog::Menu(menu) => menu.is_typing,
        Dialog::Overview(overview) => overview.is_typing,
        Dialog::Add(_) | Dialog::Filter(_) | Dialog::Search(_) | Dialog::SearchAll(_) => true,
    }
}
