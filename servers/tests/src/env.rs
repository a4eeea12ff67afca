//! What a test finds in its process: capabilities in fixed slots, memory, free
//! slots, and short ways to make objects and threads of them.

use core::sync::atomic::{AtomicU64, Ordering};

use gritos_sys::abi::method::ThreadState;
use gritos_sys::abi::{Address, ObjectType, Rights};
use gritos_sys::cap::{
    AddressSpace, AsidControl, CNode, Endpoint, FixedSize, IrqControl, MemoryObject, Platform,
    Reply, SchedControl, SchedulingContext, Tcb, Untyped,
};
use gritos_sys::slots::{Slot, Slots};
use gritos_sys::thread::{Stack, ThreadBuilder};
use gritos_sys::{Cap, Mask, ipc, time};

use crate::check::{Failure, Verdict};

/// Slots of a test's CNode that the runner fills. What a component has is where
/// a component has it, for the libraries that look there.
pub(crate) mod slot {
    use gritos_sys::environment;

    pub(crate) const CNODE: u16 = environment::slot::CNODE;
    pub(crate) const TCB: u16 = environment::slot::TCB;
    pub(crate) const ADDRESS_SPACE: u16 = environment::slot::ADDRESS_SPACE;
    pub(crate) const UNTYPED: u16 = environment::slot::MEMORY;
    pub(crate) const SCHED_CONTROL: u16 = 5;
    pub(crate) const IRQ_CONTROL: u16 = 6;
    pub(crate) const PLATFORM: u16 = 7;
    pub(crate) const ASID_CONTROL: u16 = 8;
    pub(crate) const CONTEXT: u16 = 9;
    pub(crate) const RUNNER: u16 = 10;
    pub(crate) const IMAGE: u16 = 11;
    pub(crate) const TEXT: u16 = 12;
    pub(crate) const UART: u16 = 13;
    pub(crate) const FIRST_FREE: u16 = 16;
}

/// Slots of a test's CNode.
pub(crate) const CNODE_SLOTS: u16 = 1024;
/// The last of them, which a test gives to libraries as free slots.
const LIBRARY_SLOTS: u16 = 128;
/// Memory that a test gets as one Untyped.
pub(crate) const UNTYPED_BYTES: u64 = 8 << 20;
/// Priority of a test's first thread.
pub(crate) const PRIORITY: u8 = 100;
/// Highest priority that a test can give.
pub(crate) const CEILING: u8 = 64;
/// Runs at once when it becomes able to, before the test goes on.
pub(crate) const ABOVE: u8 = 90;
/// Runs only while the test waits.
pub(crate) const BELOW: u8 = 110;

/// Period and budget of helper threads: no end in sight.
const SLICE: u64 = 1_000_000_000;
const STACK_BYTES: u64 = 16 << 10;
const STACKS: u64 = 0x2000_0000;
const STACK_DISTANCE: u64 = 32 << 10;

/// Words that the threads of a test share, zero at the start.
pub(crate) static CELLS: [AtomicU64; 64] = [const { AtomicU64::new(0) }; 64];

/// Value of a shared word.
pub(crate) fn cell(i: usize) -> u64 {
    CELLS.get(i).map_or(0, |cell| cell.load(Ordering::SeqCst))
}

/// Sets a shared word.
pub(crate) fn set_cell(i: usize, value: u64) {
    if let Some(cell) = CELLS.get(i) {
        cell.store(value, Ordering::SeqCst);
    }
}

/// Adds to a shared word and returns what it was.
pub(crate) fn add_cell(i: usize, value: u64) -> u64 {
    CELLS
        .get(i)
        .map_or(0, |cell| cell.fetch_add(value, Ordering::SeqCst))
}

/// What helper threads run: it gets one word and does not return.
pub(crate) type Entry = extern "C" fn(u64) -> !;

/// Two capabilities in the one word that a thread gets.
pub(crate) fn pack<A, B>(low: Cap<A>, high: Cap<B>) -> u64 {
    u64::from(low.address().0) | u64::from(high.address().0) << 32
}

/// The capability in the lower half of that word.
pub(crate) fn low<T>(word: u64) -> Cap<T> {
    Cap::at(Address(word as u32))
}

/// The capability in the upper half.
pub(crate) fn high<T>(word: u64) -> Cap<T> {
    Cap::at(Address((word >> 32) as u32))
}

/// The surroundings of a test.
#[derive(Debug)]
pub(crate) struct Env {
    /// Free slots of its CNode.
    pub(crate) slots: Slots,
    /// The board, a `gritos_abi::boot_info::Board` number.
    pub(crate) board: u64,
    stacks: u64,
}

const fn own<T>(slot: u16) -> Cap<T> {
    Cap::at(Address::root(slot))
}

impl Env {
    /// The surroundings at the start.
    pub(crate) fn new(board: u64) -> Self {
        Self {
            board,
            slots: Slots::new(
                own(slot::CNODE),
                0,
                slot::FIRST_FREE,
                CNODE_SLOTS - LIBRARY_SLOTS,
            ),
            stacks: 0,
        }
    }

