//! The kernel's voice: a PL011 UART, written by polling.
//!
//! Text is put together from strings and numbers by chained calls ([`Console`]); `core::fmt` would
//! cost more than everything it would print here. Works from the first instructions on: before the
//! MMU is on [`CONSOLE_BASE`] holds a physical address.

use core::{
    ptr,
    sync::atomic::{AtomicUsize, Ordering},
};

/// Where the UART's registers are reached. Set by the reset code, then by [`set_base`].
#[unsafe(no_mangle)]
static CONSOLE_BASE: AtomicUsize = AtomicUsize::new(0);

/// Data register, write: a character to send. Offsets as in the PL011 manual (DDI 0183), "Summary
/// of registers".
const DR: usize = 0x00;
/// Flag register.
const FR: usize = 0x18;
/// `FR`: the transmit FIFO is full.
const FR_TXFF: u32 = 1 << 5;

/// Makes the UART whose registers are mapped at `base` the console.
///
/// # Safety
///
/// `base` must stay mapped as device memory, and be a PL011 that is set up.
pub(crate) unsafe fn set_base(base: usize) {
    CONSOLE_BASE.store(base, Ordering::Relaxed);
}

/// Writes to the console. A value, so that it can be passed along; it owns nothing.
#[derive(Clone, Copy)]
pub(crate) struct Console;

impl Console {
    /// Writes one byte as it is.
    #[inline(never)]
    pub(crate) fn byte(self, byte: u8) {
        let base = ptr::with_exposed_provenance_mut::<u8>(CONSOLE_BASE.load(Ordering::Relaxed));
        // SAFETY: the reset code and `set_base` keep a PL011 mapped there; both registers are
        // 32 bits wide, and reading the flag register has no effect.
        unsafe {
            while ptr::read_volatile(base.add(FR).cast::<u32>()) & FR_TXFF != 0 {}
            ptr::write_volatile(base.add(DR).cast::<u32>(), u32::from(byte));
        }
    }

    /// Writes `text`; a newline becomes carriage return and newline.
    #[inline(never)]
    pub(crate) fn text(self, text: &str) -> Self {
        for byte in text.bytes() {
            if byte == b'\n' {
                self.byte(b'\r');
            }
            self.byte(byte);
        }
        self
    }

    /// Writes `value` in hexadecimal with at least `digits` digits, after `0x`.
    #[inline(never)]
    pub(crate) fn hex(self, value: u64, digits: u32) -> Self {
        self.text("0x");
        let needed = (u64::BITS - value.leading_zeros()).div_ceil(4);
        for digit in (0..needed.max(digits)).rev() {
            let digit = (value >> (4 * digit) & 0xf) as u8;
            self.byte(if digit < 10 {
                b'0' + digit
            } else {
                b'a' + digit - 10
            });
        }
        self
    }

    /// Writes `value` in decimal.
    #[inline(never)]
    pub(crate) fn number(self, value: u64) -> Self {
        let mut power = 10_u64.pow(19);
        while power > 0 {
            if value >= power || power == 1 {
                self.byte(b'0' + (value / power % 10) as u8);
            }
            power /= 10;
        }
        self
    }
}
