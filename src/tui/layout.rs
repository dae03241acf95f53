//! The layout: a pure function of the terminal's size, of the focus, and of the room that the lists have.

use ratatui::layout::{Rect, Size};

use crate::model::Phase;

pub use super::phases::{PHASES, phase_index};

use super::list_room::{ListRoom, MIN_LIST_HEIGHT, MIN_OUTPUT_HEIGHT, SharedArea};

/// Where the focus is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Focus {
    /// The list that has the cursor, or had it last.
    pub list: Phase,
    /// Whether the output has the focus, not the list.
    pub output: bool,
    /// Whether the focused pane fills the screen.
    pub zoom: bool,
    /// Whether the details of the job fill the screen.
    pub details: bool,
}

impl Focus {
    /// Focuses a list.
    pub fn on(list: Phase) -> Self {
        Self { list, output: false, zoom: false, details: false }
    }
}

/// The kind of layout for a size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayoutKind {
    /// The terminal is too small for jobs.
    TooSmall,
    /// One list with a tab per state.
    Tabs,
    /// Lists above the output.
    Stacked,
    /// Lists on the left, output on the right.
    Wide,
}

/// The areas of the screen. Hidden ones are empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScreenLayout {
    /// The kind of layout.
    pub kind: LayoutKind,
    /// The tabs of the queues.
    pub header: Rect,
    /// The statistics of the queue.
    pub stats: Rect,
    /// The tabs of the states, in [`LayoutKind::Tabs`].
    pub phase_tabs: Rect,
    /// Everything between header and status line.
    pub body: Rect,
    /// Pending, running, finished; the first line of each is its title, except in [`LayoutKind::Tabs`].
    pub lists: [Rect; 3],
    /// The output; its first line is its title.
    pub output: Rect,
    /// The details of the selected job; the first line is the title.
    pub details: Rect,
    /// The lines between lists, output and details, in [`LayoutKind::Wide`].
    pub dividers: [Rect; 2],
    /// The status line.
    pub status_line: Rect,
    /// The key hints.
    pub hints: Rect,
}

/// The smallest terminal in which jobs are shown.
pub const MIN_SIZE: Size = Size { width: 40, height: 10 };
/// Smaller terminals show one list at a time, with a tab per phase.
const MIN_STACKED_SIZE: Size = Size { width: 80, height: 20 };
/// From this height on, there is a line for statistics.
const MIN_STATS_HEIGHT: u16 = 24;
/// From this width on, the output is beside the lists.
const MIN_WIDE_WIDTH: u16 = 110;
/// From this size on, the details are below the output.
const MIN_DETAILS_SIZE: Size = Size { width: 160, height: 36 };
/// The lines above and below a page: the tabs and the statistics, the status line and the hints.
const PAGE_FRAME_HEIGHT: u16 = 4;
/// The lines that the details take below a page.
const MIN_PAGE_DETAILS_HEIGHT: u16 = 12;
const MAX_PAGE_DETAILS_HEIGHT: u16 = 16;
/// From this width on, the details have a column of their own.
const MIN_DETAILS_COLUMN_WIDTH: u16 = 220;

/// The width of that column, with the line beside it.
const DETAILS_WIDTH: u16 = 57;
/// The width that the output keeps beside lists with long titles.
const MIN_OUTPUT_WIDTH: u16 = 52;

/// The area in which the lists share their room with the output.
pub fn shared_area(size: Size) -> SharedArea {
    let frame = frame(size);
    SharedArea { is_stacked: frame.kind == LayoutKind::Stacked, size: frame.body.as_size() }
}

/// Computes the layout.
pub fn layout(size: Size, focus: Focus, room: ListRoom) -> ScreenLayout {
    let mut layout = frame(size);
    match layout.kind {
        LayoutKind::TooSmall => return layout,
        LayoutKind::Tabs => layout.lay_out_tabs(focus),
        LayoutKind::Stacked => layout.lay_out_stacked(room),
        LayoutKind::Wide => {
            let has_column = size.width >= MIN_DETAILS_COLUMN_WIDTH;
            layout.lay_out_wide(room, has_column);
            if has_column || (size.width >= MIN_DETAILS_SIZE.width && size.height >= MIN_DETAILS_SIZE.height) {
                layout.add_details(has_column);
            }
        }
    }
    if focus.details || focus.zoom {
        layout.fill_body(focus);
    }
    layout
}

/// The lines above and below the body, and the kind of layout.
fn frame(size: Size) -> ScreenLayout {
    let screen = Rect::new(0, 0, size.width, size.height);
    let layout = ScreenLayout {
        kind: LayoutKind::TooSmall,
        header: Rect::ZERO,
        stats: Rect::ZERO,
        phase_tabs: Rect::ZERO,
        body: screen,
        lists: [Rect::ZERO; 3],
        output: Rect::ZERO,
        details: Rect::ZERO,
        dividers: [Rect::ZERO; 2],
        status_line: Rect::ZERO,
        hints: Rect::ZERO,
    };
    if size.width < MIN_SIZE.width || size.height < MIN_SIZE.height {
        return layout;
    }
    let (header, rest) = split_top(screen, 1);
    let (numbers, rest) = split_top(rest, u16::from(size.height >= MIN_STATS_HEIGHT));
    let (body, foot) = split_top(rest, rest.height - 2);
    let (status_line, hints) = split_top(foot, 1);
    let kind = if size.width < MIN_STACKED_SIZE.width || size.height < MIN_STACKED_SIZE.height {
        LayoutKind::Tabs
    } else if size.width < MIN_WIDE_WIDTH {
        LayoutKind::Stacked
    } else {
        LayoutKind::Wide
    };
    ScreenLayout { kind, header, stats: numbers, body, status_line, hints, ..layout }
}

