//! Runs the tests, one process each.

use core::fmt::{self, Write};

use gritos_sys::abi::boot_image::{self, BootImage, Entry, EntryKind};
use gritos_sys::abi::boot_info::{Board, BootInfo, ROOT_CNODE_SLOTS, slot as root};
use gritos_sys::abi::message::Kind;
use gritos_sys::abi::method::MemoryType;
use gritos_sys::abi::{Address, ObjectType, Rights, Status};
use gritos_sys::cap::{AddressSpace, CNode, Endpoint, MemoryObject, Platform, Reply, Untyped};
use gritos_sys::invoke::{Permissions, Wanted};
use gritos_sys::memory::{Pool, Region};
use gritos_sys::process::{Creator, PROCESS_SLOTS, Plan, Process};
use gritos_sys::slots::{Slot, Slots};
use gritos_sys::{Cap, Error, Mask, Message, Received, Wait, debug_println, rt, time};

use crate::bench;
use crate::check::Failure;
use crate::env::{self, Env, slot};
use crate::protocol::event;
use crate::scenario::{self, Test};
use crate::watchdog::Watchdog;

/// Memory of a test: its own Untyped, its process, rounding.
const TEST_BYTES: u64 = 16 << 20;
/// Memory of the runner's own objects.
const OWN_BYTES: u64 = 4096;
/// Memory for translation tables of the runner's own AddressSpace.
const TABLE_BYTES: u64 = 64 << 10;
/// Rights of a test on its own text.
const TEXT_RIGHTS: Rights = Rights::READ.union(Rights::EXECUTE).union(Rights::MAP);
/// The entry of the boot image whose payload is the command line.
const COMMAND_LINE: &str = "cmdline";
/// The word of the command line that asks for measurements instead of tests.
const BENCH: &str = "bench";
/// Marks the argument of a process that measures.
const BENCH_ARGUMENT: u64 = 1 << 32;
/// Where the board stands in the argument of a process.
const BOARD_SHIFT: u32 = 40;

/// Physical address of the page with the UART's registers.
pub(crate) const fn uart_page(board: u64) -> u64 {
    if board == Board::RaspberryPi4 as u64 {
        0xfe20_1000
    } else {
        0x0900_0000
    }
}

/// Tags of the messages of a process to the runner.
const PASSED: u64 = 0;
const FAILED: u64 = 1;
/// 56 bytes of text, their number in the first word.
const TEXT: u64 = 2;
/// A line of results of a measurement is complete.
const RESULT: u64 = 3;

/// What the runner holds.
struct Runner<'a> {
    image: BootImage<'a>,
    program: Entry,
    creator: Creator,
    board: u64,
    /// Memory of devices: the page with the UART's registers.
    devices: Cap<Untyped>,
    watchdog: Watchdog,
    pool: Pool,
    slots: Slots,
    results: Cap<Endpoint>,
    reply: Cap<Reply>,
}

/// How a test ended.
type End = Result<(), Text>;

/// Text that a process sent, or that the runner found.
#[derive(Clone, Copy)]
struct Text {
    bytes: [u8; 256],
    len: usize,
}

impl Text {
    const EMPTY: Self = Self {
        bytes: [0; 256],
        len: 0,
    };

    fn of(what: fmt::Arguments<'_>) -> Self {
        let mut text = Self::EMPTY;
        let _ = text.write_fmt(what);
        text
    }

    fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..self.len).unwrap_or(&[]);
        core::str::from_utf8(bytes).unwrap_or("(no text)")
    }

    fn push(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if let Some(place) = self.bytes.get_mut(self.len) {
                *place = *byte;
                self.len += 1;
            }
        }
    }
}

impl Write for Text {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text.as_bytes());
        Ok(())
    }
}

/// The root task of the test image.
pub(crate) fn main(info: &'static BootInfo) {
    let platform = Cap::<Platform>::at(Address::root(root::PLATFORM));
    let exit_code = match Runner::new(info) {
        Ok(mut runner) => runner.run(),
        Err(error) => {
            event!("start setup");
            event!("fail setup {error}");
            event!("done 0 1");
            1
        }
    };
    // On a real board the loader waits behind a reset for the next image; switched off, it would want a hand.
    let ended = if info.flags & u64::from(boot_image::FLAG_SEMIHOSTING) != 0 {
        platform.power_off(exit_code)
    } else {
        platform.reset()
    };
    if let Err(error) = ended {
        debug_println!("tests: {error}; the machine stays on");
    }
}

