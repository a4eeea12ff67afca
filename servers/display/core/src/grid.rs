//! What a terminal shows: cells, the cursor, and what escape sequences do to them.
//!
//! Sequences: ECMA-48, clause 8.3; those that xterm and the Linux console have in common and a line editor uses.

use alloc::vec;
use alloc::vec::Vec;

use vte::{Params, Perform};

/// One place for a character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cell {
    /// ISO 8859-1.
    pub(crate) code: u8,
    pub(crate) bright: bool,
    pub(crate) reversed: bool,
}

const BLANK: Cell = Cell {
    code: b' ',
    bright: false,
    reversed: false,
};
/// What stands for a character that has no glyph.
const UNKNOWN: u8 = b'?';
const TAB: usize = 8;

/// The cells, rows from the top.
#[derive(Debug)]
pub(crate) struct Grid {
    columns: usize,
    rows: usize,
    cells: Vec<Cell>,
    /// The row of `cells` that is the top one: scrolling moves no cells.
    top: usize,
    row: usize,
    /// May be one past the last column: the next character goes to the next row.
    column: usize,
    /// How characters are written from now on.
    style: Cell,
    pub(crate) cursor_shown: bool,
}

impl Grid {
    /// Blank cells, at least one.
    pub(crate) fn new(columns: usize, rows: usize) -> Self {
        let (columns, rows) = (columns.max(1), rows.max(1));
        Self {
            columns,
            rows,
            cells: vec![BLANK; columns * rows],
            top: 0,
            row: 0,
            column: 0,
            style: BLANK,
            cursor_shown: true,
        }
    }

    pub(crate) const fn columns(&self) -> usize {
        self.columns
    }

    pub(crate) const fn rows(&self) -> usize {
        self.rows
    }

    /// The cells of a row.
    pub(crate) fn row(&self, row: usize) -> &[Cell] {
        let first = (self.top + row) % self.rows * self.columns;
        self.cells
            .get(first..first + self.columns)
            .unwrap_or_default()
    }

    fn row_mut(&mut self, row: usize) -> &mut [Cell] {
        let first = (self.top + row) % self.rows * self.columns;
        self.cells
            .get_mut(first..first + self.columns)
            .unwrap_or_default()
    }

    /// Row and column of the cursor, inside of the grid.
    pub(crate) fn cursor(&self) -> (usize, usize) {
        (self.row, self.column.min(self.columns - 1))
    }

    fn put(&mut self, code: u8) {
        if self.column >= self.columns {
            self.column = 0;
            self.line_feed();
        }
        let (column, cell) = (self.column, Cell { code, ..self.style });
        if let Some(place) = self.row_mut(self.row).get_mut(column) {
            *place = cell;
        }
        self.column += 1;
    }

    fn line_feed(&mut self) {
        if self.row + 1 < self.rows {
            self.row += 1;
            return;
        }
        self.top = (self.top + 1) % self.rows;
        self.row_mut(self.rows - 1).fill(BLANK);
    }

    /// Blanks cells from `from` up to `to` of the cursor's row.
    fn erase(&mut self, from: usize, to: usize) {
        if let Some(cells) = self.row_mut(self.row).get_mut(from..to) {
            cells.fill(BLANK);
        }
    }

    fn erase_rows(&mut self, rows: core::ops::Range<usize>) {
        for row in rows {
            self.row_mut(row).fill(BLANK);
        }
    }

    fn move_to(&mut self, row: usize, column: usize) {
        self.row = row.min(self.rows - 1);
        self.column = column.min(self.columns - 1);
    }

    /// Deletes cells at the cursor, or makes room for so many.
    fn shift(&mut self, count: usize, delete: bool) {
        let (_, column) = self.cursor();
        let Some(cells) = self.row_mut(self.row).get_mut(column..) else {
            return;
        };
        let count = count.min(cells.len());
        if delete {
            cells.rotate_left(count);
            let kept = cells.len() - count;
            cells.iter_mut().skip(kept).for_each(|cell| *cell = BLANK);
        } else {
            cells.rotate_right(count);
            cells.iter_mut().take(count).for_each(|cell| *cell = BLANK);
        }
    }

    fn set_style(&mut self, params: &Params) {
        for number in params
            .iter()
            .map(|param| param.first().copied().unwrap_or(0))
        {
            match number {
                0 => self.style = BLANK,
                1 => self.style.bright = true,
                7 => self.style.reversed = true,
                22 => self.style.bright = false,
                27 => self.style.reversed = false,
                _ => {}
            }
        }
    }
}

impl Perform for Grid {
    fn print(&mut self, character: char) {
        self.put(u8::try_from(u32::from(character)).unwrap_or(UNKNOWN));
    }

    fn execute(&mut self, byte: u8) {
        match byte {
            b'\n' | 0x0b | 0x0c => self.line_feed(),
            b'\r' => self.column = 0,
            0x08 => self.column = self.cursor().1.saturating_sub(1),
            b'\t' => {
                let next = (self.column / TAB + 1) * TAB;
                self.column = next.min(self.columns - 1);
            }
            _ => {}
        }
    }

    fn csi_dispatch(&mut self, params: &Params, intermediates: &[u8], _: bool, action: char) {
        let param = |index: usize| -> usize {
            let param = params.iter().nth(index).and_then(|param| param.first());
            param.copied().unwrap_or(0).into()
        };
        if intermediates == b"?" {
            // Of the private modes the cursor's alone matters.
            if param(0) == 25 && matches!(action, 'h' | 'l') {
                self.cursor_shown = action == 'h';
            }
            return;
        }
        if !intermediates.is_empty() {
            return;
        }
        let (row, column) = self.cursor();
        let count = param(0).max(1);
        match action {
            'A' => self.move_to(row.saturating_sub(count), column),
            'B' | 'e' => self.move_to(row.saturating_add(count), column),
            'C' | 'a' => self.move_to(row, column.saturating_add(count)),
            'D' => self.move_to(row, column.saturating_sub(count)),
            'E' => self.move_to(row.saturating_add(count), 0),
            'F' => self.move_to(row.saturating_sub(count), 0),
            'G' | '`' => self.move_to(row, count - 1),
            'd' => self.move_to(count - 1, column),
            'H' | 'f' => self.move_to(count - 1, param(1).max(1) - 1),
            'J' => match param(0) {
                0 => {
                    self.erase(column, self.columns);
                    self.erase_rows(row + 1..self.rows);
                }
                1 => {
                    self.erase_rows(0..row);
                    self.erase(0, column + 1);
                }
                _ => self.erase_rows(0..self.rows),
            },
            'K' => match param(0) {
                0 => self.erase(column, self.columns),
                1 => self.erase(0, column + 1),
                _ => self.erase(0, self.columns),
            },
            'P' => self.shift(count, true),
            '@' => self.shift(count, false),
            'X' => self.erase(column, column.saturating_add(count).min(self.columns)),
            'm' => self.set_style(params),
            _ => {}
        }
    }

    fn esc_dispatch(&mut self, intermediates: &[u8], _: bool, byte: u8) {
        if intermediates.is_empty() && byte == b'c' {
            *self = Self::new(self.columns, self.rows);
        }
    }
}