impl ScreenLayout {
    /// How many rows of jobs a list has.
    pub fn rows(&self, phase: Phase) -> usize {
        let title = u16::from(self.kind != LayoutKind::Tabs);
        usize::from(self.lists[phase_index(phase)].height.saturating_sub(title))
    }

    /// The output without its title and its left margin.
    pub fn output_text(&self) -> Rect {
        content_area(self.output)
    }

    /// The details without their title and their left margin.
    pub fn details_text(&self) -> Rect {
        content_area(self.details)
    }

    /// The area of a page, and below it that of the details of the job that it shows as selected, where there is room.
    pub fn page(&self) -> (Rect, Rect) {
        let Rect { width, height, .. } = self.body;
        let has_details = width >= MIN_DETAILS_SIZE.width && height >= MIN_DETAILS_SIZE.height - PAGE_FRAME_HEIGHT;
        let details =
            if has_details { (height * 2 / 7).clamp(MIN_PAGE_DETAILS_HEIGHT, MAX_PAGE_DETAILS_HEIGHT) } else { 0 };
        split_top(self.body, height - details)
    }

    /// The list of a phase.
    pub fn list(&self, phase: Phase) -> Rect {
        self.lists[phase_index(phase)]
    }

    fn lay_out_tabs(&mut self, focus: Focus) {
        let (states, rest) = split_top(self.body, 1);
        self.phase_tabs = states;
        let shown = &mut self.lists[phase_index(focus.list)];
        if rest.height >= 12 {
            (*shown, self.output) = split_top(rest, rest.height / 2);
        } else if focus.output {
            self.output = rest;
        } else {
            *shown = rest;
        }
    }

    /// Pending and running jobs side by side, as their rows need little width.
    fn lay_out_stacked(&mut self, room: ListRoom) {
        let height = self.body.height;
        let [pending, running, finished] = room.heights;
        let upper = pending.max(running).clamp(MIN_LIST_HEIGHT, height - MIN_LIST_HEIGHT - MIN_OUTPUT_HEIGHT);
        let (upper, rest) = split_top(self.body, upper);
        let (pending, running) = split_left(upper, upper.width / 2);
        let (finished, output) = split_top(rest, finished.clamp(MIN_LIST_HEIGHT, rest.height - MIN_OUTPUT_HEIGHT));
        // One column separates the two titles.
        let (_, running) = split_left(running, 1);
        self.lists = [pending, running, finished];
        self.output = output;
    }

    fn lay_out_wide(&mut self, room: ListRoom, has_column: bool) {
        let Rect { width, height, .. } = self.body;
        let usual = if width >= MIN_DETAILS_SIZE.width { width * 2 / 5 } else { width / 2 }.clamp(55, 88);
        // The output keeps enough for lines of text, and for the details beside it.
        let output = if has_column { MIN_OUTPUT_WIDTH + DETAILS_WIDTH } else { (width * 3 / 8).max(MIN_OUTPUT_WIDTH) };
        let (lists, rest) = split_left(self.body, room.width.clamp(usual, usual.max(width - 1 - output)));
        let (divide, output) = split_left(rest, 1);
        let [pending, running, _] = room.heights;
        let (pending, rest) = split_top(lists, pending.clamp(MIN_LIST_HEIGHT, height - 2 * MIN_LIST_HEIGHT));
        let (running, finished) = split_top(rest, running.clamp(MIN_LIST_HEIGHT, rest.height - MIN_LIST_HEIGHT));
        self.lists = [pending, running, finished];
        self.dividers[0] = divide;
        self.output = output;
    }

    /// Gives the whole body to the focused pane, or to the details.
    fn fill_body(&mut self, focus: Focus) {
        let body = self.body;
        self.dividers = [Rect::ZERO; 2];
        self.lists = [Rect::ZERO; 3];
        (self.output, self.details) = match focus {
            Focus { details: true, .. } => (Rect::ZERO, body),
            Focus { output: true, .. } => (body, Rect::ZERO),
            _ => (Rect::ZERO, Rect::ZERO),
        };
        if focus.details || focus.output {
            self.phase_tabs = Rect::ZERO;
        } else {
            self.lists[phase_index(focus.list)] = split_top(body, self.phase_tabs.height).1;
        }
    }

    /// Splits the details from the output: a `column` on the right, or the lower part.
    fn add_details(&mut self, column: bool) {
        let Rect { width, height, .. } = self.output;
        if column {
            let (output, rest) = split_left(self.output, width - DETAILS_WIDTH);
            (self.dividers[1], self.details) = split_left(rest, 1);
            self.output = output;
        } else {
            (self.output, self.details) = split_top(self.output, height - (height * 2 / 5).clamp(13, 22));
        }
    }
}

fn content_area(pane: Rect) -> Rect {
    let (_, rest) = split_top(pane, 1);
    split_left(rest, 1).1
}

fn split_top(area: Rect, height: u16) -> (Rect, Rect) {
    let height = height.min(area.height);
    let rest = Rect { y: area.y + height, height: area.height - height, ..area };
    (Rect { height, ..area }, rest)
}

fn split_left(area: Rect, width: u16) -> (Rect, Rect) {
    let width = width.min(area.width);
    let rest = Rect { x: area.x + width, width: area.width - width, ..area };
    (Rect { width, ..area }, rest)
}
