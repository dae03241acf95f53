//! The cursor in the lists of one queue. It is on a job, not on a row: rows come and go, the job stays selected.
//!
//! When the selected job of the focused list starts, finishes or is run again, the focus follows it, so that a key always
//! acts on the job that the user selected, and its output stays visible. When a pending job is cancelled or a job is
//! removed, the cursor stays where it is and selects the neighbour. The focused list keeps the row of the cursor in
//! place while rows come and go above it.

use chrono::{DateTime, Utc};
use ratatui::layout::Size;

use crate::model::{Job, JobId, Outcome, Phase, Query, QueryError, QueueId, QueueMode, QueueState, SiteState};

use super::job_filter::{JobFilter, ListRows};
use super::layout::{Focus, PHASES, layout, phase_index, shared_area};
use super::list_room::{HeldCursor, ListRoom, row_width};
use super::marks::Marks;
use super::sort_order::SortOrder;

/// Cursor, scroll positions, marks and filter of the lists of one queue, or of all queues.
#[derive(Debug)]
pub struct JobLists {
    focus: Focus,
    cursors: [ListCursor; 3],
    /// The queue that is shown; none for all queues.
    queue: Option<QueueId>,
    query: Query,
    /// The error in the query; its valid part is in effect.
    query_error: Option<QueryError>,
    sort: SortOrder,
    /// None while the lists show a whole queue in its order.
    filter: Option<JobFilter>,
    /// The list that had the cursor before a filter moved it to a match.
    list_before_filter: Option<Phase>,
    /// Whether the cursor is still to move to the first match of a new filter.
    awaits_match: bool,
    marks: Marks,
    /// Whether the cursor follows the newest job, until the user moves it.
    follows_newest: bool,
    /// The room of each list.
    room: ListRoom,
    /// The size of the terminal for which it was computed.
    size: Size,
}

/// While a queue is processing, room for this many running jobs is kept.
const MAX_RUNNING_ROOM: usize = 6;

#[derive(Clone, Copy, Debug, Default)]
struct ListCursor {
    /// None until the list has had the focus; it shows its top until then.
    selected: Option<JobId>,
    /// The row of the selected job when it was looked up last.
    row: usize,
    /// The first visible row.
    offset: usize,
}

/// A move of the cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CursorMove {
    /// This many rows down.
    Down(usize),
    /// This many rows up.
    Up(usize),
    /// To the top.
    First,
    /// To the end.
    Last,
}

impl JobLists {
    /// The lists of a queue, with the focus on running jobs, else on pending jobs, else on finished ones.
    pub fn new(queue: QueueId, record: &QueueState) -> Self {
        Self::with_focus_on(Some(queue), |phase| !record.jobs_in(phase).is_empty())
    }

    /// The lists of all queues together.
    pub fn all_queues(site_state: &SiteState) -> Self {
        let queues = site_state.queues();
        let mut lists =
            Self::with_focus_on(None, |phase| queues.iter().any(|(_, queue)| !queue.jobs_in(phase).is_empty()));
        lists.refilter(site_state);
        lists
    }

    fn with_focus_on(queue: Option<QueueId>, has: impl Fn(Phase) -> bool) -> Self {
        let order = [Phase::Running, Phase::Pending, Phase::Finished];
        let list = order.into_iter().find(|phase| has(*phase)).unwrap_or(Phase::Pending);
        Self {
            focus: Focus::on(list),
            cursors: Default::default(),
            queue,
            query_error: None,
            query: Query::default(),
            sort: SortOrder::default(),
            filter: None,
            list_before_filter: None,
            awaits_match: false,
            marks: Marks::default(),
            follows_newest: true,
            room: ListRoom::default(),
            size: Size::ZERO,
        }
    }

    /// Whether the jobs of all queues are shown.
    pub fn shows_all_queues(&self) -> bool {
        self.queue.is_none()
    }

    /// The focus.
    pub fn focus(&self) -> Focus {
        self.focus
    }

    /// The room of the lists.
    pub fn room(&self) -> ListRoom {
        self.room
    }

