//! From addresses to slots.

use gritos_abi::{Address, ObjectType, Rights, Status};

use crate::handle::{CNodeRef, SlotRef, TcbRef};
use crate::kernel::Kernel;
use crate::machine::Machine;
use crate::object::{Slot, Tcb};
use crate::store::Store;

impl<S: Store, M: Machine> Kernel<S, M> {
    /// The slot at `address` in the CSpace of `thread`: one step in the root
    /// CNode, two if the address names another.
    ///
    /// # Errors
    /// [`Status::InvalidAddress`] if the address names no slot.
    pub fn lookup(&self, thread: TcbRef, address: Address) -> Result<SlotRef, Status> {
        if address.cnode() == 0 {
            root_slot(self.tcb(thread), address)
        } else {
            self.lookup_nested(thread, address).map(|(_, slot)| slot)
        }
    }

    fn lookup_nested(&self, thread: TcbRef, address: Address) -> Result<(&Slot, SlotRef), Status> {
        let outer = self.slot(root_slot(self.tcb(thread), Address::root(address.cnode()))?);
        let slot = self.cnode_slot(outer, u64::from(address.index()))?;
        Ok((outer, slot))
    }

    /// Slot `index` of the CNode that `cap` names.
    pub(crate) fn cnode_slot(&self, cap: &Slot, index: u64) -> Result<SlotRef, Status> {
        if !cap.is(ObjectType::CNode) {
            return Err(Status::InvalidAddress);
        }
        let cnode = CNodeRef::from_raw(cap.object.get()).ok_or(Status::InvalidAddress)?;
        if index >= u64::from(self.cnode(cnode).len.get()) {
            return Err(Status::InvalidAddress);
        }
        cnode.slot(index as u32).ok_or(Status::InvalidAddress)
    }

    /// As [`lookup`](Self::lookup), for a slot that is to be changed: a CNode
    /// that the address names must be held with WRITE.
    pub(crate) fn lookup_mut(&self, thread: TcbRef, address: Address) -> Result<SlotRef, Status> {
        if address.cnode() == 0 {
            return root_slot(self.tcb(thread), address);
        }
        let (outer, slot) = self.lookup_nested(thread, address)?;
        if outer.rights.get() & Rights::WRITE.bits() == 0 {
            return Err(Status::MissingRight);
        }
        Ok(slot)
    }

    /// The capability at `address`, which must be of type `object` and hold
    /// `rights`.
    pub(crate) fn lookup_cap(
        &self,
        thread: TcbRef,
        address: Address,
        object: ObjectType,
        rights: Rights,
    ) -> Result<SlotRef, Status> {
        let found = if address.cnode() == 0 {
            root_slot(self.tcb(thread), address)?
        } else {
            self.lookup(thread, address)?
        };
        let slot = self.slot(found);
        if !slot.is(object) {
            return Err(if slot.is_empty() {
                Status::EmptySlot
            } else {
                Status::WrongType
            });
        }
        if slot.rights.get() & rights.bits() != rights.bits() {
            return Err(Status::MissingRight);
        }
        Ok(found)
    }
}

/// Slot of the root CNode.
#[inline(always)]
fn root_slot(t: &Tcb, address: Address) -> Result<SlotRef, Status> {
    let slot = t.root_slot(address.index().into());
    slot.and_then(SlotRef::from_raw)
        .ok_or(Status::InvalidAddress)
}