impl Runner<'static> {
    fn new(info: &'static BootInfo) -> Result<Self, Error> {
        let space = Cap::<AddressSpace>::at(Address::root(root::ADDRESS_SPACE));
        let cnode = Cap::<CNode>::at(Address::root(root::CNODE));
        let first_free = u16::try_from(info.first_free_slot).unwrap_or(ROOT_CNODE_SLOTS);
        let mut slots = Slots::new(cnode, 0, first_free, ROOT_CNODE_SLOTS);
        let mut pool = Pool::from_boot_info(info);
        space.donate(pool.take(TABLE_BYTES, &mut slots)?.untyped)?;
        let memory = Cap::<MemoryObject>::at(Address::root(root::BOOT_IMAGE));
        memory.map_all(space, rt::IMMUTABLE_BASE, Permissions::Read)?;
        let damaged = Error::local(Status::InvalidArgument, gritos_sys::error::Operation::Load);
        let image = BootImage::parse(rt::immutable_bytes(memory)?, boot_image::crc32c)
            .map_err(|_| damaged)?;
        let program = image
            .entries()
            .find(|entry| entry.kind == EntryKind::Root as u32)
            .ok_or(damaged)?;
        let own = pool.take(OWN_BYTES, &mut slots)?.untyped;
        let results = own.create(slots.take()?)?;
        let reply = own.create(slots.take()?)?;
        // Broken off once, and the same piece for every test.
        let region = pool.take(TEST_BYTES, &mut slots)?;
        pool.give_back(region, &slots)?;
        let all_devices = device_memory(info);
        let watchdog = Watchdog::take(info, all_devices, space, &mut slots)?;
        // An Untyped of its own: the registers are handed out again for each test.
        let page = slots.take()?;
        let wanted = Wanted::one(ObjectType::Untyped, 4096).at(uart_page(info.board));
        all_devices.retype(wanted, page.cnode(), page.index())?;
        let creator = Creator {
            space,
            tcb: Cap::at(Address::root(root::TCB)),
            asids: Cap::at(Address::root(root::ASID_CONTROL)),
            budgets: Cap::at(Address::root(root::SCHED_CONTROL)),
            image: memory,
        };
        Ok(Self {
            image,
            program: as_component(program),
            creator,
            board: info.board,
            devices: page.cap(),
            watchdog,
            pool,
            slots,
            results,
            reply,
        })
    }

    /// Runs what the command line asks for; the exit code.
    fn run(&mut self) -> u64 {
        let filter = self.command_line();
        if filter == BENCH {
            return self.bench();
        }
        let (mut passed, mut failed) = (0, 0);
        for (number, test) in (0..).zip(scenario::all()) {
            if !test.name().contains(filter) {
                continue;
            }
            event!("start {}", test.name());
            match self.test(number, test) {
                Ok(()) => {
                    event!("pass {}", test.name());
                    passed += 1;
                }
                Err(reason) => {
                    event!("fail {} {}", test.name(), reason.as_str());
                    failed += 1;
                }
            }
        }
        event!("done {passed} {failed}");
        u64::from(failed > 0)
    }

    fn bench(&mut self) -> u64 {
        let mut failed = 0;
        for (number, bench) in (0..).zip(bench::ALL) {
            let test = Test::measurement(bench.name, bench.run);
            if let Err(reason) = self.test(BENCH_ARGUMENT | number, &test) {
                debug_println!("bench {}: {}", bench.name, reason.as_str());
                failed += 1;
            }
        }
        u64::from(failed > 0)
    }

    fn command_line(&self) -> &'static str {
        self.image
            .entries()
            .find(|entry| entry.name() == COMMAND_LINE)
            .and_then(|entry| self.image.payload(&entry))
            .and_then(|bytes| core::str::from_utf8(bytes).ok())
            .map_or("", str::trim)
    }

    /// Runs one test and cleans up behind it.
    fn test(&mut self, argument: u64, test: &Test) -> End {
        let slots_before = self.slots.free();
        let (region, first) = match self.provide() {
            Ok(provided) => provided,
            Err(error) => return Err(Text::of(format_args!("no memory: {error}"))),
        };
        let end = match self.start(argument, region, first) {
            Ok(()) => self.verdict(test),
            Err(error) => Err(Text::of(format_args!("no process: {error}"))),
        };
        let whole = self.clean_up(region, first);
        let leaked = slots_before - self.slots.free();
        match (end, whole) {
            (Ok(()), Err(reason)) => Err(reason),
            (Ok(()), Ok(())) if leaked > 0 => {
                Err(Text::of(format_args!("{leaked} slots are lost")))
            }
            (end, _) => end,
        }
    }

    fn provide(&mut self) -> Result<(Region, Slot), Error> {
        let region = self.pool.take(TEST_BYTES, &mut self.slots)?;
        Ok((region, self.slots.take_run(PROCESS_SLOTS)?))
    }

    fn start(&self, argument: u64, region: Region, first: Slot) -> Result<(), Error> {
        let untyped = region.untyped;
        let plan = Plan {
            cnode_slots: u32::from(env::CNODE_SLOTS),
            priority: (env::PRIORITY, env::CEILING),
            budget: (1_000_000_000, 1_000_000_000),
            fault: Some(self.results),
            ..Plan::default()
        };
        let process = self
            .creator
            .make(&self.image, &self.program, untyped, first, &plan)?;
        let cnode = process.cnode;
        cnode.copy(slot::CNODE, process.cnode, Mask::AS_HELD)?;
        cnode.copy(slot::TCB, process.tcb, Mask::AS_HELD)?;
        cnode.copy(slot::ADDRESS_SPACE, process.space, Mask::AS_HELD)?;
        cnode.copy(slot::CONTEXT, process.context, Mask::AS_HELD)?;
        cnode.copy(slot::SCHED_CONTROL, self.creator.budgets, Mask::AS_HELD)?;
        cnode.copy(slot::ASID_CONTROL, self.creator.asids, Mask::AS_HELD)?;
        cnode.copy(slot::TEXT, process.segment(0), Mask::only(TEXT_RIGHTS))?;
        cnode.copy(slot::IMAGE, self.creator.image, Mask::AS_HELD)?;
        let root_slot = |index| Cap::<MemoryObject>::at(Address::root(index));
        cnode.copy(
            slot::IRQ_CONTROL,
            root_slot(root::IRQ_CONTROL),
            Mask::AS_HELD,
        )?;
        // A test may read clock and log, and cannot switch the machine off.
        cnode.copy(
            slot::PLATFORM,
            root_slot(root::PLATFORM),
            Mask::only(Rights::READ),
        )?;
        cnode.copy(slot::RUNNER, self.results, Mask::only(Rights::SEND))?;
        let registers = Wanted::one(ObjectType::MemoryObject, 4096)
            .at(uart_page(self.board))
            .memory(MemoryType::Device);
        self.devices.retype(registers, cnode, slot::UART)?;
        let memory = Wanted::one(ObjectType::Untyped, env::UNTYPED_BYTES);
        untyped.retype(memory, cnode, slot::UNTYPED)?;
        process.start(argument | self.board << BOARD_SHIFT)
    }

    /// Waits for what the process has to say.
    fn verdict(&self, test: &Test) -> End {
        let deadline = time::after(test.limit);
        let mut text = Text::EMPTY;
        loop {
            self.watchdog.feed();
            let wait = Wait::until(self.watchdog.next_meal(deadline));
            let received = match self.results.recv(Some(self.reply), &wait) {
                Ok(received) => received,
                Err(error) if error.is(Status::TimedOut) && time::now() < deadline => continue,
                Err(error) if error.is(Status::TimedOut) => {
                    return Err(Text::of(format_args!(
                        "no verdict within {} ms",
                        test.limit / 1_000_000
                    )));
                }
                Err(error) => return Err(Text::of(format_args!("runner: {error}"))),
            };
            match (received.kind(), received.tag()) {
                (Ok(Kind::Fault), _) => return Err(fault_text(&received)),
                (_, TEXT) => append(&mut text, &received),
                (_, RESULT) => {
                    crate::protocol::send(
                        gritos_sys::abi::frame::Channel::Bench,
                        format_args!("{}", text.as_str()),
                    );
                    text = Text::EMPTY;
                }
                (_, PASSED) => return Ok(()),
                (_, FAILED) => return Err(text),
                (_, tag) => return Err(Text::of(format_args!("unknown message {tag}"))),
            }
            if let Err(error) = self.reply.reply(&Message::new(0)) {
                return Err(Text::of(format_args!("runner: {error}")));
            }
        }
    }

    /// Revokes the memory of a test and checks that nothing of it is left.
    fn clean_up(&mut self, region: Region, first: Slot) -> Result<(), Text> {
        let text = |error: Error| Text::of(format_args!("clean up: {error}"));
        let index = region.untyped.address().index();
        self.slots.slot(index).revoke().map_err(text)?;
        Process::forget(first, &mut self.slots).map_err(text)?;
        let info = region.untyped.info().map_err(text)?;
        if info.free != info.size {
            let lost = info.size - info.free;
            return Err(Text::of(format_args!("{lost} bytes of memory are lost")));
        }
        let devices = self.devices.info().map_err(text)?;
        if devices.free != devices.size {
            return Err(Text::of(format_args!("memory of a device is lost")));
        }
        let seen = self.slots.cnode().inspect(index).map_err(text)?;
        if seen.has_children || seen.object != Some(ObjectType::Untyped) {
            return Err(Text::of(format_args!("the Untyped is not alone: {seen:?}")));
        }
        // Nothing owes the runner's Reply anything any more.
        match self.results.poll(Some(self.reply), &Wait::FOREVER) {
            Err(error) if error.is(Status::WouldBlock) => {}
            other => return Err(Text::of(format_args!("a message is left: {other:?}"))),
        }
        self.pool.give_back(region, &self.slots).map_err(text)
    }
}

