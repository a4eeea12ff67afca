//! `GICv3` (Arm IHI 0069) with affinity routing, as a non-secure or single-world kernel sees it. The
//! processor interface is system registers.

use core::arch::asm;

use aarch64_cpu::{asm::barrier, registers::MPIDR_EL1};
use tock_registers::{
    interfaces::{Readable, Writeable},
    register_structs,
    registers::{ReadOnly, ReadWrite},
};

use super::PRIORITY_WORD;

/// `GICD_CTLR`: affinity routing, and both groups that can be the kernel's in either security view
/// ("`GICD_CTLR`, Distributor Control Register").
const CTLR_ENABLE: u32 = 1 << 4 | 1 << 1 | 1 << 0;
/// `GICD_CTLR` and `GICR_CTLR`: a write is still on its way.
const DISTRIBUTOR_RWP: u32 = 1 << 31;
const REDISTRIBUTOR_RWP: u32 = 1 << 3;
/// `GICR_WAKER`.
const PROCESSOR_SLEEP: u32 = 1 << 1;
const CHILDREN_ASLEEP: u32 = 1 << 2;
/// `GICR_TYPER`.
const TYPER_VLPIS: u64 = 1 << 1;
const TYPER_LAST: u64 = 1 << 4;
/// Bytes of a redistributor: two frames, or four with virtual LPIs.
const FRAMES: usize = 0x2_0000;

register_structs! {
    /// "Distributor register map".
    #[expect(non_snake_case, reason = "registers are spelled as in the manual")]
    pub(crate) V3Distributor {
        (0x0000 => CTLR: ReadWrite<u32>),
        (0x0004 => TYPER: ReadOnly<u32>),
        (0x0008 => _reserved0),
        (0x0080 => IGROUPR: [ReadWrite<u32>; 32]),
        (0x0100 => ISENABLER: [ReadWrite<u32>; 32]),
        (0x0180 => ICENABLER: [ReadWrite<u32>; 32]),
        (0x0200 => _reserved1),
        (0x0280 => ICPENDR: [ReadWrite<u32>; 32]),
        (0x0300 => _reserved2),
        (0x0380 => ICACTIVER: [ReadWrite<u32>; 32]),
        (0x0400 => IPRIORITYR: [ReadWrite<u32>; 256]),
        (0x0800 => _reserved3),
        (0x0c00 => ICFGR: [ReadWrite<u32>; 64]),
        (0x0d00 => _reserved4),
        (0x6000 => IROUTER: [ReadWrite<u64>; 1024]),
        (0x8000 => @END),
    }
}

register_structs! {
    /// "Redistributor register map": the frame for LPIs and power, then that for private interrupts.
    #[expect(non_snake_case, reason = "registers are spelled as in the manual")]
    pub(crate) V3Redistributor {
        (0x0_0000 => CTLR: ReadWrite<u32>),
        (0x0_0004 => _reserved0),
        (0x0_0008 => TYPER: ReadOnly<u64>),
        (0x0_0010 => _reserved1),
        (0x0_0014 => WAKER: ReadWrite<u32>),
        (0x0_0018 => _reserved2),
        (0x1_0080 => IGROUPR0: ReadWrite<u32>),
        (0x1_0084 => _reserved3),
        (0x1_0100 => ISENABLER0: ReadWrite<u32>),
        (0x1_0104 => _reserved4),
        (0x1_0180 => ICENABLER0: ReadWrite<u32>),
        (0x1_0184 => _reserved5),
        (0x1_0280 => ICPENDR0: ReadWrite<u32>),
        (0x1_0284 => _reserved6),
        (0x1_0380 => ICACTIVER0: ReadWrite<u32>),
        (0x1_0384 => _reserved7),
        (0x1_0400 => IPRIORITYR: [ReadWrite<u32>; 8]),
        (0x1_0420 => _reserved8),
        (0x2_0000 => @END),
    }
}

/// A `GICv3`, and the redistributor of the boot processor.
#[derive(Clone, Copy)]
pub(crate) struct GicV3 {
    distributor: &'static V3Distributor,
    redistributor: &'static V3Redistributor,
}

impl GicV3 {
    /// Finds this processor's redistributor among those in `len` bytes at `redistributors`.
    ///
    /// # Safety
    ///
    /// Those bytes must be redistributors that stay mapped.
    pub(crate) unsafe fn new(
        distributor: &'static V3Distributor,
        redistributors: *const u8,
        len: usize,
    ) -> Option<Self> {
        let mpidr = MPIDR_EL1.get();
        let here = (mpidr >> 8 & 0xff00_0000) | (mpidr & 0x00ff_ffff);
        let mut offset = 0;
        while offset + FRAMES <= len {
            // SAFETY: inside the mapping that the caller vouches for.
            let redistributor = unsafe { redistributors.add(offset) }.cast::<V3Redistributor>();
            // SAFETY: likewise, and registers tolerate sharing.
            let redistributor = unsafe { &*redistributor };
            let typer = redistributor.TYPER.get();
            if typer >> 32 == here {
                return Some(Self {
                    distributor,
                    redistributor,
                });
            }
            if typer & TYPER_LAST != 0 {
                return None;
            }
            offset += if typer & TYPER_VLPIS != 0 {
                2 * FRAMES
            } else {
                FRAMES
            };
        }
        None
    }

