//! The cursor in the lists of one queue. It is on a job, never on a row: rows come and go, the job stays chosen.
//!
//! When the chosen job of the list with the focus starts, finishes or is run again, the focus goes with it, so that a
//! key always meets the job that the person had chosen, and its output stays in view. When somebody cancels a waiting
//! job or removes one, the cursor stays where it is and its neighbour is chosen, so that the next one can be dealt
//! with. A list with the focus keeps the row of the cursor still while rows come and go above it.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use crate::model::{JobId, Ledger, Outcome, Phase, Query, QueryError, QueueId, QueueRecord};

use super::filter::{Filter, Rows};
use super::layout::{Focus, Layout, PHASES, index};
use super::sort::Sort;

/// Cursor, scroll positions, marks and filter of one queue's lists, or of those of all queues.
#[derive(Debug)]
pub struct Lists {
    focus: Focus,
    panes: [Pane; 3],
    /// The queue that is shown; without one, all of them are.
    queue: Option<QueueId>,
    query: Query,
    /// What is wrong with it; the rest of it holds.
    fault: Option<QueryError>,
    sort: Sort,
    /// None while the lists show a queue as it is.
    filter: Option<Filter>,
    /// The list in which the cursor was before a filter took it to what it finds.
    home: Option<Phase>,
    /// The filter is a new one, and the cursor has not gone to what it finds yet.
    seeking: bool,
    marks: BTreeSet<JobId>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Pane {
    /// None until the pane had the focus: it shows its top until then.
    chosen: Option<JobId>,
    /// The row of the chosen job when it was last looked up.
    row: usize,
    /// The first row shown.
    offset: usize,
}

/// A move of the cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// This many rows down.
    Down(usize),
    /// This many rows up.
    Up(usize),
    /// To the top.
    First,
    /// To the end.
    Last,
}

impl Lists {
    /// The lists of a queue as they are first seen: the focus is on what runs, else on what waits, else on what is done.
    pub fn new(queue: QueueId, record: &QueueRecord) -> Self {
        Self::showing(Some(queue), |phase| !record.list(phase).is_empty())
    }

    /// The lists of all queues together.
    pub fn of_all(ledger: &Ledger) -> Self {
        let queues = ledger.queues();
        let mut lists = Self::showing(None, |phase| queues.iter().any(|(_, queue)| !queue.list(phase).is_empty()));
        lists.refilter(ledger);
        lists
    }

    fn showing(queue: Option<QueueId>, has: impl Fn(Phase) -> bool) -> Self {
        let busy = [Phase::Running, Phase::Pending, Phase::Finished];
        let list = busy.into_iter().find(|phase| has(*phase)).unwrap_or(Phase::Pending);
        Self {
            focus: Focus::on(list),
            panes: Default::default(),
            queue,
            fault: None,
            query: Query::default(),
            sort: Sort::default(),
            filter: None,
            home: None,
            seeking: false,
            marks: BTreeSet::new(),
        }
    }

    /// Whether the jobs of all queues are shown.
    pub fn is_of_all(&self) -> bool {
        self.queue.is_none()
    }

    /// What has the focus.
    pub fn focus(&self) -> Focus {
        self.focus
    }

    /// Gives the focus to a list.
    pub fn focus_list(&mut self, list: Phase) {
        self.home = None;
        self.focus = Focus::on(list);
    }

    /// Gives the focus to the output, in its pane or in the whole screen.
    pub fn focus_output(&mut self, zoom: bool) {
        self.focus = Focus { output: true, zoom, ..Focus::on(self.focus.list) };
    }

    /// Gives the whole screen to the details of the job.
    pub fn focus_detail(&mut self) {
        self.focus = Focus { detail: true, ..Focus::on(self.focus.list) };
    }

    /// Gives the list with the focus the whole screen, or takes it back.
    pub fn toggle_zoom(&mut self) {
        self.focus = Focus { zoom: !self.focus.zoom, detail: false, ..self.focus };
    }

    /// The job under the cursor.
    pub fn chosen(&self) -> Option<JobId> {
        self.panes[index(self.focus.list)].chosen
    }

    /// The job that has, or would have, the cursor in a list.
    pub fn chosen_in(&self, phase: Phase) -> Option<JobId> {
        self.panes[index(phase)].chosen
    }

    /// The first row that a list shows.
    pub fn offset(&self, phase: Phase) -> usize {
        self.panes[index(phase)].offset
    }

    /// What the lists are filtered by, as it was typed; empty where they aren't.
    pub fn filter_text(&self) -> &str {
        self.query.text()
    }

    /// Why a part of what was typed makes no sense as a filter.
    pub fn fault(&self) -> Option<&QueryError> {
        self.fault.as_ref()
    }

    /// The order of the lists.
    pub fn sort(&self) -> Sort {
        self.sort
    }

    /// Whether jobs are still being looked for.
    pub fn is_scanning(&self) -> bool {
        self.filter.as_ref().is_some_and(Filter::is_scanning)
    }

    /// What was found, for those who keep it up to date.
    pub fn filter_mut(&mut self) -> Option<&mut Filter> {
        self.filter.as_mut()
    }

    /// Shows the jobs that a query finds, as far as it makes sense.
    pub fn set_filter(&mut self, text: &str, ledger: &Ledger, now: DateTime<Utc>) {
        (self.query, self.fault) = Query::so_far(text, now);
        self.home.get_or_insert(self.focus.list);
        self.seeking = true;
        let (query, plain) = (self.query.clone(), self.is_plain());
        match &mut self.filter {
            Some(filter) if !plain => filter.change(query, ledger),
            _ => self.refilter(ledger),
        }
    }

