//! Address spaces: mapping, unmapping, protection.
//!
//! A mapping belongs to the MemoryObject capability that records it. Mapping
//! and unmapping work page by page in bounded steps; the slot keeps how far
//! they are, so that a preempted call goes on and a half-made mapping can be
//! taken back like a whole one. Large pages (2 MiB) are used where the
//! alignment allows; as a mapping only comes and goes as a whole, none is ever
//! split, and unmapping never needs memory. Longer than most files: mapping and
//! taking back share the bookkeeping, and only side by side can it be checked.

use gritos_abi::method::{AddressSpace, MemoryObject as Method};
use gritos_abi::{ObjectType, Rights, Status};

use crate::handle::{SlotRef, SpaceRef, TableRef, TcbRef};
use crate::kernel::{Done, Kernel};
use crate::machine::Machine;
use crate::object::{Embed, Slot, Space};
use crate::store::Store;
use crate::transfer::caps_in;
use crate::untyped::extent;

pub mod descriptor;

use descriptor::{Descriptor, LARGE_PAGES};

/// Pages of user addresses: 39 bits.
const USER_PAGES: u64 = 1 << 27;
/// Leaf descriptors changed between two points at which an interrupt may come.
const LEAVES_PER_STEP: u32 = 8;
const PAGE: u64 = 4096;
/// READ, WRITE and EXECUTE.
const ACCESS: u32 = 7;

/// ASIDs in use. 0 belongs to the empty address space.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AsidTable([u64; 16]);

impl AsidTable {
    /// None in use but 0.
    pub(crate) const fn new() -> Self {
        let mut words = [0; 16];
        words[0] = 1;
        Self(words)
    }

    fn take(&mut self) -> Option<u32> {
        let place = self.0.iter().position(|word| *word != u64::MAX)?;
        let word = self.0.get_mut(place)?;
        let bit = word.trailing_ones();
        *word |= 1 << bit;
        Some(64 * place as u32 + bit)
    }

    fn give(&mut self, asid: u32) {
        if let Some(word) = self.0.get_mut(asid as usize / 64) {
            *word &= !(1 << (asid % 64));
        }
    }
}

impl<S: Store, M: Machine> Kernel<S, M> {
    /// Methods of a MemoryObject.
    pub(crate) fn invoke_memory(&mut self, current: TcbRef, cap: SlotRef, method: Method) -> Done {
        let (s, t) = (self.slot(cap), self.tcb(current));
        if !matches!(method, Method::Info | Method::PhysicalAddress)
            && s.rights.get() & Rights::MAP.bits() == 0
        {
            return Err(Status::MissingRight.into());
        }
        match method {
            Method::Map => {
                if self.map_page(current, cap).is_none() {
                    self.map(current, cap)?;
                }
            }
            Method::Unmap => {
                if !s.has(Slot::MAPPED) {
                    return Err(Status::NotMapped.into());
                }
                while !self.unmap_step(cap) {
                    self.give_way()?;
                }
            }
            Method::Protect => self.protect(current, cap)?,
            Method::Info => {
                t.set_x::<0>(u64::from(s.badge.get()) * PAGE);
                t.set_x::<1>(u64::from(s.memory_type()));
                t.set_x::<2>(u64::from(s.page.get()) * PAGE);
                t.set_x::<3>(u64::from(s.offset.get()) * PAGE);
                t.set_x::<4>(u64::from(s.entered.get()) * PAGE);
                t.set_x::<5>(u64::from(s.map_rights()));
                self.succeed(current, 6);
                return Ok(());
            }
            Method::PhysicalAddress => {
                if s.rights.get() & Rights::DMA.bits() == 0 {
                    return Err(Status::MissingRight.into());
                }
                t.set_x::<0>(u64::from(s.object.get()) << 4);
                self.succeed(current, 1);
                return Ok(());
            }
        }
        self.succeed(current, 0);
        Ok(())
    }

