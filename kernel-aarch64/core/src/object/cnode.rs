//! Capability slots and the tables that hold them.

use core::cell::Cell;

use gritos_abi::ObjectType;

use super::Header;
use crate::handle::{CNodeRef, SlotRef};

/// A table of slots. The slots follow the header in memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct CNode {
    /// Common header.
    pub header: Header,
    /// Number of slots.
    pub len: Cell<u32>,
    /// Destruction: slots below this are empty.
    pub cleared: Cell<u32>,
}

/// Handle units from one slot to the next.
pub(crate) const SLOT_UNITS: u32 = (size_of::<Slot>() as u64 / crate::handle::UNIT) as u32;

impl CNodeRef {
    /// Slot `index`; the caller has compared the index with the length.
    #[inline(always)]
    #[must_use]
    pub fn slot(self, index: u32) -> Option<SlotRef> {
        SlotRef::from_raw(
            self.raw()
                .wrapping_add(SLOT_UNITS)
                .wrapping_add(index.wrapping_mul(SLOT_UNITS)),
        )
    }
}

impl SlotRef {
    /// The slot `index` places behind this one.
    #[inline(always)]
    #[must_use]
    pub fn nth(self, index: u32) -> Option<Self> {
        Self::from_raw(self.raw().wrapping_add(index.wrapping_mul(SLOT_UNITS)))
    }
}

/// A link of the derivation tree: a slot, or back up to the parent.
///
/// Siblings form a list. Its first `prev` and its last `next` lead up to the
/// parent, marked by bit 0 (slots are 64-byte aligned, so bits 0 and 1 of a
/// slot's handle are zero). Thus a node with any number of children is taken
/// out in constant time: its children take its place between its neighbours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Link(u32);

impl Link {
    /// No neighbour and no parent.
    pub const NONE: Self = Self(0);

    /// To a sibling or child.
    #[inline(always)]
    #[must_use]
    pub const fn to(slot: SlotRef) -> Self {
        Self(slot.raw())
    }

    /// Up to the parent.
    #[inline(always)]
    #[must_use]
    pub const fn up(slot: SlotRef) -> Self {
        Self(slot.raw() | 1)
    }

    /// The sibling or child, if the link leads to one.
    #[inline(always)]
    #[must_use]
    pub const fn sibling(self) -> Option<SlotRef> {
        if self.0 & 1 == 0 {
            SlotRef::from_raw(self.0)
        } else {
            None
        }
    }

    /// The parent, if the link leads up.
    #[inline(always)]
    #[must_use]
    pub const fn parent(self) -> Option<SlotRef> {
        if self.0 & 1 == 1 {
            SlotRef::from_raw(self.0 & !1)
        } else {
            None
        }
    }

    /// The number of the link.
    #[must_use]
    pub const fn raw(self) -> u32 {
        self.0
    }
}

/// Where a slot is, if not in a CNode: slots inside objects keep their object
/// consistent when they are emptied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Embed {
    /// In a CNode.
    No = 0,
    /// Root CNode of a TCB.
    CSpace = 1,
    /// AddressSpace of a TCB.
    VSpace = 2,
    /// Fault endpoint of a TCB.
    Fault = 3,
    /// Table memory of an AddressSpace.
    Donation = 4,
}

/// A capability, its place in the derivation tree, and for memory its mapping.
///
/// One cache line. A slot of all zeroes is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Slot {
    /// Handle of the object; physical address in units of 16 bytes for memory;
    /// the line number for an IrqHandler.
    pub object: Cell<u32>,
    /// Type in the low byte, flags above.
    pub word: Cell<u32>,
    /// Badge. Memory: size in pages. Untyped: size in units of 64 bytes.
    pub badge: Cell<u32>,
    /// Rights held. Behind the badge, so that both are what x8 delivers.
    pub rights: Cell<u32>,
    /// First and last child.
    pub first: Cell<Link>,
    /// See [`first`](Self::first).
    pub last: Cell<Link>,
    /// Next sibling.
    pub next: Cell<Link>,
    /// Previous sibling.
    pub prev: Cell<Link>,
    /// Mapping: the address space.
    pub space: Cell<u32>,
    /// Mapping: first virtual page. Untyped: units of 64 bytes in use.
    pub page: Cell<u32>,
    /// Mapping: first page of the object. Untyped: units known to be zero, from
    /// the start.
    pub offset: Cell<u32>,
    /// Mapping: number of pages.
    pub pages: Cell<u32>,
    /// Mapping: pages that are entered in the tables. Untyped: whether what is
    /// known to be zero has left the data cache.
    pub entered: Cell<u32>,
    /// Mapping: pages that `Protect` has done.
    pub protected: Cell<u32>,
    /// List of mappings of the address space.
    pub map_next: Cell<Option<SlotRef>>,
    /// See [`map_next`](Self::map_next).
    pub map_prev: Cell<Option<SlotRef>>,
}