    /// Shows all jobs.
    pub fn clear_filter(&mut self, ledger: &Ledger) {
        self.fault = None;
        (self.home, self.seeking) = (None, false);
        self.query = Query::default();
        self.refilter(ledger);
    }

    /// Shows the jobs in another order.
    pub fn set_sort(&mut self, sort: Sort, ledger: &Ledger) {
        self.sort = sort;
        self.refilter(ledger);
    }

    /// Looks for all jobs anew, when nobody knows what has changed.
    pub fn refilter(&mut self, ledger: &Ledger) {
        let found = || Filter::new(self.query.clone(), self.sort, self.queue.clone(), ledger);
        self.filter = if self.is_plain() { None } else { Some(found()) };
    }

    /// Whether a queue is shown as it is.
    fn is_plain(&self) -> bool {
        self.query.finds_all() && self.sort == Sort::Queue && self.queue.is_some()
    }

    /// The marked jobs, in no order that anybody sees.
    pub fn marks(&self) -> &BTreeSet<JobId> {
        &self.marks
    }

    /// Marks jobs, or takes their marks away.
    pub fn mark(&mut self, jobs: impl IntoIterator<Item = JobId>, marked: bool) {
        for job in jobs {
            if marked {
                self.marks.insert(job);
            } else {
                self.marks.remove(&job);
            }
        }
    }

    /// Takes all marks away.
    pub fn unmark(&mut self) {
        self.marks.clear();
    }

    /// What a list shows.
    pub fn rows<'a>(&'a self, record: &'a QueueRecord, phase: Phase) -> Rows<'a> {
        rows(self.filter.as_ref(), record, phase)
    }

    /// Puts the cursor on a job, wherever it is.
    pub fn choose(&mut self, id: JobId, ledger: &Ledger) {
        if let Some(job) = ledger.job(id) {
            self.focus.list = job.phase();
            self.panes[index(job.phase())].chosen = Some(id);
        }
    }

    /// Moves the cursor in the list that has it.
    pub fn step(&mut self, step: Step, record: &QueueRecord) {
        self.home = None;
        let rows = rows(self.filter.as_ref(), record, self.focus.list);
        let pane = &mut self.panes[index(self.focus.list)];
        let Some(last) = rows.len().checked_sub(1) else { return };
        pane.row = match step {
            Step::Down(by) => pane.row.saturating_add(by).min(last),
            Step::Up(by) => pane.row.saturating_sub(by).min(last),
            Step::First => 0,
            Step::Last => last,
        };
        pane.chosen = rows.get(pane.row);
    }

    /// Puts the cursor of the list that has it on a row, if there is one.
    pub fn go_to(&mut self, row: usize, record: &QueueRecord) {
        let Some(id) = self.rows(record, self.focus.list).get(row) else { return };
        let pane = &mut self.panes[index(self.focus.list)];
        (pane.row, pane.chosen) = (row, Some(id));
    }

    /// Brings cursor and scroll positions in line with what is in the lists now, and with the room there is.
    pub fn settle(&mut self, record: &QueueRecord, ledger: &Ledger, layout: &Layout) {
        self.go_with_the_job(ledger);
        self.go_to_what_is_found(record);
        for phase in PHASES {
            let rows = rows(self.filter.as_ref(), record, phase);
            let scanning = self.filter.as_ref().is_some_and(Filter::is_scanning);
            let has_cursor = self.focus.list == phase;
            let pane = &mut self.panes[index(phase)];
            match pane.chosen.map(|id| (id, rows.row(id, ledger))) {
                Some((_, Some(row))) => {
                    if has_cursor || pane.offset > 0 {
                        pane.offset = (pane.offset + row).saturating_sub(pane.row);
                    }
                    pane.row = row;
                }
                // It may yet be found.
                Some((_, None)) if scanning => {}
                Some((_, None)) => {
                    pane.row = pane.row.min(rows.len().saturating_sub(1));
                    pane.chosen = rows.get(pane.row);
                }
                None if has_cursor => {
                    pane.row = pane.offset;
                    pane.chosen = rows.get(pane.row);
                }
                None => {}
            }
            pane.scroll(rows.len(), layout.rows(phase), has_cursor);
        }
    }

    /// A cursor in a list in which nothing matches would show nothing, while what was looked for is elsewhere.
    fn go_to_what_is_found(&mut self, record: &QueueRecord) {
        let (true, Some(home), false) = (self.seeking, self.home, self.is_scanning()) else { return };
        self.seeking = false;
        let order = [home, Phase::Running, Phase::Pending, Phase::Finished];
        let found = order.into_iter().find(|phase| !self.rows(record, *phase).is_empty());
        self.focus.list = found.unwrap_or(home);
    }

    fn go_with_the_job(&mut self, ledger: &Ledger) {
        let left = self.focus.list;
        let Some(job) = self.chosen().and_then(|id| ledger.job(id)) else { return };
        let cancelled = left == Phase::Pending && job.outcome() == Some(&Outcome::Cancelled);
        let elsewhere = self.queue.as_ref().is_some_and(|queue| job.queue != *queue);
        if elsewhere || job.phase() == left || cancelled {
            return;
        }
        self.focus.list = job.phase();
        self.panes[index(job.phase())].chosen = Some(job.id);
    }
}

impl Pane {
    fn scroll(&mut self, len: usize, height: usize, has_cursor: bool) {
        if has_cursor && height > 0 {
            self.offset = self.offset.min(self.row).max((self.row + 1).saturating_sub(height));
        }
        self.offset = self.offset.min(len.saturating_sub(height));
    }
}

fn rows<'a>(filter: Option<&'a Filter>, record: &'a QueueRecord, phase: Phase) -> Rows<'a> {
    match filter {
        Some(filter) => filter.rows(phase),
        None => Rows::All(record.list(phase), phase),
    }
}
