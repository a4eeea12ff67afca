//! A byte string as system calls, interrupts and faults of a system's threads.

use std::collections::BTreeMap;
use std::vec::Vec;

use gritos_abi::boot_info::slot;
use gritos_abi::fault::FaultKind;
use gritos_abi::method;
use gritos_abi::{Address, ObjectType, Rights, Status, Syscall};

use super::Event;
use super::bytes::Bytes;
use super::choose::{Chooser, METHODS, refused_changes_nothing};
use crate::handle::TcbRef;
use crate::host::{Ask, Got, HostKernel, Progress, Thread, World, check, describe, facts};
use crate::object::Tag;

/// No run goes on beyond this time: counters do not overflow in practice.
const LATEST: u64 = 1 << 56;

/// What happened in a run.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// System calls made.
    pub calls: u64,
    /// Those that the fast path took.
    pub fast: u64,
    /// How often each status was the answer, by its number.
    pub answers: BTreeMap<u8, u64>,
    /// How often each method succeeded, by type and tag.
    pub succeeded: BTreeMap<(u8, u64), u64>,
    /// How often each system call on an endpoint, a notification or a Reply
    /// ended, well or not, by number.
    pub messages: BTreeMap<u16, u64>,
}

impl Tally {
    /// Methods that never succeeded, as type and tag.
    #[must_use]
    pub fn methods_missed(&self, at_least: u64) -> Vec<(ObjectType, u64)> {
        let all = METHODS
            .iter()
            .flat_map(|(o, n)| (0..*n as u64).map(|tag| (*o, tag)));
        let seen = |(o, tag): &(ObjectType, u64)| self.succeeded.get(&(*o as u8, *tag)).copied();
        all.filter(|m| seen(m).unwrap_or(0) < at_least).collect()
    }

    /// Statuses that never were the answer.
    #[must_use]
    pub fn statuses_missed(&self) -> Vec<Status> {
        let missed = |status: &Status| !self.answers.contains_key(&(*status as u8));
        Status::ALL.into_iter().filter(missed).collect()
    }
}

/// Boots a system and lets its threads do what `bytes` say. Whoever runs makes
/// the next system call. After each the whole invariant must hold, which is
/// looked at where the state is another, and now and then where it is not; a
/// refused call must have changed nothing; and where the fast path applies, it
/// must come to the same state as the general path.
///
/// # Panics
/// If one of these does not hold.
pub fn system_calls(bytes: &[u8], tally: &mut Tally) {
    system_calls_followed(bytes, tally, &mut |_, _| {});
}

/// The kernel that [`system_calls`] begins with.
#[must_use]
pub fn furnished_kernel() -> HostKernel {
    FURNISHED.with(|(world, _)| world.kernel.clone())
}

/// As [`system_calls`]; `follow` sees each event, and the kernel after it.
///
/// # Panics
/// As there.
pub fn system_calls_followed(
    bytes: &[u8],
    tally: &mut Tally,
    follow: &mut dyn FnMut(&Event, &HostKernel),
) {
    let (world, passive) = FURNISHED.with(Clone::clone);
    let mut run = Run {
        root: world.root,
        kernel: world.kernel,
        again: BTreeMap::new(),
        waiting: std::vec![passive],
        tally,
        follow,
    };
    let mut bytes = Bytes::new(bytes);
    let (mut checked, mut now) = (Vec::with_capacity(1024), Vec::with_capacity(1024));
    let mut steps = 0_u32;
    while !bytes.is_empty() {
        if !run.step(&mut bytes) {
            break;
        }
        // Where Miri looks for something else, this would take most of the time.
        if cfg!(miri) {
            continue;
        }
        now.clear();
        facts(&run.kernel, &mut now);
        steps += 1;
        if now == checked && !steps.is_multiple_of(UNCHANGED) {
            continue;
        }
        if let Err(broken) = check(&run.kernel) {
            panic!("{broken}");
        }
        std::mem::swap(&mut now, &mut checked);
    }
}

