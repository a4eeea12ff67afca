//! A component: how it is made, started, stopped and cleaned up behind.

use gritos_sys::abi::boot_image::{Entry, EntryKind};
use gritos_sys::abi::cap::BADGE_CLIENT;
use gritos_sys::abi::{Rights, Status};
use gritos_sys::cap::Endpoint;
use gritos_sys::environment::{self, Author, GrantKind};
use gritos_sys::error::Operation;
use gritos_sys::invoke::Permissions;
use gritos_sys::memory::Region;
use gritos_sys::process::{PROCESS_SLOTS, Plan, Process, SCRATCH};
use gritos_sys::shared::SharedBuf;
use gritos_sys::slots::Slot;
use gritos_sys::{Cap, Error, Mask};
use gritos_system::Component as Spec;
use gritos_system_api::ComponentState;

use crate::grants::{Granting, Planned, planned, session_rights};
use crate::leaving::Leaving;
use crate::policy::History;
use crate::root::Root;

/// Name of the device whose driver takes the console over from the kernel.
pub(crate) const CONSOLE_DEVICE: &str = "uart";

/// A component as the root task keeps it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Component {
    /// What it does.
    pub(crate) state: ComponentState,
    /// Its process, while it has one.
    pub(crate) process: Option<Process>,
    /// Its memory, from its first start on.
    pub(crate) region: Option<Region>,
    /// Where its faults go, from its first start on.
    faults: Option<Cap<Endpoint>>,
    /// The slots of its process, while there is something in them.
    pub(crate) run: Option<Slot>,
    /// The slots of its grants' parents and their number.
    pub(crate) grants: Option<(Slot, u16)>,
    /// How often it was started again.
    pub(crate) history: History,
    /// It was stopped and is about to lose what it held.
    pub(crate) leaving: Option<Leaving>,
    /// When it is to be started again, in nanoseconds.
    pub(crate) due: Option<u64>,
}

impl Component {
    /// One that was never started.
    pub(crate) const NEW: Self = Self {
        state: ComponentState::New,
        process: None,
        region: None,
        faults: None,
        run: None,
        grants: None,
        history: History::NEW,
        leaving: None,
        due: None,
    };
}

/// Badge of component `index`: at every service, and of its faults.
pub(crate) const fn badge(index: u16) -> u32 {
    BADGE_CLIENT | (index as u32 + 1)
}

/// The component with a badge.
pub(crate) fn index_of(badge: u32) -> Option<u16> {
    u16::try_from((badge & !BADGE_CLIENT).checked_sub(1)?).ok()
}

