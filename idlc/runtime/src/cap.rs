//! Capabilities and buffers as stubs pass them.

use core::fmt;
use core::marker::PhantomData;

use crate::object::{MemoryObject, Object};
use crate::{Address, CapSlot, Incoming, Rights, WireError};
use gritos_abi::Arrival;
use gritos_abi::cap::BADGE_CLIENT;

/// Right on a registered buffer: the server may read the memory.
pub const BUFFER_READ: Rights = Rights::server(14);
/// Right on a registered buffer: the server may write the memory.
pub const BUFFER_WRITE: Rights = Rights::server(15);

/// A capability to a `K` that lies in a slot of this component.
pub struct Cap<K> {
    address: Address,
    rights: Rights,
    object: PhantomData<fn(K)>,
}

impl<K> Cap<K> {
    /// The capability in slot `address`; its rights are whatever the kernel
    /// finds there.
    #[inline]
    #[must_use]
    pub const fn new(address: Address) -> Self {
        Self::with_rights(address, Rights::AS_HELD)
    }

    /// The same with rights that are known, or to which it is to be narrowed
    /// when it is sent where the interface names none.
    #[inline]
    #[must_use]
    pub const fn with_rights(address: Address, rights: Rights) -> Self {
        Self {
            address,
            rights,
            object: PhantomData,
        }
    }

    /// Its slot.
    #[inline]
    #[must_use]
    pub const fn address(&self) -> Address {
        self.address
    }

    /// Its rights, empty if they are not known.
    #[inline]
    #[must_use]
    pub const fn rights(&self) -> Rights {
        self.rights
    }

    /// As part of a message. What is moved goes with all its rights: the kernel
    /// narrows copies only.
    #[inline]
    #[must_use]
    pub const fn slot(&self, rights: Rights, moved: bool) -> CapSlot {
        CapSlot {
            source: self.address,
            rights: if moved { Rights::AS_HELD } else { rights },
            badge: 0,
            moved,
        }
    }
}

// Derives would ask the same of `K`, of which no value exists.
impl<K> Clone for Cap<K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K> Copy for Cap<K> {}

impl<K> PartialEq for Cap<K> {
    fn eq(&self, other: &Self) -> bool {
        self.address == other.address && self.rights == other.rights
    }
}

impl<K> Eq for Cap<K> {}

impl<K> fmt::Debug for Cap<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cap")
            .field("address", &self.address)
            .field("rights", &self.rights)
            .finish()
    }
}

/// A capability that a server makes for its client: its own endpoint with a
/// badge and rights.
pub struct Grant<K> {
    source: Address,
    badge: u32,
    rights: Rights,
    object: PhantomData<fn(K)>,
}

impl<K: Object> Grant<K> {
    /// A capability to object number `badge` of the server, made from the
    /// unbadged capability in slot `endpoint`.
    #[must_use]
    pub const fn object(endpoint: Address, badge: u32, rights: Rights) -> Self {
        Self {
            source: endpoint,
            badge,
            rights,
            object: PhantomData,
        }
    }

    /// A capability that the server holds already.
    #[must_use]
    pub const fn held(cap: Cap<K>, rights: Rights) -> Self {
        Self {
            source: cap.address,
            badge: 0,
            rights,
            object: PhantomData,
        }
    }

    /// As part of a message. An object that is named by a badge is always a copy
    /// of the server's own capability; what is moved goes with all its rights.
    #[inline]
    #[must_use]
    pub const fn slot(&self, moved: bool) -> CapSlot {
        let moved = moved && self.badge == 0;
        CapSlot {
            source: self.source,
            rights: if moved { Rights::AS_HELD } else { self.rights },
            badge: self.badge,
            moved,
        }
    }
}

impl<K> Clone for Grant<K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K> Copy for Grant<K> {}

impl<K> PartialEq for Grant<K> {
    fn eq(&self, other: &Self) -> bool {
        (self.source, self.badge, self.rights) == (other.source, other.badge, other.rights)
    }
}

impl<K> Eq for Grant<K> {}

impl<K> fmt::Debug for Grant<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grant")
            .field("source", &self.source)
            .field("badge", &self.badge)
            .field("rights", &self.rights)
            .finish()
    }
}

/// A capability to an endpoint where `K` is spoken, as a server receives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointCap<K> {
    /// The server's own endpoint: only badge and rights were delivered.
    Own {
        /// Which object or session.
        badge: u32,
        /// Rights of the capability that was sent.
        rights: Rights,
    },
    /// Another server's. Who speaks there is not known to the kernel.
    Foreign(Cap<K>),
}

