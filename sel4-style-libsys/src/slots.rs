//! Slots: who owns which, and what may be done with an empty or full one.

use gritos_abi::{Address, ObjectType, Status};

use crate::cap::{CNode, Cap, Mask};
use crate::error::{Error, Operation};

pub mod own;

/// Slots that one allocator can manage.
pub const SLOT_LIMIT: u16 = 4096;

/// A slot that the program owns: its address, and the CNode capability that
/// changes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    cnode: Cap<CNode>,
    address: Address,
}

impl Slot {
    /// The slot at `address`, whose CNode is `cnode`.
    #[must_use]
    pub const fn new(cnode: Cap<CNode>, address: Address) -> Self {
        Self { cnode, address }
    }

    /// The CNode in which it lies.
    #[must_use]
    pub const fn cnode(self) -> Cap<CNode> {
        self.cnode
    }

    /// Its address in the CSpace of this program.
    #[must_use]
    pub const fn address(self) -> Address {
        self.address
    }

    /// Its index in the CNode.
    #[must_use]
    pub const fn index(self) -> u16 {
        self.address.index()
    }

    /// Names the capability in it.
    #[must_use]
    pub const fn cap<T>(self) -> Cap<T> {
        Cap::at(self.address)
    }

    /// Fills it with a copy.
    ///
    /// # Errors
    /// See [`Cap::<CNode>::copy`].
    pub fn copy<T, const S: u32>(self, source: Cap<T, S>, mask: Mask) -> Result<Cap<T>, Error> {
        self.cnode.copy(self.index(), source, mask)?;
        Ok(self.cap())
    }

    /// Fills it with a copy that has a badge.
    ///
    /// # Errors
    /// See [`Cap::<CNode>::mint`].
    pub fn mint<T, const S: u32>(
        self,
        source: Cap<T, S>,
        mask: Mask,
        badge: u32,
    ) -> Result<Cap<T>, Error> {
        self.cnode.mint(self.index(), source, mask, badge)?;
        Ok(self.cap())
    }

    /// Empties it.
    ///
    /// # Errors
    /// See [`Cap::<CNode>::delete`].
    pub fn delete(self) -> Result<(), Error> {
        self.cnode.delete(self.index())
    }

    /// Deletes what was derived from the capability in it.
    ///
    /// # Errors
    /// See [`Cap::<CNode>::revoke`].
    pub fn revoke(self) -> Result<(), Error> {
        self.cnode.revoke(self.index())
    }
}

/// Gives out the slots of one CNode.
///
/// A bit per slot: 512 bytes, no memory management of its own, and a run of
/// neighbours, as a receive window needs, is found as easily as one.
#[derive(Debug)]
pub struct Slots {
    cnode: Cap<CNode>,
    prefix: u16,
    end: u16,
    used: [u64; SLOT_LIMIT as usize / 64],
}

impl Slots {
    /// The slots `first..end` of `cnode`. `prefix` is the CNode part of their
    /// addresses, 0 for the root CNode. Slots beyond [`SLOT_LIMIT`] are left
    /// alone.
    #[must_use]
    pub fn new(cnode: Cap<CNode>, prefix: u16, first: u16, end: u16) -> Self {
        let mut slots = Self {
            cnode,
            prefix,
            end: end.min(SLOT_LIMIT),
            used: [0; SLOT_LIMIT as usize / 64],
        };
        for index in 0..first.min(slots.end) {
            slots.mark(index, true);
        }
        slots
    }

    /// The CNode.
    #[must_use]
    pub const fn cnode(&self) -> Cap<CNode> {
        self.cnode
    }

    /// Slot `index`, whoever owns it.
    #[must_use]
    pub const fn slot(&self, index: u16) -> Slot {
        Slot::new(self.cnode, Address::nested(self.prefix, index))
    }

    /// Takes a slot.
    ///
    /// # Errors
    /// `OutOfRange` if none is left.
    pub fn take(&mut self) -> Result<Slot, Error> {
        self.take_run(1)
    }

