//! Memory that clients register with a server, and memory that comes with one
//! call.
//!
//! The table gives each registered memory object a number, which is the badge
//! of the `buffer_cap` that the client gets. Later calls carry that capability;
//! it unwraps, so that a call with a buffer costs no mapping and no slot.

use gritos_base_api::{BaseError, Buffer, BufferAccess};
use gritos_idl_runtime::object::MemoryObject;
use gritos_idl_runtime::{
    Address, BUFFER_READ, BUFFER_WRITE, BufferRange, BufferSource, Cap, EndpointCap, Grant, Rights,
};
use gritos_sys::shared::{BufferError, SharedBuf};

/// Bit that tells the badge of a buffer from those of a server's other objects,
/// which leave it clear.
pub const BADGE_BUFFER: u32 = 1 << 30;

const INDEX_BITS: u32 = 10;
const INDEX_MASK: u32 = (1 << INDEX_BITS) - 1;
/// Numbers that a place of the table has in turn, so that a `buffer_cap` of
/// long ago does not name the buffer of today.
const LIVES: u32 = (BADGE_BUFFER >> INDEX_BITS) - 1;

/// Memory of a client, mapped by the server. Bytes change under the reader:
/// they are copied, never referred to.
pub trait BufferMemory: Copy {
    /// Its bytes.
    fn len(&self) -> u64;

    /// Whether it has none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Copies from `offset` into `to`.
    ///
    /// # Errors
    /// Beyond the end, or the client took the memory away.
    fn read(&self, offset: u64, to: &mut [u8]) -> Result<(), BufferError>;

    /// Copies `from` to `offset`.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    fn write(&self, offset: u64, from: &[u8]) -> Result<(), BufferError>;

    /// Loads 32 bits at a multiple of 4 in one access: none that follows is seen before it.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    fn load(&self, offset: u64) -> Result<u32, BufferError>;

    /// Stores 32 bits at a multiple of 4 in one access: all that precede are seen before it.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    fn store(&self, offset: u64, value: u32) -> Result<(), BufferError>;
}

/// What maps memory objects: the kernel, or memory under test.
pub trait MapMemory {
    /// Memory that is mapped.
    type Memory: BufferMemory;

    /// Maps `memory` for `access` in place `place` of the table.
    ///
    /// # Errors
    /// `NO_MEMORY`, `ACCESS` if a right is missing, `INVALID` if it is too
    /// large.
    fn map(
        &mut self,
        place: usize,
        memory: Cap<MemoryObject>,
        access: BufferAccess,
    ) -> Result<Self::Memory, BaseError>;

    /// Takes the mapping of `place` back.
    fn unmap(&mut self, place: usize);
}

#[derive(Clone, Copy, Debug)]
struct Entry<M> {
    client: u32,
    memory: M,
    access: BufferAccess,
}

#[derive(Clone, Copy, Debug)]
struct Place<M> {
    life: u32,
    entry: Option<Entry<M>>,
}

/// Buffers of all clients: at most `N` (up to 1023), of which one client may
/// have so many as the limit says. A further place is kept for memory that
/// comes with a call.
#[derive(Debug)]
pub struct Buffers<P: MapMemory, const N: usize> {
    mapper: P,
    places: [Place<P::Memory>; N],
    limit: usize,
}

/// A range of memory for one call.
#[derive(Clone, Copy, Debug)]
pub struct Mapped<M> {
    memory: M,
    offset: u64,
    length: u64,
}

/// What a method wants to do with a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// Read it: `buffer<in>`.
    Read,
    /// Write it: `buffer<out>`.
    Write,
    /// Both: `buffer<inout>`.
    Both,
}

impl Use {
    const fn access(self) -> BufferAccess {
        match self {
            Self::Read => BufferAccess::READ,
            Self::Write => BufferAccess::WRITE,
            Self::Both => BufferAccess::READ.union(BufferAccess::WRITE),
        }
    }
}

impl<P: MapMemory, const N: usize> Buffers<P, N> {
    /// An empty table. `limit` is how many buffers one client may have.
    #[must_use]
    pub fn new(mapper: P, limit: usize) -> Self {
        const { assert!(N < INDEX_MASK as usize, "an index has ten bits") };
        Self {
            mapper,
            places: [Place {
                life: 0,
                entry: None,
            }; N],
            limit,
        }
    }

