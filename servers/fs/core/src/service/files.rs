//! The open files of all clients, by the badges of their capabilities.

use alloc::vec::Vec;

use gritos_fs_api::FsError;

use crate::vfs::Handle;

const INDEX_BITS: u32 = 12;
const INDEX_MASK: u32 = (1 << INDEX_BITS) - 1;
/// Lives that a place has in turn: badges stay below bit 30, which marks buffers.
const LIVES: u32 = (1 << (30 - INDEX_BITS)) - 1;

/// How much clients may have open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Files of all clients together, at most 4096.
    pub files: usize,
    /// Files of one client.
    pub files_of_client: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            files: 1024,
            files_of_client: 256,
        }
    }
}

struct Slot {
    life: u32,
    open: Option<(u32, Handle)>,
}

pub(super) struct Files {
    slots: Vec<Slot>,
    limits: Limits,
    /// Places below this are taken.
    first_free: usize,
}

impl Files {
    pub(super) const fn new(limits: Limits) -> Self {
        Self {
            slots: Vec::new(),
            limits,
            first_free: 0,
        }
    }

    /// Whether a client may open one more.
    pub(super) fn admit(&self, client: u32) -> Result<(), FsError> {
        let mine = |slot: &&Slot| slot.open.is_some_and(|(owner, _)| owner == client);
        if self.slots.iter().filter(mine).count() >= self.limits.files_of_client {
            return Err(FsError::ClientLimit);
        }
        let limit = self.limits.files.min(INDEX_MASK as usize + 1);
        if self.slots.len() >= limit && self.slots.iter().all(|slot| slot.open.is_some()) {
            return Err(FsError::ServerLimit);
        }
        Ok(())
    }

    /// Takes an open file in; returns its badge.
    pub(super) fn insert(&mut self, client: u32, handle: Handle) -> Result<u32, FsError> {
        let free = (self.first_free..self.slots.len()).find(|index| {
            self.slots
                .get(*index)
                .is_some_and(|slot| slot.open.is_none())
        });
        let index = match free {
            Some(index) => index,
            None => {
                self.slots.push(Slot {
                    life: 0,
                    open: None,
                });
                self.slots.len() - 1
            }
        };
        self.first_free = index + 1;
        let slot = self.slots.get_mut(index).ok_or(FsError::ServerLimit)?;
        slot.life = slot.life % LIVES + 1;
        slot.open = Some((client, handle));
        Ok(slot.life << INDEX_BITS | index as u32)
    }

    fn slot(&mut self, badge: u32) -> Result<(usize, &mut Slot), FsError> {
        let index = (badge & INDEX_MASK) as usize;
        let slot = self.slots.get_mut(index).ok_or(FsError::BadDescriptor)?;
        if slot.life != badge >> INDEX_BITS {
            return Err(FsError::BadDescriptor);
        }
        Ok((index, slot))
    }

    pub(super) fn get(&mut self, badge: u32) -> Result<Handle, FsError> {
        let (_, handle) = self.slot(badge)?.1.open.ok_or(FsError::BadDescriptor)?;
        Ok(handle)
    }

    /// Who opened it.
    pub(super) fn client_of(&mut self, badge: u32) -> Result<u32, FsError> {
        let (client, _) = self.slot(badge)?.1.open.ok_or(FsError::BadDescriptor)?;
        Ok(client)
    }

    pub(super) fn remove(&mut self, badge: u32) -> Result<Handle, FsError> {
        let (index, slot) = self.slot(badge)?;
        let (_, handle) = slot.open.take().ok_or(FsError::BadDescriptor)?;
        self.first_free = self.first_free.min(index);
        Ok(handle)
    }

    /// Removes one of a client's files, as long as it has any.
    pub(super) fn take_of(&mut self, client: u32) -> Option<Handle> {
        let mine = |slot: &Slot| slot.open.is_some_and(|(owner, _)| owner == client);
        let index = self.slots.iter().position(mine)?;
        self.first_free = self.first_free.min(index);
        let (_, handle) = self.slots.get_mut(index)?.open.take()?;
        Some(handle)
    }
}