    /// Maps one page where tables are, as [`map`](Self::map) would; none if it is
    /// not that simple.
    fn map_page(&mut self, current: TcbRef, cap: SlotRef) -> Option<()> {
        let (s, t) = (self.slot(cap), self.tcb(current));
        let (address, offset, access) = (t.x::<0>(), t.x::<1>(), t.x::<3>() as u32);
        let (page, first) = (address / PAGE, offset / PAGE);
        let target = self.first_argument(current, ObjectType::AddressSpace, Rights::MAP)?;
        let space = SpaceRef::from_raw(target.object.get())?;
        if t.x::<2>() != PAGE
            || (address | offset) % PAGE != 0
            || page == 0
            || page >= USER_PAGES
            || first >= u64::from(s.badge.get())
            || s.has(Slot::MAPPED)
            || t.x::<3>() > ACCESS.into()
            || self.space(space).header.has(Space::DEAD)
            || self.check_access(s, access).is_err()
        {
            return None;
        }
        let middle = self.entry(space.root()?, page >> 18).table()?;
        let table = self.entry(middle, page >> 9).table()?;
        if self.entry(table, page).is_valid() {
            return None;
        }
        s.page.set(page as u32);
        s.offset.set(first as u32);
        s.pages.set(1);
        let frame = u64::from(s.object.get() >> 8) + first;
        let leaf = Descriptor::leaf(frame * PAGE, s.memory_type(), access, false);
        self.record_mapping(cap, space, access);
        self.set_entry(table, page, leaf);
        let s = self.slot(cap);
        s.entered.set(1);
        s.clear(Slot::MAPPING);
        self.machine.tables_written();
        Some(())
    }

    fn map(&mut self, current: TcbRef, cap: SlotRef) -> Done {
        self.begin_map(current, cap)?;
        loop {
            let s = self.slot(cap);
            if s.has(Slot::ROLLBACK) {
                let status = if s.has(Slot::ROLLBACK_MEMORY) {
                    Status::NoTableMemory
                } else {
                    Status::AddressInUse
                };
                if self.unmap_step(cap) {
                    return Err(status.into());
                }
            } else {
                match self.map_step(cap) {
                    Ok(true) => return Ok(()),
                    Ok(false) => {}
                    Err(Status::NoTableMemory) => {
                        self.slot(cap).set(Slot::ROLLBACK | Slot::ROLLBACK_MEMORY);
                    }
                    Err(_) => self.slot(cap).set(Slot::ROLLBACK),
                }
            }
            self.give_way()?;
        }
    }

    /// Checks a Map and records the mapping, or finds it recorded by an
    /// interrupted run of the same call.
    fn begin_map(&mut self, current: TcbRef, cap: SlotRef) -> Done {
        let (s, t) = (self.slot(cap), self.tcb(current));
        let (address, offset, length) = (t.x::<0>(), t.x::<1>(), t.x::<2>());
        let access = u32::try_from(t.x::<3>()).map_err(|_| Status::InvalidArgument)?;
        let target = self.argument(current, 0, ObjectType::AddressSpace, Rights::MAP)?;
        let space = self.live_space(target)?;
        self.check_access(s, access)?;
        if !address.is_multiple_of(PAGE)
            || !offset.is_multiple_of(PAGE)
            || !length.is_multiple_of(PAGE)
        {
            return Err(Status::Unaligned.into());
        }
        let size = u64::from(s.badge.get());
        let (page, first) = (address / PAGE, offset / PAGE);
        let pages = if length == 0 {
            size.saturating_sub(first)
        } else {
            length / PAGE
        };
        let inside = first.checked_add(pages).is_some_and(|end| end <= size);
        let user = page.checked_add(pages).is_some_and(|end| end <= USER_PAGES);
        if pages == 0 || !inside || !user || page == 0 {
            return Err(Status::OutOfRange.into());
        }
        if s.has(Slot::MAPPED) {
            let same = s.has(Slot::MAPPING)
                && s.space.get() == space.raw()
                && s.map_rights() == access
                && u64::from(s.page.get()) == page
                && u64::from(s.offset.get()) == first
                && u64::from(s.pages.get()) == pages;
            return if same {
                Ok(())
            } else {
                Err(Status::AlreadyMapped.into())
            };
        }
        s.page.set(page as u32);
        s.offset.set(first as u32);
        s.pages.set(pages as u32);
        self.record_mapping(cap, space, access);
        Ok(())
    }

