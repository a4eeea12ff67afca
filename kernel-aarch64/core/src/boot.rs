//! The first thread: what the root task is made of, before there is anybody to
//! ask for it.
//!
//! Everything the kernel makes for itself lies in one piece of RAM that is
//! never Untyped. All other RAM, and the devices, become Untyped capabilities
//! of the root task.

use gritos_abi::boot_image::{Entry, Segment};
use gritos_abi::boot_info::{self, ROOT_CNODE_SLOTS, UNTYPED_LIMIT, slot};
use gritos_abi::method::{MemoryType, object_layout};
use gritos_abi::{ObjectType, Rights};

use crate::handle::{CNodeRef, ContextRef, ObjectRef, SlotRef, SpaceRef, TableRef, TcbRef, UNIT};
use crate::kernel::Kernel;
use crate::machine::Machine;
use crate::memory_map::Region;
use crate::object::{Embed, Slot, Tag, flag};
use crate::store::Store;
use crate::untyped::GRAIN;

const PAGE: u64 = 4096;
/// Memory for the root task's first translation tables.
const TABLE_BYTES: u64 = 16 * PAGE;
/// Time slice of the root task.
const SLICE_MS: u64 = 10;

/// What booting found out.
#[derive(Clone, Copy, Debug)]
pub struct RootFacts<'a> {
    /// A `gritos_abi::boot_info::Board` number.
    pub board: u64,
    /// The boot image in memory, whole pages.
    pub image: Region,
    /// Its header's flags.
    pub flags: u32,
    /// The root task's entry in it.
    pub entry: &'a Entry,
    /// The device tree, as it was passed.
    pub device_tree: Region,
    /// RAM that nobody uses, whole pages.
    pub free: &'a [Region],
    /// Registers and shared memory that user space may have, whole pages; those that are empty are left out.
    pub devices: &'a [Region],
}

/// Why the root task cannot be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RootError {
    /// No free region has room for its objects.
    Memory,
    /// A segment is not made of whole pages, or cannot be mapped; its index.
    Segment(usize),
    /// There are more free regions than the boot information can tell.
    Regions,
}

/// Objects of the root task, by address.
struct Places {
    space: u64,
    info: u64,
    tables: u64,
    cnode: u64,
    tcb: u64,
    context: u64,
    end: u64,
}

fn bytes_of(object: ObjectType, size: u64) -> u64 {
    object_layout(object, size).map_or(0, |(bytes, _)| bytes)
}

impl Places {
    fn from(start: u64) -> Self {
        let space = start;
        let info = space + bytes_of(ObjectType::AddressSpace, 0);
        let tables = info + PAGE;
        let cnode = tables + TABLE_BYTES;
        let tcb = cnode + bytes_of(ObjectType::CNode, ROOT_CNODE_SLOTS.into());
        let context = tcb + bytes_of(ObjectType::Tcb, 0);
        let end = context + bytes_of(ObjectType::SchedulingContext, 0);
        Self {
            space,
            info,
            tables,
            cnode,
            tcb,
            context,
            end: end.next_multiple_of(PAGE),
        }
    }
}

impl<S: Store, M: Machine> Kernel<S, M> {
    /// Makes the root task and lets it run.
    ///
    /// # Errors
    /// See [`RootError`].
    pub fn start_root(&mut self, facts: &RootFacts<'_>) -> Result<(), RootError> {
        let need = Places::from(0).end;
        let home = facts
            .free
            .iter()
            .position(|region| region.size() >= need + PAGE);
        let home = home.ok_or(RootError::Memory)?;
        let start = facts.free.get(home).map_or(0, |region| region.start);
        let places = Places::from(start);
        self.store.zero(start, places.end - start);

        let cnode: CNodeRef = self.first(places.cnode, ObjectType::CNode)?.into();
        self.cnode(cnode).len.set(ROOT_CNODE_SLOTS.into());
        let tcb: TcbRef = self.first(places.tcb, ObjectType::Tcb)?.into();
        let context: ContextRef = self
            .first(places.context, ObjectType::SchedulingContext)?
            .into();
        let space: SpaceRef = self.first(places.space, ObjectType::AddressSpace)?.into();

        let objects = [
            (slot::CNODE, ObjectType::CNode, places.cnode),
            (slot::TCB, ObjectType::Tcb, places.tcb),
            (slot::ADDRESS_SPACE, ObjectType::AddressSpace, places.space),
            (
                slot::SCHED_CONTEXT,
                ObjectType::SchedulingContext,
                places.context,
            ),
            (slot::SCHED_CONTROL, ObjectType::SchedControl, 0),
            (slot::IRQ_CONTROL, ObjectType::IrqControl, 0),
            (slot::PLATFORM, ObjectType::Platform, 0),
            (slot::ASID_CONTROL, ObjectType::AsidControl, 0),
        ];
        for (index, object, address) in objects {
            self.grant(cnode, index, object, address, Rights::KERNEL - Rights::DMA)?;
        }

        self.furnish_space(space, places.tables)?;
        self.map_root(cnode, space, facts, places.info)?;

        let read = Rights::READ | Rights::MAP | Rights::GRANT;
        self.grant_memory(cnode, slot::BOOT_IMAGE, facts.image, read)?;
        let tree = facts.device_tree.pages_around();
        self.grant_memory(cnode, slot::DEVICE_TREE, tree, read)?;

        let count = self.grant_untyped(cnode, facts, home, places.end)?;
        self.write_info(facts, places.info, home, places.end, count);
        self.furnish_thread(tcb, context, cnode, space, facts.entry)?;
        self.make_ready(tcb, false);
        self.reschedule();
        Ok(())
    }