/// The Untyped with the devices.
fn device_memory(info: &BootInfo) -> Cap<Untyped> {
    let page = uart_page(info.board);
    let place = info.untyped.iter().position(|region| {
        region.device == 1 && (region.base..region.base + region.size).contains(&page)
    });
    let index = place.map_or(0, |place| root::UNTYPED_FIRST + place as u16);
    Cap::at(Address::root(index))
}

/// The root entry as a program for processes: stack pointer and stack segment
/// are the runner's own.
fn as_component(root: Entry) -> Entry {
    const STACK_BYTES: u64 = 64 << 10;
    Entry {
        segment_count: root.segment_count - 1,
        stack: STACK_BYTES,
        ..root
    }
}

fn append(text: &mut Text, received: &Received) {
    let [len, words @ ..] = received.words();
    let mut bytes = [0; 56];
    for (chunk, word) in bytes.chunks_exact_mut(8).zip(words) {
        chunk.copy_from_slice(&word.to_le_bytes());
    }
    let len = usize::try_from(len).unwrap_or(0);
    text.push(bytes.get(..len).unwrap_or(&bytes));
}

fn fault_text(received: &Received) -> Text {
    let [address, pc, sp, syndrome, ..] = received.words();
    if syndrome as u16 == rt::PANIC && received.tag() == 4 {
        return Text::of(format_args!("panicked, see the console"));
    }
    Text::of(format_args!(
        "fault {} at {address:#x}, pc {pc:#x}, sp {sp:#x}, syndrome {syndrome:#x}",
        received.tag()
    ))
}

