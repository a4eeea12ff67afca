//! How many instructions the processor has executed, for measurements.
//!
//! Event counter 0 counts `INST_RETIRED` (Arm ARM DDI 0487, "PMU events and event numbers") at EL0 and
//! EL1: work of every program and of the kernel, and not the time in which the processor sleeps.
//! Under an emulator that counts instructions the figure is exact.

use core::arch::asm;

/// `PMUSERENR_EL0.EN`: EL0 may use counters.
const OPEN: u64 = 1;
/// `INST_RETIRED`, at EL0 and EL1.
const EVENT: u64 = 0x08;
/// `PMCNTENSET_EL0`: counter 0.
const COUNTER: u64 = 1;

/// Whether programs may use counters: the boot image decides.
#[must_use]
pub fn is_open() -> bool {
    let access: u64;
    // SAFETY: reads a register that EL0 may always read.
    unsafe {
        asm!("mrs {}, pmuserenr_el0", out(reg) access, options(nomem, nostack, preserves_flags));
    }
    access & OPEN != 0
}

/// Has counter 0 count executed instructions. Faults unless [`is_open`].
pub fn start() {
    // SAFETY: writes registers of a counter, which no code depends on.
    unsafe {
        asm!(
            "msr pmevtyper0_el0, {event}",
            "msr pmcntenset_el0, {counter}",
            "isb",
            event = in(reg) EVENT,
            counter = in(reg) COUNTER,
            options(nomem, nostack, preserves_flags),
        );
    }
}

/// Instructions executed, modulo 2³², from any moment on. Faults unless [`is_open`].
#[must_use]
pub fn count() -> u32 {
    let count: u64;
    // SAFETY: reads a counter. Not `nomem`, so that what is measured stays between two reads.
    unsafe {
        asm!(
            "isb",
            "mrs {}, pmevcntr0_el0",
            out(reg) count,
            options(nostack, preserves_flags),
        );
    }
    count as u32
}
