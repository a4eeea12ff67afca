//! The life of the root task: take stock, start what the system table says,
//! answer, repair, power off.

use core::fmt::{self, Write};

use gritos_service::Port;
use gritos_service::idl::{Answer, Dispatch, Incoming, Kind, Outgoing, ServerPort, Ticket};
use gritos_sys::abi::boot_image::{self, BootImage, EntryKind, FLAG_SEMIHOSTING, ImageError};
use gritos_sys::abi::boot_info::{BootInfo, ROOT_CNODE_SLOTS, slot};
use gritos_sys::abi::fault::FaultReply;
use gritos_sys::abi::{Address, Rights};
use gritos_sys::cap::{
    AddressSpace, CNode, Endpoint, MemoryObject, Platform, Reply, SchedulingContext, Untyped,
};
use gritos_sys::invoke::Permissions;
use gritos_sys::memory::Pool;
use gritos_sys::process::Creator;
use gritos_sys::slots::{Slot, Slots};
use gritos_sys::{Cap, Error, Mask, debug_println, ipc, rt, shared, time};
use gritos_system::{COMPONENT_LIMIT, Provider, SERVICE_LIMIT, System, SystemError};
use gritos_system_api::ComponentState;

use crate::component::{Component, Facts, bits, index_of};
use crate::console::Console;
use crate::devices::Devices;
use crate::helper::{Helper, PRIORITY};
use crate::leaving::{Messenger, Next, WaitPlace};
use crate::policy::End;
use crate::stand_in::StandIn;
use crate::tasks::Worker;
use crate::worker::{self, Service, Shared};
use crate::{messenger, printer, report};

/// Where the boot image is mapped.
const IMAGE_ADDRESS: u64 = rt::IMMUTABLE_BASE;

/// Where the device tree is mapped: behind everything that a boot image can be.
const TREE_ADDRESS: u64 = IMAGE_ADDRESS + (1 << 30);

/// Memory for translation tables of the root task's own AddressSpace.
const TABLE_BYTES: u64 = 64 << 10;
/// Memory for the endpoints of services and the root task's own objects.
const OBJECT_BYTES: u64 = 128 << 10;

/// Most callers that wait for the end of a component at a time.
const WAIT_LIMIT: usize = 4;
/// Those, the three helpers, and the call in hand.
pub(crate) const REPLIES: usize = WAIT_LIMIT + 4;
/// Name of the service that shows text.
const CONSOLE_SERVICE: &str = "console";

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

/// Everything that the root task knows.
pub(crate) struct Root {
    pub(crate) info: &'static BootInfo,
    /// What does not change.
    pub(crate) shared: &'static Shared,
    pub(crate) pool: Pool,
    pub(crate) slots: Slots,
    /// Two slots for the making of components.
    pub(crate) scratch: Slot,
    /// Where faults and calls of the service `system` arrive.
    pub(crate) endpoint: Cap<Endpoint>,
    pub(crate) components: [Component; COMPONENT_LIMIT],
    /// Components about which something may be to be done, a bit each: nobody else needs a look. Most of the
    /// time all are settled, and a look at all costs everybody's time.
    pub(crate) unsettled: u64,
    pub(crate) stand_ins: [StandIn; SERVICE_LIMIT],
    /// Services whose stand-in is wanted, a bit each.
    pub(crate) wanted_stand_ins: u64,
    pub(crate) console: Console,
    /// The service that shows text, if the device of the console has a driver.
    pub(crate) console_service: Option<u16>,
    pub(crate) messenger: Messenger,
    pub(crate) worker: Worker,
    /// The time of the root task's threads: its own, and its helpers'.
    pub(crate) contexts: [Cap<SchedulingContext>; 4],
    /// The printer, when it waits for text.
    pub(crate) printer: Option<Ticket>,
    /// Who waits for the end of which component.
    pub(crate) waiting: [WaitPlace; WAIT_LIMIT],
    /// Something happened after which there may be work for worker or messenger.
    pub(crate) has_work: bool,
    /// When the next component is to be started, as a counter value.
    due: Option<u64>,
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
    let platform = Cap::at(Address::root(slot::PLATFORM));
    let mut console = Console::new(platform);
    console.say(|out| report::machine(out, info));
    let cnode = Cap::<CNode>::at(Address::root(slot::CNODE));
    let first_free = u16::try_from(info.first_free_slot).unwrap_or(ROOT_CNODE_SLOTS);
    let mut slots = Slots::new(cnode, 0, first_free, ROOT_CNODE_SLOTS);
    let mut pool = Pool::from_boot_info(info);
    let space = Cap::<AddressSpace>::at(Address::root(slot::ADDRESS_SPACE));
    space.donate(pool.take(TABLE_BYTES, &mut slots)?.untyped)?;

