//! The life of the root task: take stock, start what the system table says,
//! answer, repair, power off.

use core::fmt::{self, Write};

use gritos_service::Port;
use gritos_service::idl::{Answer, Dispatch, Incoming, Kind, Outgoing, ServerPort, Status};
use gritos_sys::abi::boot_image::{self, BootImage, EntryKind, FLAG_SEMIHOSTING, ImageError};
use gritos_sys::abi::boot_info::{BootInfo, ROOT_CNODE_SLOTS, slot};
use gritos_sys::abi::fault::FaultReply;
use gritos_sys::abi::{Address, Rights};
use gritos_sys::cap::{AddressSpace, CNode, Endpoint, MemoryObject, Platform, Reply};
use gritos_sys::error::Operation;
use gritos_sys::invoke::Permissions;
use gritos_sys::memory::Pool;
use gritos_sys::process::Creator;
use gritos_sys::slots::Slots;
use gritos_sys::{Cap, Error, Mask, debug_println, ipc, rt, shared, time};
use gritos_system::{COMPONENT_LIMIT, Provider, SERVICE_LIMIT, System, SystemError};
use gritos_system_api::ComponentState;

use crate::component::{Component, index_of};
use crate::console::Console;
use crate::devices::Devices;
use crate::leaving::{Messenger, Next, WaitPlace};
use crate::messenger;
use crate::policy::End;
use crate::report;

/// Where the boot image is mapped.
const IMAGE_ADDRESS: u64 = rt::IMMUTABLE_BASE;

/// Memory for translation tables of the root task's own AddressSpace.
const TABLE_BYTES: u64 = 64 << 10;
/// Memory for the endpoints of services and the root task's own objects.
const OBJECT_BYTES: u64 = 64 << 10;

/// Most callers that wait for the end of a component at a time.
const WAIT_LIMIT: usize = 4;
/// Those, the messenger, and the call in hand.
pub(crate) const REPLIES: usize = WAIT_LIMIT + 2;

/// Why the root task cannot go on.
enum Trouble {
    Kernel(Error),
    Image(ImageError),
    Table(SystemError),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kernel(error) => write!(f, "{error}"),
            Self::Image(error) => write!(f, "the boot image is damaged: {error:?}"),
            Self::Table(error) => write!(f, "the system table is damaged: {error}"),
        }
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Kernel(error)
    }
}

/// The ends of a service that the root task holds.
#[derive(Clone, Copy, Debug)]
struct Service {
    /// Every other capability to it comes from this one.
    all: Cap<Endpoint>,
    /// What the root task calls it by.
    administration: Cap<Endpoint>,
}

/// Everything that the root task knows.
pub(crate) struct Root<'a> {
    pub(crate) info: &'a BootInfo,
    pub(crate) image: BootImage<'a>,
    pub(crate) system: System<'a>,
    pub(crate) creator: Creator,
    pub(crate) pool: Pool,
    pub(crate) slots: Slots,
    /// Where faults and calls of the service `system` arrive.
    pub(crate) endpoint: Cap<Endpoint>,
    services: [Option<Service>; SERVICE_LIMIT],
    pub(crate) devices: Devices,
    pub(crate) components: [Component; COMPONENT_LIMIT],
    pub(crate) console: Console,
    pub(crate) messenger: Messenger,
    /// Who waits for the end of which component.
    pub(crate) waiting: [WaitPlace; WAIT_LIMIT],
}

/// Runs the system until no component runs any more.
pub(crate) fn main(info: &'static BootInfo) {
    let exit_code = match run(info) {
        Ok(failed) => u64::from(failed > 0),
        Err(trouble) => {
            debug_println!("root: {trouble}");
            1
        }
    };
    // On an emulator the machine ends with its work; a real one stays on for
    // whoever reads its console.
    if info.flags & u64::from(FLAG_SEMIHOSTING) == 0 {
        debug_println!("root: nothing runs any more");
        loop {
            let _ = ipc::sleep_until(u64::MAX);
        }
    }
    let platform = Cap::<Platform>::at(Address::root(slot::PLATFORM));
    if let Err(error) = platform.power_off(exit_code) {
        debug_println!("root: {error}; the machine stays on");
    }
}

