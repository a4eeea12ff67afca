//! Exceptions of the kernel itself, and panics: report on the console, then stop.

use core::{
    panic::PanicInfo,
    sync::atomic::{AtomicBool, Ordering},
};

use aarch64_cpu::{
    asm::wfi,
    registers::{ELR_EL1, ESR_EL1, FAR_EL1, Readable, SPSR_EL1},
};

use super::semihosting;
use crate::drivers::console::Console;

/// General-purpose registers as `vectors.s` leaves them on the emergency stack.
#[repr(C)]
struct Registers {
    /// x0 to x30.
    x: [u64; 31],
    sp: u64,
}
const _: () = assert!(
    size_of::<Registers>() == 256,
    "vectors.s reserves that much"
);

/// Set once a report has begun: a fault in the report itself must not start another one.
static REPORTING: AtomicBool = AtomicBool::new(false);

/// Whether an emulator waits for the kernel's exit status. Set by the boot image's flag.
static EXIT_WHEN_STOPPED: AtomicBool = AtomicBool::new(false);

/// Exit status of an emulator whose kernel stopped; Rust programs end with it when they panic.
const STOPPED: u32 = 101;

/// Makes a stopped kernel end the emulator. Only where semihosting is known to be on.
pub(crate) fn exit_when_stopped() {
    EXIT_WHEN_STOPPED.store(true, Ordering::Relaxed);
}

/// Ends a kernel that cannot go on: the emulator's exit status says so if somebody listens.
pub(crate) fn stop() -> ! {
    if EXIT_WHEN_STOPPED.load(Ordering::Relaxed) {
        semihosting::exit(STOPPED);
    }
    halt()
}

/// Stops the processor for good.
pub(crate) fn halt() -> ! {
    loop {
        wfi();
    }
}

fn begin_report() -> Console {
    // A plain load and store: exclusives are not guaranteed to work with the MMU off, and no other
    // processor runs.
    if REPORTING.load(Ordering::Relaxed) {
        halt();
    }
    REPORTING.store(true, Ordering::Relaxed);
    Console.text("\ngRiTOS kernel stopped: ")
}

/// Reports an exception that the kernel does not expect. Called by `vectors.s` alone.
#[unsafe(no_mangle)]
extern "C" fn report_fault(vector: u64, registers: &Registers) -> ! {
    let out = begin_report();
    let from = ["EL1 on SP_EL0", "EL1", "EL0", "EL0 in AArch32"];
    let kind = ["synchronous exception", "IRQ", "FIQ", "SError"];
    let pick = |names: [&'static str; 4], index: u64| names[(index & 3) as usize];
    out.text(pick(kind, vector))
        .text(" from ")
        .text(pick(from, vector >> 2));
    out.text("\n esr ")
        .hex(ESR_EL1.get(), 16)
        .text("  far ")
        .hex(FAR_EL1.get(), 16);
    out.text("\n elr ")
        .hex(ELR_EL1.get(), 16)
        .text(" spsr ")
        .hex(SPSR_EL1.get(), 16);
    out.text("\n  sp ").hex(registers.sp, 16);
    for (number, value) in (0..).zip(registers.x) {
        out.text(if number % 4 == 0 { "\n " } else { "  " });
        out.text(if number < 10 { " x" } else { "x" })
            .number(number)
            .text(" ")
            .hex(value, 16);
    }
    out.text("\n");
    stop()
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    let out = begin_report().text("panic at ");
    if let Some(location) = info.location() {
        out.text(location.file())
            .text(":")
            .number(location.line().into());
    }
    out.text("\n");
    stop()
}