    /// An object of the root task in zeroed memory.
    fn first(&mut self, address: u64, object: ObjectType) -> Result<ObjectRef, RootError> {
        let handle = ObjectRef::from_raw((address / UNIT) as u32).ok_or(RootError::Memory)?;
        self.store.create(handle, object, ROOT_CNODE_SLOTS.into());
        self.header(handle).word.set(Tag::number(object));
        Ok(handle)
    }

    fn root_slot(&self, cnode: CNodeRef, index: u16) -> Result<SlotRef, RootError> {
        cnode.slot(index.into()).ok_or(RootError::Memory)
    }

    fn grant(
        &mut self,
        cnode: CNodeRef,
        index: u16,
        object: ObjectType,
        address: u64,
        rights: Rights,
    ) -> Result<SlotRef, RootError> {
        let place = self.root_slot(cnode, index)?;
        let s = self.slot(place);
        s.object.set((address / UNIT) as u32);
        s.word.set(object as u32);
        s.rights.set(rights.bits());
        self.add_ref(place);
        Ok(place)
    }

    fn grant_memory(
        &mut self,
        cnode: CNodeRef,
        index: u16,
        region: Region,
        rights: Rights,
    ) -> Result<SlotRef, RootError> {
        let place = self.grant(cnode, index, ObjectType::MemoryObject, region.start, rights)?;
        self.slot(place).badge.set((region.size() / PAGE) as u32);
        Ok(place)
    }

    /// Gives the root's address space an ASID and memory for tables.
    fn furnish_space(&mut self, space: SpaceRef, tables: u64) -> Result<(), RootError> {
        let asid = self.take_asid().ok_or(RootError::Memory)?;
        self.space(space).asid.set(asid);
        let donation = space.donation(0).ok_or(RootError::Memory)?;
        let s = self.slot(donation);
        s.object.set((tables / UNIT) as u32);
        s.word.set(ObjectType::Untyped as u32);
        s.badge.set((TABLE_BYTES / GRAIN) as u32);
        s.set_embed(Embed::Donation);
        Ok(())
    }

    /// Maps the root's segments where they lie in the image, and its page of
    /// information.
    fn map_root(
        &mut self,
        cnode: CNodeRef,
        space: SpaceRef,
        facts: &RootFacts<'_>,
        info: u64,
    ) -> Result<(), RootError> {
        for (i, segment) in facts.entry.segments().iter().enumerate() {
            let Segment {
                address,
                offset,
                file_bytes,
                memory_bytes,
                rights,
            } = *segment;
            let whole = file_bytes == memory_bytes && file_bytes.is_multiple_of(PAGE);
            if !whole || file_bytes == 0 || !offset.is_multiple_of(PAGE) {
                return Err(RootError::Segment(i));
            }
            let start = facts.image.start + offset;
            let region = Region::between(start, start + file_bytes);
            let access = rights & 7;
            let held = Rights::from_bits_retain(access) | Rights::MAP;
            let index = slot::SEGMENT_FIRST + i as u16;
            let cap = self.grant_memory(cnode, index, region, held)?;
            self.map_first(cap, space, address, access)
                .ok_or(RootError::Segment(i))?;
        }
        let region = Region::between(info, info + PAGE);
        let held = Rights::READ | Rights::MAP;
        let cap = self.grant_memory(cnode, slot::BOOT_INFO, region, held)?;
        let at = boot_info::VIRTUAL_ADDRESS;
        self.map_first(cap, space, at, Rights::READ.bits())
            .ok_or(RootError::Memory)
    }

