//! Processes: a program of the boot image in an AddressSpace and a CSpace of
//! its own.
//!
//! Everything that is made comes from one Untyped, so that revoking it ends the
//! process and returns its memory. Read-only data is mapped from the boot image
//! in place; text and writable data are copies, so that nobody needs the right
//! to execute the image. Nothing is writable and executable. The new process holds no capability but those that its creator
//! puts into its CNode before it starts.

use gritos_abi::boot_image::{BootImage, ENTRY_FLAG_FP, Entry, Segment};
use gritos_abi::method::TCB_FLAG_FP;
use gritos_abi::{Address, Rights, Status};

use crate::cap::{
    AddressSpace, AsidControl, CNode, Cap, Endpoint, Mask, MemoryObject, SchedControl,
    SchedulingContext, Tcb, Untyped,
};
use crate::error::{Error, Operation};
use crate::invoke::{Mapping, Permissions};
use crate::shared::{SHARED_BASE, SharedBuf};
use crate::slots::{Slot, Slots};
use crate::thread::{PAGE_BYTES, Stack, ThreadBuilder};

/// One past the highest byte of a process's first stack.
pub const STACK_TOP: u64 = 0x4000_0000;
/// Bytes of stack where the boot image does not say.
pub const DEFAULT_STACK_BYTES: u64 = 64 << 10;
/// Slots of the creator's CNode that a process takes.
pub const PROCESS_SLOTS: u16 = 12;

// Positions in that run. Segments follow, at most SEGMENT_LIMIT.
const CNODE: u16 = 0;
const SPACE: u16 = 1;
const TCB: u16 = 2;
const CONTEXT: u16 = 3;
const TABLES: u16 = 4;
const STACK: u16 = 5;
const SEGMENTS: u16 = 6;

/// What a creator needs to make processes.
#[derive(Clone, Copy, Debug)]
pub struct Creator {
    /// Its own AddressSpace, to fill pages.
    pub space: Cap<AddressSpace>,
    /// Its own TCB, as authority over priorities.
    pub tcb: Cap<Tcb>,
    /// Authority over ASIDs.
    pub asids: Cap<AsidControl>,
    /// Authority over budgets.
    pub budgets: Cap<SchedControl>,
    /// The boot image; segments are mapped from it.
    pub image: Cap<MemoryObject>,
}

/// What a process shall be like.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Slots of its CNode.
    pub cnode_slots: u32,
    /// Bytes for its translation tables.
    pub table_bytes: u64,
    /// Priority and ceiling of its first thread.
    pub priority: (u8, u8),
    /// Budget and period in nanoseconds.
    pub budget: (u64, u64),
    /// Bytes of its first thread's stack; 0: as the boot image says.
    pub stack_bytes: u64,
    /// Where its faults go.
    pub fault: Option<Cap<Endpoint>>,
}

impl Default for Plan {
    fn default() -> Self {
        const SLICE: u64 = 5_000_000;
        Self {
            cnode_slots: 64,
            table_bytes: 16 * PAGE_BYTES,
            priority: (128, 128),
            budget: (SLICE, SLICE),
            stack_bytes: 0,
            fault: None,
        }
    }
}

/// A process that was made and can be started.
#[derive(Clone, Copy, Debug)]
pub struct Process {
    first: Slot,
    /// Its CSpace.
    pub cnode: Cap<CNode>,
    /// Its AddressSpace.
    pub space: Cap<AddressSpace>,
    /// Its first thread.
    pub tcb: Cap<Tcb>,
    /// The context of that thread.
    pub context: Cap<SchedulingContext>,
}

impl Creator {
    /// Makes a process of `entry` out of `untyped`. The run of
    /// [`PROCESS_SLOTS`] empty slots begins at `first`.
    ///
    /// # Errors
    /// Those of the methods used, or `InvalidArgument` for a segment that is
    /// writable and executable or lies outside its entry.
    /// What was made until then goes when `untyped` is revoked and
    /// [`Process::forget`]'s slots are deleted.
    pub fn make(
        &self,
        image: &BootImage<'_>,
        entry: &Entry,
        untyped: Cap<Untyped>,
        first: Slot,
        plan: &Plan,
    ) -> Result<Process, Error> {
        let at = |position| slot_at(first, position);
        let cnode = untyped.create_cnode(plan.cnode_slots, at(CNODE))?;
        let space = untyped.create::<AddressSpace>(at(SPACE))?;
        self.asids.assign(space)?;
        space.donate(untyped.split(plan.table_bytes, at(TABLES))?)?;

        for (position, segment) in (SEGMENTS..).zip(entry.segments()) {
            let bytes = segment_bytes(image, entry, segment)
                .ok_or(Error::local(Status::InvalidArgument, Operation::Load))?;
            self.map_segment(segment, bytes, untyped, at(position), space)?;
        }
        let stack_bytes = match (plan.stack_bytes, entry.stack) {
            (0, 0) => DEFAULT_STACK_BYTES,
            (0, bytes) | (bytes, _) => bytes,
        };
        let stack = Stack::map(untyped, at(STACK), space, STACK_TOP, stack_bytes)?;

        let context = untyped.create::<SchedulingContext>(at(CONTEXT))?;
        self.budgets
            .configure(context, plan.budget.0, plan.budget.1)?;
        let tcb = untyped.create::<Tcb>(at(TCB))?;
        let mut thread = ThreadBuilder::new(cnode, space)
            .priority(plan.priority.0, plan.priority.1, self.tcb)
            .context(context);
        if let Some(endpoint) = plan.fault {
            thread = thread.fault_endpoint(endpoint);
        }
        if entry.flags & ENTRY_FLAG_FP != 0 {
            thread = thread.flags(TCB_FLAG_FP);
        }
        thread.build(tcb, entry.entry_point, stack.top, 0)?;
        Ok(Process::at(first))
    }

