//! Text in, pixels out.

use alloc::vec;
use alloc::vec::Vec;

use vte::Parser;

use crate::font::{Font, Size};
use crate::grid::{Cell, Grid};

/// Where pixels are put.
pub trait Surface {
    /// Sets the pixels of row `y` from column `x` on: red, green and blue in bits 23:0. They are inside of what the
    /// terminal was made for.
    fn put(&mut self, x: u32, y: u32, pixels: &[u32]);
}

/// Grey, so that red and blue may come in any order.
const NORMAL: u32 = 0x00b8_b8b8;
const BRIGHT: u32 = 0x00ff_ffff;
const BACKGROUND: u32 = 0;
/// Lines of so many characters fit on every screen that has place for them.
const USUAL_COLUMNS: u32 = 80;
/// Most pixels of a glyph's row.
const GLYPH_COLUMNS: usize = 16;

/// A terminal of a screen's size.
pub struct Terminal {
    parser: Parser,
    grid: Grid,
    font: Font,
    /// Column and row of pixels at which the text begins.
    origin: (u32, u32),
    /// What the surface has. `None`: not known.
    shown: Vec<Option<Cell>>,
}

impl core::fmt::Debug for Terminal {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Terminal")
            .field("grid", &self.grid)
            .finish_non_exhaustive()
    }
}

impl Terminal {
    /// A blank terminal for a screen of so many pixels.
    #[must_use]
    pub fn new(width: u32, height: u32) -> Self {
        let font = Font::for_width(width);
        let Size {
            width: columns,
            height: rows,
        } = font.size();
        // Wide screens have a margin, so that no letter touches a frame; no line of 80 characters is broken for it.
        let margin = if width / columns > USUAL_COLUMNS + 1 {
            columns
        } else {
            0
        };
        // At most the numbers of pixels, which fit.
        let grid = Grid::new(
            ((width - 2 * margin) / columns) as usize,
            (height.saturating_sub(2 * margin) / rows) as usize,
        );
        let left = |pixels: u32, cells: usize, size| pixels.saturating_sub(cells as u32 * size) / 2;
        let origin = (
            left(width, grid.columns(), columns),
            left(height, grid.rows(), rows),
        );
        let shown = vec![None; grid.columns() * grid.rows()];
        Self {
            parser: Parser::new(),
            grid,
            font,
            origin,
            shown,
        }
    }

    /// Pixels of a glyph.
    #[must_use]
    pub const fn glyph_size(&self) -> Size {
        self.font.size()
    }

    /// Columns and rows of text.
    #[must_use]
    pub const fn size(&self) -> (usize, usize) {
        (self.grid.columns(), self.grid.rows())
    }

    /// Takes bytes as a terminal does.
    pub fn write(&mut self, bytes: &[u8]) {
        self.parser.advance(&mut self.grid, bytes);
    }

    /// Draws what has changed since the last time: how many glyphs.
    pub fn draw(&mut self, surface: &mut impl Surface) -> usize {
        let cursor = self.grid.cursor();
        let size = self.font.size();
        let mut drawn = 0;
        let mut places = self.shown.iter_mut();
        for row in 0..self.grid.rows() {
            for (column, cell) in self.grid.row(row).iter().enumerate() {
                let Some(place) = places.next() else {
                    return drawn;
                };
                let here = self.grid.cursor_shown && cursor == (row, column);
                let wanted = Cell {
                    reversed: cell.reversed != here,
                    ..*cell
                };
                if *place == Some(wanted) {
                    continue;
                }
                *place = Some(wanted);
                drawn += 1;
                let x = self.origin.0 + column as u32 * size.width;
                let y = self.origin.1 + row as u32 * size.height;
                paint(&self.font, wanted, x, y, surface);
            }
        }
        drawn
    }
}

fn paint(font: &Font, cell: Cell, x: u32, y: u32, surface: &mut impl Surface) {
    let size = font.size();
    let ink = if cell.bright { BRIGHT } else { NORMAL };
    let (ink, paper) = if cell.reversed {
        (BACKGROUND, ink)
    } else {
        (ink, BACKGROUND)
    };
    let glyph = font.glyph(cell.code);
    for (y, bits) in (y..y + size.height).zip(glyph) {
        let mut pixels = [0; GLYPH_COLUMNS];
        let mut bits = u32::from(bits) << (32 - size.width);
        for pixel in &mut pixels {
            *pixel = if bits >> 31 != 0 { ink } else { paper };
            bits <<= 1;
        }
        surface.put(x, y, pixels.get(..size.width as usize).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests;
