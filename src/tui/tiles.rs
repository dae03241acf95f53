//! The tiled view: the output of all jobs that run, side by side. A tile stays with its job when that has ended, until
//! its place is needed for another one.

use ratatui::layout::Rect;

use crate::model::{JobId, Ledger, QueueId, RunId, WindowSize};

use super::attend::Attendance;
use super::layout::Focus;
use super::pane::OutputPane;

/// The tiles, while they are open.
#[derive(Debug)]
pub(super) struct Tiles {
    /// The queue whose jobs are shown; none for all queues.
    pub(super) queue: Option<QueueId>,
    /// Where the focus was before.
    pub(super) before: Focus,
    places: Vec<Tile>,
    focus: usize,
    /// The tile with the focus has all the room.
    pub(super) zoom: bool,
    /// How many more jobs run than there is room for.
    pub(super) more: usize,
    /// The tile that reads on first the next time.
    turn: usize,
    busy: bool,
}

/// The output of one job among others.
#[derive(Debug)]
pub(super) struct Tile {
    pub(super) job: JobId,
    pub(super) pane: OutputPane,
    /// When it ended, counted in those that ended before.
    over: Option<usize>,
}

/// The least room for a tile, its title among that.
const NARROW: u16 = 24;
const LOW: u16 = 4;
/// Rather than being lower than this, tiles are narrower than output wants.
const COMFORTABLE: u16 = 6;
/// Lines of output want so much.
const WIDE: u16 = 58;
/// More are too many to be looked at.
const MOST: usize = 16;

impl Tiles {
    /// The running jobs of a queue, or of all.
    pub(super) fn new(queue: Option<QueueId>, before: Focus) -> Self {
        Self { queue, before, places: Vec::new(), focus: 0, zoom: false, more: 0, turn: 0, busy: false }
    }

    /// The tile with the focus.
    pub(super) fn focused(&self) -> Option<&Tile> {
        self.places.get(self.focus)
    }

    /// The tile with the focus.
    pub(super) fn focused_mut(&mut self) -> Option<&mut Tile> {
        self.places.get_mut(self.focus)
    }

    /// Gives the focus to a tile so many places on.
    pub(super) fn turn(&mut self, by: usize, forwards: bool) {
        let count = self.places.len().max(1);
        let by = by % count;
        self.focus = (self.focus + if forwards { by } else { count - by }) % count;
    }

    /// Gives the focus to the tile of a job, if it has one.
    pub(super) fn choose(&mut self, job: JobId) {
        self.focus = self.places.iter().position(|tile| tile.job == job).unwrap_or(self.focus);
    }

    /// Which tiles are in view, and where.
    pub(super) fn laid_out(&self, area: Rect) -> Vec<(usize, Rect)> {
        if self.zoom {
            return vec![(self.focus, area)];
        }
        grid(area, self.places.len()).into_iter().enumerate().collect()
    }

    /// A tile to be drawn.
    pub(super) fn tile_mut(&mut self, nth: usize) -> Option<&mut Tile> {
        self.places.get_mut(nth)
    }

    /// Finds a place for every job that runs, as far as there is room; nothing else moves. `like` is a pane whose ways new
    /// tiles take on.
    pub(super) fn arrange(&mut self, running: &[JobId], area: Rect, like: &OutputPane) {
        let room = room(area);
        let mut ended = self.places.iter().filter_map(|tile| tile.over).max().map_or(0, |last| last + 1);
        for tile in &mut self.places {
            let runs = running.contains(&tile.job);
            tile.over = tile.over.filter(|_| !runs).or_else(|| (!runs).then_some(ended));
            ended += usize::from(!runs);
        }
        while self.places.len() > room {
            let over = self.oldest();
            let last = (0..self.places.len()).rev().find(|nth| *nth != self.focus).unwrap_or(0);
            self.places.remove(over.unwrap_or(last));
            self.focus -= usize::from(over.unwrap_or(last) < self.focus);
        }
        self.more = 0;
        for job in running {
            if self.places.iter().any(|tile| tile.job == *job) {
                continue;
            }
            let tile = Tile { job: *job, pane: like.another(), over: None };
            match self.oldest() {
                Some(nth) => self.places[nth] = tile,
                None if self.places.len() < room => self.places.push(tile),
                None => self.more += 1,
            }
        }
    }

