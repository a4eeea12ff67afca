//! Memory that is shared with the network service, and taken away from it.

use alloc::string::String;

use gritos_sys::Cap;
use gritos_sys::abi::Rights;
use gritos_sys::cap::{MemoryObject, Untyped};
use gritos_sys::environment::{self, Environment};
use gritos_sys::invoke::Permissions;
use gritos_sys::shared::{SHARED_BASE, SharedBuf};
use gritos_sys::slots::{Slot, own};

use crate::component::came_to;

/// What the service needs of memory that it reads and writes.
pub(crate) const RIGHTS: Rights = Rights::READ.union(Rights::WRITE).union(Rights::MAP);

/// Addresses from one region to the next.
const STRIDE: u64 = 1 << 30;

/// A memory object in an Untyped of its own, so that it can be revoked and made anew.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Region {
    number: u64,
    bytes: u64,
    piece: Slot,
    object: Slot,
}

impl Region {
    /// Region `number` of this program, mapped.
    pub(crate) fn new(number: u64, bytes: u64) -> Result<Self, String> {
        let slot = || own::take().map_err(|error| came_to("taking a slot", &error));
        let (piece, object) = (slot()?, slot()?);
        Environment::MEMORY
            .split(bytes.next_power_of_two(), piece)
            .map_err(|error| came_to("splitting memory", &error))?;
        let region = Self {
            number,
            bytes,
            piece,
            object,
        };
        region.make()?;
        Ok(region)
    }

    fn make(&self) -> Result<(), String> {
        let object = self
            .piece
            .cap::<Untyped>()
            .create_memory(self.bytes, self.object)
            .map_err(|error| came_to("making memory", &error))?;
        environment::map(
            object,
            SHARED_BASE + (1 + self.number) * STRIDE,
            Permissions::ReadWrite,
        )
        .map_err(|error| came_to("mapping memory", &error))
    }

    /// The memory object.
    pub(crate) const fn object(&self) -> Cap<MemoryObject> {
        self.object.cap()
    }

    /// Its bytes, as this program sees them.
    pub(crate) fn shared(&self) -> Result<SharedBuf, String> {
        SharedBuf::of(self.object()).map_err(|error| came_to("looking at memory", &error))
    }

    /// Takes the memory away from everybody who has it.
    pub(crate) fn revoke(&self) -> Result<(), String> {
        self.piece
            .revoke()
            .map_err(|error| came_to("revoking memory", &error))
    }

    /// Makes it anew after [`revoke`](Self::revoke): other memory for whoever had it mapped.
    pub(crate) fn renew(&self) -> Result<(), String> {
        self.make()
    }
}