    /// Takes `count` neighbours and returns the first.
    ///
    /// # Errors
    /// `OutOfRange` if there is no such run.
    pub fn take_run(&mut self, count: u16) -> Result<Slot, Error> {
        let (mut run, mut index) = (0, 0);
        while index < self.end {
            // Slots are taken from below: most of what lies there is full words.
            if index % 64 == 0 && self.used.get(usize::from(index / 64)) == Some(&u64::MAX) {
                (run, index) = (0, index + 64);
                continue;
            }
            run = if self.is_used(index) { 0 } else { run + 1 };
            if run == count {
                let first = index + 1 - count;
                (first..=index).for_each(|index| self.mark(index, true));
                return Ok(self.slot(first));
            }
            index += 1;
        }
        let operation = Operation::Allocate(ObjectType::CNode);
        Err(Error::local(Status::OutOfRange, operation))
    }

    /// Takes back a slot that is empty again.
    pub fn give_back(&mut self, slot: Slot) {
        debug_assert!(slot.cnode == self.cnode && self.is_used(slot.index()));
        if slot.index() < self.end {
            self.mark(slot.index(), false);
        }
    }

    /// Empties a slot and takes it back.
    ///
    /// # Errors
    /// See [`Slot::delete`]; the slot then still belongs to its owner.
    pub fn delete(&mut self, slot: Slot) -> Result<(), Error> {
        slot.delete()?;
        self.give_back(slot);
        Ok(())
    }

    /// How many slots are free.
    #[must_use]
    pub fn free(&self) -> u16 {
        let used: u32 = self.used.iter().map(|word| word.count_ones()).sum();
        // Slots from `end` on are never marked.
        self.end.saturating_sub(used as u16)
    }

    fn is_used(&self, index: u16) -> bool {
        let word = self.used.get(usize::from(index / 64));
        word.is_none_or(|word| word & 1 << (index % 64) != 0)
    }

    fn mark(&mut self, index: u16, used: bool) {
        if let Some(word) = self.used.get_mut(usize::from(index / 64)) {
            let bit = 1 << (index % 64);
            *word = if used { *word | bit } else { *word & !bit };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Slots;
    use crate::cap::Cap;
    use gritos_abi::Address;

    #[test]
    fn slots_below_first_are_never_given_out() {
        let mut slots = Slots::new(Cap::at(Address::root(1)), 0, 62, 66);
        let given: std::vec::Vec<u16> = (0..4).map(|_| slots.take().unwrap().index()).collect();
        assert_eq!(given, [62, 63, 64, 65]);
        assert!(slots.take().is_err());
    }

    #[test]
    fn a_run_skips_what_is_taken_and_a_returned_slot_comes_again() {
        let mut slots = Slots::new(Cap::at(Address::root(1)), 7, 0, 10);
        let all: std::vec::Vec<_> = (0..10).map(|_| slots.take().unwrap()).collect();
        for index in [1, 4, 5, 6] {
            slots.give_back(all[index]);
        }
        assert_eq!(slots.take_run(3).unwrap().address(), Address::nested(7, 4));
        assert!(slots.take_run(2).is_err());
        assert_eq!((slots.take().unwrap().index(), slots.free()), (1, 0));
    }

    #[test]
    fn what_is_full_is_passed_over_and_free_slots_are_counted() {
        let mut slots = Slots::new(Cap::at(Address::root(1)), 0, 130, 300);
        assert_eq!(
            (slots.free(), slots.take_run(4).unwrap().index()),
            (170, 130)
        );
        let all: std::vec::Vec<_> = (0..166).map(|_| slots.take().unwrap()).collect();
        assert!(slots.take().is_err());
        assert_eq!(slots.free(), 0);
        // A run across the border of two words, of which the first is full below it.
        let middle = 192 - 134;
        all[middle - 2..middle + 3]
            .iter()
            .for_each(|slot| slots.give_back(*slot));
        assert_eq!((slots.free(), slots.take_run(5).unwrap().index()), (5, 190));
    }
}