    /// The tile whose job ended first; the one with the focus is being looked at.
    fn oldest(&self) -> Option<usize> {
        let over = self.places.iter().enumerate().filter_map(|(nth, tile)| Some((tile.over?, nth)));
        over.filter(|(_, nth)| *nth != self.focus).min().map(|(_, nth)| nth)
    }

    /// The runs that are shown.
    pub(super) fn runs(&self) -> impl Iterator<Item = RunId> {
        self.places.iter().filter_map(|tile| tile.pane.run())
    }

    /// Brings each tile in line with its job.
    pub(super) fn show(&mut self, ledger: &Ledger) {
        for tile in &mut self.places {
            // What is attended to needn't be asked for.
            let _ = tile.pane.show(ledger.job(tile.job));
        }
    }

    /// Opens what can be read by now, and gives each tile its room.
    pub(super) fn open(&mut self, area: Rect, attendance: &Attendance) {
        for (nth, place) in self.laid_out(area) {
            let Some(tile) = self.places.get_mut(nth) else { continue };
            let text = text(place);
            if !text.is_empty() {
                // The size that runs begin with is the concern of the view of one job.
                let _ = tile.pane.fit(WindowSize { columns: text.width, rows: text.height });
            }
        }
        for tile in self.places.iter_mut().filter(|tile| !tile.pane.is_open()) {
            if let Some(run) = tile.pane.run()
                && let Some((reader, line)) = attendance.ends(run)
            {
                tile.pane.open(run, reader, line);
            }
        }
    }

    /// Reads on in one tile after the other, as long as `goes_on` says.
    pub(super) fn refresh(&mut self, mut goes_on: impl FnMut() -> bool) {
        let count = self.places.len();
        let mut left = count;
        while left > 0 {
            self.turn = (self.turn + 1) % count;
            self.places[self.turn].pane.refresh();
            left -= 1;
            if !goes_on() {
                break;
            }
        }
        self.busy = left > 0 || self.places.iter().any(|tile| tile.pane.has_more());
    }

    /// Whether there is more to read at once.
    pub(super) fn has_more(&self) -> bool {
        self.busy
    }
}

/// The tile without its title, and the column that keeps it apart.
pub(super) fn text(tile: Rect) -> Rect {
    let (column, line) = (tile.width.min(1), tile.height.min(1));
    Rect { x: tile.x + column, y: tile.y + line, width: tile.width - column, height: tile.height - line }
}

/// How many tiles there is room for.
fn room(area: Rect) -> usize {
    (usize::from(area.width / NARROW) * usize::from(area.height / LOW)).clamp(1, MOST)
}

/// So many places: lines of output want width first, then height.
fn grid(area: Rect, count: usize) -> Vec<Rect> {
    if count == 0 {
        return Vec::new();
    }
    let fits = |columns: usize| usize::from(area.height) / count.div_ceil(columns).max(1) >= usize::from(COMFORTABLE);
    let wide = usize::from(area.width / WIDE).clamp(1, count);
    let narrow = usize::from(area.width / NARROW).clamp(wide, count.max(wide));
    let columns = (wide..=narrow).find(|columns| fits(*columns)).unwrap_or(narrow);
    let rows = count.div_ceil(columns);
    let mut places = Vec::with_capacity(count);
    for row in 0..rows {
        // The first rows have one more where it doesn't come out even.
        let here = count / rows + usize::from(row < count % rows);
        let (top, bottom) = (part(area.height, row, rows), part(area.height, row + 1, rows));
        for column in 0..here {
            let (left, right) = (part(area.width, column, here), part(area.width, column + 1, here));
            places.push(Rect { x: area.x + left, y: area.y + top, width: right - left, height: bottom - top });
        }
    }
    places
}

/// Where the `nth` of `of` equal parts begins.
fn part(whole: u16, nth: usize, of: usize) -> u16 {
    u16::try_from(usize::from(whole) * nth / of).unwrap_or(whole)
}