    let tree = device_tree(info, space)?;
    console.note(|out| report::tree(out, tree));
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
    let helper_faults =
        slots
            .take()?
            .mint(endpoint, Mask::only(Rights::SEND), Helper::Messenger as u32)?;
    let services = services(&system, own, endpoint, &mut slots)?;
    let devices = Devices::make(info, &system, tree, &mut slots, |device, trouble| {
        console.complain(|out| writeln!(out, "root: device {}: {trouble}", device.name));
    });
    let creator = Creator {
        space,
        tcb: Cap::at(Address::root(slot::TCB)),
        asids: Cap::at(Address::root(slot::ASID_CONTROL)),
        budgets: Cap::at(Address::root(slot::SCHED_CONTROL)),
        image: image_memory,
    };
    let shared = worker::share(Shared {
        image,
        system,
        creator,
        cnode,
        platform,
        services,
        devices,
        helper_faults,
    });
    let console_service = console_service(shared);
    let text_priority = console_service.map_or(PRIORITY, |(_, priority)| priority.max(PRIORITY));
    let objects = (cnode, own, endpoint);
    let mut helper = |helper: Helper, entry: extern "C" fn(u64) -> !, priority| {
        helper.start(&shared.creator, objects, &mut slots, entry, priority)
    };
    let messenger = helper(Helper::Messenger, messenger::run, PRIORITY)?;
    let printer = helper(Helper::Printer, printer::run, text_priority)?;
    let worker = helper(Helper::Worker, worker::run, PRIORITY)?;
    let contexts = [
        Cap::at(Address::root(slot::SCHED_CONTEXT)),
        messenger.context,
        printer.context,
        worker.context,
    ];
    let mut root = Root {
        info,
        shared,
        pool,
        scratch: slots.take_run(2)?,
        slots,
        endpoint,
        components: [Component::NEW; COMPONENT_LIMIT],
        unsettled: 0,
        stand_ins: [StandIn::NONE; SERVICE_LIMIT],
        wanted_stand_ins: 0,
        console,
        console_service: console_service.map(|(service, _)| service),
        messenger: Messenger::default(),
        worker: Worker::new(worker.tcb, PRIORITY),
        contexts,
        printer: None,
        waiting: [const { None }; WAIT_LIMIT],
        has_work: true,
        due: None,
    };
    root.console.use_printer();
    root.begin();
    let port = Port::with_replies((endpoint, quiet), replies);
    root.watch(&mut port.with_window(window.address(), 1));
    Ok(root.failed())
}

/// The service that shows text, and the priority of who serves it: the driver of
/// the console's device.
fn console_service(shared: &Shared) -> Option<(u16, u8)> {
    (0..)
        .zip(shared.system.services())
        .find_map(|(number, service)| {
            let Provider::Component(index) = service.provider else {
                return None;
            };
            let wanted = service.name == CONSOLE_SERVICE && shared.has_console(index);
            let component = shared.system.component(index).filter(|_| wanted)?;
            Some((number, component.priority))
        })
}

