//! Untyped memory: which regions there are, and the one to take a piece from.

use core::ops::Range;

use gritos_abi::boot_info::{BootInfo, UNTYPED_LIMIT, slot};
use gritos_abi::method::object_layout;
use gritos_abi::{Address, ObjectType, Status};

use crate::cap::{AddressSpace, Cap, MemoryObject, Untyped};
use crate::error::{Error, Operation};
use crate::invoke::Permissions;
use crate::slots::{Slot, Slots};

/// Regions that a [`Pool`] can hold: those of the boot information and as many
/// pieces that came back.
pub const REGION_LIMIT: usize = 2 * UNTYPED_LIMIT;

/// Maps all of `memory` at `address` in the first of `tables`, an AddressSpace.
/// When it has no memory for translation tables left, more is donated from the
/// Untyped beside it by way of the empty slot, which is empty again afterwards.
///
/// # Errors
/// Those of [`Cap::<MemoryObject>::map`].
pub fn map_with_tables<const R: u32>(
    memory: Cap<MemoryObject, R>,
    tables: (Cap<AddressSpace>, Cap<Untyped>, Slot),
    address: u64,
    permissions: Permissions,
) -> Result<(), Error> {
    const TABLE_BYTES: u64 = 16 << 10;
    let (space, untyped, spare) = tables;
    let memory = Cap::<MemoryObject>::at(memory.address());
    match memory.map_all(space, address, permissions) {
        Err(error) if error.is(Status::NoTableMemory) => {
            let more = untyped.split(TABLE_BYTES, spare)?;
            if let Err(error) = space.donate(more) {
                // The piece is lost to nobody: it belongs to `untyped` again.
                let _ = spare.delete();
                return Err(error);
            }
            memory.map_all(space, address, permissions)
        }
        result => result,
    }
}

/// A piece of Untyped memory and the slot that holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// Its capability.
    pub untyped: Cap<Untyped>,
    /// Physical address.
    pub base: u64,
    /// Bytes in all.
    pub size: u64,
    /// Bytes behind the last object made from it.
    pub free: u64,
}

impl Region {
    /// Physical address of the next object with this alignment, a power of two: the kernel gives memory out
    /// upwards.
    const fn next(&self, align: u64) -> u64 {
        let used = self
            .base
            .saturating_add(self.size.saturating_sub(self.free));
        used.saturating_add(align - 1) & !(align - 1)
    }
}

/// Normal memory by best fit.
///
/// Memory is taken as a smaller Untyped, so that one revoke returns everything
/// that was made from it. What comes back is kept whole and given out again
/// before anything larger is broken.
#[derive(Debug)]
pub struct Pool {
    regions: [Option<Region>; REGION_LIMIT],
    /// One past the highest place that was ever used.
    used: usize,
}

impl Default for Pool {
    fn default() -> Self {
        Self {
            regions: [None; REGION_LIMIT],
            used: 0,
        }
    }
}

impl Pool {
    /// The normal memory that the kernel gave the root task.
    #[must_use]
    pub fn from_boot_info(info: &BootInfo) -> Self {
        let mut pool = Self::default();
        let described = usize::try_from(info.untyped_count).unwrap_or(UNTYPED_LIMIT);
        for (i, region) in info.untyped.iter().enumerate().take(described) {
            if region.device == 0 {
                pool.add(Region {
                    untyped: Cap::at(Address::root(slot::UNTYPED_FIRST + i as u16)),
                    base: region.base,
                    size: region.size,
                    free: region.size,
                });
            }
        }
        pool
    }

    /// Adds a region; says whether there was room to remember it.
    pub fn add(&mut self, region: Region) -> bool {
        let mut places = self.regions.iter_mut().enumerate();
        match places.find(|(_, entry)| entry.is_none()) {
            Some((place, entry)) => {
                *entry = Some(region);
                self.used = self.used.max(place + 1);
                true
            }
            None => false,
        }
    }

    /// The places that hold regions, or held some.
    fn places(&mut self) -> &mut [Option<Region>] {
        self.regions.get_mut(..self.used).unwrap_or_default()
    }

    /// The regions.
    pub fn regions(&self) -> impl Iterator<Item = &Region> {
        self.regions.iter().take(self.used).flatten()
    }

    /// Free bytes in all regions.
    #[must_use]
    pub fn free(&self) -> u64 {
        self.regions().map(|region| region.free).sum()
    }

    /// Takes an Untyped of `bytes` (a multiple of 64; of 4096 from there on),
    /// aligned as the kernel aligns Untypeds of that size.
    ///
    /// # Errors
    /// `NoMemory`, `InvalidArgument` for a size that no Untyped can have,
    /// `OutOfRange` when the slots ran out.
    pub fn take(&mut self, bytes: u64, slots: &mut Slots) -> Result<Region, Error> {
        self.take_within(bytes, &(0..u64::MAX), slots)
    }

    /// The same, of physical addresses in `window` alone.
    ///
    /// # Errors
    /// Those of [`take`](Self::take).
    pub fn take_within(
        &mut self,
        bytes: u64,
        window: &Range<u64>,
        slots: &mut Slots,
    ) -> Result<Region, Error> {
        let refuse = |status| Error::local(status, Operation::Allocate(ObjectType::Untyped));
        let Some(layout) = object_layout(ObjectType::Untyped, bytes) else {
            return Err(refuse(Status::InvalidArgument));
        };
        let whole = |region: &Region| {
            let inside = window.contains(&region.base) && window.end - region.base >= bytes;
            region.size == bytes && region.free == bytes && inside
        };
        if let Some(entry) = self
            .places()
            .iter_mut()
            .find(|entry| entry.as_ref().is_some_and(whole))
        {
            return entry.take().ok_or(refuse(Status::NoMemory));
        }
        let slot = slots.take()?;
        let taken = self.split(layout, window, slot);
        if taken.is_err() {
            slots.give_back(slot);
        }
        taken
    }

    /// A piece of so many bytes and alignment.
    fn split(
        &mut self,
        (bytes, align): (u64, u64),
        window: &Range<u64>,
        slot: Slot,
    ) -> Result<Region, Error> {
        let operation = Operation::Allocate(ObjectType::Untyped);
        let best = self
            .places()
            .iter_mut()
            .flatten()
            .filter(|region| {
                let end = region.next(align).saturating_add(bytes);
                region.free >= bytes && window.contains(&region.next(align)) && end <= window.end
            })
            .min_by_key(|region| region.free)
            .ok_or(Error::local(Status::NoMemory, operation))?;
        let base = best.next(align);
        let made = best.untyped.split(bytes, slot);
        // Alignment may have cost more than was asked; the kernel knows.
        best.free = best.untyped.info()?.free;
        Ok(Region {
            untyped: made?,
            base,
            size: bytes,
            free: bytes,
        })
    }

    /// Destroys everything that was made from `region` and keeps it for others.
    ///
    /// # Errors
    /// See [`Slot::revoke`]. `OutOfRange` when the pool remembers too many
    /// regions already; the region then is empty and still the caller's.
    pub fn give_back(&mut self, region: Region, slots: &Slots) -> Result<(), Error> {
        slots.slot(region.untyped.address().index()).revoke()?;
        let region = Region {
            free: region.size,
            ..region
        };
        if self.add(region) {
            Ok(())
        } else {
            let operation = Operation::Allocate(ObjectType::Untyped);
            Err(Error::local(Status::OutOfRange, operation))
        }
    }
}
