//! `GICv2` (Arm IHI 0048B), such as the GIC-400, as a non-secure or single-world kernel sees it.
//!
//! On the Pi the firmware has put all interrupts into group 1 and the kernel sees the non-secure
//! view, in QEMU there is one world and everything is in group 0: in both, bit 0 of the two control
//! registers is the one that enables what the kernel gets.

use tock_registers::{
    interfaces::{Readable, Writeable},
    register_structs,
    registers::{ReadOnly, ReadWrite, WriteOnly},
};

use super::PRIORITY_WORD;

register_structs! {
    /// "Distributor register map".
    #[expect(non_snake_case, reason = "registers are spelled as in the manual")]
    pub(crate) V2Distributor {
        (0x000 => CTLR: ReadWrite<u32>),
        (0x004 => TYPER: ReadOnly<u32>),
        (0x008 => _reserved0),
        (0x100 => ISENABLER: [ReadWrite<u32>; 32]),
        (0x180 => ICENABLER: [ReadWrite<u32>; 32]),
        (0x200 => _reserved1),
        (0x280 => ICPENDR: [ReadWrite<u32>; 32]),
        (0x300 => _reserved2),
        (0x380 => ICACTIVER: [ReadWrite<u32>; 32]),
        (0x400 => IPRIORITYR: [ReadWrite<u32>; 256]),
        (0x800 => ITARGETSR: [ReadWrite<u32>; 256]),
        (0xc00 => ICFGR: [ReadWrite<u32>; 64]),
        (0xd00 => @END),
    }
}

register_structs! {
    /// "CPU interface register map". Reading `IAR` takes an interrupt.
    #[expect(non_snake_case, reason = "registers are spelled as in the manual")]
    pub(crate) V2Cpu {
        (0x00 => CTLR: ReadWrite<u32>),
        (0x04 => PMR: ReadWrite<u32>),
        (0x08 => BPR: ReadWrite<u32>),
        (0x0c => IAR: ReadOnly<u32>),
        (0x10 => EOIR: WriteOnly<u32>),
        (0x14 => @END),
    }
}

/// A `GICv2`.
#[derive(Clone, Copy)]
pub(crate) struct GicV2 {
    distributor: &'static V2Distributor,
    cpu: &'static V2Cpu,
}

impl GicV2 {
    /// The controller with these registers.
    pub(crate) const fn new(distributor: &'static V2Distributor, cpu: &'static V2Cpu) -> Self {
        Self { distributor, cpu }
    }

    pub(super) fn init(&self) {
        let distributor = self.distributor;
        distributor.CTLR.set(0);
        let words = self.lines() as usize / 32;
        for all in [
            &distributor.ICENABLER,
            &distributor.ICPENDR,
            &distributor.ICACTIVER,
        ] {
            all.iter().take(words).for_each(|word| word.set(u32::MAX));
        }
        distributor
            .IPRIORITYR
            .iter()
            .take(words * 8)
            .for_each(|word| word.set(PRIORITY_WORD));
        // The targets of private interrupts read as the processor that asks. On a GIC for one
        // processor all of this reads as zero and ignores writes.
        let here = distributor.ITARGETSR[0].get();
        distributor
            .ITARGETSR
            .iter()
            .take(words * 8)
            .skip(8)
            .for_each(|word| word.set(here));
        distributor.CTLR.set(1);
        self.cpu.PMR.set(0xff);
        self.cpu.BPR.set(0);
        // EOImode 0: a write to EOIR ends priority drop and activity together.
        self.cpu.CTLR.set(1);
    }

    pub(super) fn lines(&self) -> u32 {
        // ITLinesNumber; the last four identifiers of the largest GIC are special.
        (32 * ((self.distributor.TYPER.get() & 31) + 1)).min(992)
    }

    #[inline]
    pub(super) fn enable(&self, irq: u32) {
        self.distributor.ISENABLER[(irq as usize / 32) & 31].set(1 << (irq & 31));
    }

    #[inline]
    pub(super) fn disable(&self, irq: u32) {
        self.distributor.ICENABLER[(irq as usize / 32) & 31].set(1 << (irq & 31));
    }

    /// Sets the trigger of a shared interrupt; the line must be masked.
    pub(super) fn configure(&self, irq: u32, edge: bool) {
        super::configure(&self.distributor.ICFGR, irq, edge);
    }

    #[inline]
    pub(super) fn ack(&self) -> u32 {
        // Above the identifier IAR names the sender of an SGI.
        self.cpu.IAR.get() & 0x3ff
    }

    #[inline]
    pub(super) fn eoi(&self, irq: u32) {
        self.cpu.EOIR.set(irq);
    }
}