/// Starts the components and watches them; the number that failed.
fn run(info: &'static BootInfo) -> Result<usize, Trouble> {
    let mut console = Console::new(Cap::at(Address::root(slot::PLATFORM)));
    console.say(|out| report::machine(out, info));
    let cnode = Cap::<CNode>::at(Address::root(slot::CNODE));
    let first_free = u16::try_from(info.first_free_slot).unwrap_or(ROOT_CNODE_SLOTS);
    let mut slots = Slots::new(cnode, 0, first_free, ROOT_CNODE_SLOTS);
    let mut pool = Pool::from_boot_info(info);
    let space = Cap::<AddressSpace>::at(Address::root(slot::ADDRESS_SPACE));
    space.donate(pool.take(TABLE_BYTES, &mut slots)?.untyped)?;

    let image_memory = Cap::<MemoryObject>::at(Address::root(slot::BOOT_IMAGE));
    image_memory.map_all(space, IMAGE_ADDRESS, Permissions::Read)?;
    let bytes = rt::immutable_bytes(image_memory)?;
    let image = BootImage::parse(bytes, boot_image::crc32c).map_err(Trouble::Image)?;
    console.say(|out| report::image(out, &image));
    let Some(table) = image.entries().find(|e| e.kind == EntryKind::System as u32) else {
        debug_println!("root: no system table: nothing to start");
        return Ok(0);
    };
    let table = image.payload(&table).unwrap_or_default();
    let system = System::parse(table).map_err(Trouble::Table)?;

    let own = pool.take(OBJECT_BYTES, &mut slots)?.untyped;
    let endpoint = own.create::<Endpoint>(slots.take()?)?;
    let quiet = own.create::<Endpoint>(slots.take()?)?;
    let mut replies = [Cap::at(Address::NULL); REPLIES];
    for reply in &mut replies {
        *reply = own.create::<Reply>(slots.take()?)?;
    }
    let window = slots.take()?;
    let services = services(&system, own, endpoint, &mut slots)?;
    let devices = Devices::make(info, &system, &mut slots, |device, error| {
        console.complain(|out| writeln!(out, "root: device {}: {error}", device.name));
    });
    let mut root = Root {
        info,
        image,
        system,
        creator: Creator {
            space,
            tcb: Cap::at(Address::root(slot::TCB)),
            asids: Cap::at(Address::root(slot::ASID_CONTROL)),
            budgets: Cap::at(Address::root(slot::SCHED_CONTROL)),
            image: image_memory,
        },
        pool,
        slots,
        endpoint,
        services,
        devices,
        components: [Component::NEW; COMPONENT_LIMIT],
        console,
        messenger: Messenger::default(),
        waiting: [const { None }; WAIT_LIMIT],
    };
    root.start_all();
    messenger::start(&root.creator, cnode, own, endpoint, &mut root.slots)?;
    let port = Port::with_replies((endpoint, quiet), replies);
    root.watch(&mut port.with_window(window.address(), 1));
    Ok(root.failed())
}

/// Makes the endpoint of each service; those of the root task itself share its
/// own.
fn services(
    system: &System<'_>,
    own: Cap<gritos_sys::cap::Untyped>,
    endpoint: Cap<Endpoint>,
    slots: &mut Slots,
) -> Result<[Option<Service>; SERVICE_LIMIT], Error> {
    let mut services = [None; SERVICE_LIMIT];
    for (place, service) in services.iter_mut().zip(system.services()) {
        let all = match service.provider {
            Provider::Root => endpoint,
            Provider::Component(_) => own.create::<Endpoint>(slots.take()?)?,
        };
        let rights = Rights::SEND | gritos_base_api::Supervision::ADMINISTER;
        let administration =
            slots
                .take()?
                .mint(all, Mask::only(rights), gritos_sys::abi::cap::BADGE_CLIENT)?;
        *place = Some(Service {
            all,
            administration,
        });
    }
    Ok(services)
}

