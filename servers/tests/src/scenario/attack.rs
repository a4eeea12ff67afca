//! An unprivileged thread makes random system calls; the kernel stays alive and
//! its books stay right.
//!
//! The attackers share a CSpace of their own with one or more objects of each
//! type, and nothing that matters to the test. Their choices are biased: most
//! addresses name a slot that exists, most tags a method that exists. The test
//! fails unless every method succeeded often and every refusal occurred, but for
//! those few that are listed.

use gritos_sys::abi::message::CAP_SLOTS;
use gritos_sys::abi::method::ThreadState;
use gritos_sys::abi::{Address, CapsIn, Control, ObjectType, Rights, Status, Syscall, method};
use gritos_sys::cap::{
    AddressSpace, Any, CNode, Endpoint, Notification, Reply, SchedulingContext, Tcb,
};
use gritos_sys::raw::{RawCalls, Request, kernel};
use gritos_sys::thread::{Stack, ThreadBuilder};
use gritos_sys::{Cap, Mask, Message, Wait, debug_println, time};

use core::sync::atomic::{AtomicU32, Ordering};

use super::Test;
use crate::check::{Failure, Verdict, check, check_eq};
use crate::env::{ABOVE, BELOW, Env, add_cell, cell, eventually, low, pack, pause, set_cell};

/// The tests of this module: they take longer than others.
pub(crate) const TESTS: &[Test] = &[Test {
    path: concat!(module_path!(), "::a_million_random_calls"),
    run: a_million_random_calls,
    limit: 600_000_000_000,
}];

/// Calls in all.
const CALLS: u64 = 1_000_000;
/// Calls after which what they attack is renewed.
const CALLS_PER_ZOO: u64 = 1000;
/// Slots of the attackers' CNode: the zoo, and room for what they make.
const SLOTS: u16 = 64;
/// The zoo lies in the first slots.
const ZOO: u16 = 25;
/// What lies where in the zoo.
mod zoo {
    pub(super) const CNODE: u16 = 1;
    pub(super) const POTS: [u16; 2] = [2, 3];
    pub(super) const ENDPOINT: u16 = 4;
    pub(super) const BADGED: u16 = 5;
    pub(super) const NOTIFICATION: u16 = 6;
    pub(super) const REPLY: u16 = 7;
    pub(super) const OTHER_REPLY: u16 = 8;
    pub(super) const CONTEXT: u16 = 9;
    pub(super) const SPACE: u16 = 10;
    pub(super) const NEW_SPACE: u16 = 11;
    pub(super) const MEMORY: u16 = 12;
    pub(super) const READ_ONLY: u16 = 13;
    pub(super) const TCB: u16 = 14;
    pub(super) const OTHER_TCB: u16 = 15;
    pub(super) const SENDER: u16 = 16;
    pub(super) const INNER_CNODE: u16 = 17;
    pub(super) const SCHED_CONTROL: u16 = 18;
    pub(super) const IRQ_CONTROL: u16 = 19;
    pub(super) const PLATFORM: u16 = 20;
    pub(super) const ASID_CONTROL: u16 = 21;
    pub(super) const IRQ: u16 = 22;
    /// Untyped memory to be donated.
    pub(super) const GIFT: u16 = 23;
    /// Where a thread without time waits for messages that need none.
    pub(super) const SERVED: u16 = 24;
}

/// An interrupt that no device raises, for the handler in the zoo.
const SPARE_IRQ: u32 = 180;
/// How often each method must have succeeded.
const ENOUGH: u32 = 100;

static SUCCESSES: [[AtomicU32; 16]; 16] = [const { [const { AtomicU32::new(0) }; 16] }; 16];
static REFUSALS: [AtomicU32; 64] = [const { AtomicU32::new(0) }; 64];

