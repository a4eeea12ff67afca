//! Switching the machine off and on again.

use core::arch::asm;

use gritos_kernel_core::dtb::Conduit;
use tock_registers::{
    interfaces::{Readable, Writeable},
    register_structs,
    registers::ReadWrite,
};

use crate::arch::fault;

/// PSCI functions (Arm *Power State Coordination Interface*, DEN 0022).
const SYSTEM_OFF: u32 = 0x8400_0008;
const SYSTEM_RESET: u32 = 0x8400_0009;

/// Upper half of every write to [`PmRegisters`]; others are ignored.
const PM_PASSWORD: u32 = 0x5a00_0000;
/// `rstc`: what the watchdog does when it ends, and the value for a full reset.
const RSTC_CONFIG: u32 = 0x30;
const RSTC_FULL_RESET: u32 = 0x20;
/// `rsts`: the partition to boot from, in every second bit up to 10. 63 means: stay off.
const RSTS_PARTITION: u32 = 0x555;

register_structs! {
    /// Power management of the BCM2711, as Linux' `bcm2835_wdt` uses it, in the order of
    /// raspberrypi/linux: status, ticks, control. No manual describes it.
    pub(crate) PmRegisters {
        (0x00 => _reserved),
        (0x1c => rstc: ReadWrite<u32>),
        (0x20 => rsts: ReadWrite<u32>),
        (0x24 => wdog: ReadWrite<u32>),
        (0x28 => @END),
    }
}

/// Who can switch this machine off.
#[derive(Clone, Copy)]
pub(crate) enum Power {
    /// Firmware that speaks PSCI.
    Psci(Conduit),
    /// A Broadcom watchdog.
    Watchdog(&'static PmRegisters),
    /// Nobody.
    None,
}

impl Power {
    /// Switches the machine off, or stops it where that is impossible.
    pub(crate) fn off(self) -> ! {
        match self {
            Self::Psci(conduit) => call(conduit, SYSTEM_OFF),
            Self::Watchdog(pm) => {
                pm.rsts
                    .set(PM_PASSWORD | pm.rsts.get() & !RSTS_PARTITION | RSTS_PARTITION);
                expire(pm);
            }
            Self::None => {}
        }
        fault::halt()
    }

    /// Resets the machine, or stops it where that is impossible.
    pub(crate) fn reset(self) -> ! {
        match self {
            Self::Psci(conduit) => call(conduit, SYSTEM_RESET),
            Self::Watchdog(pm) => {
                pm.rsts.set(PM_PASSWORD | pm.rsts.get() & !RSTS_PARTITION);
                expire(pm);
            }
            Self::None => {}
        }
        fault::halt()
    }
}

/// Lets the watchdog run out at once.
fn expire(pm: &PmRegisters) {
    /// Ticks of 1/65,536 s until the reset, as Linux has it.
    const SOON: u32 = 10;
    pm.wdog.set(PM_PASSWORD | SOON);
    pm.rstc
        .set(PM_PASSWORD | pm.rstc.get() & !RSTC_CONFIG | RSTC_FULL_RESET);
}

/// Calls a firmware function that takes no arguments.
fn call(conduit: Conduit, function: u32) {
    match conduit {
        // SAFETY: SMCCC: x0-x17 are clobbered, the rest is kept. The device tree says that
        // something answers this instruction.
        Conduit::Hvc => unsafe {
            asm!("hvc #0", inout("w0") function => _, clobber_abi("C"), options(nostack));
        },
        // SAFETY: as above.
        Conduit::Smc => unsafe {
            asm!("smc #0", inout("w0") function => _, clobber_abi("C"), options(nostack));
        },
    }
}
