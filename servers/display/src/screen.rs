//! The framebuffer.

use gritos_display_core::Surface;
use gritos_sys::mmio::Registers;

/// A part of the firmware's memory that is shown.
#[derive(Debug)]
pub(crate) struct Screen {
    memory: Registers,
    /// Of the first pixel in `memory`.
    offset: usize,
    /// Bytes from a row to the next.
    pitch: usize,
    width: usize,
    height: usize,
}

impl Screen {
    /// The pixels at physical address `address`, in `memory` that begins at `base`; `None` if they are not all in it.
    pub(crate) fn new(
        memory: Registers,
        base: u32,
        (address, pitch): (u32, u32),
        (width, height): (u32, u32),
    ) -> Option<Self> {
        let offset = usize::try_from(address.checked_sub(base)?).ok()?;
        // All of 32 bits, on a machine of 64.
        let (pitch, width, height) = (pitch as usize, width as usize, height as usize);
        let end = offset.checked_add(pitch.checked_mul(height)?)?;
        let words = offset.is_multiple_of(4) && pitch.is_multiple_of(4);
        (words && width * 4 <= pitch && end <= memory.len()).then_some(Self {
            memory,
            offset,
            pitch,
            width,
            height,
        })
    }

    /// Makes all of it black.
    pub(crate) fn clear(&mut self) {
        for y in 0..self.height {
            for x in 0..self.width {
                self.memory.write(self.offset + y * self.pitch + 4 * x, 0);
            }
        }
    }
}

impl Surface for Screen {
    fn put(&mut self, x: u32, y: u32, pixels: &[u32]) {
        let (x, y) = (x as usize, y as usize);
        if y >= self.height || x.saturating_add(pixels.len()) > self.width {
            return;
        }
        let row = self.offset + y * self.pitch + 4 * x;
        for (i, pixel) in pixels.iter().enumerate() {
            self.memory.write(row + 4 * i, *pixel);
        }
    }
}
