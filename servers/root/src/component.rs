//! The components that the root task started.

use gritos_sys::abi::Rights;
use gritos_sys::abi::boot_image::{BootImage, Entry};
use gritos_sys::abi::cap::BADGE_CLIENT;
use gritos_sys::cap::Endpoint;
use gritos_sys::memory::{Pool, Region};
use gritos_sys::process::{Creator, DEFAULT_STACK_BYTES, PROCESS_SLOTS, Plan, Process};
use gritos_sys::slots::Slots;
use gritos_sys::{Cap, Error, Mask};

/// Most components.
const COMPONENT_LIMIT: usize = 32;
/// Memory of a component beside its segments and stack: CNode, TCB, tables.
const OVERHEAD_BYTES: u64 = 256 << 10;
/// Priority of a component and the highest that it may give its threads.
const PRIORITY: (u8, u8) = (128, 128);

/// What a component does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ComponentState {
    /// Not started yet.
    New,
    /// Running.
    Running,
    /// It returned.
    Ended,
    /// It faulted, panicked, or could not be started.
    Failed,
}

/// A component.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Component {
    /// Its entry in the boot image.
    pub(crate) entry: Entry,
    /// What it does.
    pub(crate) state: ComponentState,
    /// Its process.
    pub(crate) process: Option<Process>,
    memory: Option<Region>,
    badge: u32,
}

impl Component {
    /// Makes the process and lets it run.
    pub(crate) fn start(
        &mut self,
        image: &BootImage<'_>,
        creator: &Creator,
        faults: Cap<Endpoint>,
        pool: &mut Pool,
        slots: &mut Slots,
    ) -> Result<(), Error> {
        let region = pool.take(self.memory_bytes(), slots)?;
        self.memory = Some(region);
        let fault = slots
            .take()?
            .mint(faults, Mask::only(Rights::SEND), self.badge)?;
        let plan = Plan {
            priority: PRIORITY,
            fault: Some(fault),
            ..Plan::default()
        };
        let first = slots.take_run(PROCESS_SLOTS)?;
        let process = creator.make(image, &self.entry, region.untyped, first, &plan)?;
        process.start(0)?;
        self.process = Some(process);
        self.state = ComponentState::Running;
        Ok(())
    }

    /// Bytes of the image that are its text, and the address of the first.
    pub(crate) fn text<'a>(&self, image: &BootImage<'a>) -> Option<(&'a [u8], u64)> {
        let executable = Rights::EXECUTE.bits();
        let segment = self
            .entry
            .segments()
            .iter()
            .find(|segment| segment.rights & executable != 0)?;
        let offset = usize::try_from(segment.offset.checked_sub(self.entry.offset)?).ok()?;
        Some((image.payload(&self.entry)?.get(offset..)?, segment.address))
    }

    fn memory_bytes(&self) -> u64 {
        let page = |bytes: u64| bytes.next_multiple_of(4096);
        let copied: u64 = self
            .entry
            .segments()
            .iter()
            .filter(|segment| segment.rights & (Rights::WRITE | Rights::EXECUTE).bits() != 0)
            .map(|segment| page(segment.memory_bytes))
            .sum();
        copied + page(self.entry.stack.max(DEFAULT_STACK_BYTES)) + OVERHEAD_BYTES
    }
}

/// All of them. A component's badge is its place, marked as a client's.
#[derive(Debug)]
pub(crate) struct Table {
    components: [Option<Component>; COMPONENT_LIMIT],
}

impl Default for Table {
    fn default() -> Self {
        Self {
            components: [None; COMPONENT_LIMIT],
        }
    }
}

impl Table {
    /// Adds a component that was not started yet; `None` if there are too many.
    pub(crate) fn add(&mut self, entry: Entry) -> Option<&mut Component> {
        let (place, free) = self
            .components
            .iter_mut()
            .enumerate()
            .find(|(_, component)| component.is_none())?;
        Some(free.insert(Component {
            entry,
            state: ComponentState::New,
            process: None,
            memory: None,
            badge: BADGE_CLIENT | (place as u32 + 1),
        }))
    }

    /// The component whose faults carry `badge`.
    pub(crate) fn by_badge(&mut self, badge: u32) -> Option<&mut Component> {
        self.components
            .iter_mut()
            .flatten()
            .find(|component| component.badge == badge)
    }

    /// How many run.
    pub(crate) fn running(&self) -> usize {
        self.count(ComponentState::Running)
    }

    /// How many failed.
    pub(crate) fn failed(&self) -> usize {
        self.count(ComponentState::Failed)
    }

    fn count(&self, state: ComponentState) -> usize {
        self.components
            .iter()
            .flatten()
            .filter(|component| component.state == state)
            .count()
    }
}