/// The invariant is looked at after so many steps even if the facts are the same: they leave out what should
/// not matter.
const UNCHANGED: u32 = 16;

std::thread_local! {
    /// Made once: making it costs as much as a run.
    static FURNISHED: (World, TcbRef) = furnished();
}

/// A root thread, two active threads and a passive one that waits, each with
/// capabilities of most types. The first runs; the last is returned.
fn furnished() -> (World, TcbRef) {
    let mut w = World::new(64);
    let endpoint = w.make(ObjectType::Endpoint, 0, 1);
    let notification = w.make(ObjectType::Notification, 0, 2);
    let replies = w.make(ObjectType::Reply, 0, 4);
    // One that can be mapped into, one without memory for tables, one without ASID.
    let space = w.make(ObjectType::AddressSpace, 0, 3);
    let tables = w.make(ObjectType::Untyped, 16 << 12, 1);
    let memory = w.make(ObjectType::MemoryObject, 8192, 1);
    w.make(ObjectType::Untyped, 1 << 20, 1);
    let handler = w.free_slots(1);
    let root = w.root;
    let cnode = u32::from(slot::CNODE);
    let asid = Ask::invoke(
        slot::ASID_CONTROL.into(),
        method::AsidControl::Assign as u64,
    );
    w.succeed(root, &asid.cap(space, 0, 0));
    w.succeed(root, &asid.cap(space + 1, 0, 0));
    let donate = Ask::invoke(space, method::AddressSpace::Donate as u64);
    w.succeed(root, &donate.cap(tables, 0, 0));
    let map = Ask::invoke(memory, method::MemoryObject::Map as u64);
    w.succeed(root, &map.words(&[0x10_0000, 0, 0, 1]).cap(space, 0, 0));
    let line = Ask::invoke(slot::IRQ_CONTROL.into(), method::IrqControl::Get as u64);
    w.succeed(root, &line.words(&[32, handler.into(), 0]).cap(cnode, 0, 0));

    let threads = [w.spawn(24), w.spawn(24), w.spawn_passive(24)];
    for (i, thread) in (1..).zip(threads) {
        w.give(endpoint, thread.cnode, 2, Rights::AS_HELD, 0);
        w.give(endpoint, thread.cnode, 3, Rights::SEND | Rights::GRANT, i);
        w.give(notification, thread.cnode, 4, Rights::AS_HELD, 1 << i);
        hand_over(&mut w, replies + i, thread.cnode, 5);
        w.give(memory, thread.cnode, 6, Rights::AS_HELD, 0);
        w.give(space, thread.cnode, 7, Rights::AS_HELD, 0);
        w.give(threads[0].cap, thread.cnode, 8, Rights::AS_HELD, 0);
        w.give(threads[2].cap, thread.cnode, 9, Rights::AS_HELD, 0);
        w.give(handler, thread.cnode, 10, Rights::AS_HELD, 0);
        w.give(endpoint, thread.cnode, 11, Rights::SEND | Rights::RECV, i);
        w.give(memory, thread.cnode, 12, Rights::READ | Rights::MAP, 0);
    }
    // An endpoint that has no other capability.
    let own = w.make(ObjectType::Endpoint, 0, 1);
    hand_over(&mut w, own, threads[0].cnode, 13);
    let fault_handled = Ask::invoke(threads[1].cap, method::Tcb::Suspend as u64);
    w.succeed(root, &fault_handled);
    let configure = Ask::invoke(threads[1].cap, method::Tcb::Configure as u64);
    w.succeed(
        root,
        &configure.cap(0, 0, 0).cap(0, 0, 0).cap(endpoint, 0, 77),
    );
    w.succeed(
        root,
        &Ask::invoke(threads[1].cap, method::Tcb::Resume as u64),
    );
    wait_passive(&mut w, threads[2]);
    w.unfocus();
    (w, threads[2].tcb)
}

/// The root moves its capability in slot `from`: there is no other then.
fn hand_over(w: &mut World, from: u32, cnode: u32, index: u64) {
    let ask = Ask::invoke(cnode, method::CNode::Move as u64);
    w.succeed(w.root, &ask.words(&[index]).cap(from, 0, 0));
}