/// Maps the device tree.
fn device_tree(info: &BootInfo, space: Cap<AddressSpace>) -> Result<&'static [u8], Error> {
    let memory = Cap::<MemoryObject>::at(Address::root(slot::DEVICE_TREE));
    memory.map_all(space, TREE_ADDRESS, Permissions::Read)?;
    let bytes = rt::immutable_bytes(memory)?;
    let start = usize::try_from(info.device_tree_offset).unwrap_or(usize::MAX);
    let tree = bytes.get(start..).unwrap_or_default();
    let length = usize::try_from(info.device_tree_bytes).unwrap_or(usize::MAX);
    Ok(tree.get(..length).unwrap_or(tree))
}

/// Makes the endpoint of each service; those of the root task itself share its
/// own.
fn services(
    system: &System<'_>,
    own: Cap<Untyped>,
    endpoint: Cap<Endpoint>,
    slots: &mut Slots,
) -> Result<[Option<Service>; SERVICE_LIMIT], Error> {
    let mut services = [None; SERVICE_LIMIT];
    for (place, service) in services.iter_mut().zip(system.services()) {
        let (all, provider) = match service.provider {
            Provider::Root => (endpoint, None),
            Provider::Component(index) => (own.create::<Endpoint>(slots.take()?)?, Some(index)),
        };
        let rights = Rights::SEND | gritos_base_api::Supervision::ADMINISTER;
        let administration =
            slots
                .take()?
                .mint(all, Mask::only(rights), gritos_sys::abi::cap::BADGE_CLIENT)?;
        *place = Some(Service {
            all,
            administration,
            provider,
        });
    }
    Ok(services)
}

impl Root {
    /// How many components the table has.
    pub(crate) const fn count(&self) -> u16 {
        self.shared.system.component_count()
    }

    /// Has every component started, the most urgent first.
    fn begin(&mut self) {
        for (index, component) in (0..self.count()).zip(&mut self.components) {
            component.facts = Facts::of(self.shared, index);
            component.starting = true;
            self.unsettled |= 1 << index;
        }
    }

    /// What to call a service by that a running component offers.
    pub(crate) fn administration(&self, service: u16) -> Option<Cap<Endpoint>> {
        let provider = self.provider(service)?;
        let provider = self.components.get(usize::from(provider))?;
        let ends = self
            .shared
            .services
            .get(usize::from(service))
            .copied()
            .flatten()?;
        provider.serves().then_some(ends.administration)
    }

