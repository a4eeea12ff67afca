//! The helper that makes and dismantles components, and writes reports.
//!
//! It does what takes long: memory is zeroed, programs are copied, trees of
//! capabilities revoked. It is as urgent as the most urgent component that it has
//! work for, so that none of this holds up anybody who is more urgent than that.
//! What it needs beside its task does not change while the system runs.

use core::fmt::{self, Write};

use gritos_service::idl::Outgoing;
use gritos_sys::abi::boot_image::BootImage;
use gritos_sys::abi::{Address, Status};
use gritos_sys::cap::{AddressSpace, CNode, Endpoint, Platform};
use gritos_sys::error::Operation;
use gritos_sys::process::{Creator, PROCESS_SLOTS};
use gritos_sys::slots::Slot;
use gritos_sys::{Cap, Error};
use gritos_system::{SERVICE_LIMIT, System};
use spin::Once;

use crate::devices::Devices;
use crate::grants::nth;
use crate::helper::{answer, ask};
use crate::make::Making;
use crate::report::{self, Fault};
use crate::stand_in;

/// The ends of a service that the root task holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Service {
    /// Every other capability to it comes from this one.
    pub(crate) all: Cap<Endpoint>,
    /// What the root task calls it by.
    pub(crate) administration: Cap<Endpoint>,
    /// The component that offers it; `None` for the root task.
    pub(crate) provider: Option<u16>,
}

/// What the root task and its worker know and nobody changes.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) image: BootImage<'static>,
    pub(crate) system: System<'static>,
    pub(crate) creator: Creator,
    pub(crate) cnode: Cap<CNode>,
    pub(crate) platform: Cap<Platform>,
    pub(crate) services: [Option<Service>; SERVICE_LIMIT],
    pub(crate) devices: Devices,
    /// Where helpers that call nobody fault.
    pub(crate) helper_faults: Cap<Endpoint>,
}

impl Shared {
    /// The capability that all others to a service come from.
    pub(crate) fn service_endpoint(&self, service: u16) -> Result<Cap<Endpoint>, Error> {
        self.services
            .get(usize::from(service))
            .copied()
            .flatten()
            .map(|service| service.all)
            .ok_or(Error::local(Status::OutOfRange, Operation::Load))
    }
}

/// It, once the root task has taken stock.
static SHARED: Once<Shared> = Once::new();

/// Keeps what does not change from now on.
pub(crate) fn share(shared: Shared) -> &'static Shared {
    SHARED.call_once(|| shared)
}

/// Tag of a call with which the worker wants its next task; `words[0]` is how the last ended.
pub(crate) const DONE: u64 = 0;
/// Tag of a call with a part of a report: up to 56 bytes, their number in the last word.
pub(crate) const REPORT: u64 = 1;
/// Bytes of such a part.
const PART: usize = 56;

/// Something to do.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Task {
    /// Write how a component failed.
    Report(u16, Fault),
    /// Delete the AddressSpace of a component, so that no thread of it runs.
    Stop(Cap<AddressSpace>),
    /// Take back what a component held.
    TakeBack(Remains),
    /// Make a component.
    Make(Making),
    /// Make the stand-in of a service out of the memory in the first slot, in the slots from the second on.
    StandIn(u16, Slot, Slot),
}

/// What is left of a component.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Remains {
    /// First slot of its grants' parents, and their number.
    pub(crate) grants: Option<(Slot, u16)>,
    /// The slot of its memory.
    pub(crate) memory: Option<Slot>,
    /// First slot of its process.
    pub(crate) run: Option<Slot>,
}

/// Two slots in a word.
fn pair(low: Option<Slot>, high: Option<Slot>) -> u64 {
    let word = |slot: Option<Slot>| u64::from(slot.map_or(Address::NULL, Slot::address).0);
    word(low) | word(high) << 32
}

/// A task as words.
pub(crate) fn job(task: &Task) -> Outgoing<0> {
    match *task {
        Task::Report(index, fault) => {
            let [address, pc, sp, syndrome] = fault.words();
            let first = u64::from(index) | u64::from(fault.tcb().address().0) << 32;
            answer(0, [first, fault.tag(), address, pc, sp, syndrome, 0, 0])
        }
        Task::Stop(space) => answer(1, [space.address().0.into(), 0, 0, 0, 0, 0, 0, 0]),
        Task::TakeBack(remains) => {
            let (grants, count) = match remains.grants {
                Some((slot, count)) => (Some(slot), count),
                None => (None, 0),
            };
            let slots = pair(remains.memory, remains.run);
            answer(2, [pair(grants, None), count.into(), slots, 0, 0, 0, 0, 0])
        }
        Task::Make(making) => {
            let memory = u64::from(making.memory.address().0);
            let faults = u64::from(making.faults.address().0);
            let words = [
                making.index.into(),
                memory | faults << 32,
                pair(Some(making.run), Some(making.grants)),
                pair(Some(making.scratch), None),
                making.generation.into(),
            ];
            let [index, caps, slots, scratch, generation] = words;
            answer(3, [index, caps, slots, scratch, generation, 0, 0, 0])
        }
        Task::StandIn(service, memory, run) => answer(
            4,
            [
                service.into(),
                pair(Some(memory), Some(run)),
                0,
                0,
                0,
                0,
                0,
                0,
            ],
        ),
    }
}

