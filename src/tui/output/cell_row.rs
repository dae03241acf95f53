//! One row of terminal cells with a cursor, used while a line is parsed: characters overwrite what is at the cursor.

use ratatui::style::Style;

use super::styled_line::StyledLine;
use crate::text;

/// A row of cells and a cursor.
pub(super) struct CellRow {
    cells: Vec<Cell>,
    column: usize,
    /// The styles in use; cells refer to them by index. The first is the empty style, the last the current one.
    styles: Vec<Style>,
    /// The index of the current style.
    style: u16,
    /// Combining marks of the few cells that have any.
    marks: Vec<CombiningMarks>,
}

#[derive(Clone, Copy)]
struct Cell {
    /// [`WIDE_RIGHT_HALF`] in the right half of a wide character.
    character: char,
    style: u16,
    /// The index of its combining marks plus 1; 0 if it has none.
    marks: u16,
}

/// An empty cell.
const BLANK: Cell = Cell { character: ' ', style: 0, marks: 0 };

/// The most combining marks kept per character. No script needs more, and more would cover the lines around.
type CombiningMarks = [Option<char>; 3];

/// Marks the right half of a wide character.
const WIDE_RIGHT_HALF: char = '\0';

/// The furthest column to which the cursor can move beyond the text. It bounds the memory that a few bytes can
/// allocate.
const MAX_CURSOR_COLUMN: usize = 512;

const TAB_WIDTH: usize = 8;

impl CellRow {
    /// Creates an empty row with room for `cells` cells.
    pub(super) fn with_capacity(cells: usize, style: Style) -> Self {
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

    /// Sets the style of the characters printed from now on.
    pub(super) fn set_style(&mut self, style: Style) {
        if style == Style::new() {
            self.style = 0;
        } else {
            self.styles.push(style);
            // A line is too short to hold more styles than a `u16` can count.
            self.style = u16::try_from(self.styles.len() - 1).unwrap_or(0);
        }
    }

    /// The column of the cursor.
    pub(super) fn column(&self) -> usize {
        self.column
    }

    /// Moves the cursor to `column`.
    pub(super) fn go_to(&mut self, column: usize) {
        self.column = column.min(self.cells.len().max(MAX_CURSOR_COLUMN));
    }

    /// Moves the cursor to the next tab stop.
    pub(super) fn tab(&mut self) {
        let stop = (self.column / TAB_WIDTH + 1) * TAB_WIDTH;
        // The text may already be longer than `MAX_CURSOR_COLUMN`, so a tab always moves.
        self.fill_to(stop, self.style);
        self.column = stop;
    }

    /// Prints a character at the cursor.
    pub(super) fn print(&mut self, character: char) {
        match text::cells(character) {
            None => {}
            Some(0) => self.add_combining_mark(character),
            Some(width) => {
                self.fill_to(self.column, 0);
                let style = self.style;
                self.write_cell(Cell { character, style, marks: 0 });
                for _ in 1..width {
                    self.write_cell(Cell { character: WIDE_RIGHT_HALF, style, marks: 0 });
                }
                // The character may have overwritten the left half of a wide character.
                if self.cells.get(self.column).is_some_and(|cell| cell.character == WIDE_RIGHT_HALF) {
                    self.blank(self.column);
                }
            }
        }
    }

    /// Erases from the cursor to the end of the row.
    pub(super) fn erase_right(&mut self) {
        self.split_wide_character();
        self.cells.truncate(self.column);
    }

    /// Erases from the start of the row to the cursor.
    pub(super) fn erase_left(&mut self) {
        for column in 0..self.cells.len().min(self.column + 1) {
            self.blank(column);
        }
        if self.cells.get(self.column + 1).is_some_and(|cell| cell.character == WIDE_RIGHT_HALF) {
            self.blank(self.column + 1);
        }
    }

    /// Erases the row; the cursor stays.
    pub(super) fn erase(&mut self) {
        self.cells.clear();
    }

    /// Converts the cells to a styled line.
    pub(super) fn into_line(self) -> StyledLine {
        let mut line = StyledLine::with_capacity(self.cells.len());
        let mut style = 0;
        for cell in &self.cells {
            if cell.character == WIDE_RIGHT_HALF {
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

    /// Writes one cell at the cursor, which is within the text or just after it, and advances the cursor.
    fn write_cell(&mut self, cell: Cell) {
        if self.column < self.cells.len() {
            if cell.character != WIDE_RIGHT_HALF {
                self.split_wide_character();
            }
            self.cells[self.column] = cell;
        } else {
            self.cells.push(cell);
        }
        self.column += 1;
    }

    /// Replaces the left half of a wide character with a space if the cursor is on its right half.
    fn split_wide_character(&mut self) {
        if self.column > 0 && self.cells.get(self.column).is_some_and(|cell| cell.character == WIDE_RIGHT_HALF) {
            self.blank(self.column - 1);
        }
    }

    fn blank(&mut self, column: usize) {
        self.cells[column] = BLANK;
    }

    /// Pads the row with spaces up to `column`.
    fn fill_to(&mut self, column: usize, style: u16) {
        if self.cells.len() < column {
            self.cells.resize(column, Cell { style, ..BLANK });
        }
    }

    /// Adds a combining mark to the character before the cursor.
    fn add_combining_mark(&mut self, mark: char) {
        let Some(mut column) = self.column.min(self.cells.len()).checked_sub(1) else { return };
        if self.cells[column].character == WIDE_RIGHT_HALF && column > 0 {
            column -= 1;
        }
        let cell = &mut self.cells[column];
        if cell.marks == 0 {
            let Ok(index) = u16::try_from(self.marks.len() + 1) else { return };
            self.marks.push(CombiningMarks::default());
            cell.marks = index;
        }
        if let Some(free) = self.marks[usize::from(cell.marks) - 1].iter_mut().find(|free| free.is_none()) {
            *free = Some(mark);
        }
    }
}
