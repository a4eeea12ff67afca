//! Untyped memory: where every object comes from.
//!
//! An Untyped is its capability: base, size and what is in use lie in the slot.
//! It cannot be copied, so there is one account. Objects are children of the
//! slot in the derivation tree; when none is left, all memory is free again.
//! Memory is zeroed before it is handed out, in steps whose progress the slot
//! keeps.

use gritos_abi::method::{MemoryType, Untyped as Method, object_layout};
use gritos_abi::{ObjectType, Rights, Status};

use crate::handle::{ObjectRef, SlotRef, TcbRef, UNIT};
use crate::kernel::{Done, Kernel};
use crate::machine::Machine;
use crate::object::{Slot, Tag};
use crate::store::Store;
use crate::transfer::{has_header, narrowed};

/// Bytes in which an Untyped keeps account.
pub const GRAIN: u64 = 64;
/// Most objects that one `Retype` makes.
pub const RETYPE_LIMIT: u64 = 32;
/// Bytes zeroed between two points at which an interrupt may come in.
const ZERO_STEP: u64 = 4096;

/// A retype that has passed every check.
struct Retype {
    object: ObjectType,
    size: u64,
    count: u64,
    memory: u32,
    /// Of the new capabilities.
    rights: u32,
    /// The first of the slots for the capabilities.
    to: SlotRef,
    /// Address of the first object, distance of one to the next.
    first: u64,
    stride: u64,
    end: u64,
}

impl<S: Store, M: Machine> Kernel<S, M> {
    /// Methods of an Untyped.
    pub(crate) fn invoke_untyped(&mut self, current: TcbRef, cap: SlotRef, method: Method) -> Done {
        match method {
            Method::Retype => self.retype(current, cap),
            Method::Info => {
                let s = self.slot(cap);
                let (base, size, used) = in_use(s);
                let dma = s.rights.get() & Rights::DMA.bits() != 0;
                let t = self.tcb(current);
                t.set_x::<0>(size);
                t.set_x::<1>(size - used.min(size));
                t.set_x::<2>(u64::from(s.has(Slot::DEVICE)));
                t.set_x::<3>(if dma { base } else { 0 });
                self.succeed(current, 4);
                Ok(())
            }
        }
    }

    fn retype(&mut self, current: TcbRef, cap: SlotRef) -> Done {
        self.drain()?;
        let plan = self.check_retype(current, cap)?;
        let s = self.slot(cap);
        let fresh = s.first.get().sibling().is_none() && s.page.get() != 0;
        if fresh || s.entered.get() != plan.memory {
            // Nothing is known to be as it must be but what an interrupted run
            // of this very call has done.
            s.offset.set(0);
            s.entered.set(plan.memory);
        }
        if fresh {
            s.page.set(0);
        }
        if !s.has(Slot::DEVICE) && plan.object != ObjectType::Untyped {
            self.zero_up_to(cap, plan.end)?;
        }
        self.commit_retype(cap, &plan);
        self.succeed(current, 0);
        Ok(())
    }

    fn check_retype(&self, current: TcbRef, cap: SlotRef) -> Result<Retype, Status> {
        let t = self.tcb(current);
        let (size, count, at) = (t.x::<1>(), t.x::<2>(), t.x::<4>());
        let object = u8::try_from(t.x::<0>())
            .ok()
            .and_then(ObjectType::from_number);
        let object = object.ok_or(Status::InvalidArgument)?;
        let (bytes, align) = object_layout(object, size).ok_or(Status::InvalidArgument)?;
        let memory = MemoryType::from_number(t.x::<5>()).ok_or(Status::InvalidArgument)?;
        let plain = memory == MemoryType::Normal || object == ObjectType::MemoryObject;
        if count == 0 || count > RETYPE_LIMIT || !plain {
            return Err(Status::InvalidArgument);
        }
        let s = self.slot(cap);
        let device = s.has(Slot::DEVICE);
        let fits = match object {
            ObjectType::Untyped => true,
            ObjectType::MemoryObject => device == (memory == MemoryType::Device),
            _ => !device,
        };
        if !fits {
            return Err(Status::DeviceMemory);
        }
        let (base, total, used) = in_use(s);
        let free = base + used;
        let first = if at == 0 {
            free.next_multiple_of(align)
        } else {
            at
        };
        if !first.is_multiple_of(align) {
            return Err(Status::Unaligned);
        }
        let stride = bytes.next_multiple_of(align);
        let last = stride.checked_mul(count - 1).ok_or(Status::NoMemory)?;
        let end = first.checked_add(last).and_then(|l| l.checked_add(bytes));
        let end = end.filter(|end| first >= free && *end <= base + total);
        let end = end.ok_or(if at == 0 {
            Status::NoMemory
        } else {
            Status::OutOfRange
        })?;
        let to = self.check_destination(current, t.x::<3>(), count)?;
        let rights = narrowed(
            full_rights(object, s.rights.get()),
            (t.x::<11>() >> 32) as u32,
        )?;
        Ok(Retype {
            object,
            size,
            count,
            memory: memory as u32,
            rights,
            to,
            first,
            stride,
            end,
        })
    }

