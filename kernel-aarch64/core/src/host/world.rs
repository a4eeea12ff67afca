//! A booted system on the host: a root thread with every authority, which makes
//! whatever a test needs by real system calls.

use gritos_abi::boot_info::slot;
use gritos_abi::method::{self, ThreadState};
use gritos_abi::{ObjectType, Rights, Status, Syscall};

use super::{Ask, Got, HostKernel, HostMachine, HostStore, Progress, check, describe};
use crate::handle::{CNodeRef, ContextRef, ObjectRef, SlotRef, TcbRef, UNIT};
use crate::kernel::Kernel;
use crate::object::{Embed, Slot, Tag, flag};

/// Where the root's own objects lie: so near to its memory that a test can have both in one piece.
const HOME: u64 = 0x3fff_0000;
/// The root's memory: base and bytes.
pub(super) const RAM: (u64, u64) = (0x4000_0000, 16 << 20);
/// Registers of devices: base and bytes.
pub(super) const DEVICES: (u64, u64) = (0xfe00_0000, 1 << 20);
/// pc behind the `svc` of every system call.
pub(super) const PC: u64 = 0x1_0004;
/// pc of a thread whose system call will run again.
pub(super) const AGAIN: u64 = PC - 4;
/// Priority of threads, unless a test says otherwise.
pub const PRIORITY: u32 = 100;
/// Priority of the thread that a test has just chosen to act.
const FOCUS: u32 = 1;
/// Budget and period of threads: so long that it never ends by itself.
pub const SLICE_NS: u64 = 1_000_000_000;

/// A thread made by [`World::spawn`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thread {
    /// The TCB.
    pub tcb: TcbRef,
    /// Slot of its TCB capability in the root's CNode.
    pub cap: u32,
    /// Slot of the capability to its CNode there.
    pub cnode: u32,
    /// Slot of its scheduling context there; 0 if it is passive.
    pub context: u32,
}

/// The system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct World {
    /// The kernel.
    pub kernel: HostKernel,
    /// The root thread.
    pub root: TcbRef,
    focus: Option<TcbRef>,
    next_slot: u32,
}

impl World {
    /// Root CNode slots used by [`World::new`].
    pub const FIRST_FREE: u32 = 18;

    /// A root thread with `slots` slots, 16 MiB of Untyped, a device Untyped in
    /// the slot behind it, and every authority.
    ///
    /// # Panics
    /// If `slots` is too small.
    #[must_use]
    pub fn new(slots: u32) -> Self {
        let mut kernel: HostKernel = Kernel::new(HostStore::default(), HostMachine::default());
        let mut at = HOME;
        let mut make = |kernel: &mut HostKernel, object, bytes, tag: Tag| {
            let handle = handle(at);
            crate::store::Store::create(&mut kernel.store, handle, object, slots);
            kernel.header(handle).word.set(tag as u32);
            at += bytes;
            handle
        };
        let cnode = make(
            &mut kernel,
            ObjectType::CNode,
            64 * (u64::from(slots) + 1),
            Tag::CNode,
        );
        let tcb = make(&mut kernel, ObjectType::Tcb, 1152, Tag::Tcb);
        let context = make(
            &mut kernel,
            ObjectType::SchedulingContext,
            128,
            Tag::Context,
        );
        let cnode = CNodeRef::from(cnode);
        kernel.cnode(cnode).len.set(slots);
        let mut world = Self {
            kernel,
            root: tcb.into(),
            focus: None,
            next_slot: Self::FIRST_FREE,
        };
        let held = Rights::KERNEL.bits();
        for (index, object, number) in [
            (slot::CNODE, ObjectType::CNode, ObjectRef::from(cnode).raw()),
            (slot::TCB, ObjectType::Tcb, tcb.raw()),
            (
                slot::SCHED_CONTEXT,
                ObjectType::SchedulingContext,
                context.raw(),
            ),
            (slot::SCHED_CONTROL, ObjectType::SchedControl, 0),
            (slot::IRQ_CONTROL, ObjectType::IrqControl, 0),
            (slot::PLATFORM, ObjectType::Platform, 0),
            (slot::ASID_CONTROL, ObjectType::AsidControl, 0),
            (
                slot::UNTYPED_FIRST,
                ObjectType::Untyped,
                (RAM.0 / UNIT) as u32,
            ),
            (
                slot::UNTYPED_FIRST + 1,
                ObjectType::Untyped,
                (DEVICES.0 / UNIT) as u32,
            ),
        ] {
            let place = world.slot_ref(cnode, index.into());
            let s = world.kernel.slot(place);
            s.object.set(number);
            s.word.set(object as u32);
            s.rights.set(held);
            world.kernel.add_ref(place);
        }
        let grains = |bytes: u64| (bytes / crate::untyped::GRAIN) as u32;
        let ram = world.slot_ref(cnode, slot::UNTYPED_FIRST.into());
        world.kernel.slot(ram).badge.set(grains(RAM.1));
        let devices = world.slot_ref(cnode, u32::from(slot::UNTYPED_FIRST) + 1);
        world.kernel.slot(devices).badge.set(grains(DEVICES.1));
        world
            .kernel
            .slot(devices)
            .set(Slot::DEVICE | 2 << Slot::MEMORY_TYPE_SHIFT);
        world.start(cnode, context.into());
        world
    }