/// The passive thread gets as far as its first receive on a context that is
/// then taken away.
fn wait_passive(w: &mut World, thread: Thread) {
    let context = w.make(ObjectType::SchedulingContext, 0, 1);
    w.budget(context, 1_000_000, 1_000_000);
    let bind = Ask::invoke(thread.cap, method::Tcb::BindContext as u64);
    w.succeed(w.root, &bind.cap(context, 0, 0));
    w.wait(thread.tcb, &Ask::recv(2, 5).window(16, 4));
    w.succeed(
        w.root,
        &Ask::invoke(thread.cap, method::Tcb::UnbindContext as u64),
    );
}

struct Run<'a> {
    kernel: HostKernel,
    root: TcbRef,
    /// Numbers of the system calls of threads that were preempted in one.
    again: BTreeMap<TcbRef, u16>,
    /// Threads that were blocked when they were last looked at.
    waiting: Vec<TcbRef>,
    tally: &'a mut Tally,
    follow: &'a mut dyn FnMut(&Event, &HostKernel),
}

impl Run<'_> {
    fn happen(&mut self, event: Event) {
        event.happen(&mut self.kernel);
        (self.follow)(&event, &self.kernel);
    }

    /// One event; whether anything can happen after it.
    fn step(&mut self, bytes: &mut Bytes<'_>) -> bool {
        self.count_woken();
        let Some(current) = self.kernel.cpu.current else {
            return self.idle(bytes);
        };
        if self.kernel.is_again() {
            // What was preempted runs again before its thread does anything else.
            let number = self.again.get(&current).copied().unwrap_or_default();
            self.happen(Event::Again(number));
            return true;
        }
        match bytes.below(32) {
            0 => self.pass_time(bytes),
            1 => {
                let line = 32 + bytes.below(4) as u32;
                self.happen(Event::Interrupt(line));
            }
            2 if bytes.one_in(4) => {
                let kind = [
                    FaultKind::DataAbort,
                    FaultKind::Undefined,
                    FaultKind::FpAccess,
                ];
                let kind = kind
                    .get(bytes.below(3))
                    .copied()
                    .unwrap_or(FaultKind::Other);
                let (address, details) = (bytes.number(), bytes.byte().into());
                self.happen(Event::Fault(kind, address, details));
            }
            3 => {
                let after = bytes.below(6) as u32;
                self.happen(Event::PreemptAfter(after));
            }
            4..=7 => self.happen(Event::Call(Ask::yield_now())),
            _ => {
                let kernel = &self.kernel;
                let busy = current == self.root;
                let ask = Chooser {
                    bytes,
                    kernel,
                    actor: current,
                    busy,
                }
                .ask();
                self.call(current, &ask);
            }
        }
        true
    }

    /// Nobody runs: time passes, or a device wants something.
    fn idle(&mut self, bytes: &mut Bytes<'_>) -> bool {
        let machine = &self.kernel.machine;
        if machine.timer > LATEST {
            let line = 32 + bytes.below(4) as u32;
            self.happen(Event::Interrupt(line));
            return self.kernel.cpu.current.is_some();
        }
        self.happen(Event::Now(machine.now.max(machine.timer)));
        self.happen(Event::Timer);
        true
    }

    fn pass_time(&mut self, bytes: &mut Bytes<'_>) {
        let machine = &self.kernel.machine;
        let (now, due) = (machine.now, machine.timer);
        let later = now + bytes.of(&[1, 10, 100, 1000, 100_000, 400_000_000]);
        let later = later.min(due.max(now));
        self.happen(Event::Now(later));
        if later >= due {
            self.happen(Event::Timer);
        }
    }

    fn call(&mut self, caller: TcbRef, ask: &Ask) {
        let target = self.type_at(caller, Address(ask.x[8] as u32));
        self.kernel.prepare(ask);
        // Under Miri, copies would take most of the time, too.
        let before = (!cfg!(miri)).then(|| self.kernel.clone());
        self.happen(Event::Call(*ask));
        self.tally.calls += 1;
        match self.kernel.progress(caller) {
            Progress::Again => {
                self.again.insert(caller, ask.number);
            }
            Progress::Returned => {
                let status = registers(&self.kernel, caller).status();
                self.count(ask, target, status);
                if let Some(before) = &before
                    && status != Status::Ok
                    && refused_changes_nothing(ask, target)
                {
                    self.compare_refused(before, caller, ask);
                }
            }
            Progress::Blocked => self.waiting.push(caller),
            Progress::Stopped => {}
        }
        if let Some(before) = before {
            self.compare_fast(before, ask);
        }
    }

    /// Nothing but the caller's registers may have changed, unless something else went on meanwhile.
    fn compare_refused(&self, before: &HostKernel, caller: TcbRef, ask: &Ask) {
        let comparable = self.kernel.cpu.current == Some(caller)
            && before.dying.is_none()
            && before.revoking.is_none()
            && before.machine.preempt_after.get().is_none();
        if comparable {
            let pc = self.kernel.tcb(caller).frame.pc.get();
            before.tcb(caller).frame.pc.set(pc);
            same(
                before,
                &self.kernel,
                "a refused call changed something",
                ask,
            );
        }
    }

    fn compare_fast(&mut self, mut before: HostKernel, ask: &Ask) {
        if !before.run_fast(ask.number) {
            return;
        }
        self.tally.fast += 1;
        same(&before, &self.kernel, "fast and general path differ", ask);
        if let Some(current) = self.kernel.cpu.current {
            let (fast, general) = (
                registers(&before, current),
                registers(&self.kernel, current),
            );
            assert_eq!(
                fast, general,
                "fast and general path answer differently: {ask:x?}"
            );
        }
    }

    fn type_at(&self, thread: TcbRef, address: Address) -> ObjectType {
        let slot = self.kernel.lookup(thread, address);
        slot.map_or(ObjectType::Null, |slot| {
            self.kernel.slot(slot).object_type()
        })
    }

    /// The answers of threads that waited and woke up.
    fn count_woken(&mut self) {
        let Self {
            kernel,
            waiting,
            tally,
            ..
        } = self;
        waiting.retain(|thread| match kernel.progress(*thread) {
            Progress::Returned => {
                // Somebody may have written its registers while it was stopped.
                if let Ok(status) = registers(kernel, *thread).outcome().status() {
                    *tally.answers.entry(status as u8).or_default() += 1;
                }
                false
            }
            Progress::Blocked => true,
            Progress::Stopped => kernel.header((*thread).into()).is(Tag::Tcb),
            Progress::Again => false,
        });
    }

    fn count(&mut self, ask: &Ask, target: ObjectType, status: Status) {
        *self.tally.answers.entry(status as u8).or_default() += 1;
        let invokes = ask.number == Syscall::Call as u16 && target != ObjectType::Endpoint;
        if !invokes {
            *self.tally.messages.entry(ask.number).or_default() += 1;
        } else if status == Status::Ok {
            *self
                .tally
                .succeeded
                .entry((target as u8, ask.x[9]))
                .or_default() += 1;
        }
    }
}

fn registers(kernel: &HostKernel, thread: TcbRef) -> Got {
    let mut x = [0; 18];
    let frame = &kernel.tcb(thread).frame;
    x.iter_mut()
        .zip(&frame.x)
        .for_each(|(to, from)| *to = from.get());
    Got { x }
}

/// Panics unless both are the same as far as it matters.
fn same(one: &HostKernel, other: &HostKernel, what: &str, ask: &Ask) {
    let (mut a, mut b) = (Vec::with_capacity(1024), Vec::with_capacity(1024));
    facts(one, &mut a);
    facts(other, &mut b);
    if a != b {
        let (a, b) = (describe(one), describe(other));
        let lines: Vec<_> = a.iter().zip(&b).filter(|(a, b)| a != b).take(4).collect();
        panic!("{what}: {ask:x?}: {lines:?}");
    }
}