/// xorshift64*; Vigna, "An experimental exploration of Marsaglia's xorshift
/// generators, scrambled".
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn pick<T: Copy>(&mut self, from: &[T], otherwise: T) -> T {
        let i = self.below(from.len() as u64) as usize;
        from.get(i).copied().unwrap_or(otherwise)
    }

    /// An address: mostly of a slot that exists.
    fn address(&mut self) -> Address {
        match self.below(24) {
            0 => Address(self.next() as u32),
            1 => Address::NULL,
            2 => Address::root(SLOTS + self.below(8) as u16),
            3 => Address::nested(self.below(8) as u16, self.below(8) as u16),
            4..12 => Address::root(1 + self.below(u64::from(SLOTS) - 1) as u16),
            _ => Address::root(1 + self.below(u64::from(ZOO) - 1) as u16),
        }
    }

    fn word(&mut self) -> u64 {
        let small = self.below(u64::from(SLOTS));
        let power = 1 << self.below(40);
        let any = self.next();
        self.pick(
            &[
                0,
                0,
                1,
                2,
                small,
                small,
                small,
                4096,
                64,
                power,
                power & !4095,
                u64::from(Rights::READ.bits()),
                3,
                200 + small,
                1_000_000,
                any,
            ],
            0,
        )
    }
}

/// A word that makes sense for a method, now and then.
fn arguments(random: &mut Random, object: ObjectType, tag: u64, words: &mut [u64; 8]) {
    use method as m;
    const PAGE: u64 = 4096;
    match object {
        ObjectType::Untyped if tag == m::Untyped::Retype as u64 => {
            let (made, size) = random.pick(
                &[
                    (ObjectType::Endpoint, 0),
                    (ObjectType::Notification, 0),
                    (ObjectType::Reply, 0),
                    (ObjectType::Tcb, 0),
                    (ObjectType::SchedulingContext, 0),
                    (ObjectType::AddressSpace, 0),
                    (ObjectType::MemoryObject, PAGE),
                    (ObjectType::Untyped, PAGE),
                    (ObjectType::CNode, 4),
                ],
                (ObjectType::Endpoint, 0),
            );
            let first = u64::from(ZOO) + random.below(u64::from(SLOTS - ZOO));
            let memory = if random.one_in(32) { 2 } else { 0 };
            let count = 1 + random.below(2);
            words[..6].copy_from_slice(&[made as u64, size, count, first, 0, memory]);
        }
        ObjectType::MemoryObject if tag == m::MemoryObject::Map as u64 => {
            let address = PAGE * (0x100 + random.below(32));
            let access = random.pick(&[1, 1, 3, 3, 5, 7], 1);
            words[..4].copy_from_slice(&[address, 0, 0, access]);
        }
        ObjectType::MemoryObject => words[0] = random.pick(&[1, 1, 3, 5, 7], 1),
        ObjectType::Tcb if tag == m::Tcb::ReadRegisters as u64 => {
            words[..2].copy_from_slice(&[random.below(30), 1 + random.below(8)]);
        }
        ObjectType::Tcb if tag == m::Tcb::WriteRegisters as u64 => {
            words[0] = random.below(30) | (1 + random.below(7)) << 8;
        }
        ObjectType::Tcb if tag == m::Tcb::SetPriority as u64 => {
            words[..2].copy_from_slice(&[254 + random.below(2), 254 + random.below(2)]);
        }
        ObjectType::Tcb if tag == m::Tcb::SetFlags as u64 => words[0] = random.below(3),
        ObjectType::SchedControl => {
            words[..2].copy_from_slice(&[1_000_000, 1_000_000 * (random.below(8) + 7) / 8]);
        }
        ObjectType::IrqControl => {
            let first = u64::from(ZOO) + random.below(u64::from(SLOTS - ZOO));
            words[..3].copy_from_slice(&[200 + random.below(16), first, random.below(2)]);
        }
        ObjectType::IrqHandler => words[0] = random.below(2),
        _ => {}
    }
}