    fn slot_ref(&self, cnode: CNodeRef, index: u32) -> SlotRef {
        assert!(
            index < self.kernel.cnode(cnode).len.get(),
            "no slot {index}"
        );
        match cnode.slot(index) {
            Some(slot) => slot,
            None => panic!("no slot {index}"),
        }
    }

    fn start(&mut self, cnode: CNodeRef, context: ContextRef) {
        let root = self.root;
        self.kernel.init_tcb(root);
        let from = self.slot_ref(cnode, slot::CNODE.into());
        let to = root.slot(0);
        if let Some(to) = to {
            self.kernel.derive(from, to, Rights::KERNEL.bits(), 0);
            self.kernel.slot(to).set_embed(Embed::CSpace);
        }
        let c = self.kernel.context(context);
        c.budget.set(SLICE_NS);
        c.period.set(SLICE_NS);
        c.owner.set(Some(root));
        let t = self.kernel.tcb(root);
        t.set_root(cnode.slot(0), self.kernel.cnode(cnode).len.get());
        t.priority.set(PRIORITY);
        t.ceiling.set(0);
        t.header.clear(flag::PASSIVE);
        self.kernel.hold(root, Some(context));
        self.kernel.make_ready(root, false);
        self.kernel.reschedule();
        self.check();
    }

    /// Panics if an invariant does not hold.
    ///
    /// # Panics
    /// See above.
    pub fn check(&self) {
        // Where Miri looks for something else, this would take most of the time.
        if !cfg!(miri)
            && let Err(broken) = check(&self.kernel)
        {
            panic!("{broken}");
        }
    }

    /// The running thread.
    ///
    /// # Panics
    /// If none runs.
    #[must_use]
    pub fn current(&self) -> TcbRef {
        match self.kernel.cpu.current {
            Some(current) => current,
            None => panic!("no thread runs"),
        }
    }

    /// The running thread makes a system call, once.
    pub fn enter(&mut self, ask: &Ask) -> Progress {
        let caller = self.current();
        self.kernel.prepare(ask);
        self.system_call(ask.number);
        self.kernel.progress(caller)
    }

    /// Both paths, if the fast one applies: they must lead to the same.
    fn system_call(&mut self, number: u16) {
        if cfg!(miri) {
            return self.kernel.run_general(number);
        }
        let mut general = self.kernel.clone();
        general.run_general(number);
        if !self.kernel.run_fast(number) {
            self.kernel = general;
            return;
        }
        let (fast, slow) = (describe(&self.kernel), describe(&general));
        let differs = fast.iter().zip(&slow).position(|(f, s)| f != s);
        if let Some(at) = differs {
            let from = at.saturating_sub(6);
            panic!(
                "the fast path leads elsewhere: {:?} instead of {:?}",
                fast.get(from..=at),
                slow.get(from..=at)
            );
        }
        let next = self.current();
        assert_eq!(self.got(next).x, got(&general, next).x);
    }

    /// Gives `thread`, which must be ready, the processor: the thread chosen
    /// before goes back to its priority, and this one gets the best.
    ///
    /// # Panics
    /// If it cannot run.
    pub fn focus(&mut self, thread: TcbRef) {
        if self.focus != Some(thread) {
            if let Some(before) = self.focus.take() {
                self.set_priority(before, PRIORITY);
            }
            self.set_priority(thread, FOCUS);
            self.focus = Some(thread);
            self.kernel.reschedule();
        }
        assert_eq!(
            self.kernel.cpu.current,
            Some(thread),
            "the thread cannot run: {:?}",
            self.state(thread)
        );
    }

    /// The thread that a test chose last goes back to its priority.
    pub fn unfocus(&mut self) {
        if let Some(before) = self.focus.take() {
            self.set_priority(before, PRIORITY);
            self.kernel.reschedule();
        }
    }

    /// The root runs only while no other thread can: it is what the processor
    /// idles in, until [`focus`](Self::focus) calls it back.
    pub fn rest(&mut self) {
        self.unfocus();
        self.set_priority(self.root, 255);
        self.kernel.reschedule();
    }