/// A process of a test: runs it and tells the runner.
pub(crate) fn process(argument: u64) {
    let mut env = Env::new(argument >> BOARD_SHIFT);
    let number = argument as u32 as usize;
    let verdict = if argument & BENCH_ARGUMENT != 0 {
        bench::ALL.get(number).map(|bench| (bench.run)(&mut env))
    } else {
        scenario::all().nth(number).map(|test| (test.run)(&mut env))
    };
    let verdict =
        verdict.unwrap_or_else(|| Err(Failure::new(format_args!("there is no test {number}"))));
    let tag = match verdict {
        Ok(()) => PASSED,
        Err(failure) => {
            tell(failure.text());
            FAILED
        }
    };
    // If the runner does not listen, it finds out by its time limit.
    let _ = Env::RUNNER.call(&Message::new(tag), &Wait::FOREVER);
}

/// Sends text to the runner.
fn tell(text: &[u8]) {
    for part in text.chunks(56) {
        let mut words = [part.len() as u64, 0, 0, 0, 0, 0, 0, 0];
        for (word, bytes) in words.iter_mut().skip(1).zip(part.chunks(8)) {
            let mut padded = [0; 8];
            for (place, byte) in padded.iter_mut().zip(bytes) {
                *place = *byte;
            }
            *word = u64::from_le_bytes(padded);
        }
        let _ = Env::RUNNER.call(&Message::with(TEXT, words), &Wait::FOREVER);
    }
}

/// Sends the result of a measurement to the host.
pub(crate) fn tell_result(line: fmt::Arguments<'_>) {
    tell(Text::of(line).as_str().as_bytes());
    let _ = Env::RUNNER.call(&Message::new(RESULT), &Wait::FOREVER);
}