    /// Makes the range in a slot a mapping in `space` of which nothing is
    /// entered yet.
    fn record_mapping(&mut self, cap: SlotRef, space: SpaceRef, access: u32) {
        let s = self.slot(cap);
        s.space.set(space.raw());
        s.entered.set(0);
        s.protected.set(0);
        s.set(Slot::MAPPED | Slot::MAPPING);
        s.set_map_rights(access);
        let head = &self.space(space).mappings;
        s.map_prev.set(None);
        s.map_next.set(head.get());
        if let Some(next) = head.get() {
            self.slot(next).map_prev.set(Some(cap));
        }
        head.set(Some(cap));
    }

    /// Maps all of a MemoryObject while booting, when nothing can interrupt.
    pub(crate) fn map_first(
        &mut self,
        cap: SlotRef,
        space: SpaceRef,
        address: u64,
        access: u32,
    ) -> Option<()> {
        let s = self.slot(cap);
        let page = address / PAGE;
        let pages = u64::from(s.badge.get());
        if page == 0 || !address.is_multiple_of(PAGE) || page.checked_add(pages)? > USER_PAGES {
            return None;
        }
        s.page.set(page as u32);
        s.pages.set(pages as u32);
        self.check_access(s, access).ok()?;
        self.record_mapping(cap, space, access);
        while !self.map_step(cap).ok()? {}
        Some(())
    }

    /// A free ASID.
    pub(crate) fn take_asid(&mut self) -> Option<u32> {
        self.asids.take()
    }

    fn check_access(&self, s: &Slot, access: u32) -> Result<(), Status> {
        let (write, execute) = (Rights::WRITE.bits(), Rights::EXECUTE.bits());
        if access & !ACCESS != 0 || access & Rights::READ.bits() == 0 {
            return Err(Status::InvalidArgument);
        }
        if access & !s.rights.get() != 0 {
            return Err(Status::MissingRight);
        }
        if access & write != 0 && access & execute != 0 {
            return Err(Status::WriteExecute);
        }
        if s.has(Slot::DEVICE) && access & execute != 0 {
            return Err(Status::DeviceMemory);
        }
        Ok(())
    }

    fn live_space(&self, cap: SlotRef) -> Result<SpaceRef, Status> {
        let space = SpaceRef::from_raw(self.slot(cap).object.get()).ok_or(Status::InvalidState)?;
        if self.space(space).header.has(Space::DEAD) {
            return Err(Status::Deleted);
        }
        Ok(space)
    }

    /// Enters some pages of a recorded mapping; whether all are entered.
    fn map_step(&mut self, cap: SlotRef) -> Result<bool, Status> {
        for _ in 0..LEAVES_PER_STEP {
            let s = self.slot(cap);
            let (done, pages) = (u64::from(s.entered.get()), u64::from(s.pages.get()));
            if done == pages {
                s.clear(Slot::MAPPING);
                self.machine.tables_written();
                return Ok(true);
            }
            let page = u64::from(s.page.get()) + done;
            let frame = u64::from(s.object.get() >> 8) + u64::from(s.offset.get()) + done;
            let space = SpaceRef::from_raw(s.space.get()).ok_or(Status::InvalidState)?;
            let middle = self.table_below(space, space.root(), page >> 18)?;
            let s = self.slot(cap);
            // A table that small pages have left behind takes small pages again.
            let large = page.is_multiple_of(LARGE_PAGES)
                && frame.is_multiple_of(LARGE_PAGES)
                && pages - done >= LARGE_PAGES
                && self.entry(middle, page >> 9).table().is_none();
            let leaf = Descriptor::leaf(frame * PAGE, s.memory_type(), s.map_rights(), large);
            let (table, index) = if large {
                (middle, page >> 9)
            } else {
                (self.table_below(space, Some(middle), page >> 9)?, page)
            };
            let entry = self.entry(table, index);
            if entry.is_valid() {
                return Err(Status::AddressInUse);
            }
            self.set_entry(table, index, leaf);
            let step = if large { LARGE_PAGES as u32 } else { 1 };
            let s = self.slot(cap);
            s.entered.set(s.entered.get() + step);
        }
        let s = self.slot(cap);
        if s.entered.get() == s.pages.get() {
            s.clear(Slot::MAPPING);
            self.machine.tables_written();
            return Ok(true);
        }
        Ok(false)
    }

