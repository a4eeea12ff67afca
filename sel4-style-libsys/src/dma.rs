//! Memory that devices access.
//!
//! A [`DmaMemory`] is normal memory at a known physical address. It is mapped
//! in a window in which each byte lies at its physical address plus
//! [`WINDOW_BASE`], so that going from one to the other takes no table. The
//! window is part of the addresses for shared memory: others, the device
//! included, change the bytes, and so they are copied, never referred to.
//!
//! There is no IOMMU: a device goes wherever its driver tells it to go.
//! [`DmaRange`]s are made by bounds checks alone, so that safe code tells it to
//! go into memory that is there for it.

use gritos_abi::Status;
use gritos_abi::method::MemoryType;

use crate::cap::{Cap, MemoryObject};
use crate::environment;
use crate::error::{Error, Operation};
use crate::invoke::Permissions;
use crate::shared::SharedBuf;

#[cfg(feature = "virtio")]
pub mod virtio;

/// Address at which physical address 0 would be mapped.
pub const WINDOW_BASE: u64 = 0x20_0000_0000;
/// One past the last address: the window has room for 64 GiB, all that the
/// kernel handles.
pub const WINDOW_END: u64 = 0x30_0000_0000;

/// Everything that was written before is visible to every device before anything that follows, and what is
/// read afterwards is not older. `fence` orders for processors alone; devices are outside of their
/// shareability domain (Arm ARM, "Data Synchronization Barrier").
pub fn barrier() {
    #[cfg(target_os = "none")]
    // SAFETY: a barrier changes nothing. Not `nomem`: accesses stay on their side of it.
    unsafe {
        core::arch::asm!("dsb sy", options(nostack, preserves_flags));
    }
}

/// A memory object that devices may access, mapped.
#[derive(Clone, Copy, Debug)]
pub struct DmaMemory {
    shared: SharedBuf,
    physical: u64,
}

/// Some bytes of a [`DmaMemory`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DmaRange {
    address: usize,
    len: u32,
}

impl DmaMemory {
    /// Maps all of `memory`, which the component made and keeps.
    ///
    /// # Errors
    /// `MissingRight` if the component has no right to physical addresses,
    /// `DeviceMemory` for registers, and those of [`environment::map`].
    pub fn map(memory: Cap<MemoryObject>) -> Result<Self, Error> {
        let info = memory.info()?;
        if !matches!(info.memory, Some(MemoryType::Normal | MemoryType::Uncached)) {
            return Err(Error::local(Status::DeviceMemory, Operation::Load));
        }
        let physical = memory.physical_address()?;
        let address = physical
            .checked_add(WINDOW_BASE)
            .filter(|address| {
                address
                    .checked_add(info.size)
                    .is_some_and(|end| end <= WINDOW_END)
            })
            .ok_or(Error::local(Status::OutOfRange, Operation::Load))?;
        environment::map(memory, address, Permissions::ReadWrite)?;
        Ok(Self {
            shared: SharedBuf::of(memory)?,
            physical,
        })
    }

    /// The bytes.
    #[must_use]
    pub const fn shared(&self) -> &SharedBuf {
        &self.shared
    }

    /// Address of the first byte for devices that see memory as the processor
    /// does.
    #[must_use]
    pub const fn physical(&self) -> u64 {
        self.physical
    }

    /// Writes what caches hold of `len` bytes at `offset` to memory, and takes it from them, for devices that do not
    /// look into caches: before they read or write there, and again after they wrote. Completed by the next
    /// [`barrier`]. Of bytes that are not inside nothing is done. (Arm ARM, "Data cache maintenance instructions": to the
    /// point of coherency, which is where devices are.)
    pub fn flush(&self, offset: usize, len: usize) {
        // A smaller line than the processor has only repeats work; none has smaller ones.
        const LINE_BYTES: u64 = 64;
        let Some(range) = self.range(offset, len) else {
            return;
        };
        let first = (WINDOW_BASE + range.physical()) & !(LINE_BYTES - 1);
        let end = WINDOW_BASE + range.physical() + u64::from(range.len());
        for line in (first..end).step_by(LINE_BYTES as usize) {
            #[cfg(target_os = "none")]
            // SAFETY: changes what no program sees, in memory that this component mapped; should it be gone the
            // instruction faults.
            unsafe {
                core::arch::asm!("dc civac, {}", in(reg) line, options(nostack, preserves_flags));
            }
            #[cfg(not(target_os = "none"))]
            let _ = line;
        }
    }

    /// `len` bytes (at least one) at `offset`; `None` if they are not inside.
    #[must_use]
    pub fn range(&self, offset: usize, len: usize) -> Option<DmaRange> {
        let end = offset.checked_add(len)?;
        if len == 0 || end > self.shared.len() {
            return None;
        }
        Some(DmaRange {
            address: usize::try_from(WINDOW_BASE + self.physical).ok()? + offset,
            len: u32::try_from(len).ok()?,
        })
    }
}

impl DmaRange {
    /// Bytes in it.
    #[must_use]
    pub const fn len(&self) -> u32 {
        self.len
    }

    /// Never: a range has at least one byte.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Its first byte for devices that see memory as the processor does.
    #[must_use]
    pub const fn physical(&self) -> u64 {
        self.address as u64 - WINDOW_BASE
    }
}

#[cfg(test)]
mod tests {
    use super::DmaMemory;
    use crate::shared::SharedBuf;
    use std::sync::atomic::AtomicU8;

    #[test]
    fn ranges_are_inside_of_the_memory_and_know_their_physical_address() {
        static BYTES: [AtomicU8; 64] = [const { AtomicU8::new(0) }; 64];
        let memory = DmaMemory {
            shared: SharedBuf::over(&BYTES),
            physical: 0x4800_0000,
        };
        let range = memory.range(16, 48).unwrap();
        assert_eq!((range.physical(), range.len()), (0x4800_0010, 48));
        for (offset, len) in [(16, 49), (64, 1), (0, 0), (usize::MAX, 2)] {
            assert_eq!(memory.range(offset, len), None, "{offset} {len}");
        }
    }
}
