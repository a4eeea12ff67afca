//! A component as the root task keeps it, and how it comes to run.

use gritos_sys::abi::Rights;
use gritos_sys::abi::Status;
use gritos_sys::abi::cap::BADGE_CLIENT;
use gritos_sys::cap::Endpoint;
use gritos_sys::environment;
use gritos_sys::error::Operation;
use gritos_sys::memory::Region;
use gritos_sys::process::{PROCESS_SLOTS, Process};
use gritos_sys::slots::Slot;
use gritos_sys::{Cap, Error, Mask};
use gritos_system::{Restart, SERVICE_LIMIT};
use gritos_system_api::{ComponentState, SystemError};

use crate::grants::planned;
use crate::leaving::Leaving;
use crate::make::Making;
use crate::policy::History;
use crate::report::Fault;
use crate::root::Root;
use crate::worker::Shared;

/// Name of the device whose driver takes the console over from the kernel.
pub(crate) const CONSOLE_DEVICE: &str = "uart";

/// What is looked up once, because to look through the table takes thousands of
/// instructions, in which nobody else runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    /// How urgent its most urgent thread can be, and what is done for it is.
    pub(crate) urgency: u8,
    /// How many capabilities it is granted.
    grants: u16,
    /// The services that it offers: a bit each.
    services: u64,
    /// Those that it uses.
    pub(crate) uses: u64,
    /// What happens when it ends.
    pub(crate) restart: Option<Restart>,
    pub(crate) has_devices: bool,
    /// It drives the device of the console.
    has_console: bool,
    /// Number of its program's entry in the boot image.
    pub(crate) entry: Option<u32>,
}

impl Facts {
    const NONE: Self = Self {
        urgency: u8::MAX,
        grants: 0,
        services: 0,
        uses: 0,
        restart: None,
        has_devices: false,
        has_console: false,
        entry: None,
    };

    /// What the table says of component `index`.
    pub(crate) fn of(shared: &Shared, index: u16) -> Self {
        const { assert!(SERVICE_LIMIT <= 64, "a bit for each service") };
        let Some(spec) = shared.system.component(index) else {
            return Self::NONE;
        };
        let services = shared.system.services_of(index);
        Self {
            urgency: spec.priority.min(spec.ceiling),
            grants: planned(&shared.system, index).count() as u16,
            services: services.fold(0, |bits, number| bits | 1 << number),
            uses: shared
                .system
                .uses_of(index)
                .fold(0, |bits, wanted| bits | 1 << wanted.service),
            restart: Some(spec.restart),
            has_devices: shared.system.devices_of(index).next().is_some(),
            has_console: shared.has_console(index),
            entry: shared.entry_number(&spec),
        }
    }

    /// The numbers of the services that it offers.
    pub(crate) fn services(self) -> impl Iterator<Item = u16> {
        bits(self.services)
    }
}

/// The numbers of the bits that are set.
pub(crate) fn bits(mut set: u64) -> impl Iterator<Item = u16> {
    core::iter::from_fn(move || {
        let lowest = (set != 0).then(|| set.trailing_zeros() as u16)?;
        set &= set - 1;
        Some(lowest)
    })
}

/// A component as the root task keeps it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Component {
    /// What it does.
    pub(crate) state: ComponentState,
    /// What the table says of it that is needed again and again.
    pub(crate) facts: Facts,
    /// It is to be made and started.
    pub(crate) starting: bool,
    /// How it failed, until that is reported.
    pub(crate) fault: Option<Fault>,
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
        facts: Facts::NONE,
        starting: false,
        fault: None,
        process: None,
        region: None,
        faults: None,
        run: None,
        grants: None,
        history: History::NEW,
        leaving: None,
        due: None,
    };

    /// Whether it runs, and is not about to end.
    pub(crate) fn serves(&self) -> bool {
        self.state == ComponentState::Running && self.leaving.is_none()
    }

    /// Whether nothing is to be done about it.
    pub(crate) const fn is_settled(&self) -> bool {
        let lasts = self.leaving.is_none() && self.due.is_none();
        lasts && self.fault.is_none() && !self.starting
    }

    /// Whether it does or will do something.
    pub(crate) fn is_alive(&self) -> bool {
        let state = matches!(
            self.state,
            ComponentState::Running | ComponentState::Restarting
        );
        state || self.starting || self.leaving.is_some()
    }
}

/// Badge of component `index`: at every service, and of its faults.
pub(crate) const fn badge(index: u16) -> u32 {
    BADGE_CLIENT | (index as u32 + 1)
}

/// The component with a badge.
pub(crate) fn index_of(badge: u32) -> Option<u16> {
    u16::try_from((badge & !BADGE_CLIENT).checked_sub(1)?).ok()
}

impl Root {
    /// Sets aside what component `index` is made of, for the worker to make it.
    pub(crate) fn set_aside(&mut self, index: u16) -> Result<Making, Error> {
        let region = self.region_of(index)?;
        let faults = self.faults_of(index)?;
        let run = self.slots.take_run(PROCESS_SLOTS)?;
        self.component_mut(index)?.run = Some(run);
        let count = self.component_mut(index)?.facts.grants.max(1);
        let grants = self.slots.take_run(count)?;
        let component = self.component_mut(index)?;
        component.grants = Some((grants, count));
        let generation = component.history.restarts;
        Ok(Making {
            index,
            memory: region.untyped,
            run,
            grants,
            scratch: self.scratch,
            faults,
            generation,
        })
    }

    fn region_of(&mut self, index: u16) -> Result<Region, Error> {
        if let Some(region) = self.component_mut(index)?.region {
            return Ok(region);
        }
        let spec = self.shared.system.component(index).ok_or(missing())?;
        // What its devices see by themselves, if there is as much of it; its
        // driver finds out.
        let devices = self.shared.system.devices_of(index);
        let window = self.shared.devices.seen(devices);
        let region = self
            .pool
            .take_within(spec.memory_bytes, &window, &mut self.slots)
            .or_else(|_| self.pool.take(spec.memory_bytes, &mut self.slots))?;
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

    /// Lets component `index` run, which was made.
    pub(crate) fn let_run(&mut self, index: u16) -> Result<(), SystemError> {
        let component = self.component_mut(index).map_err(crate::answer::refused)?;
        let facts = component.facts;
        if facts.has_console {
            self.console.hand_over();
        }
        self.dismiss_stand_ins(facts);
        let component = self.component_mut(index).map_err(crate::answer::refused)?;
        component.starting = false;
        component.state = ComponentState::Running;
        let process = component.process.ok_or(SystemError::State)?;
        process
            .start(environment::ADDRESS)
            .map_err(crate::answer::refused)
    }

    /// The component's record.
    pub(crate) fn component_mut(&mut self, index: u16) -> Result<&mut Component, Error> {
        self.components.get_mut(usize::from(index)).ok_or(missing())
    }
}

const fn missing() -> Error {
    Error::local(Status::OutOfRange, Operation::Load)
}