    /// The table that entry `index` of `table` leads to, made if need be.
    fn table_below(
        &mut self,
        space: SpaceRef,
        table: Option<TableRef>,
        index: u64,
    ) -> Result<TableRef, Status> {
        let table = table.ok_or(Status::InvalidState)?;
        let entry = self.entry(table, index);
        if let Some(below) = entry.table() {
            return Ok(below);
        }
        if entry.is_valid() {
            return Err(Status::AddressInUse);
        }
        let below = self.new_table(space).ok_or(Status::NoTableMemory)?;
        self.set_entry(table, index, Descriptor::to_table(below));
        Ok(below)
    }

    /// A zeroed table from donated memory.
    fn new_table(&mut self, space: SpaceRef) -> Option<TableRef> {
        for i in 0..Space::DONATIONS as u32 {
            let slot = space.donation(i)?;
            let s = self.slot(slot);
            let (base, size, used) = extent(s);
            let at = (base + used).next_multiple_of(PAGE);
            if s.is_empty() || at + PAGE > base + size {
                continue;
            }
            let table = TableRef::from_raw((at >> 4) as u32)?;
            self.store.zero(at, PAGE);
            self.store.create_table(table);
            self.slot(slot)
                .page
                .set(((at + PAGE - base) / crate::untyped::GRAIN) as u32);
            let tables = &self.space(space).tables;
            tables.set(tables.get() + 1);
            return Some(table);
        }
        None
    }

    fn entry(&self, table: TableRef, index: u64) -> Descriptor {
        let cell = self.store.table(table).0.get(index as usize & 511);
        Descriptor(cell.map_or(0, core::cell::Cell::get))
    }

    fn set_entry(&mut self, table: TableRef, index: u64, entry: Descriptor) {
        if let Some(cell) = self.store.table(table).0.get(index as usize & 511) {
            cell.set(entry.0);
        }
    }

    /// The leaf that translates `page`: its table and whether it is large.
    fn find_leaf(&self, space: SpaceRef, page: u64) -> Option<(TableRef, bool)> {
        let middle = self.entry(space.root()?, page >> 18).table()?;
        let entry = self.entry(middle, page >> 9);
        match entry.table() {
            Some(table) => Some((table, false)),
            None if entry.is_valid() => Some((middle, true)),
            None => None,
        }
    }

    /// Takes some pages of a mapping out, from its end; whether it is gone.
    pub(crate) fn unmap_step(&mut self, cap: SlotRef) -> bool {
        let s = self.slot(cap);
        let Some(space) = SpaceRef::from_raw(s.space.get()) else {
            return true;
        };
        let asid = self.space(space).asid.get();
        let start = u64::from(s.page.get());
        let end = start + u64::from(s.entered.get());
        let mut page = end;
        for _ in 0..LEAVES_PER_STEP {
            if page == start {
                break;
            }
            page -= 1;
            if let Some((table, large)) = self.find_leaf(space, page) {
                self.set_entry(
                    table,
                    if large { page >> 9 } else { page },
                    Descriptor::NONE,
                );
                if large {
                    page &= !(LARGE_PAGES - 1);
                }
            }
        }
        self.slot(cap).entered.set((page - start) as u32);
        if page != end {
            self.machine.tables_written();
            let mut gone = page;
            for _ in 0..LEAVES_PER_STEP {
                if gone == end {
                    break;
                }
                self.machine.forget_page(asid, gone);
                gone += 1;
            }
            if gone != end {
                self.machine.forget_space(asid);
            }
            self.machine.forgotten();
        }
        if page != start {
            return false;
        }
        self.forget_mapping(cap);
        true
    }

