//! The tiled view: the output of running jobs side by side. A tile keeps its job after the job has ended, until its place
//! is needed for another one.

use ratatui::layout::Rect;

use crate::model::{JobId, QueueId, RunId, SiteState, WindowSize};

use super::layout::Focus;
use super::output_pane::OutputPane;
use super::output_subscription::OutputSubscriptions;

/// The tiles, while they are open.
#[derive(Debug)]
pub(super) struct Tiles {
    /// The queue of the jobs; none for all queues.
    pub(super) queue: Option<QueueId>,
    /// The focus before the tiles were opened.
    pub(super) focus_before: Focus,
    items: Vec<Tile>,
    focus: usize,
    /// Whether the focused tile fills the area.
    pub(super) zoom: bool,
    /// How many running jobs don't fit.
    pub(super) hidden: usize,
    /// The tile that was read last.
    last_read: usize,
    has_more: bool,
}

/// The output of one job.
#[derive(Debug)]
pub(super) struct Tile {
    pub(super) job: JobId,
    pub(super) pane: OutputPane,
    /// The order in which the jobs ended; none while it is running.
    ended_order: Option<usize>,
}

/// The minimum size of a tile, including its title.
const MIN_WIDTH: u16 = 24;
const MIN_HEIGHT: u16 = 4;
/// Tiles become narrower than preferred to keep this height.
const PREFERRED_MIN_HEIGHT: u16 = 6;
/// The preferred width for lines of output.
const PREFERRED_WIDTH: u16 = 58;
/// The maximum number of tiles.
const MAX_TILES: usize = 16;

impl Tiles {
    /// Empty tiles for a queue, or for all queues.
    pub(super) fn new(queue: Option<QueueId>, before: Focus) -> Self {
        Self {
            queue,
            focus_before: before,
            items: Vec::new(),
            focus: 0,
            zoom: false,
            hidden: 0,
            last_read: 0,
            has_more: false,
        }
    }

    /// The tile with the focus.
    pub(super) fn focused(&self) -> Option<&Tile> {
        self.items.get(self.focus)
    }

    /// The tile with the focus.
    pub(super) fn focused_mut(&mut self) -> Option<&mut Tile> {
        self.items.get_mut(self.focus)
    }

    /// Moves the focus by a number of tiles.
    pub(super) fn move_focus(&mut self, by: usize, forwards: bool) {
        let count = self.items.len().max(1);
        let by = by % count;
        self.focus = (self.focus + if forwards { by } else { count - by }) % count;
    }

    /// Focuses the tile of a job, if there is one.
    pub(super) fn focus_job(&mut self, job: JobId) {
        self.focus = self.items.iter().position(|tile| tile.job == job).unwrap_or(self.focus);
    }

    /// The visible tiles with their areas.
    pub(super) fn layout(&self, area: Rect) -> Vec<(usize, Rect)> {
        if self.zoom {
            return vec![(self.focus, area)];
        }
        grid(area, self.items.len()).into_iter().enumerate().collect()
    }

    /// A tile by its index.
    pub(super) fn tile_mut(&mut self, nth: usize) -> Option<&mut Tile> {
        self.items.get_mut(nth)
    }

    /// Assigns a tile to every running job, as far as there is room, without moving other tiles. New tiles take the
    /// display options of `like`.
    pub(super) fn arrange(&mut self, running: &[JobId], area: Rect, like: &OutputPane) {
        let capacity = capacity(area);
        let mut ended = self.items.iter().filter_map(|tile| tile.ended_order).max().map_or(0, |last| last + 1);
        for tile in &mut self.items {
            let is_running = running.contains(&tile.job);
            tile.ended_order = tile.ended_order.filter(|_| !is_running).or_else(|| (!is_running).then_some(ended));
            ended += usize::from(!is_running);
        }
        while self.items.len() > capacity {
            let oldest = self.oldest_ended();
            let last = (0..self.items.len()).rev().find(|nth| *nth != self.focus).unwrap_or(0);
            self.items.remove(oldest.unwrap_or(last));
            self.focus -= usize::from(oldest.unwrap_or(last) < self.focus);
        }
        self.hidden = 0;
        for job in running {
            if self.items.iter().any(|tile| tile.job == *job) {
                continue;
            }
            let tile = Tile { job: *job, pane: like.with_same_options(), ended_order: None };
            match self.oldest_ended() {
                Some(nth) => self.items[nth] = tile,
                None if self.items.len() < capacity => self.items.push(tile),
                None => self.hidden += 1,
            }
        }
    }

