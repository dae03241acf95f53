//! What moves on the screen: the cursor, the focus, the queue in front; what is marked, sorted and filtered.

use crate::model::{JobId, QueueId};
use crate::tui::action::Action;
use crate::tui::layout::{Focus, PHASES, index};
use crate::tui::lists::Step;
use crate::tui::state::Screen;

/// The filter for what went wrong.
const FAILURES: &str = "state:failed,interrupted";

/// What the key for the tiles leads to.
#[derive(Debug)]
pub(super) enum Tiling {
    /// The tiles of this queue, or of all.
    Of(Option<QueueId>),
    /// No tiles any more.
    Over,
}

impl Screen {
    /// Moves what an action moves; the error says why nothing moves.
    pub(super) fn turn_to(&mut self, action: Action) -> Result<(), String> {
        match action {
            Action::Back => self.back()?,
            Action::Open => {
                self.chosen_or_why()?;
                match &mut self.tiles {
                    Some(tiles) => tiles.zoom = !tiles.zoom,
                    None => self.lists.focus_output(true),
                }
            }
            Action::Detail => self.turn_detail()?,
            Action::Zoom => match &mut self.tiles {
                Some(tiles) => tiles.zoom = !tiles.zoom,
                None => self.lists.toggle_zoom(),
            },
            Action::Tiles => match self.next_tiles()? {
                Tiling::Of(queue) => self.open_tiles(queue),
                Tiling::Over => self.close_tiles(),
            },
            Action::NextPane => self.turn(1),
            Action::PreviousPane => self.turn(3),
            Action::PreviousQueue => self.turn_queue(false),
            Action::NextQueue => self.turn_queue(true),
            Action::NthQueue(nth) => {
                let id = self.nth(usize::from(nth))?;
                self.show(&id);
            }
            Action::AllQueues => self.show_all(),
            Action::Mark => self.mark()?,
            Action::MarkAll => self.mark_all()?,
            Action::Sort => {
                let sort = self.lists.sort().next();
                self.with_lists(|lists, _, ledger| lists.set_sort(sort, ledger));
            }
            other => self.travel(other),
        }
        Ok(())
    }

    /// Whether there is no level to go back from.
    pub(super) fn is_at_the_top(&self) -> bool {
        let focus = self.lists.focus();
        let lists = &self.lists;
        let chosen = !lists.marks().is_empty() || !lists.filter_text().is_empty() || lists.is_of_all();
        let put_away = self.file.broken.is_some() && self.file.hidden;
        !(focus.output || focus.zoom || focus.detail || chosen || put_away)
    }

    pub(super) fn top_level(&self) -> String {
        format!("this is the top level; {} quits", self.key(Action::Quit))
    }

    fn back(&mut self) -> Result<(), String> {
        let focus = self.lists.focus();
        if let Some(tiles) = &mut self.tiles {
            if tiles.zoom {
                tiles.zoom = false;
            } else {
                self.close_tiles();
            }
        } else if focus.output || focus.zoom || focus.detail {
            self.lists.focus_list(focus.list);
        } else if !self.lists.marks().is_empty() {
            self.lists.unmark();
        } else if !self.lists.filter_text().is_empty() {
            self.with_lists(|lists, _, ledger| lists.clear_filter(ledger));
        } else if self.lists.is_of_all() {
            self.show(&self.queue.id().clone());
        } else if self.file.broken.is_some() && self.file.hidden {
            self.file.hidden = false;
        } else {
            return Err(self.top_level());
        }
        Ok(())
    }

    /// Opens the details, or closes them.
    fn turn_detail(&mut self) -> Result<(), String> {
        self.chosen_or_why()?;
        self.close_tiles();
        let focus = self.lists.focus();
        if focus.detail {
            self.lists.focus_list(focus.list);
        } else {
            self.lists.focus_detail();
        }
        Ok(())
    }

    /// The focus goes round: the three lists, then the output.
    fn turn(&mut self, by: usize) {
        if let Some(tiles) = &mut self.tiles {
            return tiles.turn(1, by == 1);
        }
        let focus = self.lists.focus();
        let now = if focus.output { PHASES.len() } else { index(focus.list) };
        match PHASES.get((now + by) % (PHASES.len() + 1)) {
            Some(phase) => self.lists.focus_list(*phase),
            None => self.lists.focus_output(false),
        }
    }