    /// Serves faults and calls until no component runs or will.
    fn watch(&mut self, port: &mut Port<REPLIES>) {
        let mut reply = None;
        while self.is_alive() || self.is_busy() {
            port.set_deadline(self.due);
            self.console.tell_reader();
            let incoming = match reply {
                Some(reply) => port.reply_recv(reply),
                None => port.recv(),
            };
            reply = self.handle(port, &incoming);
            self.start_due();
            while core::mem::take(&mut self.has_work) {
                self.tell(port);
                self.give_work(port);
                self.settle();
                self.due = self.next_due();
            }
            // Whoever writes a report calls again: not all that it costs at a time.
            if !is_report(&incoming) {
                self.give_text(port);
            }
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
        if let Some(helper) = Helper::of(incoming.badge()) {
            return self.help(port, helper, incoming);
        }
        match gritos_system_api::System::dispatch(self, incoming, || port.ticket()) {
            Answer::Words(reply) => Some(reply),
            Answer::Refused(error) => Some(Outgoing::refusal(error)),
            Answer::Kept => {
                port.keep();
                None
            }
            Answer::Caps(_) | Answer::Nothing => None,
        }
    }

    /// Serves a helper: takes what it has done and keeps it waiting for more.
    fn help(
        &mut self,
        port: &mut Port<REPLIES>,
        helper: Helper,
        incoming: &Incoming,
    ) -> Option<Outgoing<0>> {
        if is_report(incoming) {
            let (bytes, length) = worker::part(incoming.words);
            self.console.report(bytes.get(..length).unwrap_or(&[]));
            return Some(Outgoing::new(0, [0; 8], 0));
        }
        let ticket = port.ticket();
        port.keep();
        self.has_work |= helper != Helper::Printer;
        match helper {
            Helper::Messenger => self.messenger_is_idle(ticket),
            Helper::Worker => self.worker_is_idle(ticket, incoming.words[0], port),
            Helper::Printer => {
                if incoming.tag == printer::REFUSED {
                    self.console.set_mute();
                }
                self.printer = ticket;
            }
        }
        None
    }

    /// Decides about a fault: the answer to the thread, if it goes on.
    fn fault(&mut self, incoming: &Incoming) -> Option<Outgoing<0>> {
        if Helper::of(incoming.badge()).is_some() {
            self.console
                .complain(|out| writeln!(out, "root: a helper of the root task failed"));
            return None;
        }
        let index = index_of(incoming.badge())?;
        let component = self.components.get_mut(usize::from(index))?;
        let process = component.process?;
        let fault = report::Fault::decode(process.tcb, incoming);
        if let Some(exit) = error_exit(self.shared, component.facts.entry, fault.pc()) {
            let words = [exit, fault.sp(), 0, 0, 0, 0, 0, 0];
            return Some(Outgoing::new(FaultReply::Jump as u64, words, 2));
        }
        // The first thing that goes wrong is what matters.
        if component.leaving.is_none() {
            let end = match fault.breakpoint() {
                Some(rt::EXIT) => End::Returned,
                _ => End::Failed,
            };
            component.fault = (end == End::Failed).then_some(fault);
            self.leave(index, Next::Ended(end));
        }
        // What it wrote on the debug console, if it did, lies with the kernel.
        self.console.note_text();
        None
    }

    /// The components about which something may be to be done.
    pub(crate) fn unsettled(&self) -> impl Iterator<Item = (u16, &Component)> {
        bits(self.unsettled).filter_map(|index| {
            let component = self.components.get(usize::from(index))?;
            Some((index, component))
        })
    }

    /// Looks no more at components about which nothing is to be done.
    fn settle(&mut self) {
        let settled = self
            .unsettled()
            .filter(|(_, component)| component.is_settled());
        self.unsettled &= !settled.fold(0, |set, (index, _)| set | 1 << index);
    }

    /// When the next component is to be started, as a counter value.
    fn next_due(&self) -> Option<u64> {
        let due = self.unsettled().filter_map(|(_, component)| component.due);
        due.min().map(time::ticks)
    }

    fn start_due(&mut self) {
        let now = time::now();
        if self.due.is_none_or(|due| due > now) {
            return;
        }
        self.has_work = true;
        for index in bits(self.unsettled) {
            let Some(component) = self.components.get_mut(usize::from(index)) else {
                continue;
            };
            if component.due.is_some_and(|due| time::ticks(due) <= now) {
                component.due = None;
                component.starting = true;
            }
        }
    }

    fn is_alive(&self) -> bool {
        self.components.iter().any(Component::is_alive)
    }

    fn failed(&self) -> usize {
        self.components
            .iter()
            .filter(|component| component.state == ComponentState::Failed)
            .count()
    }
}

/// Whether a message is a part of a report.
fn is_report(incoming: &Incoming) -> bool {
    incoming.outcome.is_ok()
        && incoming.badge() == Helper::Worker as u32
        && incoming.tag == worker::REPORT
}

/// Where a thread of a component goes on that faulted at `pc` because memory that it shares is gone.
fn error_exit(shared: &Shared, entry: Option<u32>, pc: u64) -> Option<u64> {
    let entry = shared.image.entry(entry?)?;
    let (bytes, base) = report::text(&entry, &shared.image)?;
    shared::error_exit(bytes, base, pc)
}
