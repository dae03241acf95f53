//! Navigation: the cursor, the focus, the current queue, marks, sort order and filters.

use crate::model::{JobId, QueueId, RunId};
use crate::text::{count_noun, is_or_are};
use crate::tui::action::Action;
use crate::tui::dialog::Dialog;
use crate::tui::job_filter::{FAILURES_FILTER, split_failures_filter};
use crate::tui::job_lists::CursorMove;
use crate::tui::layout::{Focus, PHASES, phase_index};
use crate::tui::log_search::LogSearch;
use crate::tui::state::Screen;

/// What the key for the tiles does next.
#[derive(Debug)]
pub(super) enum TilesChange {
    /// Opens the tiles of this queue, or of all queues.
    Open(Option<QueueId>),
    /// Closes the tiles.
    Close,
}

impl Screen {
    /// Performs a navigation action; the error says why it is unavailable.
    pub(super) fn navigate(&mut self, action: Action) -> Result<(), String> {
        match action {
            Action::Back => self.back()?,
            Action::Open => {
                self.require_selected()?;
                match &mut self.tiles {
                    Some(tiles) => tiles.zoom = !tiles.zoom,
                    None => self.lists.focus_output(true),
                }
            }
            Action::Detail => self.toggle_details()?,
            Action::ZoomPane => match &mut self.tiles {
                Some(tiles) => tiles.zoom = !tiles.zoom,
                None => self.lists.toggle_zoom(),
            },
            Action::Tiles => match self.next_tiles()? {
                TilesChange::Open(queue) => self.open_tiles(queue),
                TilesChange::Close => self.close_tiles(),
            },
            Action::NextPane => self.move_focus(1),
            Action::PreviousPane => self.move_focus(3),
            Action::PreviousQueue => self.switch_to_adjacent_queue(false),
            Action::NextQueue => self.switch_to_adjacent_queue(true),
            Action::NthQueue(nth) => {
                let id = self.nth(usize::from(nth))?;
                self.switch_queue(&id);
            }
            Action::AllQueues => self.show_all_queues(),
            Action::Mark => self.mark()?,
            Action::MarkAll => self.mark_all()?,
            Action::Sort => {
                let sort = self.lists.sort().next();
                self.with_lists(|lists, _, site_state| lists.set_sort(sort, site_state));
            }
            other => self.move_cursor(other),
        }
        Ok(())
    }

    /// Whether `Back` has nowhere to go.
    pub(super) fn is_at_top_level(&self) -> bool {
        let focus = self.lists.focus();
        let lists = &self.lists;
        let is_narrowed = !lists.marks().is_empty() || !lists.filter_text().is_empty() || lists.shows_all_queues();
        let dismissed = self.file.error.is_some() && self.file.hidden;
        !(focus.output || focus.zoom || focus.details || is_narrowed || dismissed)
    }

    pub(super) fn top_level_text(&self) -> String {
        format!("This is the top level. Press {} to quit.", self.key(Action::Quit))
    }

    fn back(&mut self) -> Result<(), String> {
        let focus = self.lists.focus();
        let run = self.output.run().filter(|_| self.tiles.is_none());
        let came_from_search =
            |(_, opened): &mut (Box<LogSearch>, Option<RunId>)| focus.output && run.is_some() && *opened == run;
        if let Some((search, _)) = self.last_search.take_if(came_from_search) {
            self.lists.focus_list(focus.list);
            self.dialog = Some(Dialog::SearchAll(search));
        } else if let Some(tiles) = &mut self.tiles {
            if tiles.zoom {
                tiles.zoom = false;
            } else {
                self.close_tiles();
            }
        } else if focus.output || focus.zoom || focus.details {
            self.lists.focus_list(focus.list);
        } else if !self.lists.marks().is_empty() {
            self.lists.marks_mut().clear();
        } else if !self.lists.filter_text().is_empty() {
            self.with_lists(|lists, _, site_state| lists.clear_filter(site_state));
        } else if self.lists.shows_all_queues() {
            self.switch_queue(&self.queue.id().clone());
        } else if self.file.error.is_some() && self.file.hidden {
            self.file.hidden = false;
        } else {
            return Err(self.top_level_text());
        }
        Ok(())
    }

    /// Opens or closes the details.
    fn toggle_details(&mut self) -> Result<(), String> {
        self.require_selected()?;
        self.close_tiles();
        let focus = self.lists.focus();
        if focus.details {
            self.lists.focus_list(focus.list);
        } else {
            self.lists.focus_detail();
        }
        Ok(())
    }

    /// Moves the focus around the three lists and the output.
    fn move_focus(&mut self, by: usize) {
        if let Some(tiles) = &mut self.tiles {
            return tiles.move_focus(1, by == 1);
        }
        let focus = self.lists.focus();
        let now = if focus.output { PHASES.len() } else { phase_index(focus.list) };
        match PHASES.get((now + by) % (PHASES.len() + 1)) {
            Some(phase) => self.lists.focus_list(*phase),
            None => self.lists.focus_output(false),
        }
    }

