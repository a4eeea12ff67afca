//! A system of programs around one kernel.

use std::sync::{Arc, Once};
use std::thread::JoinHandle;

use gritos_abi::boot_info::slot as root_slot;
use gritos_abi::method;
use gritos_abi::{Address, ObjectType, Rights};
use gritos_kernel_core::host::{Ask, Thread, World};
use gritos_sys::environment::slot;
use gritos_sys::slots::own;

use crate::seat::{Seat, Shared, is_gone};
use crate::{FREE_FIRST, GIVEN_FIRST, SLOTS};

/// Slots of the root's CNode.
const ROOT_SLOTS: u32 = 512;
/// Memory of a program, as one Untyped, and the Untyped that it comes from.
const PROGRAM_BYTES: u64 = 256 << 10;
const REGION_BYTES: u64 = PROGRAM_BYTES + (4 << 10);
/// Budget and period of every thread: slices end after days, not in the midst
/// of a test.
const BUDGET_NS: u64 = 10 * 86_400_000_000_000;

/// A program that is being set up.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    thread: Thread,
    /// Root's slot of the Untyped that its memory comes from.
    region: u32,
    next: u16,
}

/// A kernel and its programs. Nothing runs before [`run`](Self::run).
#[derive(Debug)]
pub struct System {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    programs: Vec<Thread>,
}

impl Default for System {
    fn default() -> Self {
        Self::new()
    }
}

impl System {
    /// A kernel that was just booted.
    #[must_use]
    pub fn new() -> Self {
        // One allocator serves all programs of this process: no slot number is
        // used twice, whoever's CNode it is in.
        static SLOTS_PROVIDED: Once = Once::new();
        SLOTS_PROVIDED.call_once(|| own::provide(FREE_FIRST, SLOTS));
        let mut world = World::new(ROOT_SLOTS);
        world.budget(root_slot::SCHED_CONTEXT.into(), BUDGET_NS, BUDGET_NS);
        Self {
            shared: Shared::new(world),
            threads: Vec::new(),
            programs: Vec::new(),
        }
    }

    /// Makes an object of the kernel; the result is for [`give`](Self::give).
    pub fn make(&mut self, object: ObjectType, size: u64) -> u32 {
        self.shared.lock().world.make(object, size, 1)
    }

    /// A new program, with its CNode, its thread and memory where a component
    /// has them.
    pub fn program(&mut self) -> Program {
        let mut state = self.shared.lock();
        let world = &mut state.world;
        let thread = world.spawn(u32::from(SLOTS));
        world.budget(thread.context, BUDGET_NS, BUDGET_NS);
        // Its first period begins.
        world.focus(thread.tcb);
        world.yield_now();
        world.unfocus();
        world.give(
            thread.cap,
            thread.cnode,
            slot::TCB.into(),
            Rights::AS_HELD,
            0,
        );
        let region = world.make(ObjectType::Untyped, REGION_BYTES, 1);
        let memory = world.free_slots(1);
        let root = world.root;
        world.succeed(
            root,
            &Ask::invoke(region, method::Untyped::Retype as u64)
                .words(&[
                    ObjectType::Untyped as u64,
                    PROGRAM_BYTES,
                    1,
                    memory.into(),
                    0,
                    0,
                ])
                .cap(root_slot::CNODE.into(), 0, 0),
        );
        world.succeed(
            root,
            &Ask::invoke(thread.cnode, method::CNode::Move as u64)
                .words(&[slot::MEMORY.into()])
                .cap(memory, 0, 0),
        );
        self.programs.push(thread);
        Program {
            thread,
            region,
            next: GIVEN_FIRST,
        }
    }

    /// Gives a program a capability to an object with these rights (none: as
    /// held) and, unless it is 0, a badge. Returns where the program finds it.
    pub fn give(
        &mut self,
        program: &mut Program,
        object: u32,
        rights: Rights,
        badge: u32,
    ) -> Address {
        let at = program.next;
        program.next += 1;
        let mut state = self.shared.lock();
        state
            .world
            .give(object, program.thread.cnode, at.into(), rights, badge);
        Address::root(at)
    }

    /// Says what a program does. The run lasts until all programs that are
    /// `awaited` have done it; the others are servers.
    fn add(&mut self, program: Program, awaited: usize, work: impl FnOnce() + Send + 'static) {
        let seat = Seat {
            shared: Arc::clone(&self.shared),
            tcb: program.thread.tcb,
        };
        self.shared.lock().awaited += awaited;
        self.threads.push(std::thread::spawn(move || {
            let shared = Arc::clone(&seat.shared);
            let work = std::panic::AssertUnwindSafe(|| seat.take(awaited, work));
            if let Err(payload) = std::panic::catch_unwind(work) {
                let mut state = shared.lock();
                state.awaited -= awaited;
                let failed = !is_gone(&*payload);
                state.over |= failed;
                drop(state);
                shared.notify();
                if failed {
                    std::panic::resume_unwind(payload);
                }
            }
        }));
    }

    /// Adds a server: it runs until every client is done.
    pub fn server(&mut self, program: Program, work: impl FnOnce() + Send + 'static) {
        self.add(program, 0, work);
    }

    /// Adds a client: the run waits for it.
    pub fn client(&mut self, program: Program, work: impl FnOnce() + Send + 'static) {
        self.add(program, 1, work);
    }

    /// Does something to the kernel as its root while programs run: kills one,
    /// for example. To be called by a program between its own system calls, by
    /// way of a [`handle`](Self::handle).
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle(Arc::clone(&self.shared))
    }

    /// Runs the programs until all clients are done.
    ///
    /// # Panics
    /// If one of them panicked, or all wait for each other.
    pub fn run(mut self) {
        let mut state = self.shared.lock();
        state.world.rest();
        self.shared.notify();
        while state.awaited > 0 && !state.over {
            if state.is_idle() && state.pass_time() {
                self.shared.notify();
            }
            if state.is_idle() {
                let world = &state.world;
                let states: Vec<_> = self.programs.iter().map(|t| world.state(t.tcb)).collect();
                state.over = true;
                drop(state);
                self.shared.notify();
                panic!("every program waits for ever: {states:?}");
            }
            state = self.shared.wait(state);
        }
        state.over = true;
        drop(state);
        self.shared.notify();
        for thread in self.threads.drain(..) {
            if let Err(payload) = thread.join() {
                std::panic::resume_unwind(payload);
            }
        }
    }
}

/// The root's hand in a running system.
#[derive(Clone, Debug)]
pub struct Handle(Arc<Shared>);

impl Handle {
    /// Ends a program and takes its memory back, as the root task does with a
    /// component.
    pub fn kill(&self, program: &Program) {
        self.as_root(|world| {
            let root = world.root;
            world.succeed(
                root,
                &Ask::invoke(program.thread.cap, method::Tcb::Kill as u64),
            );
            world.revoke(root_slot::CNODE.into(), program.region);
        });
    }

    /// Revokes what came of an object's capability in the root's slot.
    pub fn revoke(&self, object: u32) {
        self.as_root(|world| world.revoke(root_slot::CNODE.into(), object));
    }

    fn as_root(&self, act: impl FnOnce(&mut World)) {
        let mut state = self.0.lock();
        act(&mut state.world);
        state.world.rest();
        drop(state);
        self.0.notify();
    }
}
