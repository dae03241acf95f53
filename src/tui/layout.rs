//! Where everything is: a pure function of the terminal's size and of what has the focus.

use ratatui::layout::{Rect, Size};

use crate::model::Phase;

/// What the keys go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Focus {
    /// The list that has the cursor, or had it last.
    pub list: Phase,
    /// The output has the focus, not the list.
    pub output: bool,
    /// What has the focus has the whole screen.
    pub zoom: bool,
    /// The details of the job have the whole screen.
    pub detail: bool,
}

impl Focus {
    /// The keys go to a list.
    pub fn on(list: Phase) -> Self {
        Self { list, output: false, zoom: false, detail: false }
    }
}

/// The kind of layout that fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Nothing fits; a word on what is needed.
    TooSmall,
    /// One list with a tab per state.
    Tabs,
    /// Lists over the output.
    Stacked,
    /// Lists left, output right.
    Wide,
}

/// Where everything is. What isn't shown has an empty rectangle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The kind of layout.
    pub shape: Shape,
    /// The tabs of the queues.
    pub header: Rect,
    /// How it goes, in numbers.
    pub numbers: Rect,
    /// The tabs of the states, in [`Shape::Tabs`].
    pub states: Rect,
    /// All between header and message.
    pub body: Rect,
    /// Pending, running, finished; the first line of each is its title, except in [`Shape::Tabs`].
    pub lists: [Rect; 3],
    /// The output; its first line is its title.
    pub output: Rect,
    /// The details of the chosen job; the first line is the title.
    pub detail: Rect,
    /// The lines between lists, output and details, in [`Shape::Wide`].
    pub divides: [Rect; 2],
    /// What happened last.
    pub message: Rect,
    /// Which keys there are.
    pub hints: Rect,
}

/// The smallest terminal in which jobs are shown.
pub const SMALLEST: Size = Size { width: 40, height: 10 };
/// Below this there is one list with a tab per state.
const ROOMY: Size = Size { width: 80, height: 20 };
/// From this height on, there is a line for numbers.
const TALL: u16 = 24;
/// From this width on, the output stands beside the lists.
const WIDE: u16 = 110;
/// From this size on, there is room for details below the output.
const DETAILED: Size = Size { width: 160, height: 36 };
/// From this width on, they have a column of their own.
const WIDEST: u16 = 220;

/// The phases in the order of their panes.
pub const PHASES: [Phase; 3] = [Phase::Pending, Phase::Running, Phase::Finished];

/// Lays the screen out.
pub fn layout(size: Size, focus: Focus) -> Layout {
    let screen = Rect::new(0, 0, size.width, size.height);
    let mut layout = Layout {
        shape: Shape::TooSmall,
        header: Rect::ZERO,
        numbers: Rect::ZERO,
        states: Rect::ZERO,
        body: screen,
        lists: [Rect::ZERO; 3],
        output: Rect::ZERO,
        detail: Rect::ZERO,
        divides: [Rect::ZERO; 2],
        message: Rect::ZERO,
        hints: Rect::ZERO,
    };
    if size.width < SMALLEST.width || size.height < SMALLEST.height {
        return layout;
    }
    let (header, rest) = top(screen, 1);
    let (numbers, rest) = top(rest, u16::from(size.height >= TALL));
    let (body, foot) = top(rest, rest.height - 2);
    let (message, hints) = top(foot, 1);
    layout = Layout { header, numbers, body, message, hints, ..layout };
    if size.width < ROOMY.width || size.height < ROOMY.height {
        layout.shape = Shape::Tabs;
        layout.tabs(focus);
    } else if size.width < WIDE {
        layout.shape = Shape::Stacked;
        layout.stacked();
    } else {
        layout.shape = Shape::Wide;
        layout.wide();
        if size.width >= WIDEST || (size.width >= DETAILED.width && size.height >= DETAILED.height) {
            layout.detailed(size.width >= WIDEST);
        }
    }
    if focus.detail || focus.zoom {
        layout.divides = [Rect::ZERO; 2];
        layout.lists = [Rect::ZERO; 3];
        (layout.output, layout.detail) = match focus {
            Focus { detail: true, .. } => (Rect::ZERO, body),
            Focus { output: true, .. } => (body, Rect::ZERO),
            _ => (Rect::ZERO, Rect::ZERO),
        };
        if focus.detail || focus.output {
            layout.states = Rect::ZERO;
        } else {
            layout.lists[index(focus.list)] = top(body, layout.states.height).1;
        }
    }
    layout
}