    /// As `SetPriority` does.
    fn set_priority(&mut self, thread: TcbRef, priority: u32) {
        if !self.kernel.header(thread.into()).is(Tag::Tcb) {
            return;
        }
        let queued = self.kernel.tcb(thread).has(flag::QUEUED);
        if queued {
            self.kernel.dequeue(thread);
        }
        self.kernel.tcb(thread).priority.set(priority);
        if queued {
            self.kernel.admit(thread, false);
        }
    }

    /// `thread` makes a system call, again if it is preempted without an
    /// interrupt to serve.
    pub fn act(&mut self, thread: TcbRef, ask: &Ask) -> Progress {
        self.focus(thread);
        let mut progress = self.enter(ask);
        self.check();
        for _ in 0..10_000 {
            if progress != Progress::Again || self.kernel.cpu.current != Some(thread) {
                break;
            }
            progress = self.resume_call(ask.number);
            self.check();
        }
        progress
    }

    /// The running thread runs its preempted system call again.
    pub fn resume_call(&mut self, number: u16) -> Progress {
        let caller = self.current();
        self.system_call(number);
        self.kernel.progress(caller)
    }

    /// `thread` makes a system call that returns.
    ///
    /// # Panics
    /// If it does not return.
    pub fn ask(&mut self, thread: TcbRef, ask: &Ask) -> Got {
        let progress = self.act(thread, ask);
        assert_eq!(progress, Progress::Returned, "{ask:?}");
        self.got(thread)
    }

    /// `thread` makes a system call that succeeds.
    ///
    /// # Panics
    /// If it does not.
    pub fn succeed(&mut self, thread: TcbRef, ask: &Ask) -> Got {
        let got = self.ask(thread, ask);
        assert_eq!(got.status(), Status::Ok, "{ask:?}");
        got
    }

    /// `thread` makes a system call that is refused; nothing but its message
    /// registers changes.
    ///
    /// # Panics
    /// If it is not refused, or something changed.
    pub fn refuse(&mut self, thread: TcbRef, ask: &Ask) -> Status {
        self.focus(thread);
        let before = self.kernel.clone();
        let got = self.ask(thread, ask);
        assert_ne!(got.status(), Status::Ok, "{ask:?}");
        let change = super::message::difference(&before, &self.kernel, thread);
        assert_eq!(change, None, "a refused call changed something: {ask:?}");
        got.status()
    }

    /// `thread` makes a system call that waits.
    ///
    /// # Panics
    /// If it does not wait.
    pub fn wait(&mut self, thread: TcbRef, ask: &Ask) {
        let progress = self.act(thread, ask);
        let status = self.got(thread).outcome();
        assert_eq!(progress, Progress::Blocked, "{ask:?}: {status:?}");
    }

    /// `thread` makes a system call that waits, or returns at a time when it
    /// cannot run.
    ///
    /// # Panics
    /// If it goes on running.
    pub fn wait_or_wake(&mut self, thread: TcbRef, ask: &Ask) {
        self.act(thread, ask);
        assert_ne!(self.kernel.cpu.current, Some(thread), "{ask:?}");
    }

    /// The message registers of `thread`.
    #[must_use]
    pub fn got(&self, thread: TcbRef) -> Got {
        got(&self.kernel, thread)
    }

    /// What `thread` woke up with.
    ///
    /// # Panics
    /// If it did not wake up.
    #[must_use]
    pub fn woken(&self, thread: TcbRef) -> Got {
        let state = self.state(thread);
        let awake = matches!(state, ThreadState::Ready | ThreadState::Running);
        assert!(awake, "the thread is {state:?}");
        self.got(thread)
    }

    /// What `thread` does.
    #[must_use]
    pub fn state(&self, thread: TcbRef) -> ThreadState {
        self.kernel.visible_state(thread)
    }

    /// Time passes; the timer interrupt comes when it is due.
    pub fn sleep_until(&mut self, at: u64) {
        for _ in 0..1000 {
            let due = self.kernel.machine.timer;
            if due > at {
                break;
            }
            self.kernel.machine.now = due.max(self.kernel.machine.now);
            self.kernel.timer_interrupt();
            self.kernel.reschedule();
            self.check();
        }
        self.kernel.machine.now = at;
    }

    /// A slot of the root's CNode that is free, and `count - 1` behind it.
    pub fn free_slots(&mut self, count: u32) -> u32 {
        let first = self.next_slot;
        self.next_slot += count;
        first
    }

    /// The root makes `count` objects; the slot of the first.
    pub fn make(&mut self, object: ObjectType, size: u64, count: u32) -> u32 {
        let first = self.free_slots(count);
        self.succeed(
            self.root,
            &Ask::invoke(slot::UNTYPED_FIRST.into(), method::Untyped::Retype as u64)
                .words(&[object as u64, size, count.into(), first.into(), 0, 0])
                .cap(slot::CNODE.into(), 0, 0),
        );
        first
    }