    /// Takes a mapping out of the list of its address space and out of its
    /// slot.
    fn forget_mapping(&mut self, cap: SlotRef) {
        let s = self.slot(cap);
        let (prev, next) = (s.map_prev.get(), s.map_next.get());
        match prev {
            Some(prev) => self.slot(prev).map_next.set(next),
            None => {
                if let Some(space) = SpaceRef::from_raw(s.space.get()) {
                    self.space(space).mappings.set(next);
                }
            }
        }
        if let Some(next) = next {
            self.slot(next).map_prev.set(prev);
        }
        s.map_prev.set(None);
        s.map_next.set(None);
        s.space.set(0);
        s.page.set(0);
        s.offset.set(0);
        s.pages.set(0);
        s.entered.set(0);
        s.protected.set(0);
        s.set_map_rights(0);
        s.clear(Slot::MAPPED | Slot::MAPPING | Slot::ROLLBACK | Slot::ROLLBACK_MEMORY);
    }

    /// A capability with a mapping moved to `to`: its neighbours learn it.
    pub(crate) fn mapping_moved(&mut self, to: SlotRef) {
        let s = self.slot(to);
        match s.map_prev.get() {
            Some(prev) => self.slot(prev).map_next.set(Some(to)),
            None => {
                if let Some(space) = SpaceRef::from_raw(s.space.get()) {
                    self.space(space).mappings.set(Some(to));
                }
            }
        }
        if let Some(next) = s.map_next.get() {
            self.slot(next).map_prev.set(Some(to));
        }
    }

    fn protect(&mut self, current: TcbRef, cap: SlotRef) -> Done {
        let (s, t) = (self.slot(cap), self.tcb(current));
        let access = u32::try_from(t.x::<0>()).map_err(|_| Status::InvalidArgument)?;
        // Neither one that a preempted Map has yet to complete, nor one that a
        // preempted Unmap has begun to take out.
        if !s.has(Slot::MAPPED) || s.entered.get() != s.pages.get() {
            return Err(Status::NotMapped.into());
        }
        self.check_access(s, access)?;
        let space = SpaceRef::from_raw(s.space.get()).ok_or(Status::InvalidState)?;
        if s.map_rights() != access {
            s.set_map_rights(access);
            s.protected.set(0);
        }
        let asid = self.space(space).asid.get();
        loop {
            for _ in 0..LEAVES_PER_STEP {
                let s = self.slot(cap);
                if s.protected.get() >= s.pages.get() {
                    break;
                }
                let page = u64::from(s.page.get() + s.protected.get());
                let Some((table, large)) = self.find_leaf(space, page) else {
                    break;
                };
                let index = if large { page >> 9 } else { page };
                let entry = self.entry(table, index).with_rights(access);
                self.set_entry(table, index, entry);
                let step = if large { LARGE_PAGES as u32 } else { 1 };
                let s = self.slot(cap);
                s.protected.set(s.protected.get() + step);
            }
            self.machine.tables_written();
            self.machine.forget_space(asid);
            self.machine.forgotten();
            let s = self.slot(cap);
            if s.protected.get() >= s.pages.get() {
                s.protected.set(0);
                return Ok(());
            }
            self.give_way()?;
        }
    }

    /// Methods of an AddressSpace.
    pub(crate) fn invoke_space(
        &mut self,
        current: TcbRef,
        space: SpaceRef,
        method: AddressSpace,
    ) -> Done {
        match method {
            AddressSpace::Donate => {
                self.drain()?;
                let caps = caps_in(self.tcb(current));
                crate::transfer::check_move(caps.rights_mask(0), caps.badge(0))?;
                let from = self.lookup_mut(current, caps.source(0))?;
                self.argument(current, 0, ObjectType::Untyped, Rights::MANAGE)?;
                let s = self.slot(from);
                if s.has(Slot::DEVICE) {
                    return Err(Status::DeviceMemory.into());
                }
                if s.first.get().sibling().is_some() || self.space(space).header.has(Space::DEAD) {
                    return Err(Status::InvalidState.into());
                }
                let empty = (0..Space::DONATIONS as u32)
                    .filter_map(|i| space.donation(i))
                    .find(|slot| self.slot(*slot).is_empty());
                let to = empty.ok_or(Status::SlotOccupied)?;
                self.move_cap(from, to);
                let s = self.slot(to);
                s.set_embed(Embed::Donation);
                s.page.set(0);
                s.offset.set(0);
            }
            AddressSpace::Info => {
                let free = (0..Space::DONATIONS as u32)
                    .filter_map(|i| space.donation(i))
                    .map(|slot| extent(self.slot(slot)))
                    .fold(0, |sum, (_, size, used)| sum + size.saturating_sub(used));
                let s = self.space(space);
                let t = self.tcb(current);
                t.set_x::<0>(u64::from(s.asid.get()));
                t.set_x::<1>(free);
                t.set_x::<2>(u64::from(s.tables.get()));
                self.succeed(current, 3);
                return Ok(());
            }
        }
        self.succeed(current, 0);
        Ok(())
    }