impl Layout {
    /// How many jobs a list shows.
    pub fn rows(&self, phase: Phase) -> usize {
        let title = u16::from(self.shape != Shape::Tabs);
        usize::from(self.lists[index(phase)].height.saturating_sub(title))
    }

    /// The output without its title, and the column that keeps it apart.
    pub fn output_text(&self) -> Rect {
        inside(self.output)
    }

    /// The same of the details.
    pub fn detail_text(&self) -> Rect {
        inside(self.detail)
    }

    /// The list of a phase.
    pub fn list(&self, phase: Phase) -> Rect {
        self.lists[index(phase)]
    }

    fn tabs(&mut self, focus: Focus) {
        let (states, rest) = top(self.body, 1);
        self.states = states;
        let shown = &mut self.lists[index(focus.list)];
        if rest.height >= 12 {
            (*shown, self.output) = top(rest, rest.height / 2);
        } else if focus.output {
            self.output = rest;
        } else {
            *shown = rest;
        }
    }

    /// What waits and what runs side by side: both are short lines that need little width.
    fn stacked(&mut self) {
        let height = self.body.height;
        let (upper, rest) = top(self.body, (height * 2 / 7).clamp(5, 12));
        let (pending, running) = left(upper, upper.width / 2);
        let (finished, output) = top(rest, rest.height / 2);
        // One column keeps the two titles apart.
        let (_, running) = left(running, 1);
        self.lists = [pending, running, finished];
        self.output = output;
    }

    fn wide(&mut self) {
        let roomy = self.body.width >= DETAILED.width;
        let width = if roomy { self.body.width * 2 / 5 } else { self.body.width / 2 }.clamp(55, 88);
        let (lists, rest) = left(self.body, width);
        let (divide, output) = left(rest, 1);
        let (pending, rest) = top(lists, lists.height * 3 / 8);
        let (running, finished) = top(rest, (lists.height / 6).max(3));
        self.lists = [pending, running, finished];
        self.divides[0] = divide;
        self.output = output;
    }

    /// Takes room for the details from the output: a `column` at the right, or what is below.
    fn detailed(&mut self, column: bool) {
        let Rect { width, height, .. } = self.output;
        if column {
            let (output, rest) = left(self.output, width - 57);
            (self.divides[1], self.detail) = left(rest, 1);
            self.output = output;
        } else {
            (self.output, self.detail) = top(self.output, height - (height * 2 / 5).clamp(13, 22));
        }
    }
}

/// The place of a phase among the panes.
pub fn index(phase: Phase) -> usize {
    match phase {
        Phase::Pending => 0,
        Phase::Running => 1,
        Phase::Finished => 2,
    }
}

fn inside(pane: Rect) -> Rect {
    let (_, rest) = top(pane, 1);
    left(rest, 1).1
}

fn top(area: Rect, height: u16) -> (Rect, Rect) {
    let height = height.min(area.height);
    let rest = Rect { y: area.y + height, height: area.height - height, ..area };
    (Rect { height, ..area }, rest)
}

fn left(area: Rect, width: u16) -> (Rect, Rect) {
    let width = width.min(area.width);
    let rest = Rect { x: area.x + width, width: area.width - width, ..area };
    (Rect { width, ..area }, rest)
}