/// Where a capability of the type that a method wants as an argument lies in
/// the zoo.
fn wanted(random: &mut Random, object: ObjectType, tag: u64, position: u32) -> Option<Address> {
    use method as m;
    let null_or = |index: u16, null: bool| if null { 0 } else { index };
    let index = match object {
        ObjectType::Untyped => zoo::CNODE,
        ObjectType::Tcb if tag == m::Tcb::Configure as u64 => {
            let null = random.one_in(2);
            match position {
                0 => null_or(zoo::INNER_CNODE, null),
                1 => null_or(random.pick(&[zoo::SPACE, zoo::NEW_SPACE], zoo::SPACE), null),
                _ => null_or(zoo::ENDPOINT, null),
            }
        }
        ObjectType::Tcb if tag == m::Tcb::SetPriority as u64 => zoo::TCB,
        ObjectType::Tcb if tag == m::Tcb::BindContext as u64 => zoo::CONTEXT,
        ObjectType::Tcb => zoo::NOTIFICATION,
        ObjectType::SchedControl => zoo::CONTEXT,
        ObjectType::AddressSpace => zoo::GIFT,
        ObjectType::MemoryObject => zoo::SPACE,
        ObjectType::IrqControl => zoo::CNODE,
        ObjectType::IrqHandler => zoo::NOTIFICATION,
        ObjectType::AsidControl => random.pick(&[zoo::NEW_SPACE, zoo::SPACE], zoo::SPACE),
        _ => return None,
    };
    Some(Address::root(index))
}

/// How many methods a type has.
fn methods(object: ObjectType) -> u64 {
    use method as m;
    let count = match object {
        ObjectType::Untyped => m::Untyped::ALL.len(),
        ObjectType::CNode => m::CNode::ALL.len(),
        ObjectType::Tcb => m::Tcb::ALL.len(),
        ObjectType::Notification => m::Notification::ALL.len(),
        ObjectType::SchedulingContext => m::SchedulingContext::ALL.len(),
        ObjectType::AddressSpace => m::AddressSpace::ALL.len(),
        ObjectType::MemoryObject => m::MemoryObject::ALL.len(),
        ObjectType::IrqHandler => m::IrqHandler::ALL.len(),
        ObjectType::SchedControl => m::SchedControl::ALL.len(),
        ObjectType::IrqControl => m::IrqControl::ALL.len(),
        ObjectType::Platform => m::Platform::ALL.len(),
        ObjectType::AsidControl => m::AsidControl::ALL.len(),
        ObjectType::Null | ObjectType::Endpoint | ObjectType::Reply => 0,
    };
    count as u64
}

/// What lies in a slot of the attackers' own CNode. With a deadline: where
/// their CNode was, there may be an endpoint by now.
fn type_of(address: Address) -> ObjectType {
    const OWN: Cap<Any> = Cap::at(Address::root(zoo::CNODE));
    if address.cnode() != 0 {
        return ObjectType::Null;
    }
    let inspect = Message::with(method::CNode::Inspect as u64, [u64::from(address.index())]);
    OWN.call_any(&inspect, &Wait::until(time::after(100_000)))
        .ok()
        .and_then(|seen| ObjectType::from_number(seen.words()[0] as u8))
        .unwrap_or(ObjectType::Null)
}

