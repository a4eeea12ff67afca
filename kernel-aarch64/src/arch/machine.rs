//! The effects that the core asks for, on the real machine.

use core::arch::asm;

use gritos_kernel_core::machine::Machine;

use super::fault;
use super::layout::LINEAR_BASE;
use super::semihosting;
use crate::drivers::console::Console;
use crate::drivers::gic::Gic;
use crate::drivers::power::Power;
use crate::drivers::timer;

/// Bytes of kernel text kept while user space has the console.
const RING: usize = 512;

/// The machine.
pub(crate) struct Hardware {
    pub(crate) gic: Gic,
    pub(crate) power: Power,
    /// `TTBR0_EL1` for threads without an address space.
    pub(crate) empty_ttbr0: u64,
    /// What the firmware gave as entropy, until it is taken.
    pub(crate) seed: Option<[u64; 4]>,
    /// Whether an exit code can be passed to an emulator.
    pub(crate) semihosting: bool,
    /// Interrupt of the kernel's timer, which is nobody else's.
    pub(crate) timer_irq: u32,
    pub(crate) log: Log,
}

/// The kernel's text while user space has the console.
pub(crate) struct Log {
    console_taken: bool,
    ring: [u8; RING],
    written: usize,
    read: usize,
}

impl Log {
    pub(crate) const EMPTY: Self = Self {
        console_taken: false,
        ring: [0; RING],
        written: 0,
        read: 0,
    };
}

impl Machine for Hardware {
    #[inline(always)]
    fn now(&self) -> u64 {
        timer::now()
    }

    #[inline(always)]
    fn set_timer(&mut self, at: u64) {
        if at == u64::MAX {
            timer::disarm()
        } else {
            timer::arm(at)
        }
    }

    #[inline(always)]
    fn interrupt_pending(&self) -> bool {
        Gic::pending()
    }

    fn unmask(&mut self, irq: u32) {
        self.gic.enable(irq);
    }

    fn mask(&mut self, irq: u32) {
        self.gic.disable(irq);
    }

    fn configure_irq(&mut self, irq: u32, edge: bool) -> bool {
        irq != self.timer_irq && self.gic.configure(irq, edge)
    }

    #[inline(always)]
    fn tables_written(&mut self) {
        // SAFETY: a barrier. Not `nomem`: the table writes come before it.
        unsafe { asm!("dsb ishst", options(nostack, preserves_flags)) };
    }

    #[inline(always)]
    fn forget_page(&mut self, asid: u32, page: u64) {
        let operand = u64::from(asid) << 48 | page & 0xfff_ffff_ffff;
        // SAFETY: removes cached translations, which at worst are walked again.
        unsafe { asm!("tlbi vae1is, {}", in(reg) operand, options(nostack, preserves_flags)) };
    }

    #[inline(always)]
    fn forget_space(&mut self, asid: u32) {
        let operand = u64::from(asid) << 48;
        // SAFETY: removes cached translations, which at worst are walked again.
        unsafe { asm!("tlbi aside1is, {}", in(reg) operand, options(nostack, preserves_flags)) };
    }

    #[inline(always)]
    fn forgotten(&mut self) {
        // SAFETY: a barrier. Not `nomem`: memory that was unmapped is reused only behind it.
        unsafe { asm!("dsb ish", options(nostack, preserves_flags)) };
    }

    fn flush_cache(&mut self, address: u64, bytes: u64) {
        /// Cache lines of Cortex-A72; a smaller step than the line only repeats.
        const LINE: u64 = 64;
        let mut at = LINEAR_BASE as u64 + address;
        let end = at + bytes;
        while at < end {
            // SAFETY: writes a line of the linear map back; its content stays what it is.
            unsafe { asm!("dc civac, {}", in(reg) at, options(nostack, preserves_flags)) };
            at += LINE;
        }
        self.forgotten();
    }

    fn empty_ttbr0(&self) -> u64 {
        self.empty_ttbr0
    }

    fn debug_putchar(&mut self, byte: u8) -> bool {
        if self.log.console_taken {
            if let Some(place) = self.log.ring.get_mut(self.log.written % RING) {
                *place = byte;
            }
            self.log.written = self.log.written.wrapping_add(1);
        } else {
            Console.byte(byte);
        }
        true
    }

    fn console(&mut self, to_user: bool) {
        self.log.console_taken = to_user;
    }

    fn read_log(&mut self, into: &mut [u64; 7]) -> u64 {
        let unread = self.log.written.wrapping_sub(self.log.read);
        if unread > RING {
            self.log.read = self.log.written.wrapping_sub(RING);
        }
        let mut count = 0;
        for word in into {
            for shift in 0..8 {
                if self.log.read == self.log.written {
                    return count;
                }
                let byte = self
                    .log
                    .ring
                    .get(self.log.read % RING)
                    .copied()
                    .unwrap_or(0);
                *word |= u64::from(byte) << (8 * shift);
                self.log.read = self.log.read.wrapping_add(1);
                count += 1;
            }
        }
        count
    }

    fn power_off(&mut self, code: u64) {
        if self.semihosting {
            semihosting::exit(code as u32);
        }
        self.power.off();
    }

    fn reset(&mut self) {
        self.power.reset();
    }

    fn entropy(&mut self) -> Option<[u64; 4]> {
        self.seed.take()
    }

    fn counter_hz(&self) -> u64 {
        timer::frequency()
    }
}

/// Waits for an interrupt; interrupts stay masked, so it is pending afterwards.
pub(crate) fn idle() {
    aarch64_cpu::asm::wfi();
}

/// Stops because the root task cannot go on.
pub(crate) fn stop() -> ! {
    fault::stop()
}
