//! Untyped: memory from which objects are made.

use gritos_abi::ObjectType;
use gritos_abi::method::{MemoryType, Untyped as Method};

use super::Argument;
use crate::cap::{CNode, Cap, FixedSize, Mask, MemoryObject, Object, Untyped, require};
use crate::error::Error;
use crate::slots::Slot;

/// What [`Cap::<Untyped>::retype`] shall make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Type of the objects.
    pub object: ObjectType,
    /// Bytes (Untyped, MemoryObject), slots (CNode), else 0.
    pub size: u64,
    /// How many.
    pub count: u64,
    /// Physical address at which the first shall lie; 0 = the next free place.
    pub physical: u64,
    /// Memory type, for a MemoryObject.
    pub memory: MemoryType,
    /// Rights of the first capabilities to the objects; as held = all there are.
    pub rights: Mask,
}

impl Wanted {
    /// One object of a type whose size is `size`.
    #[must_use]
    pub const fn one(object: ObjectType, size: u64) -> Self {
        Self {
            object,
            size,
            count: 1,
            physical: 0,
            memory: MemoryType::Normal,
            rights: Mask::AS_HELD,
        }
    }

    /// So many of it, in consecutive slots.
    #[must_use]
    pub const fn times(mut self, count: u64) -> Self {
        self.count = count;
        self
    }

    /// At this physical address.
    #[must_use]
    pub const fn at(mut self, physical: u64) -> Self {
        self.physical = physical;
        self
    }

    /// With these rights only. An Untyped without DMA, and what is made of it, keeps its
    /// physical address to itself.
    #[must_use]
    pub const fn rights(mut self, rights: Mask) -> Self {
        self.rights = rights;
        self
    }

    /// Of this memory type.
    #[must_use]
    pub const fn memory(mut self, memory: MemoryType) -> Self {
        self.memory = memory;
        self
    }
}

/// State of an Untyped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UntypedInfo {
    /// Bytes in all.
    pub size: u64,
    /// Bytes behind the last object.
    pub free: u64,
    /// Whether it is device memory.
    pub device: bool,
    /// Physical address; 0 for a holder without DMA.
    pub physical: u64,
}

impl<const R: u32> Cap<Untyped, R> {
    /// Makes what is `wanted` in the empty slots of `cnode` from `first` on.
    ///
    /// # Errors
    /// `NoMemory`, `SlotOccupied`, `OutOfRange`, `Unaligned`, `DeviceMemory`,
    /// `InvalidArgument`, `RightsNotHeld`.
    pub fn retype(self, wanted: Wanted, cnode: Cap<CNode>, first: u16) -> Result<(), Error> {
        require!(R, MANAGE);
        let words = [
            wanted.object as u64,
            wanted.size,
            wanted.count,
            u64::from(first),
            wanted.physical,
            wanted.memory as u64,
        ];
        let cnode = Argument::derived(cnode, wanted.rights, 0);
        self.invoke_with(Method::Retype as u64, words, [cnode])?;
        Ok(())
    }

    /// Makes one object of fixed size.
    ///
    /// # Errors
    /// As [`retype`](Self::retype).
    pub fn create<T: FixedSize>(self, slot: Slot) -> Result<Cap<T>, Error> {
        self.create_sized(0, slot)
    }

    /// Makes a smaller Untyped of `bytes`.
    ///
    /// # Errors
    /// As [`retype`](Self::retype).
    pub fn split(self, bytes: u64, slot: Slot) -> Result<Cap<Untyped>, Error> {
        self.create_sized(bytes, slot)
    }

    /// Makes a CNode of `slots` slots.
    ///
    /// # Errors
    /// As [`retype`](Self::retype).
    pub fn create_cnode(self, slots: u32, slot: Slot) -> Result<Cap<CNode>, Error> {
        self.create_sized(u64::from(slots), slot)
    }

    /// Makes a memory object of `bytes` zeroed bytes.
    ///
    /// # Errors
    /// As [`retype`](Self::retype).
    pub fn create_memory(self, bytes: u64, slot: Slot) -> Result<Cap<MemoryObject>, Error> {
        self.create_sized(bytes, slot)
    }

    fn create_sized<T: Object>(self, size: u64, slot: Slot) -> Result<Cap<T>, Error> {
        self.retype(Wanted::one(T::TYPE, size), slot.cnode(), slot.index())?;
        Ok(Cap::at(slot.address()))
    }

    /// Size, free bytes, kind and place.
    ///
    /// # Errors
    /// `MissingRight`.
    pub fn info(self) -> Result<UntypedInfo, Error> {
        require!(R, READ);
        let words = self.invoke(Method::Info as u64, [])?;
        Ok(UntypedInfo {
            size: words[0],
            free: words[1],
            device: words[2] & 1 != 0,
            physical: words[3],
        })
    }
}
