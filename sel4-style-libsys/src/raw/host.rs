//! The kernel of a host thread: installed by a test, found by everything else.

use std::cell::RefCell;
use std::rc::Rc;

use gritos_abi::{CapsIn, Outcome, Status, Syscall};

use super::{RawCalls, Request, Returned};

std::thread_local! {
    static KERNEL: RefCell<Option<Rc<dyn RawCalls>>> = const { RefCell::new(None) };
}

/// Makes `kernel` answer the system calls of this host thread; returns the one
/// that did so before.
pub fn install(kernel: Option<Rc<dyn RawCalls>>) -> Option<Rc<dyn RawCalls>> {
    KERNEL.with(|slot| slot.replace(kernel))
}

/// Forwards to the installed kernel. Without one every call is
/// [`Status::InvalidSyscall`], as on a kernel that has no such call.
#[derive(Clone, Copy, Debug)]
pub struct Installed;

fn with<R>(none: R, call: impl FnOnce(&dyn RawCalls) -> R) -> R {
    // The handle is cloned, so that a kernel may run other code of this thread
    // while it serves a call.
    match KERNEL.with(|slot| slot.borrow().clone()) {
        Some(kernel) => call(&*kernel),
        None => none,
    }
}

const NO_KERNEL: Returned = Returned {
    words: [0; 8],
    sender: 0,
    tag: 0,
    outcome: Outcome::error(Status::InvalidSyscall),
    caps: [0; 4],
    arrivals: 0,
    zero: [0; 2],
};

impl RawCalls for Installed {
    fn short(&self, call: Syscall, request: Request) -> Returned {
        with(NO_KERNEL, |kernel| kernel.short(call, request))
    }

    fn full(&self, call: Syscall, request: Request, caps: CapsIn, deadline: u64) -> Returned {
        with(NO_KERNEL, |kernel| {
            kernel.full(call, request, caps, deadline)
        })
    }

    fn counter(&self) -> u64 {
        with(0, |kernel| kernel.counter())
    }

    fn counter_hz(&self) -> u64 {
        with(1, |kernel| kernel.counter_hz())
    }
}
