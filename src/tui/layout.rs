//! The layout: a pure function of the terminal's size and of the focus.

use ratatui::layout::{Rect, Size};

use crate::model::Phase;

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
/// From this width on, the details have a column of their own.
const MIN_DETAILS_COLUMN_WIDTH: u16 = 220;

/// The phases in the order of their panes.
pub const PHASES: [Phase; 3] = [Phase::Pending, Phase::Running, Phase::Finished];

/// Computes the layout.
pub fn layout(size: Size, focus: Focus) -> ScreenLayout {
    let screen = Rect::new(0, 0, size.width, size.height);
    let mut layout = ScreenLayout {
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
    layout = ScreenLayout { header, stats: numbers, body, status_line, hints, ..layout };
    if size.width < MIN_STACKED_SIZE.width || size.height < MIN_STACKED_SIZE.height {
        layout.kind = LayoutKind::Tabs;
        layout.lay_out_tabs(focus);
    } else if size.width < MIN_WIDE_WIDTH {
        layout.kind = LayoutKind::Stacked;
        layout.lay_out_stacked();
    } else {
        layout.kind = LayoutKind::Wide;
        layout.lay_out_wide();
        if size.width >= MIN_DETAILS_COLUMN_WIDTH
            || (size.width >= MIN_DETAILS_SIZE.width && size.height >= MIN_DETAILS_SIZE.height)
        {
            layout.add_details(size.width >= MIN_DETAILS_COLUMN_WIDTH);
        }
    }
    if focus.details || focus.zoom {
        layout.dividers = [Rect::ZERO; 2];
        layout.lists = [Rect::ZERO; 3];
        (layout.output, layout.details) = match focus {
            Focus { details: true, .. } => (Rect::ZERO, body),
            Focus { output: true, .. } => (body, Rect::ZERO),
            _ => (Rect::ZERO, Rect::ZERO),
        };
        if focus.details || focus.output {
            layout.phase_tabs = Rect::ZERO;
        } else {
            layout.lists[phase_index(focus.list)] = split_top(body, layout.phase_tabs.height).1;
        }
    }
    layout
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
    fn lay_out_stacked(&mut self) {
        let height = self.body.height;
        let (upper, rest) = split_top(self.body, (height * 2 / 7).clamp(5, 12));
        let (pending, running) = split_left(upper, upper.width / 2);
        let (finished, output) = split_top(rest, rest.height / 2);
        // One column separates the two titles.
        let (_, running) = split_left(running, 1);
        self.lists = [pending, running, finished];
        self.output = output;
    }

    fn lay_out_wide(&mut self) {
        let roomy = self.body.width >= MIN_DETAILS_SIZE.width;
        let width = if roomy { self.body.width * 2 / 5 } else { self.body.width / 2 }.clamp(55, 88);
        let (lists, rest) = split_left(self.body, width);
        let (divide, output) = split_left(rest, 1);
        let (pending, rest) = split_top(lists, lists.height * 3 / 8);
        let (running, finished) = split_top(rest, (lists.height / 6).max(3));
        self.lists = [pending, running, finished];
        self.dividers[0] = divide;
        self.output = output;
    }

    /// Splits the details from the output: a `column` on the right, or the lower part.
    fn add_details(&mut self, column: bool) {
        let Rect { width, height, .. } = self.output;
        if column {
            let (output, rest) = split_left(self.output, width - 57);
            (self.dividers[1], self.details) = split_left(rest, 1);
            self.output = output;
        } else {
            (self.output, self.details) = split_top(self.output, height - (height * 2 / 5).clamp(13, 22));
        }
    }
}

/// The index of a phase in [`PHASES`].
pub fn phase_index(phase: Phase) -> usize {
    match phase {
        Phase::Pending => 0,
        Phase::Running => 1,
        Phase::Finished => 2,
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
