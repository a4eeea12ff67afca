//! Address spaces and translation tables.

use core::cell::Cell;

use super::{Header, Slot};
use crate::handle::{SlotRef, SpaceRef, TableRef, TcbRef};

/// A translation table: 512 descriptors.
#[derive(Clone, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Table(pub [Cell<u64>; 512]);

impl Default for Table {
    fn default() -> Self {
        Self([const { Cell::new(0) }; 512])
    }
}

/// An address space. Its root table is the page behind it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Space {
    /// Common header.
    pub header: Header,
    /// ASID; 0 means none yet.
    pub asid: Cell<u32>,
    /// First capability mapped here.
    pub mappings: Cell<Option<SlotRef>>,
    /// First thread that runs here.
    pub threads: Cell<Option<TcbRef>>,
    /// Tables in use besides the root.
    pub tables: Cell<u32>,
    _pad: [u32; 9],
    /// Untyped memory for tables.
    pub donations: [Slot; Space::DONATIONS],
}

impl Space {
    /// How many Untypeds can be donated.
    pub const DONATIONS: usize = 16;
    /// Header flag: destroyed, but capabilities to it remain.
    pub const DEAD: u32 = 1 << 8;
}

impl SpaceRef {
    /// The root table.
    #[inline(always)]
    #[must_use]
    pub fn root(self) -> Option<TableRef> {
        TableRef::from_raw(self.raw().wrapping_add(256))
    }

    /// The address space that a donation slot belongs to.
    #[must_use]
    pub fn of_donation(slot: SlotRef) -> Option<Self> {
        Self::from_raw(slot.raw() & !255)
    }

    /// Donation slot `index`.
    #[must_use]
    pub fn donation(self, index: u32) -> Option<SlotRef> {
        SlotRef::from_raw(self.raw().wrapping_add(4)).and_then(|first| first.nth(index))
    }
}

const _: () = assert!(core::mem::offset_of!(Space, donations) == 64);
const _: () = assert!(size_of::<Space>() <= 4096);