    /// Lets libraries take slots, as in a component.
    pub(crate) fn provide_slots(&self) {
        gritos_sys::slots::own::provide(CNODE_SLOTS - LIBRARY_SLOTS, CNODE_SLOTS);
    }

    pub(crate) const CNODE: Cap<CNode> = own(slot::CNODE);
    pub(crate) const TCB: Cap<Tcb> = own(slot::TCB);
    pub(crate) const SPACE: Cap<AddressSpace> = own(slot::ADDRESS_SPACE);
    pub(crate) const BUDGETS: Cap<SchedControl> = own(slot::SCHED_CONTROL);
    pub(crate) const IRQS: Cap<IrqControl> = own(slot::IRQ_CONTROL);
    pub(crate) const PLATFORM: Cap<Platform> = own(slot::PLATFORM);
    pub(crate) const ASIDS: Cap<AsidControl> = own(slot::ASID_CONTROL);
    pub(crate) const UNTYPED: Cap<Untyped> = own(slot::UNTYPED);
    pub(crate) const RUNNER: Cap<Endpoint> = own(slot::RUNNER);
    pub(crate) const IMAGE: Cap<MemoryObject> = own(slot::IMAGE);
    /// The registers of the UART, not mapped.
    pub(crate) const UART: Cap<MemoryObject> = own(slot::UART);
    /// The text of the program, not mapped through this capability.
    pub(crate) const TEXT: Cap<MemoryObject> = own(slot::TEXT);

    /// An empty slot.
    #[track_caller]
    pub(crate) fn slot(&mut self) -> Verdict<Slot> {
        Ok(self.slots.take()?)
    }

    /// A new object.
    #[track_caller]
    pub(crate) fn make<T: FixedSize>(&mut self) -> Verdict<Cap<T>> {
        Ok(Self::UNTYPED.create(self.slots.take()?)?)
    }

    /// A new endpoint and a Reply.
    #[track_caller]
    pub(crate) fn endpoint_and_reply(&mut self) -> Verdict<(Cap<Endpoint>, Cap<Reply>)> {
        Ok((self.make()?, self.make()?))
    }

    /// New memory of so many bytes.
    #[track_caller]
    pub(crate) fn memory(&mut self, bytes: u64) -> Verdict<Cap<MemoryObject>> {
        Ok(Self::UNTYPED.create_memory(bytes, self.slots.take()?)?)
    }

    /// A copy with these rights only.
    #[track_caller]
    pub(crate) fn copy<T>(&mut self, cap: Cap<T>, rights: Rights) -> Verdict<Cap<T>> {
        Ok(self.slots.take()?.copy(cap, Mask::only(rights))?)
    }

    /// A copy with these rights and this badge.
    #[track_caller]
    pub(crate) fn mint<T>(&mut self, cap: Cap<T>, rights: Rights, badge: u32) -> Verdict<Cap<T>> {
        Ok(self.slots.take()?.mint(cap, Mask::only(rights), badge)?)
    }

    /// Empties a slot of this CSpace.
    pub(crate) fn delete<T>(&self, cap: Cap<T>) -> Result<(), gritos_sys::Error> {
        Self::CNODE.delete(cap.address().index())
    }

    /// Revokes a capability of this CSpace.
    pub(crate) fn revoke<T>(&self, cap: Cap<T>) -> Result<(), gritos_sys::Error> {
        Self::CNODE.revoke(cap.address().index())
    }

    /// A scheduling context of so many nanoseconds per period.
    #[track_caller]
    pub(crate) fn context(&mut self, budget: u64, period: u64) -> Verdict<Cap<SchedulingContext>> {
        let context = self.make()?;
        Self::BUDGETS.configure(context, budget, period)?;
        Ok(context)
    }

    /// A thread with a context and no fault handler, running.
    #[track_caller]
    pub(crate) fn spawn(&mut self, priority: u8, entry: Entry, argument: u64) -> Verdict<Cap<Tcb>> {
        let tcb = self.thread(priority, entry, argument, None)?;
        tcb.resume()?;
        Ok(tcb)
    }

    /// A thread with a context and a fault handler, running.
    #[track_caller]
    pub(crate) fn spawn_watched(
        &mut self,
        priority: u8,
        entry: Entry,
        argument: u64,
        handler: Cap<Endpoint>,
    ) -> Verdict<Cap<Tcb>> {
        let tcb = self.thread(priority, entry, argument, Some(handler))?;
        tcb.resume()?;
        Ok(tcb)
    }

    /// A thread with a context that was not resumed.
    #[track_caller]
    pub(crate) fn thread(
        &mut self,
        priority: u8,
        entry: Entry,
        argument: u64,
        handler: Option<Cap<Endpoint>>,
    ) -> Verdict<Cap<Tcb>> {
        let context = self.context(SLICE, SLICE)?;
        let tcb = self.passive_thread(priority, entry, argument, handler)?;
        tcb.bind_context(context)?;
        Ok(tcb)
    }

