//! The registers, and the card as the device of a server.

use gritos_block_core::api::BlockStatus;
use gritos_block_core::{Backend, Busy, Job, Tag};
use gritos_block_driver::{DmaMemory, Hardware};
use gritos_emmc2_core::register::Register;
use gritos_emmc2_core::{Dma, Outside, SdCard, Window};
use gritos_sys::abi::ObjectType;
use gritos_sys::abi::method::MemoryType;
use gritos_sys::environment::Environment;
use gritos_sys::invoke::Wanted;
use gritos_sys::slots::own;
use gritos_sys::{Error, dma, ipc, mmio, time};

/// Up to this a pause is waited out; the kernel's own way to sleep and back costs about as much.
const SHORT_NS: u64 = 50_000;

/// The controller's registers, and the time.
pub(crate) struct Machine(pub(crate) mmio::Registers);

impl Outside for Machine {
    fn read(&mut self, register: Register) -> u32 {
        self.0.read(register as usize)
    }

    fn write(&mut self, register: Register, value: u32) {
        self.0.write(register as usize, value);
    }

    fn now(&self) -> u64 {
        time::nanoseconds(time::now())
    }

    fn pause(&mut self, nanoseconds: u64) {
        let end = time::after(nanoseconds);
        while time::now() < end {
            if nanoseconds <= SHORT_NS || ipc::sleep_until(end).is_err() {
                core::hint::spin_loop();
            }
        }
    }
}

/// Memory for a table of descriptors.
const TABLE_MEMORY: u64 = 4096;

/// Lets the controller move blocks by itself, as it sees memory through `window`.
pub(crate) fn dma(window: Window) -> Result<Dma<DmaMemory>, Error> {
    let slot = own::take()?;
    // Uncached: the controller looks into no cache.
    let wanted = Wanted::one(ObjectType::MemoryObject, TABLE_MEMORY).memory(MemoryType::Uncached);
    Environment::MEMORY.retype(wanted, slot.cnode(), slot.index())?;
    Ok(Dma {
        table: DmaMemory::map(slot.cap())?,
        window,
        physical: DmaMemory::physical,
        give: |memory, offset, bytes| {
            memory.flush(offset, bytes);
            // The table as well, before the register that tells of it.
            dma::barrier();
        },
        take: |memory, offset, bytes| {
            dma::barrier();
            // Lines that came in meanwhile, because somebody looked or was expected to.
            memory.flush(offset, bytes);
            dma::barrier();
        },
    })
}

/// The card.
pub(crate) struct Disk(pub(crate) SdCard<Machine, DmaMemory>);

impl Backend<DmaMemory> for Disk {
    fn start(&mut self, job: &Job, memory: &DmaMemory, tag: Tag) -> Result<(), Busy> {
        self.0.start(job, memory, tag)
    }

    fn finished(&mut self) -> Option<(Tag, BlockStatus)> {
        let ended = self.0.finished();
        match (self.0.take_trouble(), &ended) {
            (Some(fault), Some((_, BlockStatus::IoError))) => log::error!("a job failed: {fault}"),
            (Some(fault), _) => log::warn!("a job was tried again: {fault}"),
            (None, _) => {}
        }
        ended
    }
}

impl Hardware for Disk {
    fn interrupt(&mut self) {
        self.0.interrupt();
    }

    fn rest(&mut self) -> bool {
        self.0.has_ended()
    }

    fn deadline(&self) -> Option<u64> {
        self.0.deadline().map(time::ticks)
    }
}