    /// The tile whose job ended first, except the focused one.
    fn oldest_ended(&self) -> Option<usize> {
        let oldest = self.items.iter().enumerate().filter_map(|(nth, tile)| Some((tile.ended_order?, nth)));
        oldest.filter(|(_, nth)| *nth != self.focus).min().map(|(_, nth)| nth)
    }

    /// The runs of the tiles.
    pub(super) fn runs(&self) -> impl Iterator<Item = RunId> {
        self.items.iter().filter_map(|tile| tile.pane.run())
    }

    /// Updates each tile for the current state of its job.
    pub(super) fn show_jobs(&mut self, site_state: &SiteState) {
        for tile in &mut self.items {
            // The subscription opens the output.
            let _ = tile.pane.show_job(site_state.job(tile.job));
        }
    }

    /// Opens subscribed output, and resizes the tiles.
    pub(super) fn open(&mut self, area: Rect, subscriptions: &OutputSubscriptions) {
        for (nth, place) in self.layout(area) {
            let Some(tile) = self.items.get_mut(nth) else { continue };
            let text = inner_area(place, area);
            if !text.is_empty() {
                // Only the output pane sets the size of later runs.
                let _ = tile.pane.resize(WindowSize { columns: text.width, rows: text.height });
            }
        }
        for tile in self.items.iter_mut().filter(|tile| !tile.pane.is_open()) {
            if let Some(run) = tile.pane.run()
                && let Some((reader, input)) = subscriptions.reader_and_writer(run)
            {
                tile.pane.open(run, reader, input);
            }
        }
    }

    /// Reads more output in one tile after the other, while `continues` returns true.
    pub(super) fn refresh(&mut self, mut continues: impl FnMut() -> bool) {
        let count = self.items.len();
        let mut remaining = count;
        while remaining > 0 {
            self.last_read = (self.last_read + 1) % count;
            self.items[self.last_read].pane.refresh();
            remaining -= 1;
            if !continues() {
                break;
            }
        }
        self.has_more = remaining > 0 || self.items.iter().any(|tile| tile.pane.has_more());
    }

    /// Whether there is more output to read at once.
    pub(super) fn has_more(&self) -> bool {
        self.has_more
    }
}

/// A tile of `area` without its title, its left margin, and the border to the tile on its left.
pub(super) fn inner_area(tile: Rect, area: Rect) -> Rect {
    let border = u16::from(tile.x > area.x);
    let (column, line) = (tile.width.min(1 + border), tile.height.min(1));
    Rect { x: tile.x + column, y: tile.y + line, width: tile.width - column, height: tile.height - line }
}

/// How many tiles there is room for.
fn capacity(area: Rect) -> usize {
    (usize::from(area.width / MIN_WIDTH) * usize::from(area.height / MIN_HEIGHT)).clamp(1, MAX_TILES)
}

/// Areas for a number of tiles; the width is more important than the height.
fn grid(area: Rect, count: usize) -> Vec<Rect> {
    if count == 0 {
        return Vec::new();
    }
    let fits =
        |columns: usize| usize::from(area.height) / count.div_ceil(columns).max(1) >= usize::from(PREFERRED_MIN_HEIGHT);
    let wide = usize::from(area.width / PREFERRED_WIDTH).clamp(1, count);
    let narrow = usize::from(area.width / MIN_WIDTH).clamp(wide, count.max(wide));
    let columns = (wide..=narrow).find(|columns| fits(*columns)).unwrap_or(narrow);
    let rows = count.div_ceil(columns);
    let mut places = Vec::with_capacity(count);
    for row in 0..rows {
        // The first rows have one more if the count is uneven.
        let here = count / rows + usize::from(row < count % rows);
        let (top, bottom) = (part(area.height, row, rows), part(area.height, row + 1, rows));
        for column in 0..here {
            let (left, right) = (part(area.width, column, here), part(area.width, column + 1, here));
            places.push(Rect { x: area.x + left, y: area.y + top, width: right - left, height: bottom - top });
        }
    }
    places
}

/// The start of the `nth` of `of` equal parts.
fn part(whole: u16, nth: usize, of: usize) -> u16 {
    u16::try_from(usize::from(whole) * nth / of).unwrap_or(whole)
}
