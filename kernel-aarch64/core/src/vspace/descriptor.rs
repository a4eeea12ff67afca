//! Translation table descriptors: 4 KiB granule, stage 1, EL1&0.
//!
//! Arm ARM, "VMSAv8-64 translation table format descriptors" and "Memory
//! attribute fields in the VMSAv8-64 translation table format descriptors".

use crate::handle::TableRef;

/// Pages of a level 2 block.
pub const LARGE_PAGES: u64 = 512;

/// A descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(transparent)]
pub struct Descriptor(pub u64);

const VALID: u64 = 1;
/// Level 0–2: a table, not a block. Level 3: a page.
const TABLE_OR_PAGE: u64 = 1 << 1;
const ATTR_INDEX_SHIFT: u32 = 2;
/// AP[1]: EL0 has access too.
const AP_EL0: u64 = 1 << 6;
/// AP[2]: read only.
const AP_READ_ONLY: u64 = 1 << 7;
const INNER_SHAREABLE: u64 = 3 << 8;
/// Access flag: set, so that no access-flag fault is ever taken.
const ACCESSED: u64 = 1 << 10;
/// Not global: the translation belongs to the ASID.
const NOT_GLOBAL: u64 = 1 << 11;
/// Never executable at EL1.
const PXN: u64 = 1 << 53;
/// Never executable at EL0.
const UXN: u64 = 1 << 54;
const ADDRESS: u64 = 0x0000_ffff_ffff_f000;

/// `MAIR_EL1` as the boot code sets it: the index of each memory type.
pub mod mair {
    /// Device-nGnRnE.
    pub const STRONGLY_ORDERED: u64 = 0;
    /// Normal, write-back.
    pub const NORMAL: u64 = 1;
    /// Normal, not cacheable.
    pub const UNCACHED: u64 = 2;
    /// Device-nGnRE.
    pub const DEVICE: u64 = 3;
    /// The register.
    pub const VALUE: u64 = 0x04 << 24 | 0x44 << 16 | 0xff << 8;
}

impl Descriptor {
    /// Translates nothing.
    pub const NONE: Self = Self(0);

    /// A user page, or a 2 MiB block if `large`, with READ, WRITE and EXECUTE
    /// of `access` (bits 0–2) and a `gritos_abi::method::MemoryType` number.
    #[must_use]
    pub const fn leaf(address: u64, memory_type: u32, access: u32, large: bool) -> Self {
        let index = match memory_type {
            1 => mair::UNCACHED,
            2 => mair::DEVICE,
            _ => mair::NORMAL,
        };
        let kind = if large { VALID } else { VALID | TABLE_OR_PAGE };
        Self(
            address & ADDRESS
                | index << ATTR_INDEX_SHIFT
                | INNER_SHAREABLE
                | ACCESSED
                | NOT_GLOBAL
                | kind,
        )
        .with_rights(access)
    }

    /// A table one level down.
    #[must_use]
    pub const fn to_table(table: TableRef) -> Self {
        Self(table.address() | VALID | TABLE_OR_PAGE)
    }

    /// The same leaf with other rights.
    #[must_use]
    pub const fn with_rights(self, access: u32) -> Self {
        let read_only = if access & 2 == 0 { AP_READ_ONLY } else { 0 };
        let no_execute = if access & 4 == 0 { UXN } else { 0 };
        Self(self.0 & !(AP_READ_ONLY | UXN) | AP_EL0 | PXN | read_only | no_execute)
    }

    /// Whether it translates anything or leads to a table.
    #[must_use]
    pub const fn is_valid(self) -> bool {
        self.0 & VALID != 0
    }

    /// The table that a level 1 or 2 descriptor leads to.
    #[must_use]
    pub const fn table(self) -> Option<TableRef> {
        if self.0 & (VALID | TABLE_OR_PAGE) == VALID | TABLE_OR_PAGE {
            TableRef::from_raw(((self.0 & ADDRESS) >> 4) as u32)
        } else {
            None
        }
    }
}