    /// Which tiles are next: those of this queue, those of all queues, then none.
    pub(super) fn next_tiles(&self) -> Result<Tiling, String> {
        let queues: Vec<QueueId> = self.site.read(|ledger| {
            let running = ledger.queues().into_iter().filter(|(_, queue)| !queue.running.is_empty());
            running.map(|(id, _)| id.clone()).collect()
        });
        let here = !self.lists.is_of_all() && queues.contains(self.queue.id());
        Ok(match &self.tiles {
            None if queues.is_empty() => {
                return Err(format!("nothing runs; {} processes this queue", self.key(Action::Process)));
            }
            None => Tiling::Of(here.then(|| self.queue.id().clone())),
            Some(tiles) if tiles.queue.is_some() && queues.len() > usize::from(here) => Tiling::Of(None),
            Some(_) => Tiling::Over,
        })
    }

    fn turn_queue(&mut self, forward: bool) {
        let queues = self.queues();
        let here = queues.iter().position(|id| id == self.queue.id());
        let next = match here {
            _ if queues.is_empty() => return,
            // From all queues to the first or the last of them.
            _ if self.lists.is_of_all() => {
                if forward {
                    0
                } else {
                    queues.len() - 1
                }
            }
            Some(here) => (here + if forward { 1 } else { queues.len() - 1 }) % queues.len(),
            None => return,
        };
        self.show(&queues[next]);
    }

    /// The nth queue, counted from 1.
    pub(in crate::tui) fn nth(&self, nth: usize) -> Result<QueueId, String> {
        let queues = self.queues();
        let queue = nth.checked_sub(1).and_then(|nth| queues.get(nth));
        queue.cloned().ok_or_else(|| match queues.len() {
            1 => "there is only 1 queue".to_owned(),
            count => format!("there are only {count} queues"),
        })
    }

    fn queues(&self) -> Vec<QueueId> {
        self.site.read(|ledger| ledger.queues().into_iter().map(|(id, _)| id.clone()).collect())
    }

    /// Marks the job under the cursor, or takes its mark away, and goes to the next.
    fn mark(&mut self) -> Result<(), String> {
        let job = self.chosen_or_why()?.id;
        let marked = self.lists.marks().contains(&job);
        self.lists.mark([job], !marked);
        self.travel(Action::Down);
        Ok(())
    }

    /// Marks all jobs that the list with the focus shows; when they all are marked, takes their marks away.
    fn mark_all(&mut self) -> Result<(), String> {
        let phase = self.lists.focus().list;
        let shown: Vec<JobId> = self.all_shown(phase)?;
        if shown.is_empty() {
            return Err(format!("there is nothing to mark: nothing {} is shown", phase.word()));
        }
        let all = shown.iter().all(|job| self.lists.marks().contains(job));
        self.lists.mark(shown, !all);
        Ok(())
    }

    /// What a filter for failures only makes of the filter that there is: it is put before it, or taken away.
    pub(super) fn failures_only(&self) -> String {
        let text = self.lists.filter_text();
        match text.strip_prefix(FAILURES) {
            Some(rest) if rest.is_empty() || rest.starts_with(' ') => rest.trim_start().to_owned(),
            _ => format!("{FAILURES} {text}").trim_end().to_owned(),
        }
    }

    fn travel(&mut self, action: Action) {
        let layout = self.layout();
        let focus = self.lists.focus();
        let page = match focus {
            Focus { detail: true, .. } => usize::from(layout.detail.height),
            Focus { output: true, .. } => usize::from(layout.output.height),
            _ => layout.rows(focus.list),
        };
        // A line of the page before stays in view.
        let page = page.saturating_sub(1).max(1);
        let half = (page / 2).max(1);
        let step = match action {
            Action::Down => Step::Down(1),
            Action::Up => Step::Up(1),
            Action::PageDown => Step::Down(page),
            Action::PageUp => Step::Up(page),
            Action::HalfDown => Step::Down(half),
            Action::HalfUp => Step::Up(half),
            Action::Last => Step::Last,
            _ => Step::First,
        };
        if focus.detail {
            self.detail.step(step);
        } else if focus.output {
            let top = self.key(Action::First);
            // There may be nothing to scroll yet, which is plain to see.
            let _ = self.pane_mut().scroll(step.into(), &top);
        } else {
            self.with_lists(|lists, record, _| lists.step(step, record));
        }
    }
}
