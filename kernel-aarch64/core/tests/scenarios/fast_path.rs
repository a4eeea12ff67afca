//! The fast path is taken by the calls that it is for, and by no others. What it does is compared with the general path
//! each time, by [`World::enter`] for system calls and here for the rest.

use gritos_abi::fault::FaultKind;
use gritos_kernel_core::fast::Short;
use gritos_kernel_core::handle::TcbRef;
use gritos_kernel_core::host::{HostKernel, HostMachine, HostStore, describe};
use gritos_kernel_core::store::Store;

use crate::common::*;

mod answers;
mod calls;
mod events;
mod methods;
mod waits;

/// Whether the fast path does what the running thread asks for.
fn applies(world: &World, ask: &Ask) -> bool {
    let mut kernel = world.kernel.clone();
    kernel.prepare(ask);
    kernel.run_fast(ask.number)
}

/// The running thread asks for what the fast path does.
#[track_caller]
fn fast(world: &mut World, ask: &Ask) {
    assert!(applies(world, ask), "left to the general path: {ask:x?}");
    world.enter(ask);
    world.check();
}

/// The running thread asks for what is left to the general path.
#[track_caller]
fn slow(world: &mut World, ask: &Ask) -> Progress {
    assert!(!applies(world, ask), "taken by the fast path: {ask:x?}");
    let progress = world.enter(ask);
    world.check();
    progress
}

/// The running thread asks for what the general path refuses.
#[track_caller]
fn refused(world: &mut World, ask: &Ask, status: Status) {
    let caller = world.current();
    assert_eq!(slow(world, ask), Progress::Returned);
    assert_eq!(world.got(caller).status(), status);
}

/// What the entry code has at hand when the running thread asks.
fn entry<'a>(kernel: &'a mut HostKernel, ask: &Ask) -> Option<Short<'a, HostStore, HostMachine>> {
    kernel.prepare(ask);
    let t = kernel.store.tcb(kernel.cpu.current?);
    t.frame.window.set(ask.x[10]);
    Some(Short {
        cpu: &mut kernel.cpu,
        store: &kernel.store,
        machine: &mut kernel.machine,
        t,
    })
}

/// Something happens that is no system call: whether the fast path deals with it, which must then come to the same as the
/// general path.
fn happens(
    world: &mut World,
    fast: impl Fn(&mut HostKernel) -> bool,
    general: impl Fn(&mut HostKernel),
) -> bool {
    let mut other = world.kernel.clone();
    let applied = fast(&mut other);
    if !applied {
        assert_eq!(
            other, world.kernel,
            "tried in vain, but not without a trace"
        );
    }
    general(&mut world.kernel);
    world.kernel.reschedule();
    world.check();
    if applied {
        assert_eq!(describe(&other), describe(&world.kernel));
        let machine = &world.kernel.machine;
        assert_eq!(other.machine.unmasked, machine.unmasked);
        let next = world.current();
        let frame = |kernel: &HostKernel| kernel.store.tcb(next).frame.clone();
        if applied && !was_fault(world, next) {
            assert_eq!(frame(&other).x, frame(&world.kernel).x);
        }
    }
    applied
}

/// Whether a thread was just told of a fault: the entry code writes its message then, not the core.
fn was_fault(world: &World, thread: TcbRef) -> bool {
    world.got(thread).outcome().kind() == Ok(Kind::Fault)
}

/// The running thread faults; whether the fast path tells its handler.
fn fault(world: &mut World) -> bool {
    let general = |kernel: &mut HostKernel| kernel.fault(FaultKind::DataAbort, 0x1234, 7);
    happens(world, HostKernel::fast_fault, general)
}

fn set_priority(world: &mut World, thread: Thread, priority: u64) {
    let ask = Ask::invoke(thread.cap, method::Tcb::SetPriority as u64);
    let ask = ask.words(&[priority, priority]).cap(slot::TCB.into(), 0, 0);
    world.succeed(world.root, &ask);
}

/// Lets a thread that is not waiting use FP registers.
fn set_fp(world: &mut World, thread: Thread) {
    let invoke = |method: method::Tcb| Ask::invoke(thread.cap, method as u64);
    for ask in [
        invoke(method::Tcb::Suspend),
        invoke(method::Tcb::SetFlags).words(&[method::TCB_FLAG_FP]),
        invoke(method::Tcb::Resume),
    ] {
        world.succeed(world.root, &ask);
    }
}

/// A server that waits, with a window if it is active, and a client that runs.
fn served(passive: bool) -> Service {
    let mut s = match passive {
        true => Service::passive(1),
        false => Service::new(1),
    };
    if !passive {
        s.listen();
    }
    s.world.focus(s.clients[0].tcb);
    s
}
