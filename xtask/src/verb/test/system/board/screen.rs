//! What is on the screen, read back from a picture of it.
//!
//! The picture is QEMU's `screendump`. The glyphs it is compared with are drawn here, from the font itself: nothing of
//! the target's program is used.

use std::collections::HashMap;
use std::convert::Infallible;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use embedded_graphics::mono_font::MonoTextStyle;
use embedded_graphics::mono_font::iso_8859_1::FONT_8X13;
use embedded_graphics::pixelcolor::BinaryColor;
use embedded_graphics::prelude::{DrawTarget, OriginDimensions, Pixel, Point, Size};
use embedded_graphics::text::Baseline;
use embedded_graphics::text::renderer::TextRenderer;

use super::super::Guest;

const WIDTH: usize = 8;
const HEIGHT: usize = 13;
/// For the screen to show what the line has shown already; a busy host is slow.
const LIMIT: Duration = Duration::from_secs(60);

/// Waits until the screen's last lines are `wanted`; a cursor is shown as `_`.
pub(super) fn wait_for(guest: &mut Guest<'_>, wanted: &[&str]) -> Result<()> {
    let end = Instant::now() + LIMIT;
    loop {
        let lines = read(guest)?;
        let used = lines.iter().rposition(|line| !line.is_empty());
        let lines = &lines[..used.map_or(0, |last| last + 1)];
        if lines
            .iter()
            .rev()
            .zip(wanted.iter().rev())
            .all(|(a, b)| a == b)
            && lines.len() >= wanted.len()
        {
            return Ok(());
        }
        ensure!(
            Instant::now() < end,
            "the screen was to end with\n{}\nand shows\n{}",
            wanted.join("\n"),
            lines.join("\n")
        );
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// The lines of text on the screen.
pub(super) fn read(guest: &mut Guest<'_>) -> Result<Vec<String>> {
    let name = std::thread::current().id();
    let path = guest
        .workspace()
        .output(&format!("system-test/screen-{name:?}.ppm"))?;
    let arguments = serde_json::json!({ "filename": path });
    guest.monitor(&serde_json::json!({"execute": "screendump", "arguments": arguments}))?;
    let picture = Picture::read(&path);
    // A picture that stays is overwritten by the next.
    let _ = std::fs::remove_file(&path);
    Ok(picture?.text())
}

/// A picture: whether each pixel is lit.
struct Picture {
    width: usize,
    pixels: Vec<bool>,
}

impl Picture {
    /// Reads a portable pixmap: `P6`, width, height, 255, and three bytes for each pixel.
    fn read(path: &Path) -> Result<Self> {
        let bytes =
            std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut head = bytes.splitn(4, |byte| byte.is_ascii_whitespace());
        let mut word = || head.next().map(String::from_utf8_lossy).unwrap_or_default();
        ensure!(word() == "P6", "{} is no pixmap", path.display());
        let (width, height): (usize, usize) = (word().parse()?, word().parse()?);
        let rest = head.next().and_then(|rest| rest.strip_prefix(b"255\n"));
        let colours = rest.context("a pixmap of 8 bits a colour")?;
        ensure!(colours.len() == 3 * width * height, "a whole pixmap");
        let pixels = colours.chunks_exact(3).map(|rgb| rgb != [0; 3]).collect();
        Ok(Self { width, pixels })
    }

    fn glyph(&self, row: usize, column: usize) -> Glyph {
        let mut glyph = [0; HEIGHT];
        // What is left over is shared between the sides; QEMU's screen is too narrow for a margin.
        let height = self.pixels.len() / self.width;
        let (left, top) = (self.width % WIDTH / 2, height % HEIGHT / 2);
        for (y, bits) in glyph.iter_mut().enumerate() {
            let first = (top + row * HEIGHT + y) * self.width + left + column * WIDTH;
            let pixels = &self.pixels[first..first + WIDTH];
            *bits = pixels
                .iter()
                .fold(0, |bits, lit| bits << 1 | u8::from(*lit));
        }
        glyph
    }

    fn text(&self) -> Vec<String> {
        let known = glyphs();
        let rows = self.pixels.len() / self.width / HEIGHT;
        let mut lines = Vec::new();
        for row in 0..rows {
            let mut line = String::new();
            for column in 0..self.width / WIDTH {
                let glyph = self.glyph(row, column);
                match known
                    .get(&glyph)
                    .or_else(|| known.get(&glyph.map(|bits| !bits)))
                {
                    Some(' ') if glyph != [0; HEIGHT] => line.push('_'),
                    Some(character) => line.push(*character),
                    // Half drawn: the picture was taken in the middle of it.
                    None => line.push(char::REPLACEMENT_CHARACTER),
                }
            }
            lines.push(line.trim_end().to_string());
        }
        lines
    }
}

/// Rows of a glyph; the leftmost pixel is the highest bit.
type Glyph = [u8; HEIGHT];

fn glyphs() -> HashMap<Glyph, char> {
    let style = MonoTextStyle::new(&FONT_8X13, BinaryColor::On);
    (' '..='~')
        .map(|character| {
            let mut paper = Paper([0; HEIGHT]);
            let text = character.to_string();
            let Ok(_) = style.draw_string(&text, Point::zero(), Baseline::Top, &mut paper);
            (paper.0, character)
        })
        .collect()
}

struct Paper(Glyph);

impl OriginDimensions for Paper {
    fn size(&self) -> Size {
        Size::new(WIDTH as u32, HEIGHT as u32)
    }
}

impl DrawTarget for Paper {
    type Color = BinaryColor;
    type Error = Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<BinaryColor>>>(
        &mut self,
        pixels: I,
    ) -> Result<(), Infallible> {
        for Pixel(place, colour) in pixels {
            let place = usize::try_from(place.x)
                .ok()
                .zip(usize::try_from(place.y).ok());
            if let (Some((x @ ..WIDTH, y @ ..HEIGHT)), BinaryColor::On) = (place, colour) {
                self.0[y] |= 0x80 >> x;
            }
        }
        Ok(())
    }
}
