//! A component is made: its process, what its line in the table grants it, and the
//! page that names that. The worker does this, out of what the root task set aside.

use gritos_sys::abi::boot_image::{Entry, EntryKind};
use gritos_sys::abi::{ObjectType, Rights, Status};
use gritos_sys::cap::{Endpoint, Untyped};
use gritos_sys::environment::{self, Author, GrantKind};
use gritos_sys::error::Operation;
use gritos_sys::invoke::{Permissions, Wanted};
use gritos_sys::process::{Plan, Process, SCRATCH};
use gritos_sys::shared::SharedBuf;
use gritos_sys::slots::Slot;
use gritos_sys::{Cap, Error, Mask};
use gritos_system::Component as Spec;

use crate::component::{CONSOLE_DEVICE, badge};
use crate::grants::{Granting, Planned, nth, planned, session_rights};
use crate::worker::Shared;

/// What the root task sets aside for a component.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Making {
    pub(crate) index: u16,
    /// All its memory.
    pub(crate) memory: Cap<Untyped>,
    /// First of the empty slots for its process.
    pub(crate) run: Slot,
    /// First of those for its grants' parents.
    pub(crate) grants: Slot,
    /// First of two that are empty again afterwards.
    pub(crate) scratch: Slot,
    /// Where its faults go.
    pub(crate) faults: Cap<Endpoint>,
    /// How often it was started before.
    pub(crate) generation: u32,
}

const fn missing() -> Error {
    Error::local(Status::OutOfRange, Operation::Load)
}

impl Shared {
    /// The entry of a component's program in the boot image.
    pub(crate) fn entry_of(&self, spec: &Spec<'_>) -> Option<Entry> {
        self.image.entry(self.entry_number(spec)?)
    }

    /// The number of that entry.
    pub(crate) fn entry_number(&self, spec: &Spec<'_>) -> Option<u32> {
        let is_its = |e: &Entry| e.kind == EntryKind::Component as u32 && e.name() == spec.binary;
        let position = self.image.entries().position(|entry| is_its(&entry));
        position.and_then(|position| u32::try_from(position).ok())
    }

    /// Makes a component that is ready to run.
    pub(crate) fn make(&self, making: &Making) -> Result<(), Error> {
        let spec = self.system.component(making.index).ok_or(missing())?;
        let entry = self.entry_of(&spec).ok_or(missing())?;
        let plan = Plan {
            cnode_slots: spec.cnode_slots,
            table_bytes: (64 << 10) + (spec.memory_bytes >> 8).next_multiple_of(4096),
            priority: (spec.priority, spec.ceiling),
            budget: (spec.budget_ns, spec.period_ns),
            stack_bytes: u64::from(spec.stack_bytes),
            fault: Some(making.faults),
        };
        let process = self
            .creator
            .make(&self.image, &entry, making.memory, making.run, &plan)?;
        self.equip(making, &spec, &process)
    }

    /// Fills the component's CNode and its environment page.
    fn equip(&self, making: &Making, spec: &Spec<'_>, process: &Process) -> Result<(), Error> {
        use environment::slot;
        let cnode = process.cnode;
        cnode.copy(slot::CNODE, cnode, Mask::AS_HELD)?;
        cnode.copy(slot::TCB, process.tcb, Mask::AS_HELD)?;
        cnode.copy(slot::ADDRESS_SPACE, process.space, Mask::AS_HELD)?;

        let generation = u64::from(making.generation);
        let author = Author::new(spec.name, badge(making.index), generation)?;
        let mut granting = Granting::new(author, cnode, making.grants);
        for grant in planned(&self.system, making.index) {
            self.grant(making.index, &mut granting, &grant)?;
        }
        let (mut author, first_free) = granting.finish();
        let mut has_dma = false;
        for number in self.system.devices_of(making.index) {
            let Some(device) = self.system.device(number) else {
                continue;
            };
            has_dma |= device.dma;
            if let Some(window) = self.devices.get(number).and_then(|made| made.window) {
                author.window(device.name, window)?;
            }
        }
        let page = author.finish(first_free, spec.cnode_slots, spec.arguments)?;
        self.put_page(process, making, page)?;
        put_memory(process, making, has_dma)
    }

    fn grant(&self, index: u16, granting: &mut Granting, grant: &Planned<'_>) -> Result<(), Error> {
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
                granting.give(grant, device.registers, Mask::AS_HELD, 0)
            }
            GrantKind::Interrupt => {
                let device = self.devices.get(grant.index).ok_or(missing())?;
                let handler = device.interrupts().nth(grant.position).ok_or(missing())?;
                granting.give(grant, handler, Mask::AS_HELD, 0)
            }
            GrantKind::Platform => granting.give(grant, self.platform, Mask::AS_HELD, 0),
            GrantKind::Data | GrantKind::Window => Err(missing()),
        }
    }

    /// Writes the environment page and maps it for the component to read.
    fn put_page(
        &self,
        process: &Process,
        making: &Making,
        page: &[u8; environment::PAGE_BYTES],
    ) -> Result<(), Error> {
        let (written, read) = (making.scratch, nth(making.scratch, 1));
        let result = (|| {
            let memory = making.memory.create_memory(page.len() as u64, written)?;
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
        // Neither slot is needed any more; what failed goes with its memory.
        written.delete()?;
        read.delete()?;
        result
    }

    /// The device whose driver takes the console over, if component `index` has it.
    pub(crate) fn has_console(&self, index: u16) -> bool {
        let mut devices = self.system.devices_of(index);
        devices.any(|number| {
            let device = self.system.device(number);
            device.is_some_and(|device| device.name == CONSOLE_DEVICE)
        })
    }
}

/// Everything that memory is good for but to be told to a device.
const WITHOUT_DMA: Mask = Mask::only(Rights::KERNEL.difference(Rights::DMA));

/// Gives the component what is left of its memory. Who drives no device that reaches memory by itself has no use for
/// physical addresses: neither its memory nor what is made of it tells them.
fn put_memory(process: &Process, making: &Making, has_dma: bool) -> Result<(), Error> {
    let free = making.memory.info()?.free & !0xfff;
    if free == 0 {
        return Err(Error::local(Status::NoMemory, Operation::Load));
    }
    let slot = making.scratch;
    let wanted = match has_dma {
        true => Wanted::one(ObjectType::Untyped, free),
        false => Wanted::one(ObjectType::Untyped, free).rights(WITHOUT_DMA),
    };
    let memory = environment::slot::MEMORY;
    let given = making
        .memory
        .retype(wanted, slot.cnode(), slot.index())
        .and_then(|()| process.cnode.move_from(memory, slot.cap::<Untyped>()));
    slot.delete()?;
    given
}
