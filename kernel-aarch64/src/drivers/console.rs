//! The kernel's voice: a PL011 UART, written by polling.
//!
//! Text is put together from strings and numbers by chained calls ([`Console`]); `core::fmt` would
//! cost more than everything it would print here. Works from the first instructions on: before the
//! MMU is on [`CONSOLE_BASE`] holds a physical address.

use core::{
    ptr,
    sync::atomic::{AtomicUsize, Ordering},
};

use tock_registers::{
    interfaces::{Readable, Writeable},
    register_structs,
    registers::{ReadOnly, WriteOnly},
};

/// Where the UART's registers are reached. Set by the reset code, then by [`set_base`].
#[unsafe(no_mangle)]
static CONSOLE_BASE: AtomicUsize = AtomicUsize::new(0);

register_structs! {
    /// What is needed of a PL011 (Arm DDI 0183, "Summary of registers").
    #[expect(non_snake_case, reason = "registers are spelled as in the manual")]
    Pl011 {
        (0x00 => DR: WriteOnly<u32>),
        (0x04 => _reserved),
        (0x18 => FR: ReadOnly<u32>),
        (0x1c => @END),
    }
}

/// `FR`: the transmit FIFO is full.
const TXFF: u32 = 1 << 5;

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
        let base = CONSOLE_BASE.load(Ordering::Relaxed);
        // SAFETY: the reset code and `set_base` keep a PL011 mapped there; registers tolerate
        // sharing, and reading the flag register has no effect.
        let uart = unsafe { &*ptr::with_exposed_provenance::<Pl011>(base) };
        while uart.FR.get() & TXFF != 0 {}
        uart.DR.set(byte.into());
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

    /// Writes the printable characters among these bytes.
    #[inline(never)]
    pub(crate) fn ascii(self, bytes: &[u8]) -> Self {
        for byte in bytes.iter().filter(|byte| byte.is_ascii_graphic()) {
            self.byte(*byte);
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