    /// Lets the lists take the room that their jobs need, when they are shown again.
    pub fn reset_room(&mut self) {
        self.room.reset();
    }

    /// Focuses a list.
    pub fn focus_list(&mut self, list: Phase) {
        self.list_before_filter = None;
        if list != self.focus.list {
            self.room.reset();
        }
        self.focus = Focus::on(list);
    }

    /// Focuses the output, in its pane or, with `zoom`, in the whole screen.
    pub fn focus_output(&mut self, zoom: bool) {
        self.focus = Focus { output: true, zoom, ..Focus::on(self.focus.list) };
    }

    /// Shows the details full screen.
    pub fn focus_detail(&mut self) {
        self.focus = Focus { details: true, ..Focus::on(self.focus.list) };
    }

    /// Zooms the focused pane in or out.
    pub fn toggle_zoom(&mut self) {
        self.focus = Focus { zoom: !self.focus.zoom, details: false, ..self.focus };
    }

    /// The job under the cursor.
    pub fn selected(&self) -> Option<JobId> {
        self.cursors[phase_index(self.focus.list)].selected
    }

    /// The job that the cursor of a list is on.
    pub fn selected_in(&self, phase: Phase) -> Option<JobId> {
        self.cursors[phase_index(phase)].selected
    }

    /// The first visible row of a list.
    pub fn offset(&self, phase: Phase) -> usize {
        self.cursors[phase_index(phase)].offset
    }

    /// The filter as it was typed; empty without one.
    pub fn filter_text(&self) -> &str {
        self.query.text()
    }

    /// The error in the filter, if it has one.
    pub fn query_error(&self) -> Option<&QueryError> {
        self.query_error.as_ref()
    }

    /// The order of the lists.
    pub fn sort(&self) -> SortOrder {
        self.sort
    }

    /// Whether a scan for matches is in progress.
    pub fn is_scanning(&self) -> bool {
        self.filter.as_ref().is_some_and(JobFilter::is_scanning)
    }

    /// The filter, to keep it up to date.
    pub fn filter_mut(&mut self) -> Option<&mut JobFilter> {
        self.filter.as_mut()
    }

    /// Filters the lists by the valid part of a query.
    pub fn set_filter(&mut self, text: &str, site_state: &SiteState, now: DateTime<Utc>) {
        (self.query, self.query_error) = Query::parse_partial(text, now);
        self.list_before_filter.get_or_insert(self.focus.list);
        self.awaits_match = true;
        self.room.reset();
        let (query, unfiltered) = (self.query.clone(), self.is_unfiltered());
        match &mut self.filter {
            Some(filter) if !unfiltered => filter.set_query(query, site_state),
            _ => self.refilter(site_state),
        }
    }

    /// Removes the filter.
    pub fn clear_filter(&mut self, site_state: &SiteState) {
        self.query_error = None;
        self.room.reset();
        (self.list_before_filter, self.awaits_match) = (None, false);
        self.query = Query::default();
        self.refilter(site_state);
    }

    /// Sorts the lists.
    pub fn set_sort(&mut self, sort: SortOrder, site_state: &SiteState) {
        self.sort = sort;
        self.refilter(site_state);
    }

    /// Scans all jobs again, after an unknown change.
    pub fn refilter(&mut self, site_state: &SiteState) {
        let filter = || JobFilter::new(self.query.clone(), self.sort, self.queue.clone(), site_state);
        self.filter = if self.is_unfiltered() { None } else { Some(filter()) };
    }

    /// Whether the lists show a whole queue in its order.
    fn is_unfiltered(&self) -> bool {
        self.query.is_empty() && self.sort == SortOrder::Queue && self.queue.is_some()
    }

    /// The marked jobs.
    pub fn marks(&self) -> &Marks {
        &self.marks
    }

    /// The marked jobs, to change them.
    pub fn marks_mut(&mut self) -> &mut Marks {
        &mut self.marks
    }

