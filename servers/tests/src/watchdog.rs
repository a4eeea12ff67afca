//! The Pi's watchdog, so that a kernel that hangs under test needs no hand: the board resets itself, and the loader
//! on its card waits for the next image.
//!
//! The runner feeds it before each test and while it waits for one. A test that hangs is the runner's business, which has
//! a limit for each; a runner that does not run any more is the watchdog's. Registers: Linux `bcm2835_wdt.c`, as in the
//! kernel, which resets the board by the same ones.

use gritos_sys::abi::ObjectType;
use gritos_sys::abi::boot_info::{Board, BootInfo};
use gritos_sys::abi::method::MemoryType;
use gritos_sys::cap::{AddressSpace, MemoryObject, Untyped};
use gritos_sys::invoke::Wanted;
use gritos_sys::mmio::Registers;
use gritos_sys::slots::Slots;
use gritos_sys::{Cap, Error, time};

/// Physical address of the page with the registers.
const PAGE: u64 = 0xfe10_0000;
const PAGE_BYTES: u64 = 4096;
/// `PM_RSTC`: what happens at the end. `PM_WDOG`: what is left, 65,536 to the second.
const RSTC: usize = 0x1c;
const WDOG: usize = 0x24;
/// Upper byte of every write.
const PASSWORD: u32 = 0x5a00_0000;
/// `RSTC`, bits 5:4: a full reset.
const ACTION: u32 = 0x30;
const FULL_RESET: u32 = 0x20;
/// The most that `WDOG` holds: 16 s.
const LONGEST: u32 = 0x000f_ffff;
/// It is fed again after this long.
const MEAL_NS: u64 = 4_000_000_000;
/// What the counter of a board runs at (`armstub8.S`). That of QEMU's `raspi4b` runs at 62.5 MHz, and its watchdog
/// resets as soon as it is set: it knows no time.
const COUNTER_HZ: u64 = 54_000_000;

/// The watchdog, if there is one that can be used.
#[derive(Clone, Copy)]
pub(crate) struct Watchdog {
    registers: Option<Cap<MemoryObject>>,
    space: Cap<AddressSpace>,
}

impl Watchdog {
    /// Takes its registers from `devices`, the memory of devices, of which nothing has been taken yet. It is not set.
    pub(crate) fn take(
        info: &BootInfo,
        devices: Cap<Untyped>,
        space: Cap<AddressSpace>,
        slots: &mut Slots,
    ) -> Result<Self, Error> {
        let real = info.board == Board::RaspberryPi4 as u64 && info.counter_hz == COUNTER_HZ;
        let mut registers = None;
        if real {
            let slot = slots.take()?;
            let wanted = Wanted::one(ObjectType::MemoryObject, PAGE_BYTES)
                .at(PAGE)
                .memory(MemoryType::Device);
            devices.retype(wanted, slot.cnode(), slot.index())?;
            registers = Some(slot.cap());
        }
        Ok(Self { registers, space })
    }

    /// When it is to be fed again, in ticks of the counter: `latest`, or before.
    pub(crate) fn next_meal(self, latest: u64) -> u64 {
        match self.registers {
            Some(_) => latest.min(time::after(MEAL_NS)),
            None => latest,
        }
    }

    /// The board resets itself 16 seconds from now, unless it is fed before.
    pub(crate) fn feed(self) {
        let Some(registers) = self.registers else {
            return;
        };
        // Unfed it resets the board, which tells that something is wrong.
        let _ = Registers::lend(registers, self.space, |registers| {
            registers.write(WDOG, PASSWORD | LONGEST);
            let kept = registers.read(RSTC) & 0x00ff_ffff & !ACTION;
            registers.write(RSTC, PASSWORD | kept | FULL_RESET);
        });
    }
}