    /// The first of the slots that the new capabilities go into. All must exist
    /// and be empty.
    #[inline(always)]
    fn check_destination(
        &self,
        current: TcbRef,
        index: u64,
        count: u64,
    ) -> Result<SlotRef, Status> {
        let quick = self.first_argument(current, ObjectType::CNode, Rights::WRITE);
        if count == 1
            && let Some(first) = quick.and_then(|cnode| self.cnode_slot(cnode, index).ok())
            && self.slot(first).is_empty()
        {
            return Ok(first);
        }
        let cnode = self.argument(current, 0, ObjectType::CNode, Rights::WRITE)?;
        let last = index.checked_add(count - 1).ok_or(Status::InvalidAddress)?;
        let first = self.cnode_slot(self.slot(cnode), index)?;
        self.cnode_slot(self.slot(cnode), last)?;
        for i in 0..count {
            let slot = first.nth(i as u32).ok_or(Status::InvalidAddress)?;
            if !self.slot(slot).is_empty() {
                return Err(Status::SlotOccupied);
            }
        }
        Ok(first)
    }

    /// Zeroes the Untyped up to the physical address `end`; memory that will be
    /// uncached leaves the data cache as well.
    fn zero_up_to(&mut self, cap: SlotRef, end: u64) -> Done {
        loop {
            let s = self.slot(cap);
            let (base, _, used) = extent(s);
            let clean = base + (u64::from(s.offset.get()) * GRAIN).max(used);
            if clean >= end {
                return Ok(());
            }
            let bytes = (end.next_multiple_of(GRAIN) - clean).min(ZERO_STEP - clean % ZERO_STEP);
            self.store.zero(clean, bytes);
            if self.slot(cap).entered.get() != 0 {
                self.machine.flush_cache(clean, bytes);
            }
            self.slot(cap)
                .offset
                .set(((clean + bytes - base) / GRAIN) as u32);
            if clean + bytes < end {
                self.give_way()?;
            }
        }
    }

    fn commit_retype(&mut self, cap: SlotRef, plan: &Retype) {
        for i in 0..plan.count {
            if let Some(slot) = plan.to.nth(i as u32) {
                self.create(cap, slot, plan, plan.first + i * plan.stride);
            }
        }
        let (base, ..) = extent(self.slot(cap));
        let s = self.slot(cap);
        let used = ((plan.end - base).div_ceil(GRAIN)) as u32;
        s.page.set(used);
        s.offset.set(s.offset.get().max(used));
    }

    fn create(&mut self, parent: SlotRef, slot: SlotRef, plan: &Retype, address: u64) {
        let Some(object) = ObjectRef::from_raw((address / UNIT) as u32) else {
            return;
        };
        self.store.create(object, plan.object, plan.size as u32);
        let device = self.slot(parent).word.get() & Slot::DEVICE;
        let s = self.slot(slot);
        s.object.set(object.raw());
        s.word
            .set(plan.object as u32 | device | plan.memory << Slot::MEMORY_TYPE_SHIFT);
        s.rights.set(plan.rights);
        s.badge.set(match plan.object {
            ObjectType::Untyped => (plan.size / GRAIN) as u32,
            ObjectType::MemoryObject => (plan.size / 4096) as u32,
            _ => 0,
        });
        self.insert_child(parent, slot);
        self.init(object, plan);
    }

    fn init(&mut self, object: ObjectRef, plan: &Retype) {
        match plan.object {
            ObjectType::CNode => self.cnode(object.into()).len.set(plan.size as u32),
            ObjectType::Tcb => self.init_tcb(object.into()),
            other if !has_header(other) => return,
            _ => {}
        }
        let header = self.header(object);
        header.set(Tag::number(plan.object));
        header.refs.set(1);
    }
}

/// Base, size and bytes in use of an Untyped: none when it has no children.
fn in_use(s: &Slot) -> (u64, u64, u64) {
    let (base, size, used) = extent(s);
    let used = if s.first.get().sibling().is_none() {
        0
    } else {
        used
    };
    (base, size, used)
}

/// Base, size and bytes of an Untyped up to the end of the last object.
pub(crate) fn extent(s: &Slot) -> (u64, u64, u64) {
    (
        u64::from(s.object.get()) * UNIT,
        u64::from(s.badge.get()) * GRAIN,
        u64::from(s.page.get()) * GRAIN,
    )
}

/// The rights of the first capability to a new object. DMA passes from Untyped
/// to what is made of it only if the Untyped has it.
fn full_rights(object: ObjectType, parent: u32) -> u32 {
    let all = Rights::KERNEL.bits() & !Rights::DMA.bits() | parent & Rights::DMA.bits();
    match object {
        ObjectType::Endpoint => all | Rights::SERVER.bits(),
        _ => all,
    }
}
