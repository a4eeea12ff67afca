//! The seat of a program: one host thread, one thread of the kernel.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::rc::Rc;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use gritos_abi::{CapsIn, Outcome, Syscall};
use gritos_kernel_core::handle::TcbRef;
use gritos_kernel_core::host::{Ask, Progress, World};
use gritos_sys::raw::{RawCalls, Request, Returned, host};

/// What all seats share.
#[derive(Debug)]
pub(crate) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

/// The system behind the lock.
#[derive(Debug)]
pub(crate) struct State {
    /// The kernel.
    pub(crate) world: World,
    /// Everybody is to go home.
    pub(crate) over: bool,
    /// Programs that the run waits for.
    pub(crate) awaited: usize,
    /// Bytes of memory objects, by object.
    pub(crate) memory: BTreeMap<u32, Vec<u8>>,
}

impl Shared {
    pub(crate) fn new(world: World) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                world,
                over: false,
                awaited: 0,
                memory: BTreeMap::new(),
            }),
            changed: Condvar::new(),
        })
    }

    /// The state. A program that panicked has not left it half changed: it is
    /// changed by whole system calls.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed
            .wait(state)
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn notify(&self) {
        self.changed.notify_all();
    }
}

impl State {
    /// Whether no program can run.
    pub(crate) fn is_idle(&self) -> bool {
        self.world.kernel.cpu.current == Some(self.world.root)
    }

    /// Lets time pass to the next deadline while no program can run; says
    /// whether one can now.
    pub(crate) fn pass_time(&mut self) -> bool {
        while self.is_idle() {
            let machine = &mut self.world.kernel.machine;
            if machine.timer.saturating_sub(machine.now) > FOR_EVER {
                return false;
            }
            machine.now = machine.now.max(machine.timer);
            self.world.kernel.tick();
            self.world.check();
        }
        !self.is_idle()
    }
}

/// Ticks after which only the root's own slice ends.
const FOR_EVER: u64 = 1 << 40;

/// Ends a program whose thread was killed, or whose run is over, without a
/// panic message.
struct Gone;

/// One program's place.
#[derive(Clone, Debug)]
pub(crate) struct Seat {
    pub(crate) shared: Arc<Shared>,
    pub(crate) tcb: TcbRef,
}

thread_local! {
    static SEAT: RefCell<Option<Seat>> = const { RefCell::new(None) };
}

impl Seat {
    /// Runs `program` on this host thread, from when the kernel first runs its
    /// thread. Its end counts as `awaited` of those that the run waits for.
    pub(crate) fn take(self, awaited: usize, program: impl FnOnce()) {
        host::install(Some(Rc::new(self.clone())));
        SEAT.with(|seat| seat.replace(Some(self.clone())));
        drop(self.turn(self.shared.lock()));
        program();
        // The thread of the kernel sleeps from now on.
        let mut state = self.turn(self.shared.lock());
        state.world.enter(&Ask::recv(0, 0).deadline(u64::MAX));
        state.awaited -= awaited;
        self.shared.notify();
    }

    /// The seat of this host thread.
    ///
    /// # Panics
    /// If the thread is no program.
    pub(crate) fn current() -> Self {
        match SEAT.with(|seat| seat.borrow().clone()) {
            Some(seat) => seat,
            None => panic!("only a program has memory of its own"),
        }
    }

    /// Waits until the kernel runs this thread.
    fn turn<'a>(&self, mut state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        loop {
            let stopped = state.world.kernel.progress(self.tcb) == Progress::Stopped;
            if state.over || stopped {
                drop(state);
                resume_unwind(Box::new(Gone));
            }
            if state.world.kernel.cpu.current == Some(self.tcb) {
                return state;
            }
            if state.is_idle() && state.pass_time() {
                self.shared.notify();
                continue;
            }
            state = self.shared.wait(state);
        }
    }

    fn call(&self, ask: &Ask) -> Returned {
        let mut state = self.turn(self.shared.lock());
        state.world.enter(ask);
        loop {
            state.world.check();
            self.shared.notify();
            state = self.turn(state);
            if !state.world.kernel.is_again() {
                break;
            }
            state.world.resume_call(ask.number);
        }
        let x = state.world.got(self.tcb).x;
        let [x0, x1, x2, x3, x4, x5, x6, x7, rest @ ..] = x;
        let [sender, tag, outcome, c0, c1, c2, c3, arrivals, zero @ ..] = rest;
        Returned {
            words: [x0, x1, x2, x3, x4, x5, x6, x7],
            sender,
            tag,
            outcome: Outcome(outcome),
            caps: [c0, c1, c2, c3],
            arrivals,
            zero,
        }
    }
}

/// Whether a host thread ended because its program was stopped.
pub(crate) fn is_gone(payload: &(dyn std::any::Any + Send)) -> bool {
    payload.is::<Gone>()
}

impl RawCalls for Seat {
    fn short(&self, call: Syscall, request: Request) -> Returned {
        self.full(call, request, CapsIn::default(), 0)
    }

    fn full(&self, call: Syscall, request: Request, caps: CapsIn, deadline: u64) -> Returned {
        let mut ask = Ask::new(call);
        let registers = request
            .words
            .into_iter()
            .chain([request.target, request.tag, request.control.0])
            .chain(caps.slots)
            .chain(caps.badges)
            .chain([deadline]);
        ask.x
            .iter_mut()
            .zip(registers)
            .for_each(|(register, value)| *register = value);
        self.call(&ask)
    }

    fn counter(&self) -> u64 {
        self.shared.lock().world.kernel.machine.now
    }

    fn counter_hz(&self) -> u64 {
        gritos_kernel_core::machine::Machine::counter_hz(&self.shared.lock().world.kernel.machine)
    }
}