    fn map_segment(
        &self,
        segment: &Segment,
        file_bytes: &[u8],
        untyped: Cap<Untyped>,
        slot: Slot,
        space: Cap<AddressSpace>,
    ) -> Result<(), Error> {
        let refused = Error::local(Status::InvalidArgument, Operation::Load);
        let rights = Rights::from_bits_truncate(segment.rights);
        let bytes = segment.memory_bytes.next_multiple_of(PAGE_BYTES);
        if bytes == 0 {
            return Ok(());
        }
        let permissions = match (
            rights.contains(Rights::WRITE),
            rights.contains(Rights::EXECUTE),
        ) {
            (true, true) => return Err(refused),
            (true, false) => Permissions::ReadWrite,
            (false, true) => Permissions::ReadExecute,
            (false, false) => Permissions::Read,
        };
        if permissions == Permissions::Read
            && segment.file_bytes.next_multiple_of(PAGE_BYTES) == bytes
        {
            let mapping = Mapping {
                address: segment.address,
                offset: segment.offset,
                length: bytes,
            };
            let copy = slot.copy(self.image, Mask::AS_HELD)?;
            return copy.map(space, mapping, permissions);
        }
        let memory = untyped.create_memory(bytes, slot)?;
        if !file_bytes.is_empty() {
            memory.map_all(self.space, SCRATCH, Permissions::ReadWrite)?;
            let filled = SharedBuf::of(memory).and_then(|buffer| {
                let gone = Error::local(Status::NotMapped, Operation::Load);
                buffer.write(0, file_bytes).map_err(|_| gone)?;
                if permissions == Permissions::ReadExecute {
                    buffer.synchronize_code();
                }
                Ok(())
            });
            memory.unmap()?;
            filled?;
        }
        memory.map_all(space, segment.address, permissions)
    }
}

/// Where a creator maps pages of a process while it fills them.
pub const SCRATCH: u64 = SHARED_BASE;

/// What the image holds of a segment.
fn segment_bytes<'a>(image: &BootImage<'a>, entry: &Entry, segment: &Segment) -> Option<&'a [u8]> {
    let start = usize::try_from(segment.offset.checked_sub(entry.offset)?).ok()?;
    let len = usize::try_from(segment.file_bytes).ok()?;
    image.payload(entry)?.get(start..start.checked_add(len)?)
}

const fn slot_at(first: Slot, position: u16) -> Slot {
    let address = Address(first.address().0 + position as u32);
    Slot::new(first.cnode(), address)
}

impl Process {
    /// The process whose run of slots begins at `first`.
    #[must_use]
    pub const fn at(first: Slot) -> Self {
        Self {
            first,
            cnode: slot_at(first, CNODE).cap(),
            space: slot_at(first, SPACE).cap(),
            tcb: slot_at(first, TCB).cap(),
            context: slot_at(first, CONTEXT).cap(),
        }
    }

    /// Lets the process run, with `argument` in x0 of its first thread.
    ///
    /// # Errors
    /// Those of the TCB methods.
    pub fn start(&self, argument: u64) -> Result<(), Error> {
        self.tcb.write_registers(0, [argument])?;
        self.tcb.resume()
    }

    /// Deletes what is left of the process in the creator's slots, and takes
    /// those back. The Untyped that it was made from is revoked first.
    ///
    /// # Errors
    /// Those of Delete.
    pub fn forget(first: Slot, slots: &mut Slots) -> Result<(), Error> {
        (0..PROCESS_SLOTS).try_for_each(|position| slots.delete(slot_at(first, position)))
    }

    /// The memory of segment `i` of its program.
    #[must_use]
    pub const fn segment(&self, i: u16) -> Cap<MemoryObject> {
        Cap::at(slot_at(self.first, SEGMENTS + i).address())
    }

    /// The first slot of its run.
    #[must_use]
    pub const fn first_slot(&self) -> Slot {
        self.first
    }
}