    /// The rows of a list.
    pub fn rows<'a>(&'a self, record: &'a QueueState, phase: Phase) -> ListRows<'a> {
        rows(self.filter.as_ref(), record, phase)
    }

    /// Sets whether the cursor follows the newest job.
    pub fn set_following(&mut self, follows_newest: bool) {
        self.follows_newest = follows_newest;
    }

    /// Moves the cursor and the focus to a job.
    pub fn select(&mut self, id: JobId, site_state: &SiteState) {
        if let Some(job) = site_state.job(id) {
            self.focus.list = job.phase();
            self.cursors[phase_index(job.phase())].selected = Some(id);
        }
    }

    /// Moves the cursor in the focused list.
    pub fn move_cursor(&mut self, step: CursorMove, record: &QueueState) {
        self.list_before_filter = None;
        let rows = rows(self.filter.as_ref(), record, self.focus.list);
        if rows.is_empty() {
            return;
        }
        let row = self.row_after(step, record);
        let selected = rows.get(row);
        let cursor = &mut self.cursors[phase_index(self.focus.list)];
        (cursor.row, cursor.selected) = (row, selected);
    }

    /// The row to which the cursor moves in the focused list.
    pub fn row_after(&self, step: CursorMove, record: &QueueState) -> usize {
        let row = self.cursors[phase_index(self.focus.list)].row;
        let last = self.rows(record, self.focus.list).len().saturating_sub(1);
        match step {
            CursorMove::Down(by) => row.saturating_add(by).min(last),
            CursorMove::Up(by) => row.saturating_sub(by).min(last),
            CursorMove::First => 0,
            CursorMove::Last => last,
        }
    }

    /// Moves the cursor of the focused list to a row, if it exists.
    pub fn select_row(&mut self, row: usize, record: &QueueState) {
        let Some(id) = self.rows(record, self.focus.list).get(row) else { return };
        let cursor = &mut self.cursors[phase_index(self.focus.list)];
        (cursor.row, cursor.selected) = (row, Some(id));
    }

    /// Updates cursor, room and scroll positions for the current jobs and the size of the terminal.
    pub fn sync(&mut self, record: &QueueState, site_state: &SiteState, size: Size) {
        self.follow_selected_job(site_state);
        self.follow_newest_job(record, site_state);
        self.focus_first_match(record);
        for phase in PHASES {
            let rows = rows(self.filter.as_ref(), record, phase);
            let scanning = self.filter.as_ref().is_some_and(JobFilter::is_scanning);
            let has_cursor = self.focus.list == phase;
            let cursor = &mut self.cursors[phase_index(phase)];
            match cursor.selected.map(|id| (id, rows.row_of(id, site_state))) {
                Some((_, Some(row))) => {
                    if has_cursor || cursor.offset > 0 {
                        cursor.offset = (cursor.offset + row).saturating_sub(cursor.row);
                    }
                    cursor.row = row;
                }
                // The scan may still find it.
                Some((_, None)) if scanning => {}
                Some((_, None)) => {
                    cursor.row = cursor.row.min(rows.len().saturating_sub(1));
                    cursor.selected = rows.get(cursor.row);
                }
                None if has_cursor => {
                    cursor.row = cursor.offset;
                    cursor.selected = rows.get(cursor.row);
                }
                None => {}
            }
        }
        self.update_room(record, size);
        let layout = layout(size, self.focus, self.room);
        for phase in PHASES {
            let rows = rows(self.filter.as_ref(), record, phase);
            let cursor = &mut self.cursors[phase_index(phase)];
            cursor.scroll(rows.len(), layout.rows(phase), self.focus.list == phase);
            let shown = (cursor.offset..rows.len()).take(layout.rows(phase));
            let jobs = shown.filter_map(|row| site_state.job(rows.get(row)?));
            let widest =
                jobs.map(|job| row_width(job, site_state.wait_reason(job).as_ref(), self.queue.is_none())).max();
            self.room.widen(widest.unwrap_or(0));
        }
        let selected = self.selected();
        if let Some(filter) = self.filter.as_mut().filter(|filter| !filter.is_scanning()) {
            filter.keep(selected, site_state);
        }
    }

