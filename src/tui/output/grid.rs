//! The cells of one line while its bytes are read: characters overwrite what is there, as on a terminal.

use ratatui::style::Style;

use super::line::Line;
use crate::tui::text;

/// One line of cells and a cursor.
pub(super) struct Grid {
    cells: Vec<Cell>,
    column: usize,
    /// The styles in use; cells name them by index. The first is no style, the last the one in force.
    styles: Vec<Style>,
    /// The index of the style in force.
    style: u16,
    /// Marks that join the character before them; few lines have any.
    marks: Vec<Marks>,
}

#[derive(Clone, Copy)]
struct Cell {
    /// [`WIDE_REST`] in the right half of a wide character.
    character: char,
    style: u16,
    /// One more than the index of its marks; 0 for none.
    marks: u16,
}

/// An empty cell.
const BLANK: Cell = Cell { character: ' ', style: 0, marks: 0 };

/// More marks on one character than any script needs would only smear over the lines around.
type Marks = [Option<char>; 3];

/// The right half of a wide character.
const WIDE_REST: char = '\0';

/// How far to the right of its text a line can move the cursor. More would let a few bytes fill much memory.
const FURTHEST: usize = 512;

const TAB: usize = 8;

impl Grid {
    /// An empty line with room for so many cells.
    pub(super) fn with_room(cells: usize, style: Style) -> Self {
        let mut grid = Self {
            cells: Vec::with_capacity(cells),
            column: 0,
            styles: vec![Style::new()],
            style: 0,
            marks: Vec::new(),
        };
        grid.set_style(style);
        grid
    }

    /// The style of what is written from now on.
    pub(super) fn set_style(&mut self, style: Style) {
        if style == Style::new() {
            self.style = 0;
        } else {
            self.styles.push(style);
            // A piece of a line is too short for more styles than that.
            self.style = u16::try_from(self.styles.len() - 1).unwrap_or(0);
        }
    }

    /// Where the next character goes.
    pub(super) fn column(&self) -> usize {
        self.column
    }

    /// Moves the cursor.
    pub(super) fn go_to(&mut self, column: usize) {
        self.column = column.min(self.cells.len().max(FURTHEST));
    }

    /// Moves the cursor to the next stop.
    pub(super) fn tab(&mut self) {
        let stop = (self.column / TAB + 1) * TAB;
        // The text may have grown beyond `FURTHEST`; a tab always has its place.
        self.fill_to(stop, self.style);
        self.column = stop;
    }

    /// Writes a character at the cursor.
    pub(super) fn print(&mut self, character: char) {
        match text::cells(character) {
            None => {}
            Some(0) => self.join(character),
            Some(width) => {
                self.fill_to(self.column, 0);
                let style = self.style;
                self.put(Cell { character, style, marks: 0 });
                for _ in 1..width {
                    self.put(Cell { character: WIDE_REST, style, marks: 0 });
                }
                // Half of a wide character may be left over.
                if self.cells.get(self.column).is_some_and(|cell| cell.character == WIDE_REST) {
                    self.blank(self.column);
                }
            }
        }
    }

    /// Erases from the cursor to the end.
    pub(super) fn erase_right(&mut self) {
        self.split_wide();
        self.cells.truncate(self.column);
    }

    /// Erases from the start to the cursor.
    pub(super) fn erase_left(&mut self) {
        for column in 0..self.cells.len().min(self.column + 1) {
            self.blank(column);
        }
        if self.cells.get(self.column + 1).is_some_and(|cell| cell.character == WIDE_REST) {
            self.blank(self.column + 1);
        }
    }

    /// Erases all; the cursor stays.
    pub(super) fn erase(&mut self) {
        self.cells.clear();
    }

    /// What is there.
    pub(super) fn into_line(self) -> Line {
        let mut line = Line::with_room(self.cells.len());
        let mut style = 0;
        for cell in &self.cells {
            if cell.character == WIDE_REST {
                continue;
            }
            if cell.style != style {
                style = cell.style;
                line.set_style(self.styles.get(usize::from(style)).copied().unwrap_or_default());
            }
            line.push(cell.character);
            if let Some(marks) = usize::from(cell.marks).checked_sub(1).and_then(|index| self.marks.get(index)) {
                marks.iter().flatten().for_each(|mark| line.push(*mark));
            }
        }
        line
    }

    /// Puts one cell at the cursor, which is within the text or right behind it, and moves on.
    fn put(&mut self, cell: Cell) {
        if self.column < self.cells.len() {
            if cell.character != WIDE_REST {
                self.split_wide();
            }
            self.cells[self.column] = cell;
        } else {
            self.cells.push(cell);
        }
        self.column += 1;
    }

    /// If the cursor is in the middle of a wide character, its left half becomes a space.
    fn split_wide(&mut self) {
        if self.column > 0 && self.cells.get(self.column).is_some_and(|cell| cell.character == WIDE_REST) {
            self.blank(self.column - 1);
        }
    }

    fn blank(&mut self, column: usize) {
        self.cells[column] = BLANK;
    }

    /// Spaces up to `column`, if the text ends before it.
    fn fill_to(&mut self, column: usize, style: u16) {
        if self.cells.len() < column {
            self.cells.resize(column, Cell { style, ..BLANK });
        }
    }

    /// Adds a mark to the character before the cursor.
    fn join(&mut self, mark: char) {
        let Some(mut column) = self.column.min(self.cells.len()).checked_sub(1) else { return };
        if self.cells[column].character == WIDE_REST && column > 0 {
            column -= 1;
        }
        let cell = &mut self.cells[column];
        if cell.marks == 0 {
            let Ok(index) = u16::try_from(self.marks.len() + 1) else { return };
            self.marks.push(Marks::default());
            cell.marks = index;
        }
        if let Some(free) = self.marks[usize::from(cell.marks) - 1].iter_mut().find(|free| free.is_none()) {
            *free = Some(mark);
        }
    }
}