    /// Untyped capabilities for free RAM and devices; how many.
    fn grant_untyped(
        &mut self,
        cnode: CNodeRef,
        facts: &RootFacts<'_>,
        home: usize,
        used_to: u64,
    ) -> Result<u16, RootError> {
        let mut count = 0;
        for (region, device) in untyped_regions(facts, home, used_to) {
            if usize::from(count) == UNTYPED_LIMIT {
                return Err(RootError::Regions);
            }
            let index = slot::UNTYPED_FIRST + count;
            let place = self.grant(
                cnode,
                index,
                ObjectType::Untyped,
                region.start,
                Rights::KERNEL,
            )?;
            let s = self.slot(place);
            s.badge.set((region.size() / GRAIN) as u32);
            if device {
                s.set(Slot::DEVICE | (MemoryType::Device as u32) << Slot::MEMORY_TYPE_SHIFT);
            }
            count += 1;
        }
        Ok(count)
    }

    /// Fills the page of boot information, word by word as `BootInfo` lays it
    /// out.
    fn write_info(
        &mut self,
        facts: &RootFacts<'_>,
        info: u64,
        home: usize,
        used_to: u64,
        count: u16,
    ) {
        let Some(page) = TableRef::from_raw((info / UNIT) as u32) else {
            return;
        };
        self.store.create_table(page);
        let tree = facts.device_tree;
        let head = [
            boot_info::MAGIC,
            1,
            facts.board,
            self.machine.counter_hz(),
            facts.image.size(),
            tree.size(),
            tree.start % PAGE,
            u64::from(slot::UNTYPED_FIRST + count),
            u64::from(count),
            u64::from(facts.flags),
        ];
        let regions = untyped_regions(facts, home, used_to)
            .flat_map(|(region, device)| [region.start, region.size(), u64::from(device)]);
        for (word, value) in self
            .store
            .table(page)
            .0
            .iter()
            .zip(head.into_iter().chain(regions))
        {
            word.set(value);
        }
    }

    fn furnish_thread(
        &mut self,
        tcb: TcbRef,
        context: ContextRef,
        cnode: CNodeRef,
        space: SpaceRef,
        entry: &Entry,
    ) -> Result<(), RootError> {
        self.init_tcb(tcb);
        let none = RootError::Memory;
        let from = self.root_slot(cnode, slot::CNODE)?;
        self.derive(
            from,
            tcb.slot(0).ok_or(none)?,
            (Rights::KERNEL - Rights::DMA).bits(),
            0,
        );
        let from = self.root_slot(cnode, slot::ADDRESS_SPACE)?;
        self.derive(
            from,
            tcb.slot(1).ok_or(none)?,
            (Rights::KERNEL - Rights::DMA).bits(),
            0,
        );
        for (place, embed) in [(tcb.slot(0), Embed::CSpace), (tcb.slot(1), Embed::VSpace)] {
            self.slot(place.ok_or(none)?).set_embed(embed);
        }
        self.enter_space(tcb, space);
        let slice = self.machine.counter_hz() * SLICE_MS / 1000;
        let c = self.context(context);
        c.budget.set(slice);
        c.period.set(slice);
        c.left.set(slice);
        c.owner.set(Some(tcb));
        let t = self.tcb(tcb);
        t.set_root(cnode.slot(0), ROOT_CNODE_SLOTS.into());
        t.priority.set(0);
        t.ceiling.set(0);
        t.header.clear(flag::PASSIVE);
        t.frame.pc.set(entry.entry_point);
        t.frame.sp.set(entry.stack);
        t.set_x::<0>(boot_info::VIRTUAL_ADDRESS);
        self.hold(tcb, Some(context));
        Ok(())
    }
}

/// Free RAM without what the kernel took from the start of region `home`, then
/// the devices.
fn untyped_regions<'a>(
    facts: &RootFacts<'a>,
    home: usize,
    used_to: u64,
) -> impl Iterator<Item = (Region, bool)> + use<'a> {
    let ram = facts.free.iter().enumerate().map(move |(i, region)| {
        let start = if i == home { used_to } else { region.start };
        (Region::between(start, region.end), false)
    });
    let devices = facts.devices.iter().filter(|region| !region.is_empty());
    ram.chain(devices.map(|region| (*region, true)))
}