impl Root<'_> {
    /// Makes component `index` and lets it run. If that fails, nothing is left
    /// of the attempt.
    pub(crate) fn start(&mut self, index: u16) -> Result<(), Error> {
        let started = self.try_start(index);
        if started.is_err() {
            self.take_back(index);
        }
        let component = self.component_mut(index)?;
        component.due = None;
        component.state = match started {
            Ok(()) => ComponentState::Running,
            Err(_) => ComponentState::Failed,
        };
        started
    }

    fn try_start(&mut self, index: u16) -> Result<(), Error> {
        let spec = self.system.component(index).ok_or(missing())?;
        let entry = self.entry_of(&spec).ok_or(missing())?;
        let region = self.region_of(index, &spec)?;
        let plan = Plan {
            cnode_slots: spec.cnode_slots,
            table_bytes: (64 << 10) + (spec.memory_bytes >> 8).next_multiple_of(4096),
            priority: (spec.priority, spec.ceiling),
            budget: (spec.budget_ns, spec.period_ns),
            stack_bytes: u64::from(spec.stack_bytes),
            fault: Some(self.faults_of(index)?),
        };
        let run = self.slots.take_run(PROCESS_SLOTS)?;
        self.component_mut(index)?.run = Some(run);
        let process = self
            .creator
            .make(&self.image, &entry, region.untyped, run, &plan)?;
        self.component_mut(index)?.process = Some(process);
        self.equip(index, &spec, &process, region)?;
        process.start(environment::ADDRESS)
    }

    /// The entry of its program in the boot image.
    pub(crate) fn entry_of(&self, spec: &Spec<'_>) -> Option<Entry> {
        self.image
            .entries()
            .find(|e| e.kind == EntryKind::Component as u32 && e.name() == spec.binary)
    }

    fn region_of(&mut self, index: u16, spec: &Spec<'_>) -> Result<Region, Error> {
        if let Some(region) = self.component_mut(index)?.region {
            return Ok(region);
        }
        let region = self.pool.take(spec.memory_bytes, &mut self.slots)?;
        self.component_mut(index)?.region = Some(region);
        Ok(region)
    }

    fn faults_of(&mut self, index: u16) -> Result<Cap<Endpoint>, Error> {
        if let Some(faults) = self.component_mut(index)?.faults {
            return Ok(faults);
        }
        let slot = self.slots.take()?;
        let faults = slot
            .mint(self.endpoint, Mask::only(Rights::SEND), badge(index))
            .inspect_err(|_| self.slots.give_back(slot))?;
        self.component_mut(index)?.faults = Some(faults);
        Ok(faults)
    }

    /// Fills the component's CNode and its environment page.
    fn equip(
        &mut self,
        index: u16,
        spec: &Spec<'_>,
        process: &Process,
        region: Region,
    ) -> Result<(), Error> {
        use environment::slot;
        let cnode = process.cnode;
        cnode.copy(slot::CNODE, cnode, Mask::AS_HELD)?;
        cnode.copy(slot::TCB, process.tcb, Mask::AS_HELD)?;
        cnode.copy(slot::ADDRESS_SPACE, process.space, Mask::AS_HELD)?;

        let count = planned(&self.system, index).count() as u16;
        let run = self.slots.take_run(count.max(1))?;
        let component = self.component_mut(index)?;
        component.grants = Some((run, count.max(1)));
        let generation = u64::from(component.history.restarts);
        let author = Author::new(spec.name, badge(index), generation)?;
        let mut granting = Granting::new(author, cnode, run);
        for grant in planned(&self.system, index) {
            self.grant(index, &mut granting, &grant)?;
        }
        let (mut author, first_free) = granting.finish();
        let page = author.finish(first_free, spec.cnode_slots, spec.arguments)?;
        self.put_page(process, region, page)?;
        self.put_memory(process, region)
    }

    fn grant(
        &mut self,
        index: u16,
        granting: &mut Granting,
        grant: &Planned<'_>,
    ) -> Result<(), Error> {
        match grant.kind {
            GrantKind::Endpoint => {
                let endpoint = self.service_endpoint(grant.index)?;
                granting.give(grant, endpoint, Mask::AS_HELD, 0)
            }
            GrantKind::Service => {
                let endpoint = self.service_endpoint(grant.index)?;
                let rights = session_rights(grant.values[0]);
                granting.give(grant, endpoint, rights, badge(index))
            }
            GrantKind::Registers => {
                let device = self.devices.get(grant.index).ok_or(missing())?;
                if grant.name == CONSOLE_DEVICE {
                    self.console.hand_over();
                }
                granting.give(grant, device.registers, Mask::AS_HELD, 0)
            }
            GrantKind::Interrupt => {
                let device = self.devices.get(grant.index).ok_or(missing())?;
                let handler = device.interrupts().nth(grant.position).ok_or(missing())?;
                granting.give(grant, handler, Mask::AS_HELD, 0)
            }
            GrantKind::Platform => granting.give(grant, self.console.platform(), Mask::AS_HELD, 0),
            GrantKind::Data => Err(missing()),
        }
    }

    /// Writes the environment page and maps it for the component to read.
    fn put_page(
        &mut self,
        process: &Process,
        region: Region,
        page: &[u8; environment::PAGE_BYTES],
    ) -> Result<(), Error> {
        let written = self.slots.take()?;
        let read = self.slots.take()?;
        let result = (|| {
            let memory = region.untyped.create_memory(page.len() as u64, written)?;
            memory.map_all(self.creator.space, SCRATCH, Permissions::ReadWrite)?;
            let gone = Error::local(Status::NotMapped, Operation::Load);
            SharedBuf::of(memory)?.write(0, page).map_err(|_| gone)?;
            memory.unmap()?;
            let rights = Mask::only(Rights::READ.union(Rights::MAP));
            let mapped = read.copy(memory, rights)?;
            mapped.map_all(process.space, environment::ADDRESS, Permissions::Read)?;
            process
                .cnode
                .move_from(environment::slot::ENVIRONMENT, mapped)
        })();
        // Neither slot is needed any more; what failed goes with its region.
        written.delete()?;
        read.delete()?;
        self.slots.give_back(written);
        self.slots.give_back(read);
        result
    }

    /// Gives the component what is left of its memory.
    fn put_memory(&mut self, process: &Process, region: Region) -> Result<(), Error> {
        let free = region.untyped.info()?.free & !0xfff;
        if free == 0 {
            return Err(Error::local(Status::NoMemory, Operation::Load));
        }
        let slot = self.slots.take()?;
        let given = region
            .untyped
            .split(free, slot)
            .and_then(|rest| process.cnode.move_from(environment::slot::MEMORY, rest));
        slot.delete()?;
        self.slots.give_back(slot);
        given
    }

    /// The component's record.
    pub(crate) fn component_mut(&mut self, index: u16) -> Result<&mut Component, Error> {
        self.components.get_mut(usize::from(index)).ok_or(missing())
    }
}

const fn missing() -> Error {
    Error::local(Status::OutOfRange, Operation::Load)
}