/// A range of memory that a client offers to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buffer {
    cap: Address,
    memory: bool,
    offset: u64,
    length: u64,
}

impl Buffer {
    /// A range of a buffer that is registered with the server: the usual way.
    #[inline]
    #[must_use]
    pub const fn registered(buffer: Address, offset: u64, length: u64) -> Self {
        Self {
            cap: buffer,
            memory: false,
            offset,
            length,
        }
    }

    /// A range of a memory object, which the server maps for this call.
    #[inline]
    #[must_use]
    pub const fn memory(object: Cap<MemoryObject>, offset: u64, length: u64) -> Self {
        Self {
            cap: object.address,
            memory: true,
            offset,
            length,
        }
    }

    /// Bytes from the start of the object.
    #[inline]
    #[must_use]
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes.
    #[inline]
    #[must_use]
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// As part of a message; a memory object is sent with `rights` only.
    #[inline]
    #[must_use]
    pub const fn slot(&self, rights: Rights) -> CapSlot {
        let rights = if self.memory { rights } else { Rights::AS_HELD };
        CapSlot {
            source: self.cap,
            rights,
            badge: 0,
            moved: false,
        }
    }
}

/// The memory behind a buffer, as a server receives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BufferSource {
    /// A buffer that the server has mapped already, by its number.
    Registered(u32),
    /// A memory object, to be mapped for this call.
    Memory(Cap<MemoryObject>),
}

/// A range of memory that a client offers, as a server receives it. That the
/// range lies within the memory is for the server to check: it knows the size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BufferRange {
    /// The memory.
    pub source: BufferSource,
    /// Bytes from its start.
    pub offset: u64,
    /// Bytes.
    pub length: u64,
}

impl BufferRange {
    /// Takes the buffer in capability slot `slot`, which the server wants to
    /// read, write or both.
    ///
    /// # Errors
    /// [`WireError::BadCap`] if it is neither a registered buffer nor a memory
    /// object, [`WireError::BadCapRights`] if it does not allow what the server
    /// is to do, [`WireError::BadLength`] if the range ends beyond 64 bits.
    // A registered buffer is found among the registers of the message; it is the
    // rest that takes long, and gets them by value for their sake.
    #[inline(always)]
    pub fn decode(
        incoming: &Incoming,
        slot: usize,
        read: bool,
        write: bool,
        offset: u64,
        length: u64,
    ) -> Result<Self, WireError> {
        if offset.checked_add(length).is_none() {
            return Err(WireError::BadLength);
        }
        let Some(register) = incoming.caps.get(slot).copied() else {
            return Err(WireError::BadCap);
        };
        let arrival = (incoming.arrivals >> (16 * slot)) as u16;
        let source = if arrival == Arrival::Unwrapped.encode() {
            let badge = register as u32;
            if badge == 0 || badge & BADGE_CLIENT != 0 {
                return Err(WireError::BadCap);
            }
            if !rights_of(register).contains(needs(read, write, BUFFER_READ, BUFFER_WRITE)) {
                return Err(WireError::BadCapRights);
            }
            BufferSource::Registered(badge)
        } else {
            let needed = needs(read, write, Rights::READ, Rights::WRITE) | Rights::MAP;
            in_memory(register, arrival, incoming.window, needed)?
        };
        Ok(Self {
            source,
            offset,
            length,
        })
    }
}

const fn rights_of(register: u64) -> Rights {
    Rights::from_bits_retain((register >> 32) as u32)
}

#[inline(always)]
const fn needs(read: bool, write: bool, reading: Rights, writing: Rights) -> Rights {
    let reading = if read { reading } else { Rights::empty() };
    let writing = if write { writing } else { Rights::empty() };
    reading.union(writing)
}

/// A memory object that came with the message.
#[cold]
#[inline(never)]
fn in_memory(
    register: u64,
    arrival: u16,
    window: Address,
    needed: Rights,
) -> Result<BufferSource, WireError> {
    let Arrival::InSlot { object, position } = Arrival::decode(arrival) else {
        return Err(WireError::BadCap);
    };
    if object != MemoryObject::TYPE {
        return Err(WireError::BadCap);
    }
    let held = rights_of(register);
    if !held.contains(needed) {
        return Err(WireError::BadCapRights);
    }
    let address = Address(window.0.wrapping_add(u32::from(position)));
    Ok(BufferSource::Memory(Cap::with_rights(address, held)))
}
