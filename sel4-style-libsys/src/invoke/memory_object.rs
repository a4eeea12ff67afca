//! MemoryObject: contiguous pages. One capability records one mapping; to map
//! twice, copy the capability.

use gritos_abi::Rights;
use gritos_abi::method::{MemoryObject as Method, MemoryType};

use super::Argument;
use crate::cap::{AddressSpace, Cap, MemoryObject, require};
use crate::error::Error;

/// How pages are mapped. There is no writable and executable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permissions {
    /// Loads.
    Read,
    /// Loads and stores.
    ReadWrite,
    /// Loads and instruction fetches.
    ReadExecute,
}

impl Permissions {
    /// As rights bits.
    #[must_use]
    pub const fn rights(self) -> Rights {
        match self {
            Self::Read => Rights::READ,
            Self::ReadWrite => Rights::READ.union(Rights::WRITE),
            Self::ReadExecute => Rights::READ.union(Rights::EXECUTE),
        }
    }
}

/// Where pages are mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// Virtual address.
    pub address: u64,
    /// First byte of the object that is mapped.
    pub offset: u64,
    /// Bytes mapped; in a request 0 means to the end of the object.
    pub length: u64,
}

/// State of a memory object as seen through one capability.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryInfo {
    /// Bytes in the object.
    pub size: u64,
    /// Memory type; `None` for a number this library does not know.
    pub memory: Option<MemoryType>,
    /// The mapping that the capability records.
    pub mapping: Option<Mapping>,
    /// The rights of that mapping.
    pub rights: Rights,
}

impl<const R: u32> Cap<MemoryObject, R> {
    /// Maps the range of `mapping` in `space`.
    ///
    /// # Errors
    /// `AlreadyMapped`, `AddressInUse`, `NoTableMemory`, `OutOfRange`,
    /// `Unaligned`, `MissingRight`, `DeviceMemory`.
    #[inline]
    pub fn map(
        self,
        space: Cap<AddressSpace>,
        mapping: Mapping,
        permissions: Permissions,
    ) -> Result<(), Error> {
        self.map_rights(space, mapping, permissions.rights())
    }

    /// As [`map`](Self::map), with any rights bits, refused ones included.
    ///
    /// # Errors
    /// As [`map`](Self::map), and `WriteExecute`, `InvalidArgument`.
    #[inline]
    pub fn map_rights(
        self,
        space: Cap<AddressSpace>,
        mapping: Mapping,
        rights: Rights,
    ) -> Result<(), Error> {
        require!(R, MAP);
        let words = [
            mapping.address,
            mapping.offset,
            mapping.length,
            u64::from(rights.bits()),
        ];
        self.invoke_with(Method::Map as u64, words, [Argument::new(space)])?;
        Ok(())
    }

    /// Maps all of it at `address`.
    ///
    /// # Errors
    /// As [`map`](Self::map).
    pub fn map_all(
        self,
        space: Cap<AddressSpace>,
        address: u64,
        permissions: Permissions,
    ) -> Result<(), Error> {
        let mapping = Mapping {
            address,
            offset: 0,
            length: 0,
        };
        self.map(space, mapping, permissions)
    }

    /// Removes the mapping that this capability records.
    ///
    /// # Errors
    /// `NotMapped`, `MissingRight`.
    #[inline]
    pub fn unmap(self) -> Result<(), Error> {
        require!(R, MAP);
        self.invoke(Method::Unmap as u64, [])?;
        Ok(())
    }

    /// Changes the rights of the whole mapping.
    ///
    /// # Errors
    /// `NotMapped`, `MissingRight`, `WriteExecute`.
    pub fn protect(self, permissions: Permissions) -> Result<(), Error> {
        require!(R, MAP);
        self.invoke(
            Method::Protect as u64,
            [u64::from(permissions.rights().bits())],
        )?;
        Ok(())
    }

    /// Size, type and mapping.
    ///
    /// # Errors
    /// `EmptySlot`, `WrongType`.
    pub fn info(self) -> Result<MemoryInfo, Error> {
        let words = self.invoke(Method::Info as u64, [])?;
        let mapping = Mapping {
            address: words[2],
            offset: words[3],
            length: words[4],
        };
        Ok(MemoryInfo {
            size: words[0],
            memory: MemoryType::from_number(words[1]),
            mapping: (mapping.length != 0).then_some(mapping),
            rights: Rights::from_bits_retain(words[5] as u32),
        })
    }

    /// The physical address, for a device that accesses memory.
    ///
    /// # Errors
    /// `MissingRight`.
    pub fn physical_address(self) -> Result<u64, Error> {
        require!(R, DMA);
        Ok(self.invoke(Method::PhysicalAddress as u64, [])?[0])
    }
}