impl Root<'_> {
    /// How many components the table has.
    pub(crate) const fn count(&self) -> u16 {
        self.system.component_count()
    }

    fn start_all(&mut self) {
        for index in 0..self.count() {
            self.start_and_report(index);
        }
    }

    /// Starts a component. One that cannot be started is reported and counts as
    /// failed; the others start all the same.
    pub(crate) fn start_and_report(&mut self, index: u16) {
        let name = self.system.component(index).map_or("?", |spec| spec.name);
        if let Err(error) = self.start(index) {
            self.console
                .complain(|out| writeln!(out, "root: {name} was not started: {error}"));
        }
    }

    /// The capability that all others to a service come from.
    pub(crate) fn service_endpoint(&self, service: u16) -> Result<Cap<Endpoint>, Error> {
        self.services
            .get(usize::from(service))
            .copied()
            .flatten()
            .map(|service| service.all)
            .ok_or(Error::local(Status::OutOfRange, Operation::Load))
    }

    /// What to call a service by that a running component offers.
    pub(crate) fn administration(&self, service: u16) -> Option<Cap<Endpoint>> {
        let Provider::Component(provider) = self.system.service(service)?.provider else {
            return None;
        };
        let provider = self.components.get(usize::from(provider))?;
        let ends = self.services.get(usize::from(service)).copied().flatten()?;
        let runs = provider.state == ComponentState::Running && provider.leaving.is_none();
        runs.then_some(ends.administration)
    }

    /// Serves faults and calls until no component runs or will.
    fn watch(&mut self, port: &mut Port<REPLIES>) {
        let mut reply = None;
        while self.is_alive() {
            port.set_deadline(self.next_due());
            self.console.tell_reader();
            let incoming = match reply {
                Some(reply) => port.reply_recv(reply),
                None => port.recv(),
            };
            reply = self.handle(port, &incoming);
            self.start_due();
            self.turn(port);
        }
        if let Some(reply) = reply {
            // Whoever called last may be gone with its component.
            let _ = port.reply(reply);
        }
    }

    fn handle(&mut self, port: &mut Port<REPLIES>, incoming: &Incoming) -> Option<Outgoing<0>> {
        if !incoming.outcome.is_ok() {
            return None;
        }
        match incoming.outcome.kind() {
            Ok(Kind::Fault) => return self.fault(incoming),
            Ok(Kind::Call) => {}
            _ => return None,
        }
        let answer = if incoming.badge() == messenger::BADGE {
            let ticket = port.ticket();
            self.messenger_is_idle(ticket);
            Answer::Kept
        } else {
            gritos_system_api::System::dispatch(self, incoming, || port.ticket())
        };
        match answer {
            Answer::Words(reply) => Some(reply),
            Answer::Refused(error) => Some(Outgoing::refusal(error)),
            Answer::Kept => {
                port.keep();
                None
            }
            Answer::Caps(_) | Answer::Nothing => None,
        }
    }

    /// Decides about a fault: the answer to the thread, if it goes on.
    fn fault(&mut self, incoming: &Incoming) -> Option<Outgoing<0>> {
        let fault = report::Fault::decode(incoming);
        let index = index_of(incoming.badge())?;
        let spec = self.system.component(index)?;
        let entry = self.entry_of(&spec);
        let text = entry.and_then(|entry| report::text(&entry, &self.image));
        let exit = text.and_then(|(bytes, base)| shared::error_exit(bytes, base, fault.pc));
        if let Some(exit) = exit {
            let words = [exit, fault.sp, 0, 0, 0, 0, 0, 0];
            return Some(Outgoing::new(FaultReply::Jump as u64, words, 2));
        }
        let end = match fault.breakpoint() {
            Some(rt::EXIT) => End::Returned,
            _ => End::Failed,
        };
        let process = self.component_mut(index).ok()?.process;
        if end == End::Failed {
            let remains = (process, u64::from(spec.stack_bytes));
            self.console
                .complain(|out| report::fault(out, spec.name, entry.as_ref(), remains, &fault));
        }
        // What it wrote on the debug console, if it did, lies with the kernel.
        self.console.note_text();
        self.leave(index, Next::Ended(end));
        None
    }

    /// When the next component is to be started, as a counter value.
    fn next_due(&self) -> Option<u64> {
        let due = self.components.iter().filter_map(|c| c.due).min()?;
        Some(time::ticks(due))
    }

    fn start_due(&mut self) {
        let now = time::now();
        for index in 0..self.count() {
            let due = self.components.get(usize::from(index)).and_then(|c| c.due);
            if due.is_some_and(|due| time::ticks(due) <= now) {
                self.start_and_report(index);
            }
        }
    }

    fn is_alive(&self) -> bool {
        self.components.iter().any(|component| {
            let state = component.state;
            component.leaving.is_some()
                || matches!(state, ComponentState::Running | ComponentState::Restarting)
        })
    }

    fn failed(&self) -> usize {
        self.components
            .iter()
            .filter(|component| component.state == ComponentState::Failed)
            .count()
    }
}