    /// The next step of the tiles: this queue, all queues, closed.
    pub(super) fn next_tiles(&self) -> Result<TilesChange, String> {
        let queues: Vec<QueueId> = self.site.read(|site_state| {
            let running = site_state.queues().into_iter().filter(|(_, queue)| !queue.running.is_empty());
            running.map(|(id, _)| id.clone()).collect()
        });
        let here = !self.lists.shows_all_queues() && queues.contains(self.queue.id());
        Ok(match &self.tiles {
            None if queues.is_empty() => {
                return Err(format!("Nothing is running. Press {} to process this queue.", self.key(Action::Process)));
            }
            None => TilesChange::Open(here.then(|| self.queue.id().clone())),
            Some(tiles) if tiles.queue.is_some() && queues.len() > usize::from(here) => TilesChange::Open(None),
            Some(_) => TilesChange::Close,
        })
    }

    fn switch_to_adjacent_queue(&mut self, forward: bool) {
        let queues = self.queues();
        let here = queues.iter().position(|id| id == self.queue.id());
        let next = match here {
            _ if queues.is_empty() => return,
            // From all queues to the first or the last one.
            _ if self.lists.shows_all_queues() => {
                if forward {
                    0
                } else {
                    queues.len() - 1
                }
            }
            Some(here) => (here + if forward { 1 } else { queues.len() - 1 }) % queues.len(),
            None => return,
        };
        self.switch_queue(&queues[next]);
    }

    /// The nth queue, counted from 1.
    pub(in crate::tui) fn nth(&self, nth: usize) -> Result<QueueId, String> {
        let queues = self.queues();
        let queue = nth.checked_sub(1).and_then(|nth| queues.get(nth));
        let count = queues.len();
        queue.cloned().ok_or_else(|| format!("There {} only {}.", is_or_are(count), count_noun(count, "queue")))
    }

    fn queues(&self) -> Vec<QueueId> {
        self.site.read(|site_state| site_state.queues().into_iter().map(|(id, _)| id.clone()).collect())
    }

    /// Marks or unmarks the selected job, and moves to the next one.
    fn mark(&mut self) -> Result<(), String> {
        let job = self.require_selected()?;
        let marks = self.lists.marks_mut();
        if marks.contains(job.id) {
            marks.unmark(&[job.id]);
        } else {
            marks.mark(job.phase(), &[job.id]);
        }
        self.move_cursor(Action::Down);
        Ok(())
    }

    /// Marks all jobs of the focused list, or unmarks them if all are marked.
    fn mark_all(&mut self) -> Result<(), String> {
        let phase = self.lists.focus().list;
        let shown: Vec<JobId> = self.visible_jobs(phase)?;
        if shown.is_empty() {
            return Err(format!("Nothing to mark: no {} jobs are shown.", phase.as_str()));
        }
        let marks = self.lists.marks_mut();
        if marks.contains_all(phase, &shown) {
            marks.unmark(&shown);
        } else {
            marks.mark(phase, &shown);
        }
        Ok(())
    }

    /// The current filter with the filter for failures added in front, or removed.
    pub(super) fn toggled_failures_filter(&self) -> String {
        let text = self.lists.filter_text();
        match split_failures_filter(text) {
            (true, rest) => rest.to_owned(),
            (false, _) => format!("{FAILURES_FILTER} {text}").trim_end().to_owned(),
        }
    }

    /// How an action moves the cursor of the focused pane.
    pub(in crate::tui) fn cursor_move(&self, action: Action) -> CursorMove {
        let layout = self.layout();
        let focus = self.lists.focus();
        let page = match focus {
            Focus { details: true, .. } => usize::from(layout.details.height),
            Focus { output: true, .. } => usize::from(layout.output.height),
            _ => layout.rows(focus.list),
        };
        // One line of the previous page stays visible.
        let page = page.saturating_sub(1).max(1);
        let half = (page / 2).max(1);
        match action {
            Action::Down => CursorMove::Down(1),
            Action::Up => CursorMove::Up(1),
            Action::PageDown => CursorMove::Down(page),
            Action::PageUp => CursorMove::Up(page),
            Action::HalfDown => CursorMove::Down(half),
            Action::HalfUp => CursorMove::Up(half),
            Action::Last => CursorMove::Last,
            _ => CursorMove::First,
        }
    }

    fn move_cursor(&mut self, action: Action) {
        let (step, focus) = (self.cursor_move(action), self.lists.focus());
        if focus.details {
            self.details.move_scroll(step);
        } else if focus.output {
            let top = self.key(Action::First);
            // Fails only where nothing can be scrolled.
            let _ = self.pane_mut().scroll(step.into(), &top);
        } else {
            self.with_lists(|lists, record, _| lists.move_cursor(step, record));
        }
    }
}