/// The task that words mean.
fn task_of(shared: &Shared, tag: u64, words: [u64; 8]) -> Option<Task> {
    let address = |half: u64| Address(half as u32);
    let slot = |half: u64| {
        let address = address(half);
        (address != Address::NULL).then_some(Slot::new(shared.cnode, address))
    };
    let [first, second, third, fourth, fifth, ..] = words;
    Some(match tag {
        0 => {
            let tcb = Cap::at(address(first >> 32));
            let words = [third, fourth, fifth, words[5]];
            Task::Report(first as u16, Fault::new(tcb, second, words))
        }
        1 => Task::Stop(Cap::at(address(first))),
        2 => Task::TakeBack(Remains {
            grants: slot(first).map(|slot| (slot, second as u16)),
            memory: slot(third),
            run: slot(third >> 32),
        }),
        3 => Task::Make(Making {
            index: first as u16,
            memory: Cap::at(address(second)),
            run: slot(third)?,
            grants: slot(third >> 32)?,
            scratch: slot(fourth)?,
            faults: Cap::at(address(second >> 32)),
            generation: fifth as u32,
        }),
        4 => Task::StandIn(first as u16, slot(second)?, slot(second >> 32)?),
        _ => return None,
    })
}

pub(crate) extern "C" fn run(asks: u64) -> ! {
    let root = Cap::<Endpoint>::at(Address(asks as u32));
    let mut result = Status::Ok as u64;
    loop {
        let (tag, words) = ask(root, DONE, [result, 0, 0, 0, 0, 0, 0, 0]);
        let mut out = Report::new(root);
        let task = SHARED
            .get()
            .and_then(|shared| Some((shared, task_of(shared, tag, words)?)));
        let done = match task {
            Some((shared, task)) => carry_out(shared, &task, &mut out),
            None => Err(Status::InvalidArgument as u8),
        };
        out.flush();
        result = done.map_or_else(u64::from, |()| Status::Ok as u64);
    }
}

fn carry_out(shared: &Shared, task: &Task, out: &mut Report) -> Result<(), u8> {
    let name = |index| shared.system.component(index).map_or("?", |spec| spec.name);
    let status = |error: Error| {
        error
            .status()
            .map_or_else(|number| number, |status| status as u8)
    };
    match *task {
        Task::Report(index, fault) => {
            if let Some(spec) = shared.system.component(index) {
                let entry = shared.entry_of(&spec);
                // The console takes everything.
                let _ = report::fault(out, &spec, entry.as_ref(), &fault);
            }
            Ok(())
        }
        Task::Stop(space) => {
            let space = Slot::new(shared.cnode, space.address());
            space.revoke().and_then(|()| space.delete()).map_err(status)
        }
        Task::TakeBack(remains) => take_back(&remains, out).map_err(status),
        Task::Make(making) => shared.make(&making).map_err(|error| {
            let _ = writeln!(out, "root: {} was not started: {error}", name(making.index));
            status(error)
        }),
        Task::StandIn(service, memory, run) => stand_in::make(shared, service, memory, run)
            .map_err(|error| {
                let _ = writeln!(out, "root: nobody answers for service {service}: {error}");
                status(error)
            }),
    }
}

fn take_back(remains: &Remains, out: &mut Report) -> Result<(), Error> {
    let mut result = Ok(());
    if let Some((run, count)) = remains.grants {
        for slot in (0..count).map(|position| nth(run, position)) {
            // An empty one, of a component that was not made to its end, is as it shall be.
            let _ = slot.revoke();
            result = result.and(slot.delete());
        }
    }
    if let Some(memory) = remains.memory
        && let Err(error) = memory.revoke()
    {
        let _ = writeln!(out, "root: memory of a component: {error}");
        result = Err(error);
    }
    if let Some(run) = remains.run {
        // All of it went with the memory but copies that were mapped from the image.
        let mut slots = (0..PROCESS_SLOTS).map(|position| nth(run, position));
        result = result.and(slots.try_for_each(Slot::delete));
    }
    result
}

/// Text on its way to the root task.
struct Report {
    root: Cap<Endpoint>,
    part: [u8; PART],
    length: usize,
}

impl Report {
    const fn new(root: Cap<Endpoint>) -> Self {
        Self {
            root,
            part: [0; PART],
            length: 0,
        }
    }

    fn flush(&mut self) {
        if self.length == 0 {
            return;
        }
        let mut words = [0; 8];
        for (word, bytes) in words.iter_mut().zip(self.part.chunks_exact(8)) {
            let mut whole = [0; 8];
            whole.copy_from_slice(bytes);
            *word = u64::from_le_bytes(whole);
        }
        words[7] = self.length as u64;
        ask(self.root, REPORT, words);
        self.length = 0;
    }
}

impl Write for Report {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for &byte in text.as_bytes() {
            if let Some(place) = self.part.get_mut(self.length) {
                *place = byte;
            }
            self.length += 1;
            if self.length == PART {
                self.flush();
            }
        }
        Ok(())
    }
}

/// The bytes of a part of a report.
pub(crate) fn part(words: [u64; 8]) -> ([u8; 64], usize) {
    let mut bytes = [0; 64];
    for (place, word) in bytes.chunks_exact_mut(8).zip(words) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    (bytes, (words[7] as usize).min(PART))
}