    pub(super) fn init(&self) {
        let distributor = self.distributor;
        distributor.CTLR.set(0);
        self.wait();
        let words = self.lines() as usize / 32;
        // Word 0 is the private interrupts', which are the redistributor's.
        for all in [
            &distributor.ICENABLER,
            &distributor.ICPENDR,
            &distributor.ICACTIVER,
            &distributor.IGROUPR,
        ] {
            all.iter()
                .take(words)
                .skip(1)
                .for_each(|word| word.set(u32::MAX));
        }
        let priorities = distributor.IPRIORITYR.iter().take(words * 8).skip(8);
        priorities.for_each(|word| word.set(PRIORITY_WORD));
        self.wait();
        distributor.CTLR.set(CTLR_ENABLE);
        self.wait();
        // Routes exist once affinity routing is on: to this processor.
        let mpidr = MPIDR_EL1.get();
        let here = mpidr & 0xff_00ff_ffff;
        distributor
            .IROUTER
            .iter()
            .take(words * 32)
            .skip(32)
            .for_each(|route| route.set(here));

        let redistributor = self.redistributor;
        redistributor
            .WAKER
            .set(redistributor.WAKER.get() & !PROCESSOR_SLEEP);
        while redistributor.WAKER.get() & CHILDREN_ASLEEP != 0 {}
        redistributor.ICENABLER0.set(u32::MAX);
        redistributor.ICPENDR0.set(u32::MAX);
        redistributor.ICACTIVER0.set(u32::MAX);
        redistributor.IGROUPR0.set(u32::MAX);
        redistributor
            .IPRIORITYR
            .iter()
            .for_each(|word| word.set(PRIORITY_WORD));
        self.wait();

        // SAFETY: system registers of the processor interface, which the reset code has made
        // available: ICC_SRE_EL1 selects them, then ICC_PMR_EL1 lets all priorities through,
        // ICC_BPR1_EL1 and ICC_CTLR_EL1 (EOImode 0) take their plainest values, and
        // ICC_IGRPEN1_EL1 enables group 1. `nomem`: the only effect is on interrupts, masked here.
        unsafe {
            asm!(
                "msr s3_0_c12_c12_5, {one}",
                "isb",
                "msr s3_0_c4_c6_0, {all}",
                "msr s3_0_c12_c12_3, xzr",
                "msr s3_0_c12_c12_4, xzr",
                "msr s3_0_c12_c12_7, {one}",
                "isb",
                one = in(reg) 1_u64,
                all = in(reg) 0xff_u64,
                options(nomem, nostack, preserves_flags),
            );
        }
    }

    pub(super) fn lines(&self) -> u32 {
        (32 * ((self.distributor.TYPER.get() & 31) + 1)).min(992)
    }

    #[inline]
    pub(super) fn enable(&self, irq: u32) {
        let bit = 1 << (irq & 31);
        match (irq as usize / 32) & 31 {
            0 => self.redistributor.ISENABLER0.set(bit),
            word => self.distributor.ISENABLER[word].set(bit),
        }
    }

    /// Masks, and waits until the interrupt cannot be signalled any more.
    #[inline]
    pub(super) fn disable(&self, irq: u32) {
        let bit = 1 << (irq & 31);
        match (irq as usize / 32) & 31 {
            0 => self.redistributor.ICENABLER0.set(bit),
            word => self.distributor.ICENABLER[word].set(bit),
        }
        self.wait();
    }

    /// Sets the trigger of a shared interrupt; the line must be masked.
    pub(super) fn configure(&self, irq: u32, edge: bool) {
        super::configure(&self.distributor.ICFGR, irq, edge);
    }

    #[inline]
    pub(super) fn ack(&self) -> u32 {
        let iar: u64;
        // SAFETY: reads ICC_IAR1_EL1, which takes an interrupt; not `pure`. No `nomem`, so that
        // what a driver did before is not moved behind it.
        unsafe { asm!("mrs {}, s3_0_c12_c12_0", out(reg) iar, options(nostack, preserves_flags)) };
        // The acknowledgement has reached the redistributor once a DSB has completed ("Observability
        // of the effects of accesses to the GIC registers").
        barrier::dsb(barrier::SY);
        (iar & 0xff_ffff) as u32
    }

    #[inline]
    pub(super) fn eoi(&self, irq: u32) {
        // SAFETY: writes ICC_EOIR1_EL1, which ends the interrupt; no `nomem`: what handled the
        // interrupt must come first.
        unsafe {
            asm!("msr s3_0_c12_c12_1, {}", in(reg) u64::from(irq), options(nostack, preserves_flags));
        }
    }

    /// Waits until writes that mask interrupts have taken effect.
    #[inline]
    fn wait(&self) {
        while self.distributor.CTLR.get() & DISTRIBUTOR_RWP != 0 {}
        while self.redistributor.CTLR.get() & REDISTRIBUTOR_RWP != 0 {}
    }
}
