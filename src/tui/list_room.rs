//! How the lists share their room: it goes where the jobs are. An empty list keeps its title and one line.
//!
//! Sizes follow the jobs only when that shows clearly more of them, and nothing moves under a cursor that the user has
//! placed: the list that has it keeps its top edge and the row of the cursor, until the user goes to another list.

use chrono::DateTime;
use ratatui::layout::Size;

use crate::model::{Job, JobState, Phase, WaitReason};
use crate::text;

use super::job_label::JobLabel;
use super::outcome_text::finished_note;
use super::phases::phase_index;

/// The heights and the width of the lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ListRoom {
    /// The heights of pending, running and finished jobs, with their titles; zero until they are computed.
    pub heights: [u16; 3],
    /// The width of the lists beside the output, if long titles need more than the usual one.
    pub width: u16,
}

/// The area that the lists share with the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SharedArea {
    /// Whether the lists are above the output, not beside it.
    pub is_stacked: bool,
    /// Everything between header and status line.
    pub size: Size,
}

/// The row of the cursor that the user has placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldCursor {
    /// The list that has the cursor.
    pub list: Phase,
    /// Its row on the screen, counted from the first one of the list.
    pub row: usize,
}

/// The height of a list without jobs: its title and one line.
pub const MIN_LIST_HEIGHT: u16 = 2;
/// The height that the output keeps below the lists.
pub const MIN_OUTPUT_HEIGHT: u16 = 6;
/// Sizes change if this many more jobs become visible.
const WORTHWHILE_GAIN: u16 = 4;
/// Lists don't become wider for the rest of a longer text of how a job ended.
const MAX_NOTE_WIDTH: usize = 30;
/// The same for the reason why a job waits.
const MAX_REASON_WIDTH: usize = 40;
/// The lists become wider in steps of this many columns.
const WIDTH_STEP: u16 = 8;

impl ListRoom {
    /// Forgets the sizes: the next update follows the jobs exactly.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// Adapts the heights to the number of rows that each list has.
    pub fn update(&mut self, area: SharedArea, rows: [usize; 3], held: Option<HeldCursor>) {
        let wanted = rows.map(height_for);
        let ideal = ideal_heights(area, wanted);
        if self.heights == [0; 3] {
            self.heights = ideal;
            return;
        }
        let target = held.map_or(ideal, |held| self.around(held, area, wanted));
        if is_worthwhile(self.heights, target, wanted) {
            self.heights = target;
        }
    }

    /// Widens the lists so that a row of this width fits. They never become narrower.
    pub fn widen(&mut self, row_width: usize) {
        let wanted = u16::try_from(row_width).unwrap_or(u16::MAX).checked_next_multiple_of(WIDTH_STEP);
        self.width = self.width.max(wanted.unwrap_or(u16::MAX));
    }

    /// The best heights that keep the row of the cursor where it is.
    fn around(self, held: HeldCursor, area: SharedArea, wanted: [u16; 3]) -> [u16; 3] {
        let [pending, running, finished] = self.heights;
        let needed = height_for(held.row + 1);
        let index = phase_index(held.list);
        let mut wanted = wanted;
        wanted[index] = wanted[index].max(needed);
        if area.is_stacked {
            let ideal = ideal_heights(area, wanted);
            return match held.list {
                Phase::Finished => {
                    let rest = area.size.height.saturating_sub(pending.max(running));
                    [pending, running, finished_height(rest, wanted[2]).max(needed)]
                }
                _ => [ideal[0].max(needed), ideal[1].max(needed), ideal[2]],
            };
        }
        let total = pending + running + finished;
        match held.list {
            Phase::Pending => {
                let ideal = ideal_heights(area, wanted);
                let first = ideal[0].max(needed.min(pending));
                let mut rest = [wanted[1], wanted[2]];
                share(total - first, &mut rest);
                [first, rest[0], rest[1]]
            }
            Phase::Running => {
                let mut rest = [wanted[1], wanted[2]];
                share(running + finished, &mut rest);
                let second = rest[0].max(needed.min(running));
                [pending, second, running + finished - second]
            }
            Phase::Finished => {
                let mut rest = [wanted[0], wanted[1]];
                share(pending + running, &mut rest);
                [rest[0], rest[1], finished]
            }
        }
    }
}

