//! The open files of all clients, by the badges of their capabilities.

use alloc::vec::Vec;

use gritos_fs_api::FsError;
use hashbrown::HashMap;

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
    /// How many each client has open, if any.
    counts: HashMap<u32, usize>,
    open: usize,
    limits: Limits,
    /// Places below this are taken.
    first_free: usize,
}

impl Files {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            slots: Vec::new(),
            counts: HashMap::new(),
            open: 0,
            limits,
            first_free: 0,
        }
    }

    /// Whether a client may open one more.
    pub(super) fn admit(&self, client: u32) -> Result<(), FsError> {
        let mine = self.counts.get(&client).copied().unwrap_or(0);
        if mine >= self.limits.files_of_client {
            return Err(FsError::ClientLimit);
        }
        if self.open >= self.limits.files.min(INDEX_MASK as usize + 1) {
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
        let badge = slot.life << INDEX_BITS | index as u32;
        self.open += 1;
        *self.counts.entry(client).or_default() += 1;
        Ok(badge)
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
        let (client, handle) = slot.open.take().ok_or(FsError::BadDescriptor)?;
        self.gone(index, client);
        Ok(handle)
    }

    /// Removes one of a client's files, as long as it has any.
    pub(super) fn take_of(&mut self, client: u32) -> Option<Handle> {
        let mine = |slot: &Slot| slot.open.is_some_and(|(owner, _)| owner == client);
        let index = self.slots.iter().position(mine)?;
        let (_, handle) = self.slots.get_mut(index)?.open.take()?;
        self.gone(index, client);
        Some(handle)
    }

    fn gone(&mut self, index: usize, client: u32) {
        self.first_free = self.first_free.min(index);
        self.open = self.open.saturating_sub(1);
        if let Some(count) = self.counts.get_mut(&client) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.counts.remove(&client);
            }
        }
    }
}