    /// The capability in a slot of the root's CNode.
    #[must_use]
    pub fn root_cap(&self, index: u32) -> &Slot {
        self.cap_of(self.root, index)
    }

    /// The capability at an address of a thread's CSpace.
    ///
    /// # Panics
    /// If there is no such slot.
    #[must_use]
    pub fn cap_of(&self, thread: TcbRef, address: u32) -> &Slot {
        match self.kernel.lookup(thread, gritos_abi::Address(address)) {
            Ok(slot) => self.kernel.slot(slot),
            Err(status) => panic!("{address:#x}: {status:?}"),
        }
    }

    /// The root mints the capability in its slot `from` into slot `index` of
    /// the CNode in its slot `cnode`.
    pub fn give(&mut self, from: u32, cnode: u32, index: u32, rights: Rights, badge: u32) {
        self.succeed(
            self.root,
            &Ask::invoke(cnode, method::CNode::Mint as u64)
                .words(&[index.into()])
                .cap(from, rights.bits(), badge),
        );
    }

    /// The root makes a thread with a CNode of `slots` slots; its slot 1 is
    /// the CNode itself.
    ///
    /// # Panics
    /// If the root's CNode is full.
    pub fn spawn_passive(&mut self, slots: u32) -> Thread {
        let cnode = self.make(ObjectType::CNode, slots.into(), 1);
        let cap = self.make(ObjectType::Tcb, 0, 1);
        self.give(cnode, cnode, 1, Rights::AS_HELD, 0);
        let control = slot::TCB.into();
        for ask in [
            Ask::invoke(cap, method::Tcb::Configure as u64).cap(cnode, 0, 0),
            Ask::invoke(cap, method::Tcb::SetPriority as u64)
                .words(&[PRIORITY.into(), PRIORITY.into()])
                .cap(control, 0, 0),
            Ask::invoke(cap, method::Tcb::Resume as u64),
        ] {
            self.succeed(self.root, &ask);
        }
        let Some(tcb) = TcbRef::from_raw(self.root_cap(cap).object.get()) else {
            panic!("no thread was made");
        };
        Thread {
            tcb,
            cap,
            cnode,
            context: 0,
        }
    }

    /// As [`spawn_passive`](Self::spawn_passive), with a scheduling context.
    pub fn spawn(&mut self, slots: u32) -> Thread {
        let thread = self.spawn_passive(slots);
        let context = self.make(ObjectType::SchedulingContext, 0, 1);
        self.budget(context, SLICE_NS, SLICE_NS);
        self.succeed(
            self.root,
            &Ask::invoke(thread.cap, method::Tcb::BindContext as u64).cap(context, 0, 0),
        );
        Thread { context, ..thread }
    }

    /// The root sets budget and period of a scheduling context.
    pub fn budget(&mut self, context: u32, budget: u64, period: u64) {
        self.succeed(
            self.root,
            &Ask::invoke(
                slot::SCHED_CONTROL.into(),
                method::SchedControl::Configure as u64,
            )
            .words(&[budget, period])
            .cap(context, 0, 0),
        );
    }

    /// The root deletes the capability at `index` of the CNode in its slot
    /// `cnode`.
    pub fn delete(&mut self, cnode: u32, index: u32) {
        self.succeed(
            self.root,
            &Ask::invoke(cnode, method::CNode::Delete as u64).words(&[index.into()]),
        );
    }

    /// The root deletes what is derived from that capability.
    pub fn revoke(&mut self, cnode: u32, index: u32) {
        self.succeed(
            self.root,
            &Ask::invoke(cnode, method::CNode::Revoke as u64).words(&[index.into()]),
        );
    }

    /// The running thread goes behind the others of its priority.
    pub fn yield_now(&mut self) {
        self.enter(&Ask::new(Syscall::Yield));
        self.check();
    }

    /// Leaves the system to the threads made so far: the root stops for good.
    #[must_use]
    pub fn without_root(mut self) -> HostKernel {
        self.unfocus();
        let stop = Ask::invoke(slot::TCB.into(), method::Tcb::Kill as u64);
        self.act(self.root, &stop);
        self.unfocus();
        // Nobody will use its period any more; time need not count it down.
        if let Some(context) = self.kernel.context_of(self.root) {
            self.kernel.context(context).refill_at.set(0);
        }
        self.check();
        self.kernel
    }
}

/// The message registers of `thread`.
fn got(kernel: &HostKernel, thread: TcbRef) -> Got {
    let mut x = [0; 18];
    x.iter_mut()
        .zip(&kernel.tcb(thread).frame.x)
        .for_each(|(to, from)| *to = from.get());
    Got { x }
}

fn handle(address: u64) -> ObjectRef {
    match ObjectRef::from_raw((address / UNIT) as u32) {
        Some(handle) => handle,
        None => panic!("no handle for {address:#x}"),
    }
}