    /// `AsidControl::Assign`.
    pub(crate) fn assign_asid(&mut self, current: TcbRef) -> Done {
        let cap = self.argument(current, 0, ObjectType::AddressSpace, Rights::MANAGE)?;
        let space = self.live_space(cap)?;
        if self.space(space).asid.get() != 0 {
            return Err(Status::AlreadyBound.into());
        }
        let asid = self.take_asid().ok_or(Status::NoAsid)?;
        self.space(space).asid.set(asid);
        // A thread that ended the last owner's space while running in it may
        // have walked its tables until it left the kernel.
        self.machine.forget_space(asid);
        self.machine.forgotten();
        self.succeed(current, 0);
        Ok(())
    }

    /// Makes `thread` run in `space` and be found from there.
    pub(crate) fn enter_space(&mut self, thread: TcbRef, space: SpaceRef) {
        let s = self.space(space);
        let t = self.tcb(thread);
        let root = space.root().map_or(0, TableRef::address);
        t.ttbr0.set(root | u64::from(s.asid.get()) << 48);
        t.space_prev.set(None);
        t.space_next.set(s.threads.get());
        if let Some(next) = s.threads.get() {
            self.tcb(next).space_prev.set(Some(thread));
        }
        s.threads.set(Some(thread));
    }

    /// Undoes [`enter_space`](Self::enter_space), if it is still in effect.
    pub(crate) fn leave_space(&mut self, thread: TcbRef, space: SpaceRef) {
        let empty = self.machine.empty_ttbr0();
        let t = self.tcb(thread);
        if t.ttbr0.get() == empty {
            return;
        }
        let (prev, next) = (t.space_prev.get(), t.space_next.get());
        match prev {
            Some(prev) => self.tcb(prev).space_next.set(next),
            None => self.space(space).threads.set(next),
        }
        if let Some(next) = next {
            self.tcb(next).space_prev.set(prev);
        }
        t.space_prev.set(None);
        t.space_next.set(None);
        t.ttbr0.set(empty);
    }

    /// One step of ending an address space whose tables are about to go;
    /// whether steps are left. Capabilities to it may remain; they are dead.
    pub(crate) fn dismantle_space(&mut self, space: SpaceRef) -> bool {
        let s = self.space(space);
        s.header.set(Space::DEAD);
        if let Some(thread) = s.threads.get() {
            self.leave_space(thread, space);
            return true;
        }
        if let Some(mapped) = s.mappings.get() {
            self.forget_mapping(mapped);
            return true;
        }
        let asid = s.asid.get();
        if asid != 0 {
            s.asid.set(0);
            s.tables.set(0);
            self.machine.forget_space(asid);
            self.machine.forgotten();
            self.asids.give(asid);
            return true;
        }
        false
    }

    /// One step of destroying an address space; whether steps are left.
    pub(crate) fn destroy_space(&mut self, space: SpaceRef) -> bool {
        if self.dismantle_space(space) {
            return true;
        }
        for i in 0..Space::DONATIONS as u32 {
            if let Some(slot) = space.donation(i)
                && !self.slot(slot).is_empty()
            {
                self.delete_step(slot);
                return true;
            }
        }
        false
    }
}
