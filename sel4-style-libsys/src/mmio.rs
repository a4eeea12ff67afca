//! Registers of devices.
//!
//! [`Registers`] are device memory of this component, mapped where nothing of
//! Rust lies. Each access is one load or store of the width that is named, in
//! program order. What a register means, and what reading it does, is the
//! driver's business; that accesses stay inside of the device is checked here.

use core::sync::atomic::{AtomicU64, Ordering};

use gritos_abi::Status;
use gritos_abi::method::MemoryType;

use crate::cap::{AddressSpace, Cap, MemoryObject};
use crate::environment;
use crate::error::{Error, Operation};
use crate::invoke::Permissions;
use crate::thread::PAGE_BYTES;

/// First byte of the addresses at which registers are mapped.
pub const MMIO_BASE: u64 = 0x1_0000_0000;
/// One past the last of them.
pub const MMIO_END: u64 = 0x2_0000_0000;

/// Where registers are mapped that are lent.
pub const LENT_BASE: u64 = MMIO_END;

/// Where the next device is mapped.
static NEXT: AtomicU64 = AtomicU64::new(MMIO_BASE);

/// The registers of a device, mapped for as long as the component lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registers {
    base: usize,
    bytes: usize,
}

impl Registers {
    /// Maps device memory.
    ///
    /// # Errors
    /// `DeviceMemory` for memory that is none; those of
    /// [`environment::map`].
    pub fn map<const R: u32>(memory: Cap<MemoryObject, R>) -> Result<Self, Error> {
        let info = memory.info()?;
        if info.memory != Some(MemoryType::Device) {
            return Err(Error::local(Status::DeviceMemory, Operation::Load));
        }
        let outside = Error::local(Status::OutOfRange, Operation::Load);
        // A page between devices stays empty.
        let step = info.size.checked_add(PAGE_BYTES).ok_or(outside)?;
        let address = NEXT.fetch_add(step, Ordering::Relaxed);
        let end = address.checked_add(info.size).ok_or(outside)?;
        if end > MMIO_END {
            return Err(outside);
        }
        environment::map(memory, address, Permissions::ReadWrite)?;
        // Addresses of user space have 39 bits.
        Ok(Self {
            base: address as usize,
            bytes: info.size as usize,
        })
    }

    /// Lends the registers of a device to `work`, mapped in `space`, which is that of
    /// this program: for whoever has them now and then. One at a time. Whoever keeps a copy of
    /// them faults when it uses that.
    ///
    /// # Errors
    /// `DeviceMemory`; those of Map, `MappingOverlap` while another is lent.
    pub fn lend<T>(
        memory: Cap<MemoryObject>,
        space: Cap<AddressSpace>,
        work: impl FnOnce(&Self) -> T,
    ) -> Result<T, Error> {
        let info = memory.info()?;
        if info.memory != Some(MemoryType::Device) {
            return Err(Error::local(Status::DeviceMemory, Operation::Load));
        }
        memory.map_all(space, LENT_BASE, Permissions::ReadWrite)?;
        let registers = Self {
            base: LENT_BASE as usize,
            bytes: info.size as usize,
        };
        let result = work(&registers);
        memory.unmap()?;
        Ok(result)
    }

    /// Bytes of the device.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.bytes
    }

    /// Whether it has none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Address of its first register.
    #[cfg(feature = "virtio")]
    #[must_use]
    pub(crate) const fn base(&self) -> usize {
        self.base
    }

    /// Reads the 32-bit register at `offset`.
    ///
    /// # Panics
    /// If there is none: the offset is not a multiple of 4 or lies beyond the
    /// device.
    #[must_use]
    pub fn read(&self, offset: usize) -> u32 {
        let register = self.register(offset);
        // SAFETY: `register` lies in device memory that `map` mapped, aligned,
        // and no Rust object is there; what reading does is up to the device,
        // which the component was granted.
        unsafe { register.read_volatile() }
    }

    /// Writes the 32-bit register at `offset`.
    ///
    /// # Panics
    /// As [`read`](Self::read).
    pub fn write(&self, offset: usize, value: u32) {
        let register = self.register(offset);
        // SAFETY: as for `read`.
        unsafe { register.write_volatile(value) };
    }

    fn register(&self, offset: usize) -> *mut u32 {
        let inside = offset
            .checked_add(size_of::<u32>())
            .is_some_and(|end| end <= self.bytes);
        assert!(
            inside && offset.is_multiple_of(size_of::<u32>()),
            "there is no register at {offset:#x} of a device of {:#x} bytes",
            self.bytes
        );
        core::ptr::with_exposed_provenance_mut(self.base + offset)
    }
}

#[cfg(test)]
mod tests {
    use super::Registers;
    use std::boxed::Box;
    use std::panic::catch_unwind;

    #[test]
    fn accesses_stay_inside_of_the_device() {
        let memory = Box::leak(Box::new([0u32; 4]));
        let registers = Registers {
            base: memory.as_mut_ptr().expose_provenance(),
            bytes: 16,
        };
        registers.write(12, 0x1234_5678);
        assert_eq!(registers.read(12), 0x1234_5678);
        assert_eq!(registers.read(8), 0);
        for offset in [2, 13, 16, usize::MAX - 3] {
            assert!(catch_unwind(|| registers.read(offset)).is_err(), "{offset}");
        }
    }
}