    /// Registers a memory object for `client`: `Session.register`. The
    /// `buffer_cap` is made from the server's capability `endpoint`.
    ///
    /// # Errors
    /// `LIMIT`, `NO_MEMORY`, `ACCESS`, `INVALID` for access of no kind.
    pub fn register(
        &mut self,
        client: u32,
        memory: Cap<MemoryObject>,
        access: BufferAccess,
        endpoint: Address,
    ) -> Result<(Grant<Buffer>, u64), BaseError> {
        if access.is_empty() {
            return Err(BaseError::Invalid);
        }
        let mine = |place: &Place<_>| place.entry.is_some_and(|e: Entry<_>| e.client == client);
        if self.places.iter().filter(|place| mine(place)).count() >= self.limit {
            return Err(BaseError::Limit);
        }
        let index = self
            .places
            .iter()
            .position(|place| place.entry.is_none())
            .ok_or(BaseError::Limit)?;
        let memory = self.mapper.map(index, memory, access)?;
        let place = self.places.get_mut(index).ok_or(BaseError::Limit)?;
        place.life = place.life % LIVES + 1;
        place.entry = Some(Entry {
            client,
            memory,
            access,
        });
        let badge = BADGE_BUFFER | place.life << INDEX_BITS | index as u32;
        let mut rights = Rights::SEND | Rights::GRANT;
        if access.contains(BufferAccess::READ) {
            rights |= BUFFER_READ;
        }
        if access.contains(BufferAccess::WRITE) {
            rights |= BUFFER_WRITE;
        }
        Ok((Grant::object(endpoint, badge, rights), memory.len()))
    }

    /// Takes a buffer of `client` back: `Session.unregister`.
    ///
    /// # Errors
    /// `NOT_REGISTERED` if it is none, or another client's.
    pub fn unregister(
        &mut self,
        client: u32,
        buffer: EndpointCap<Buffer>,
    ) -> Result<(), BaseError> {
        let EndpointCap::Own { badge, .. } = buffer else {
            return Err(BaseError::NotRegistered);
        };
        let index = self.index_of(badge).ok_or(BaseError::NotRegistered)?;
        if !self.is_of(index, client) {
            return Err(BaseError::NotRegistered);
        }
        self.remove(index);
        Ok(())
    }

    /// Takes back everything of a client that is gone; says how much it was.
    pub fn client_gone(&mut self, client: u32) -> u32 {
        let mut count = 0;
        for index in 0..N {
            if self.is_of(index, client) {
                self.remove(index);
                count += 1;
            }
        }
        count
    }

    /// The memory that a message names, for the length of `action`. Memory that
    /// came with the call is mapped before and unmapped after it.
    ///
    /// # Errors
    /// `NOT_REGISTERED` for a buffer that is not (or no longer) there, `ACCESS`
    /// if it was registered for less, `INVALID` if the range lies beyond its
    /// end, and those of mapping.
    pub fn with<R>(
        &mut self,
        range: &BufferRange,
        wanted: Use,
        action: impl FnOnce(Mapped<P::Memory>) -> R,
    ) -> Result<R, BaseError> {
        let access = wanted.access();
        match range.source {
            BufferSource::Registered(badge) => {
                let entry = self
                    .index_of(badge)
                    .and_then(|index| self.places.get(index)?.entry)
                    .ok_or(BaseError::NotRegistered)?;
                if !entry.access.contains(access) {
                    return Err(BaseError::Access);
                }
                Ok(action(Mapped::new(entry.memory, range)?))
            }
            BufferSource::Memory(memory) => {
                let memory = self.mapper.map(N, memory, access)?;
                let result = Mapped::new(memory, range).map(action);
                self.mapper.unmap(N);
                result
            }
        }
    }

    /// A registered buffer, to be used later, for a caller that is kept
    /// waiting. Whoever uses it asks again: it may be gone by then.
    ///
    /// # Errors
    /// As [`with`](Self::with); `INVALID` for memory that came with the call.
    pub fn registered(
        &self,
        range: &BufferRange,
        wanted: Use,
    ) -> Result<Mapped<P::Memory>, BaseError> {
        let BufferSource::Registered(badge) = range.source else {
            return Err(BaseError::Invalid);
        };
        let entry = self
            .index_of(badge)
            .and_then(|index| self.places.get(index)?.entry)
            .ok_or(BaseError::NotRegistered)?;
        if !entry.access.contains(wanted.access()) {
            return Err(BaseError::Access);
        }
        Mapped::new(entry.memory, range)
    }

    fn index_of(&self, badge: u32) -> Option<usize> {
        let index = (badge & INDEX_MASK) as usize;
        let place = self.places.get(index)?;
        let now = BADGE_BUFFER | place.life << INDEX_BITS | index as u32;
        (badge == now && place.entry.is_some()).then_some(index)
    }

    fn is_of(&self, index: usize, client: u32) -> bool {
        self.places
            .get(index)
            .and_then(|place| place.entry)
            .is_some_and(|entry| entry.client == client)
    }

    fn remove(&mut self, index: usize) {
        self.mapper.unmap(index);
        if let Some(place) = self.places.get_mut(index) {
            place.entry = None;
        }
    }
}

impl<M: BufferMemory> Mapped<M> {
    fn new(memory: M, range: &BufferRange) -> Result<Self, BaseError> {
        match range.offset.checked_add(range.length) {
            Some(end) if end <= memory.len() => Ok(Self {
                memory,
                offset: range.offset,
                length: range.length,
            }),
            _ => Err(BaseError::Invalid),
        }
    }