/// Makes one call; `undo` is a method to invoke next, because what it undoes has
/// just succeeded, and chance alone would seldom bring the two together.
fn one_call(random: &mut Random, undo: &mut Option<(Address, u64)>) {
    const CALLABLE: [Syscall; 7] = [
        Syscall::Call,
        Syscall::ReplyRecv,
        Syscall::SendAsync,
        Syscall::Recv,
        Syscall::Poll,
        Syscall::Reply,
        Syscall::Yield,
    ];
    let undone = undo.take().filter(|_| random.one_in(2));
    let call = if undone.is_none() && random.one_in(3) {
        random.pick(&CALLABLE, Syscall::Poll)
    } else {
        Syscall::Call
    };
    if random.one_in(500) {
        let returned = gritos_sys::svc::Svc::trap::<100>(Request::default());
        if returned.outcome.status() == Ok(Status::InvalidSyscall) {
            count(REFUSALS.get(Status::InvalidSyscall as usize));
        }
    }
    let message = call != Syscall::Call || random.one_in(6);
    let target = if message && !random.one_in(4) {
        let ends = [
            zoo::ENDPOINT,
            zoo::BADGED,
            zoo::SENDER,
            zoo::NOTIFICATION,
            zoo::SERVED,
        ];
        Address::root(random.pick(&ends, zoo::ENDPOINT))
    } else {
        random.address()
    };
    let target = undone.map_or(target, |(address, _)| address);
    let object = type_of(target);
    let tag = match methods(object) {
        _ if undone.is_some() => undone.map_or(0, |(_, tag)| tag),
        0 => random.below(16),
        _ if random.one_in(16) => random.below(20),
        count => random.below(count),
    };
    let mut words: [u64; 8] = core::array::from_fn(|_| random.word());
    if object == ObjectType::CNode && !random.one_in(8) {
        words[0] = u64::from(ZOO) + random.below(u64::from(SLOTS - ZOO));
    }
    if !random.one_in(8) {
        arguments(random, object, tag, &mut words);
    }
    let mut caps = CapsIn::default();
    for i in 0..CAP_SLOTS {
        let mask = if random.one_in(3) {
            random.next() as u32 & 0x3ff
        } else {
            0
        };
        let badge = if random.one_in(4) {
            random.below(4) as u32
        } else {
            0
        };
        let fitting = wanted(random, object, tag, i as u32).filter(|_| !random.one_in(8));
        caps = match fitting {
            Some(address) => caps.with(i, address, 0, 0),
            None => caps.with(i, random.address(), mask, badge),
        };
    }
    let mut control = Control::words(8)
        .with_caps(
            random.below(4) as u32,
            if random.one_in(4) {
                random.next() as u32
            } else {
                0
            },
        )
        .with_window(random.address(), random.below(5) as u32)
        // Whatever waits, waits a little only.
        .with_deadline();
    if random.one_in(64) {
        control = Control(random.next() | Control::DEADLINE);
    }
    let deadline = time::now() + random.below(10_000);
    let reply = if random.one_in(4) {
        random.address()
    } else {
        Address::root(random.pick(&[zoo::REPLY, zoo::OTHER_REPLY], zoo::REPLY))
    };
    let request = Request::new(target, tag, words, control).with_reply(reply);
    let returned = kernel().full(call, request, caps, deadline);
    match returned.outcome.status() {
        Ok(Status::Ok) if call == Syscall::Call => {
            if object == ObjectType::Tcb && tag == method::Tcb::BindNotification as u64 {
                *undo = Some((target, method::Tcb::UnbindNotification as u64));
            }
            count(
                SUCCESSES
                    .get(object as usize)
                    .and_then(|row| row.get(tag as usize)),
            );
        }
        Ok(Status::Ok) => {}
        Ok(status) => count(REFUSALS.get(status as usize)),
        Err(number) => {
            // The kernel answers with nothing that is not in the ABI.
            set_cell(5, 1000 + u64::from(number));
        }
    }
}

