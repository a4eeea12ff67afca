//! How the root task begins and ends: take stock, hand over to [`Root`], power off.

use core::fmt::{self, Write};

use gritos_service::Port;
use gritos_sys::abi::boot_image::{self, BootImage, EntryKind, FLAG_SEMIHOSTING, ImageError};
use gritos_sys::abi::boot_info::{BootInfo, ROOT_CNODE_SLOTS, slot};
use gritos_sys::abi::{Address, Rights};
use gritos_sys::cap::{AddressSpace, CNode, Endpoint, MemoryObject, Platform, Reply, Untyped};
use gritos_sys::invoke::Permissions;
use gritos_sys::memory::Pool;
use gritos_sys::process::Creator;
use gritos_sys::slots::Slots;
use gritos_sys::{Cap, Error, Mask, debug_println, ipc, rt};
use gritos_system::{Provider, SERVICE_LIMIT, System, SystemError};

use crate::console::Console;
use crate::devices::Devices;
use crate::helper::{Helper, PRIORITY};
use crate::root::{REPLIES, Root, Start};
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
    let mut root = Root::new(Start {
        info,
        shared,
        pool,
        scratch: slots.take_run(2)?,
        slots,
        endpoint,
        console,
        console_service: console_service.map(|(service, _)| service),
        worker: worker.tcb,
        contexts,
    });
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
