//! Glyphs as rows of bits.

use alloc::vec::Vec;
use core::convert::Infallible;

use embedded_graphics::Pixel;
use embedded_graphics::draw_target::DrawTarget;
use embedded_graphics::geometry::{OriginDimensions, Point};
use embedded_graphics::mono_font::iso_8859_1::{FONT_8X13, FONT_10X20};
use embedded_graphics::mono_font::{MonoFont, MonoTextStyle};
use embedded_graphics::pixelcolor::BinaryColor;
use embedded_graphics::text::Baseline;
use embedded_graphics::text::renderer::TextRenderer;

/// Rows of the tallest glyph.
pub const GLYPH_ROWS: usize = 20;
/// Screens of so many pixels in a row have place for 80 large glyphs.
const LARGE_FROM: u32 = 800;
/// Characters that have a glyph: ISO 8859-1.
const GLYPHS: u32 = 256;

/// The rows of a glyph from the top; the leftmost pixel is the highest of its `width` bits.
pub type Glyph = [u16; GLYPH_ROWS];

/// Pixels of a glyph.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// In a row: at most 16.
    pub width: u32,
    /// Rows: at most [`GLYPH_ROWS`].
    pub height: u32,
}

/// All glyphs of one size.
#[derive(Debug)]
pub(crate) struct Font {
    size: Size,
    glyphs: Vec<Glyph>,
}

impl Font {
    /// The font for a screen with `width` pixels in a row.
    pub(crate) fn for_width(width: u32) -> Self {
        let font = if width >= LARGE_FROM {
            &FONT_10X20
        } else {
            &FONT_8X13
        };
        let size = Size {
            width: font.character_size.width.min(16),
            height: font.character_size.height.min(GLYPH_ROWS as u32),
        };
        let glyphs = (0..GLYPHS)
            .map(|code| draw(font, size, char::from_u32(code).unwrap_or('?')))
            .collect();
        Self { size, glyphs }
    }

    pub(crate) const fn size(&self) -> Size {
        self.size
    }

    /// The glyph of a character.
    pub(crate) fn glyph(&self, code: u8) -> Glyph {
        self.glyphs
            .get(usize::from(code))
            .copied()
            .unwrap_or([0; GLYPH_ROWS])
    }
}

fn draw(font: &MonoFont<'_>, size: Size, character: char) -> Glyph {
    let mut bits = Bits {
        size,
        rows: [0; GLYPH_ROWS],
    };
    if character.is_control() {
        return bits.rows;
    }
    let style = MonoTextStyle::new(font, BinaryColor::On);
    let mut text = [0; 4];
    let text = character.encode_utf8(&mut text);
    let Ok(_) = style.draw_string(text, Point::zero(), Baseline::Top, &mut bits);
    bits.rows
}

/// Where a glyph is drawn.
struct Bits {
    size: Size,
    rows: Glyph,
}

impl OriginDimensions for Bits {
    fn size(&self) -> embedded_graphics::geometry::Size {
        embedded_graphics::geometry::Size::new(self.size.width, self.size.height)
    }
}

impl DrawTarget for Bits {
    type Color = BinaryColor;
    type Error = Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<BinaryColor>>>(
        &mut self,
        pixels: I,
    ) -> Result<(), Infallible> {
        for Pixel(Point { x, y }, color) in pixels {
            let (Ok(x), Ok(y)) = (u32::try_from(x), usize::try_from(y)) else {
                continue;
            };
            let place = self.rows.get_mut(y).filter(|_| x < self.size.width);
            if let (Some(row), BinaryColor::On) = (place, color) {
                *row |= 1 << (self.size.width - 1 - x);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Font, Size};

    #[test]
    fn both_sizes_have_a_glyph_for_what_people_read() {
        for (width, size) in [
            (
                799,
                Size {
                    width: 8,
                    height: 13,
                },
            ),
            (
                800,
                Size {
                    width: 10,
                    height: 20,
                },
            ),
        ] {
            let font = Font::for_width(width);
            assert_eq!(font.size(), size);
            let glyphs: alloc::collections::BTreeSet<_> = (b'!'..=b'~')
                .chain(0xc0..=0xff)
                .map(|code| font.glyph(code))
                .collect();
            assert_eq!(glyphs.len(), 94 + 64, "all different");
            assert_eq!(font.glyph(b' '), [0; 20]);
            assert_eq!(font.glyph(7), [0; 20]);
            assert!(
                glyphs
                    .iter()
                    .flatten()
                    .all(|row| u32::from(*row) < 1 << size.width)
            );
        }
    }
}