fn count(counter: Option<&AtomicU32>) {
    if let Some(counter) = counter {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// Makes calls until there were enough; cell 1 counts them, cell 2 those that
/// are through.
extern "C" fn attacker(seed: u64) -> ! {
    let mut random = Random(seed);
    let mut undo = None;
    while add_cell(1, 1) < CALLS {
        one_call(&mut random, &mut undo);
    }
    add_cell(2, 1);
    loop {
        pause(1_000_000_000);
    }
}

/// The attackers' CSpace: their own CNode, an object or two of each type, with
/// all rights or few. Memory of their own, to make more.
fn fill_zoo(
    env: &mut Env,
    cnode: Cap<CNode>,
    pot: Cap<gritos_sys::cap::Untyped>,
    served: Cap<Endpoint>,
) -> Verdict {
    let cnode_slot = |index| {
        gritos_sys::slots::Slot::new(cnode, Address::nested(cnode.address().index(), index))
    };
    let clear = |index: u16| cnode.delete(index);
    for index in 0..ZOO {
        clear(index)?;
    }
    cnode.copy(zoo::CNODE, cnode, Mask::AS_HELD)?;
    let [small, large] = zoo::POTS;
    pot.split(32 << 10, cnode_slot(small))?;
    pot.split(64 << 10, cnode_slot(large))?;
    pot.split(4096, cnode_slot(zoo::GIFT))?;
    pot.create::<Endpoint>(cnode_slot(zoo::ENDPOINT))?;
    let endpoint = nested::<Endpoint>(cnode, zoo::ENDPOINT);
    cnode.mint(zoo::BADGED, endpoint, Mask::AS_HELD, 9)?;
    cnode.copy(zoo::SENDER, endpoint, Mask::only(Rights::SEND))?;
    pot.create::<Notification>(cnode_slot(zoo::NOTIFICATION))?;
    pot.create::<Reply>(cnode_slot(zoo::REPLY))?;
    pot.create::<Reply>(cnode_slot(zoo::OTHER_REPLY))?;
    pot.create::<SchedulingContext>(cnode_slot(zoo::CONTEXT))?;
    let space = pot.create::<AddressSpace>(cnode_slot(zoo::SPACE))?;
    space.donate(pot.split(32 << 10, cnode_slot(zoo::NEW_SPACE))?)?;
    Env::ASIDS.assign(space)?;
    pot.create::<AddressSpace>(cnode_slot(zoo::NEW_SPACE))?;
    pot.create_memory(8192, cnode_slot(zoo::MEMORY))?;
    let read_only = Mask::only(Rights::READ | Rights::MAP);
    cnode.copy(zoo::READ_ONLY, nested::<Any>(cnode, zoo::MEMORY), read_only)?;
    pot.create::<Tcb>(cnode_slot(zoo::TCB))?;
    pot.create::<Tcb>(cnode_slot(zoo::OTHER_TCB))?;
    pot.create_cnode(8, cnode_slot(zoo::INNER_CNODE))?;
    cnode.copy(zoo::SCHED_CONTROL, Env::BUDGETS, Mask::AS_HELD)?;
    cnode.copy(zoo::IRQ_CONTROL, Env::IRQS, Mask::AS_HELD)?;
    cnode.copy(zoo::PLATFORM, Env::PLATFORM, Mask::AS_HELD)?;
    cnode.copy(zoo::ASID_CONTROL, Env::ASIDS, Mask::AS_HELD)?;
    Env::IRQS.get(SPARE_IRQ, false, cnode_slot(zoo::IRQ))?;
    cnode.copy(zoo::SERVED, served, Mask::only(Rights::SEND))?;
    let unused = env.slots.free();
    check!(unused > 0);
    Ok(())
}

/// Waits without a Reply: calls do not reach it, so that it never borrows time.
extern "C" fn waits(endpoint: u64) -> ! {
    loop {
        let _woken = low::<Endpoint>(endpoint).recv(None, &Wait::FOREVER);
    }
}

/// An endpoint at which a passive thread waits.
fn served_by_nobody(env: &mut Env) -> Verdict<Cap<Endpoint>> {
    let endpoint = env.make::<Endpoint>()?;
    let word = pack(endpoint, Cap::<Any>::at(Address::NULL));
    let thread = env.spawn(ABOVE, waits, word)?;
    env.expect_state(thread, ThreadState::BlockedIpcRecv)?;
    thread.unbind_context()?;
    Ok(endpoint)
}

/// Prints what an attacker does that makes no calls any more.
fn show(thread: Cap<Tcb>, context: Cap<SchedulingContext>) -> Verdict {
    use method::Register;
    let (info, time) = (thread.info()?, context.info()?);
    let [sp, pc, ..] = thread.read_registers(Register::Sp as u64, 2)?;
    let [x8, x9, x10, ..] = thread.read_registers(8, 3)?;
    debug_println!("attacker {info:?} {time:?}");
    debug_println!("  pc {pc:#x} sp {sp:#x} x8 {x8:#x} x9 {x9:#x} x10 {x10:#x}");
    Ok(())
}

fn nested<T>(cnode: Cap<CNode>, index: u16) -> Cap<T> {
    Cap::at(Address::nested(cnode.address().index(), index))
}

fn a_million_random_calls(env: &mut Env) -> Verdict {
    const ATTACKERS: u64 = 3;
    const POT_BYTES: u64 = 1 << 20;
    let pot = Env::UNTYPED.split(POT_BYTES, env.slot()?)?;
    let cnode = Env::UNTYPED.create_cnode(u32::from(SLOTS), env.slot()?)?;
    let served = served_by_nobody(env)?;
    fill_zoo(env, cnode, pot, served)?;
    // Something that must not change, out of their reach.
    let witness = env.make::<Notification>()?;
    witness.signal(0x5a5a)?;
    let mut threads = [None; ATTACKERS as usize];
    for (number, place) in (0..).zip(&mut threads) {
        let top = 0x2800_0000 + number * 0x1_0000;
        let stack = Stack::map(Env::UNTYPED, env.slot()?, Env::SPACE, top, 32 << 10)?;
        let thread = env.make::<Tcb>()?;
        let context = env.context(500_000, 500_000)?;
        ThreadBuilder::new(cnode, Env::SPACE)
            .priority(BELOW, BELOW, Env::TCB)
            .context(context)
            .build(
                thread,
                attacker as crate::env::Entry as usize as u64,
                stack.top,
                0x9e37_79b9_7f4a_7c15 + number,
            )?;
        thread.resume()?;
        *place = Some((thread, context));
    }
    // Renew what they break, so that there is always something to attack.
    let mut suspends = false;
    while cell(2) < ATTACKERS {
        let goal = cell(1) + CALLS_PER_ZOO;
        if !eventually(|| cell(1) >= goal || cell(2) == ATTACKERS) {
            for (thread, context) in threads.into_iter().flatten() {
                show(thread, context)?;
            }
            let calls = cell(1);
            return Err(Failure::new(format_args!(
                "nobody attacks after {calls} calls"
            )));
        }
        // Every second time whoever waits has its wait ended; else what it waits at goes away.
        suspends = !suspends;
        if suspends {
            for (thread, _) in threads.into_iter().flatten() {
                thread.suspend()?;
                thread.resume()?;
            }
        }
        env.revoke(pot)?;
        for index in ZOO..SLOTS {
            cnode.delete(index)?;
        }
        fill_zoo(env, cnode, pot, served)?;
    }
    check_eq!(cell(5), 0);
    check_eq!(witness.poll()?, 0x5a5a);
    env.revoke(cnode)?;
    env.revoke(pot)?;
    check_eq!(pot.info()?.free, POT_BYTES);
    report()
}

/// Methods that attackers cannot make succeed: they lack the rights, or the
/// machine has no more to give.
fn excused(object: ObjectType, tag: u64) -> bool {
    use method::Platform as P;
    match object {
        ObjectType::Platform => tag != P::Clock as u64 && tag != P::ReadLog as u64,
        ObjectType::MemoryObject => tag == method::MemoryObject::PhysicalAddress as u64,
        _ => false,
    }
}

/// The refusal that attackers cannot provoke: calls that a board may lack are
/// not theirs.
const UNREACHED: [Status; 1] = [Status::Unsupported];

fn report() -> Verdict {
    let mut rare = 0;
    let (mut method, mut refusal) = (None, None);
    for object in ObjectType::ALL {
        for tag in 0..methods(object) {
            let row = SUCCESSES.get(object as usize);
            let times = row
                .and_then(|row| row.get(tag as usize))
                .map_or(0, |counter| counter.load(Ordering::Relaxed));
            if times < ENOUGH && !excused(object, tag) {
                debug_println!("{object:?} method {tag} succeeded {times} times");
                method = method.or(Some((object, tag, times)));
                rare += 1;
            }
        }
    }
    for status in &Status::ALL[1..] {
        let times = REFUSALS
            .get(*status as usize)
            .map_or(0, |counter| counter.load(Ordering::Relaxed));
        if times == 0 && !UNREACHED.contains(status) {
            debug_println!("{status:?} never occurred");
            refusal = refusal.or(Some(*status));
            rare += 1;
        }
    }
    if rare > 0 {
        return Err(Failure::new(format_args!(
            "{rare} methods succeeded less than {ENOUGH} times or refusals never occurred, the first \
             of them {method:?} and {refusal:?}"
        )));
    }
    Ok(())
}
