//! The life of the root task: take stock, start, watch, power off.

use core::fmt;

use gritos_sys::abi::boot_image::{
    self, BootImage, Entry, EntryKind, FLAG_SEMIHOSTING, ImageError,
};
use gritos_sys::abi::boot_info::{BootInfo, ROOT_CNODE_SLOTS, slot};
use gritos_sys::abi::fault::FaultReply;
use gritos_sys::abi::message::Kind;
use gritos_sys::abi::{Address, Status};
use gritos_sys::cap::{AddressSpace, CNode, Endpoint, MemoryObject, Platform, Reply};
use gritos_sys::invoke::Permissions;
use gritos_sys::memory::Pool;
use gritos_sys::process::Creator;
use gritos_sys::rt;
use gritos_sys::slots::Slots;
use gritos_sys::{Cap, Error, Message, Wait, debug_println, ipc, shared};

use crate::component::{Component, ComponentState, Table};
use crate::report;

/// Where the boot image is mapped.
const IMAGE_ADDRESS: u64 = rt::IMMUTABLE_BASE;

/// Memory for translation tables of the root task's own AddressSpace.
const TABLE_BYTES: u64 = 64 << 10;

/// Why the root task cannot go on.
enum Trouble {
    Kernel(Error),
    Image(ImageError),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kernel(error) => write!(f, "{error}"),
            Self::Image(error) => write!(f, "the boot image is damaged: {error:?}"),
        }
    }
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Kernel(error)
    }
}

/// Runs the system until every component has ended.
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
    report::machine(info);
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
    report::image(&image);

    let own = pool.take(4096, &mut slots)?.untyped;
    let faults = own.create::<Endpoint>(slots.take()?)?;
    let reply = own.create::<Reply>(slots.take()?)?;
    let creator = Creator {
        space,
        tcb: Cap::at(Address::root(slot::TCB)),
        asids: Cap::at(Address::root(slot::ASID_CONTROL)),
        budgets: Cap::at(Address::root(slot::SCHED_CONTROL)),
        image: image_memory,
    };

    let mut table = Table::default();
    for entry in image.entries() {
        if entry.kind == EntryKind::Component as u32 {
            start(
                &mut table, &image, entry, &creator, faults, &mut pool, &mut slots,
            );
        }
    }
    watch(&mut table, &image, faults, reply);
    Ok(table.failed())
}

/// Starts one component. One that cannot be started is reported and counts as
/// failed; the others start all the same.
fn start(
    table: &mut Table,
    image: &BootImage<'_>,
    entry: Entry,
    creator: &Creator,
    faults: Cap<Endpoint>,
    pool: &mut Pool,
    slots: &mut Slots,
) {
    let Some(place) = table.add(entry) else {
        debug_println!("root: {}: too many components", entry.name());
        return;
    };
    match place.start(image, creator, faults, pool, slots) {
        Ok(()) => debug_println!("root: started {}", entry.name()),
        Err(error) => {
            place.state = ComponentState::Failed;
            debug_println!("root: {} was not started: {error}", entry.name());
        }
    }
}

/// Handles faults until no component runs.
fn watch(table: &mut Table, image: &BootImage<'_>, faults: Cap<Endpoint>, reply: Cap<Reply>) {
    while table.running() > 0 {
        let received = match faults.recv(Some(reply), &Wait::FOREVER) {
            Ok(received) => received,
            Err(error) if error.is(Status::Aborted) => continue,
            Err(error) => {
                debug_println!("root: cannot watch the components: {error}");
                return;
            }
        };
        if !received.is(Kind::Fault) {
            continue;
        }
        let Some(component) = table.by_badge(received.badge()) else {
            continue;
        };
        let answer = handle(component, image, &report::Fault::decode(&received));
        if let Err(error) = reply.reply(&answer) {
            debug_println!("root: {}: {error}", component.entry.name());
        }
    }
}

/// Decides about one fault.
fn handle(component: &mut Component, image: &BootImage<'_>, fault: &report::Fault) -> Message {
    let text = component.text(image);
    if let Some(exit) = text.and_then(|(bytes, base)| shared::error_exit(bytes, base, fault.pc)) {
        return Message::with(FaultReply::Jump as u64, [exit, fault.sp]);
    }
    component.state = match fault.breakpoint() {
        Some(rt::EXIT) => ComponentState::Ended,
        _ => ComponentState::Failed,
    };
    report::fault(component, fault);
    Message::new(FaultReply::Kill as u64)
}
