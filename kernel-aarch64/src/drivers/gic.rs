//! The interrupt controller, version 2 or 3, behind one type.
//!
//! How the kernel uses either: an interrupt is taken with [`Gic::ack`], masked with
//! [`Gic::disable`] and finished at once with [`Gic::eoi`]; whoever handles it has it unmasked with
//! [`Gic::enable`] later. Nothing stays active meanwhile, so one slow handler delays no other
//! interrupt. All interrupts have one priority; which of them matter more is the scheduler's
//! business. Other processors are never interrupted: no SGIs.

use core::arch::asm;

use tock_registers::interfaces::{Readable, Writeable};
use tock_registers::registers::ReadWrite;

mod v2;
mod v3;

pub(crate) use v2::{GicV2, V2Cpu, V2Distributor};
pub(crate) use v3::{GicV3, V3Distributor};

/// Priority of every interrupt: in the middle, and above the mask that is set.
const PRIORITY: u8 = 0xa0;
/// The same for the four interrupts that share a word.
const PRIORITY_WORD: u32 = u32::from_ne_bytes([PRIORITY; 4]);
/// Identifiers from here on mean "none" or are not interrupts ("Special interrupt numbers").
const SPECIAL: u32 = 1020;

/// First identifier that belongs to a device; those below are sent by processors.
const FIRST_PRIVATE: u32 = 16;
/// First identifier whose trigger can be set; those below are wired.
const FIRST_SHARED: u32 = 32;

/// Sets the trigger in `ICFGR`: two bits each, the upper one for edge ("Interrupt Configuration
/// Registers").
fn configure(registers: &[ReadWrite<u32>; 64], irq: u32, edge: bool) {
    if irq < FIRST_SHARED {
        return;
    }
    let register = &registers[(irq as usize / 16) & 63];
    let bit = 2 << (2 * (irq & 15));
    let others = register.get() & !bit;
    register.set(if edge { others | bit } else { others });
}

/// An interrupt controller.
#[derive(Clone, Copy)]
pub(crate) enum Gic {
    /// `GICv2`.
    V2(GicV2),
    /// `GICv3`.
    V3(GicV3),
}

impl Gic {
    /// Masks everything, forgets what was pending, and lets unmasked interrupts through.
    pub(crate) fn init(&self) {
        match self {
            Self::V2(gic) => gic.init(),
            Self::V3(gic) => gic.init(),
        }
    }

    /// Number of interrupt identifiers.
    pub(crate) fn lines(&self) -> u32 {
        match self {
            Self::V2(gic) => gic.lines(),
            Self::V3(gic) => gic.lines(),
        }
    }

    /// Unmasks `irq`, which is below [`lines`](Self::lines).
    #[inline]
    pub(crate) fn enable(&self, irq: u32) {
        match self {
            Self::V2(gic) => gic.enable(irq),
            Self::V3(gic) => gic.enable(irq),
        }
    }

    /// Masks `irq`, which is below [`lines`](Self::lines).
    #[inline]
    pub(crate) fn disable(&self, irq: u32) {
        match self {
            Self::V2(gic) => gic.disable(irq),
            Self::V3(gic) => gic.disable(irq),
        }
    }

    /// Sets the trigger of a masked interrupt that user space may have; `false` if it may not.
    pub(crate) fn configure(&self, irq: u32, edge: bool) -> bool {
        if irq < FIRST_PRIVATE || irq >= self.lines() {
            return false;
        }
        match self {
            Self::V2(gic) => gic.configure(irq, edge),
            Self::V3(gic) => gic.configure(irq, edge),
        }
        true
    }

    /// Takes the interrupt that is signalled, if it still is.
    #[inline]
    pub(crate) fn ack(&self) -> Option<u32> {
        let irq = match self {
            Self::V2(gic) => gic.ack(),
            Self::V3(gic) => gic.ack(),
        };
        (irq < SPECIAL).then_some(irq)
    }

    /// Ends the handling of `irq`.
    #[inline]
    pub(crate) fn eoi(&self, irq: u32) {
        match self {
            Self::V2(gic) => gic.eoi(irq),
            Self::V3(gic) => gic.eoi(irq),
        }
    }

    /// Whether an interrupt waits to be taken. One register of the processor; asks no device.
    #[inline]
    pub(crate) fn pending() -> bool {
        /// `ISR_EL1.I`.
        const IRQ: u64 = 1 << 7;
        let isr: u64;
        // SAFETY: reads a system register; not `pure`, as it changes by itself.
        unsafe { asm!("mrs {}, isr_el1", out(reg) isr, options(nomem, nostack, preserves_flags)) };
        isr & IRQ != 0
    }
}