    /// Adapts the room of the lists to the jobs that they show.
    fn update_room(&mut self, record: &QueueState, size: Size) {
        if size != self.size {
            self.size = size;
            self.room.reset();
        }
        let mut counts = PHASES.map(|phase| rows(self.filter.as_ref(), record, phase).len());
        // The list of running jobs doesn't change its height whenever one ends and the next one starts.
        if self.is_unfiltered() && record.mode == QueueMode::Processing && counts[0] + counts[1] > 0 {
            let slots = usize::try_from(record.settings.max_parallel()).unwrap_or(usize::MAX);
            counts[1] = counts[1].max(slots.min(MAX_RUNNING_ROOM).min(counts[0] + counts[1]));
        }
        let is_held = !self.follows_newest || self.sort != SortOrder::Queue || !self.query.is_empty();
        let cursor = &self.cursors[phase_index(self.focus.list)];
        let held = HeldCursor { list: self.focus.list, row: cursor.row.saturating_sub(cursor.offset) };
        self.room.update(shared_area(size), counts, (is_held && cursor.selected.is_some()).then_some(held));
    }

    /// Selects the newest running job once the selected one is no longer running; without any, a job that needs approval, or
    /// the newest finished job.
    fn follow_newest_job(&mut self, record: &QueueState, site_state: &SiteState) {
        let phase = self.selected().and_then(|id| site_state.job(id)).map(Job::phase);
        if !self.follows_newest
            || self.sort != SortOrder::Queue
            || !self.query.is_empty()
            || phase == Some(Phase::Running)
        {
            return;
        }
        let running = self.rows(record, Phase::Running);
        let newest_running = running.len().checked_sub(1).and_then(|last| running.get(last));
        let newest_finished = || self.rows(record, Phase::Finished).get(0).filter(|_| phase == Some(Phase::Finished));
        let approval = || {
            let mut due = self.queue.iter().flat_map(|queue| site_state.approvals_due(queue));
            due.next().map(|job| job.id)
        };
        if let Some(job) = newest_running.or_else(approval).or_else(newest_finished) {
            self.select(job, site_state);
        }
    }

    /// Focuses a list with matches once the scan for a new filter is complete.
    fn focus_first_match(&mut self, record: &QueueState) {
        let (true, Some(list_before_filter), false) = (self.awaits_match, self.list_before_filter, self.is_scanning())
        else {
            return;
        };
        self.awaits_match = false;
        let order = [list_before_filter, Phase::Running, Phase::Pending, Phase::Finished];
        let found = order.into_iter().find(|phase| !self.rows(record, *phase).is_empty());
        self.focus.list = found.unwrap_or(list_before_filter);
    }

    /// Moves the focus to the list that the selected job has moved to.
    fn follow_selected_job(&mut self, site_state: &SiteState) {
        let previous = self.focus.list;
        let Some(job) = self.selected().and_then(|id| site_state.job(id)) else { return };
        let cancelled = previous == Phase::Pending && job.outcome() == Some(&Outcome::Cancelled);
        let elsewhere = self.queue.as_ref().is_some_and(|queue| job.queue != *queue);
        if elsewhere || job.phase() == previous || cancelled {
            return;
        }
        self.focus.list = job.phase();
        self.cursors[phase_index(job.phase())].selected = Some(job.id);
    }
}

impl ListCursor {
    fn scroll(&mut self, len: usize, height: usize, has_cursor: bool) {
        if has_cursor && height > 0 {
            self.offset = self.offset.min(self.row).max((self.row + 1).saturating_sub(height));
        }
        self.offset = self.offset.min(len.saturating_sub(height));
    }
}

fn rows<'a>(filter: Option<&'a JobFilter>, record: &'a QueueState, phase: Phase) -> ListRows<'a> {
    match filter {
        Some(filter) => filter.rows(phase),
        None => ListRows::All(record.jobs_in(phase), phase),
    }
}