    /// A thread without a context that was not resumed.
    #[track_caller]
    pub(crate) fn passive_thread(
        &mut self,
        priority: u8,
        entry: Entry,
        argument: u64,
        handler: Option<Cap<Endpoint>>,
    ) -> Verdict<Cap<Tcb>> {
        self.stacks += 1;
        let top = STACKS + self.stacks * STACK_DISTANCE;
        let slot = self.slots.take()?;
        let stack = Stack::map(Self::UNTYPED, slot, Self::SPACE, top, STACK_BYTES)?;
        let tcb = self.make::<Tcb>()?;
        let mut builder =
            ThreadBuilder::new(Self::CNODE, Self::SPACE).priority(priority, priority, Self::TCB);
        if let Some(handler) = handler {
            builder = builder.fault_endpoint(handler);
        }
        builder.build(tcb, entry as usize as u64, stack.top, argument)?;
        Ok(tcb)
    }

    /// Passes if `tcb` is in this state.
    #[track_caller]
    pub(crate) fn expect_state(&self, tcb: Cap<Tcb>, state: ThreadState) -> Verdict {
        let found = tcb.info()?.state;
        if found == Some(state) {
            Ok(())
        } else {
            Err(Failure::new(format_args!(
                "thread is {found:?}, expected {state:?}"
            )))
        }
    }
}

/// What the capabilities of a test say about themselves: enough to see that a
/// refused call changed nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Snapshot {
    slots: [u64; Self::SLOTS as usize],
    free: u64,
}

impl Snapshot {
    /// Slots that are looked at: those that tests take first.
    const SLOTS: u16 = 96;

    /// The state now.
    pub(crate) fn take() -> Verdict<Self> {
        let mut slots = [0; Self::SLOTS as usize];
        for (index, slot) in (0..).zip(&mut slots) {
            *slot = Self::digest(index)?;
        }
        Ok(Self {
            slots,
            free: Env::UNTYPED.info()?.free,
        })
    }

    /// Passes if the state is still the same.
    #[track_caller]
    pub(crate) fn still_holds(&self, what: &dyn core::fmt::Display) -> Verdict {
        let now = Self::take()?;
        for (index, (before, after)) in self.slots.iter().zip(now.slots).enumerate() {
            if *before != after {
                return Err(Failure::new(format_args!("{what} changed slot {index}")));
            }
        }
        if self.free == now.free {
            Ok(())
        } else {
            Err(Failure::new(format_args!("{what} took memory")))
        }
    }

    /// A number that differs when anything about the slot or its object does.
    fn digest(index: u16) -> Verdict<u64> {
        let seen = Env::CNODE.inspect(index)?;
        let mut words = [0; 10];
        words[0] = seen.object.map_or(0, |object| object as u64)
            | u64::from(seen.mapped) << 8
            | u64::from(seen.has_children) << 9;
        words[1] = u64::from(seen.rights.bits()) | u64::from(seen.badge) << 32;
        words[2] = seen.size;
        let address = Address::root(index);
        match seen.object {
            Some(ObjectType::Untyped) => words[3] = Cap::<Untyped>::at(address).info()?.free,
            Some(ObjectType::MemoryObject) => {
                let info = Cap::<MemoryObject>::at(address).info()?;
                words[3] = info.mapping.map_or(0, |mapping| mapping.address);
                words[4] = u64::from(info.rights.bits());
            }
            Some(ObjectType::AddressSpace) if seen.rights.contains(Rights::READ) => {
                let info = Cap::<AddressSpace>::at(address).info()?;
                words[3..6].copy_from_slice(&[info.asid, info.table_bytes_left, info.tables]);
            }
            Some(ObjectType::SchedulingContext) if seen.rights.contains(Rights::READ) => {
                let info = Cap::<SchedulingContext>::at(address).info()?;
                words[3..5].copy_from_slice(&[info.budget, info.period]);
            }
            Some(ObjectType::Tcb) if seen.rights.contains(Rights::READ) => {
                let info = Cap::<Tcb>::at(address).info()?;
                words[3] = info.state.map_or(99, |state| state as u64);
                words[4] = u64::from(info.priority) << 8 | u64::from(info.ceiling);
                words[5] = u64::from(info.flags);
            }
            _ => {}
        }
        // FNV-1a.
        Ok(words.into_iter().fold(0xcbf2_9ce4_8422_2325, |hash, word| {
            (hash ^ word).wrapping_mul(0x0000_0100_0000_01b3)
        }))
    }
}

/// Lets threads of lower priority run for so many nanoseconds.
pub(crate) fn pause(nanoseconds: u64) {
    let _ = ipc::sleep_until(time::after(nanoseconds));
}

/// Lets threads of lower priority run until the condition holds, or for two
/// seconds; says which. Time on an emulator passes while nothing runs, so that
/// no single pause is long enough for certain.
pub(crate) fn eventually(mut condition: impl FnMut() -> bool) -> bool {
    (0..2000).any(|_| {
        condition() || {
            pause(1_000_000);
            false
        }
    })
}

/// Ends a helper thread: without a fault handler it is inactive from now on.
pub(crate) fn end() -> ! {
    gritos_sys::rt::exit()
}