    /// Bytes of the range.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.length
    }

    /// Whether it has none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Copies from `offset` of the range into `to`.
    ///
    /// # Errors
    /// Beyond its end, or the client took the memory away.
    pub fn read(&self, offset: u64, to: &mut [u8]) -> Result<(), BufferError> {
        self.memory.read(self.place(offset, to.len())?, to)
    }

    /// Copies `from` to `offset` of the range.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn write(&self, offset: u64, from: &[u8]) -> Result<(), BufferError> {
        self.memory.write(self.place(offset, from.len())?, from)
    }

    /// Loads the 32 bits at `offset` of the range: no later access is seen before it.
    ///
    /// # Errors
    /// As [`read`](Self::read), and if they do not lie at a multiple of 4.
    pub fn load(&self, offset: u64) -> Result<u32, BufferError> {
        self.memory.load(self.place(offset, size_of::<u32>())?)
    }

    /// Stores 32 bits at `offset` of the range: every earlier access is seen before it.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn store(&self, offset: u64, value: u32) -> Result<(), BufferError> {
        self.memory
            .store(self.place(offset, size_of::<u32>())?, value)
    }

    fn place(&self, offset: u64, bytes: usize) -> Result<u64, BufferError> {
        match offset.checked_add(bytes as u64) {
            Some(end) if end <= self.length => Ok(self.offset + offset),
            _ => Err(BufferError::OutOfRange),
        }
    }
}

impl BufferMemory for SharedBuf {
    fn len(&self) -> u64 {
        Self::len(self) as u64
    }

    fn read(&self, offset: u64, to: &mut [u8]) -> Result<(), BufferError> {
        let offset = usize::try_from(offset).map_err(|_| BufferError::OutOfRange)?;
        Self::read(self, offset, to)
    }

    fn write(&self, offset: u64, from: &[u8]) -> Result<(), BufferError> {
        let offset = usize::try_from(offset).map_err(|_| BufferError::OutOfRange)?;
        Self::write(self, offset, from)
    }

    fn load(&self, offset: u64) -> Result<u32, BufferError> {
        let offset = usize::try_from(offset).map_err(|_| BufferError::OutOfRange)?;
        self.load_acquire(offset)
    }

    fn store(&self, offset: u64, value: u32) -> Result<(), BufferError> {
        let offset = usize::try_from(offset).map_err(|_| BufferError::OutOfRange)?;
        self.store_release(offset, value)
    }
}

pub use shared::SharedMapper;

/// Mapping in the component's own AddressSpace.
mod shared {
    use super::{BaseError, BufferAccess, MapMemory, SharedBuf};
    use gritos_idl_runtime::Cap;
    use gritos_idl_runtime::object::MemoryObject;
    use gritos_sys::environment;
    use gritos_sys::invoke::Permissions;
    use gritos_sys::shared::SHARED_END;
    use gritos_sys::slots::{Slot, own};

    /// Addresses of one buffer, and so the most bytes that one may have.
    const STRIDE: u64 = 16 << 20;

    /// Maps memory objects of clients where nothing else lies: at the end of
    /// the addresses for shared memory, each place with a range of its own.
    #[derive(Debug)]
    pub struct SharedMapper<const PLACES: usize> {
        slots: [Option<Slot>; PLACES],
    }

    impl<const PLACES: usize> Default for SharedMapper<PLACES> {
        fn default() -> Self {
            Self {
                slots: [None; PLACES],
            }
        }
    }

    impl<const PLACES: usize> MapMemory for SharedMapper<PLACES> {
        type Memory = SharedBuf;

        fn map(
            &mut self,
            place: usize,
            memory: Cap<MemoryObject>,
            access: BufferAccess,
        ) -> Result<SharedBuf, BaseError> {
            let kept = self.slots.get_mut(place).ok_or(BaseError::Limit)?;
            let slot = crate::adopt(memory.address()).map_err(|_| BaseError::NoMemory)?;
            match map_in(place, slot, access) {
                Ok(buffer) => {
                    *kept = Some(slot);
                    Ok(buffer)
                }
                Err(error) => {
                    // The memory itself stays the client's whatever comes of it.
                    let _ = own::delete(slot);
                    Err(error)
                }
            }
        }

        fn unmap(&mut self, place: usize) {
            if let Some(slot) = self.slots.get_mut(place).and_then(Option::take) {
                let _ = own::delete(slot);
            }
        }
    }

    fn map_in(place: usize, slot: Slot, access: BufferAccess) -> Result<SharedBuf, BaseError> {
        let memory = slot.cap::<gritos_sys::cap::MemoryObject>();
        let info = memory.info().map_err(|_| BaseError::Invalid)?;
        if info.size > STRIDE {
            return Err(BaseError::Invalid);
        }
        let permissions = if access.contains(BufferAccess::WRITE) {
            Permissions::ReadWrite
        } else {
            Permissions::Read
        };
        let address = SHARED_END - STRIDE * (place as u64 + 1);
        environment::map(memory, address, permissions).map_err(|error| match error.status() {
            Ok(gritos_sys::abi::Status::MissingRight) => BaseError::Access,
            Ok(gritos_sys::abi::Status::NoTableMemory) => BaseError::NoMemory,
            _ => BaseError::Invalid,
        })?;
        SharedBuf::of(memory).map_err(|_| BaseError::Invalid)
    }
}

#[cfg(test)]
mod tests;