/// The width that a job's row takes if nothing of it is cut.
pub fn row_width(job: &Job, wait_reason: Option<&WaitReason>, shows_queue: bool) -> usize {
    let title = JobLabel::of(job).width();
    let queue = if shows_queue { text::width(job.queue.as_str()) + 2 } else { 0 };
    let columns = match &job.state {
        // Signs, time and duration; a failure has a text too.
        JobState::Finished { .. } => 24 + text::width(&finished_note(job)).min(MAX_NOTE_WIDTH),
        JobState::Running { .. } => 24,
        JobState::Pending { .. } => {
            let waits = wait_reason.filter(|reason| {
                !matches!(reason, WaitReason::FreeSlot | WaitReason::QueueIdle | WaitReason::QueueStopped)
            });
            // The time matters little for the width.
            let note = waits.map(|reason| reason.describe(DateTime::UNIX_EPOCH)).unwrap_or_default();
            20_usize.max(7 + text::width(&note).min(MAX_REASON_WIDTH))
        }
    };
    title + queue + columns
}

/// The height of a list that shows this many rows, with its title.
fn height_for(rows: usize) -> u16 {
    u16::try_from(rows.saturating_add(1)).unwrap_or(u16::MAX).clamp(MIN_LIST_HEIGHT, u16::MAX / 4)
}

/// The heights without regard to those before.
fn ideal_heights(area: SharedArea, wanted: [u16; 3]) -> [u16; 3] {
    let height = area.size.height;
    if area.is_stacked {
        let (upper, shared) = (wanted[0].max(wanted[1]), height.saturating_sub(output_height(height)));
        let mut both = [upper, wanted[2]];
        if upper + wanted[2] > shared {
            share(shared, &mut both);
        }
        return [both[0], both[0], finished_height(height.saturating_sub(both[0]), wanted[2])];
    }
    let mut heights = wanted;
    share(height, &mut heights);
    heights
}

/// The height of finished jobs above the output, which gets what is left of `rest`: half of it, or more for more jobs.
fn finished_height(rest: u16, wanted: u16) -> u16 {
    if wanted <= MIN_LIST_HEIGHT {
        return MIN_LIST_HEIGHT;
    }
    let most = rest.saturating_sub(output_height(rest)).max(MIN_LIST_HEIGHT);
    wanted.clamp((rest / 2).min(most), most)
}

/// The least height of the output in an area of this height.
fn output_height(area: u16) -> u16 {
    (area / 3).max(MIN_OUTPUT_HEIGHT)
}

/// Shares `total` lines: who wants little gets all of it, the others get equal parts. What is left goes to the last.
fn share(total: u16, heights: &mut [u16]) {
    let wanted: Vec<u16> = heights.to_vec();
    let mut is_settled = vec![false; wanted.len()];
    let mut left = total;
    loop {
        let open = is_settled.iter().filter(|settled| !**settled).count();
        let Some(part) = left.checked_div(u16::try_from(open).unwrap_or(u16::MAX)) else { break };
        let modest = (0..wanted.len()).find(|index| !is_settled[*index] && wanted[*index] <= part);
        let Some(index) = modest else {
            let mut odd = left - part * u16::try_from(open).unwrap_or(0);
            for (height, _) in heights.iter_mut().zip(&is_settled).filter(|(_, settled)| !**settled) {
                *height = part + u16::from(odd > 0);
                odd = odd.saturating_sub(1);
            }
            return;
        };
        (heights[index], is_settled[index]) = (wanted[index], true);
        left -= wanted[index];
    }
    if let Some(last) = heights.last_mut() {
        *last += left;
    }
}

/// Whether these heights show enough more jobs to move anything.
fn is_worthwhile(before: [u16; 3], after: [u16; 3], wanted: [u16; 3]) -> bool {
    let gain = |index: usize| after[index].min(wanted[index]).saturating_sub(before[index]);
    let matters = |index: usize| {
        let shows_all = gain(index) > 0 && after[index] >= wanted[index];
        let shows_first = gain(index) > 0 && before[index] <= MIN_LIST_HEIGHT;
        let freed = before[index].saturating_sub(after[index]);
        let is_empty = wanted[index] == MIN_LIST_HEIGHT;
        let is_vacant = is_empty && (freed >= WORTHWHILE_GAIN || freed > 0 && (0..3).any(|other| gain(other) > 0));
        shows_all || shows_first || is_vacant
    };
    (0..3).map(gain).sum::<u16>() >= WORTHWHILE_GAIN || (0..3).any(matters)
}