impl Slot {
    /// Memory of a device.
    pub const DEVICE: u32 = 1 << 8;
    /// Two bits: memory type.
    pub const MEMORY_TYPE_SHIFT: u32 = 9;
    const EMBED_SHIFT: u32 = 11;
    /// The slot records a mapping.
    pub const MAPPED: u32 = 1 << 14;
    /// The mapping is not yet entered completely.
    pub const MAPPING: u32 = 1 << 15;
    /// The mapping failed half way and is being taken back.
    pub const ROLLBACK: u32 = 1 << 16;
    /// Why: no table memory (else the range is in use).
    pub const ROLLBACK_MEMORY: u32 = 1 << 17;
    /// Three bits: rights of the mapping.
    pub const MAP_RIGHTS_SHIFT: u32 = 18;

    /// Whether the slot is empty.
    #[inline(always)]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.word.get() & 0xff == 0
    }

    /// Type of the object.
    #[inline(always)]
    #[must_use]
    pub fn object_type(&self) -> ObjectType {
        ObjectType::from_number(self.word.get() as u8).unwrap_or(ObjectType::Null)
    }

    /// Whether the type is `object`.
    #[inline(always)]
    #[must_use]
    pub fn is(&self, object: ObjectType) -> bool {
        self.word.get() & 0xff == object as u32
    }

    /// Whether all these flags are set.
    #[inline(always)]
    #[must_use]
    pub fn has(&self, flags: u32) -> bool {
        self.word.get() & flags == flags
    }

    /// Sets flags.
    #[inline(always)]
    pub fn set(&self, flags: u32) {
        self.word.set(self.word.get() | flags);
    }

    /// Clears flags.
    #[inline(always)]
    pub fn clear(&self, flags: u32) {
        self.word.set(self.word.get() & !flags);
    }

    /// Where the slot is.
    #[must_use]
    pub fn embed(&self) -> Embed {
        match self.word.get() >> Self::EMBED_SHIFT & 7 {
            1 => Embed::CSpace,
            2 => Embed::VSpace,
            3 => Embed::Fault,
            4 => Embed::Donation,
            _ => Embed::No,
        }
    }

    /// Records where the slot is. A capability that came there has no place recorded yet.
    pub fn set_embed(&self, embed: Embed) {
        self.set((embed as u32) << Self::EMBED_SHIFT);
    }

    /// Memory type number (see `gritos_abi::method::MemoryType`).
    #[must_use]
    pub fn memory_type(&self) -> u32 {
        self.word.get() >> Self::MEMORY_TYPE_SHIFT & 3
    }

    /// READ, WRITE and EXECUTE of the mapping.
    #[must_use]
    pub fn map_rights(&self) -> u32 {
        self.word.get() >> Self::MAP_RIGHTS_SHIFT & 7
    }

    /// Records READ, WRITE and EXECUTE of the mapping.
    pub fn set_map_rights(&self, rights: u32) {
        let keep = self.word.get() & !(7 << Self::MAP_RIGHTS_SHIFT);
        self.word.set(keep | (rights & 7) << Self::MAP_RIGHTS_SHIFT);
    }

    /// Makes the slot empty.
    pub fn reset(&self) {
        self.copy_from(&Self::default());
    }

    /// Takes over every field of another slot.
    pub fn copy_from(&self, other: &Self) {
        macro_rules! copy {
            ($($field:ident)*) => { $(self.$field.set(other.$field.get());)* };
        }
        copy!(object word rights badge first last next prev space page offset);
        copy!(pages entered protected map_next map_prev);
    }
}

const _: () = assert!(size_of::<Slot>() == 64 && size_of::<CNode>() <= 64);
