//! Memory objects of programs on the host.
//!
//! The kernel knows the object and who holds which capability to it; its bytes
//! are kept beside the kernel. A mapping is good as long as the slot holds the
//! capability that was mapped: a client that revokes its memory takes it from
//! the server in the midst of a call, as on the target.

use gritos_abi::{Address, Rights};
use gritos_base_api::{BaseError, BufferAccess};
use gritos_idl_runtime::Cap;
use gritos_idl_runtime::object::MemoryObject;
use gritos_service::{BufferMemory, MapMemory, adopt};
use gritos_sys::shared::BufferError;
use gritos_sys::slots::{Slot, own};

use crate::seat::Seat;

/// A memory object that this program sees through the capability in a slot.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    slot: Address,
    object: u32,
    bytes: u64,
}

impl Memory {
    /// The memory behind a capability.
    ///
    /// # Panics
    /// If the slot holds no memory object.
    #[must_use]
    pub fn at(slot: Address) -> Self {
        let memory = gritos_sys::Cap::<gritos_sys::cap::MemoryObject>::at(slot);
        let bytes = match memory.info() {
            Ok(info) => info.size,
            Err(error) => panic!("no memory in slot {:#x}: {error}", slot.0),
        };
        let seat = Seat::current();
        let state = seat.shared.lock();
        Self {
            slot,
            object: state.world.cap_of(seat.tcb, slot.0).object.get(),
            bytes,
        }
    }

    fn with<R>(
        &self,
        offset: u64,
        len: usize,
        action: impl FnOnce(&mut [u8]) -> R,
    ) -> Result<R, BufferError> {
        let end = offset.checked_add(len as u64);
        if end.is_none_or(|end| end > self.bytes) {
            return Err(BufferError::OutOfRange);
        }
        let seat = Seat::current();
        let mut state = seat.shared.lock();
        let there = state.world.cap_of(seat.tcb, self.slot.0);
        if there.object.get() != self.object {
            return Err(BufferError::Gone);
        }
        let bytes = state.memory.entry(self.object).or_default();
        bytes.resize(self.bytes as usize, 0);
        let range = bytes.get_mut(offset as usize..offset as usize + len);
        Ok(action(range.ok_or(BufferError::OutOfRange)?))
    }
}

impl BufferMemory for Memory {
    fn len(&self) -> u64 {
        self.bytes
    }

    fn read(&self, offset: u64, to: &mut [u8]) -> Result<(), BufferError> {
        self.with(offset, to.len(), |bytes| to.copy_from_slice(bytes))
    }

    fn write(&self, offset: u64, from: &[u8]) -> Result<(), BufferError> {
        self.with(offset, from.len(), |bytes| bytes.copy_from_slice(from))
    }

    fn load(&self, offset: u64) -> Result<u32, BufferError> {
        let mut word = [0; 4];
        self.read(offset, &mut word)?;
        Ok(u32::from_le_bytes(word))
    }

    fn store(&self, offset: u64, value: u32) -> Result<(), BufferError> {
        self.write(offset, &value.to_le_bytes())
    }
}

/// "Maps" clients' memory for a server's buffer table.
#[derive(Debug)]
pub struct Mapper<const PLACES: usize> {
    slots: [Option<Slot>; PLACES],
}

impl<const PLACES: usize> Default for Mapper<PLACES> {
    fn default() -> Self {
        Self {
            slots: [None; PLACES],
        }
    }
}

impl<const PLACES: usize> MapMemory for Mapper<PLACES> {
    type Memory = Memory;

    fn map(
        &mut self,
        place: usize,
        memory: Cap<MemoryObject>,
        access: BufferAccess,
    ) -> Result<Memory, BaseError> {
        let kept = self.slots.get_mut(place).ok_or(BaseError::Limit)?;
        let slot = adopt(memory.address()).map_err(|_| BaseError::NoMemory)?;
        let needed = [
            (BufferAccess::READ, Rights::READ),
            (BufferAccess::WRITE, Rights::WRITE),
        ]
        .into_iter()
        .filter(|(wanted, _)| access.contains(*wanted))
        .fold(Rights::MAP, |rights, (_, right)| rights | right);
        if !memory.rights().contains(needed) {
            // The capability goes either way.
            let _ = own::delete(slot);
            return Err(BaseError::Access);
        }
        *kept = Some(slot);
        Ok(Memory::at(slot.address()))
    }

    fn unmap(&mut self, place: usize) {
        if let Some(slot) = self.slots.get_mut(place).and_then(Option::take) {
            // An empty slot, when the client revoked, is deleted as well.
            let _ = own::delete(slot);
        }
    }
}
