//! The last value that is accepted, and the first that is not.

use crate::common::*;
use crate::tables::*;

fn tcb(cap: u32, method: method::Tcb, words: &[u64]) -> Ask {
    Ask::invoke(cap, method as u64).words(words)
}

#[test]
fn priorities_end_at_255() {
    let mut s = Service::new(1);
    let (root, cap) = (s.world.root, s.clients[0].cap);
    let set =
        |words: [u64; 2]| tcb(cap, method::Tcb::SetPriority, &words).cap(slot::TCB.into(), 0, 0);
    for words in [[256, 0], [0, 256], [256, 256], [1 << 32, 0], [0, u64::MAX]] {
        assert_eq!(s.world.refuse(root, &set(words)), Status::InvalidArgument);
    }
    for [priority, ceiling] in [[255, 0], [7, 255], [255, 255], [7, 8]] {
        s.world.succeed(root, &set([priority, ceiling]));
        let got = s.world.succeed(root, &tcb(cap, method::Tcb::Info, &[]));
        assert_eq!(got.words()[0], 1 | priority << 8 | ceiling << 16);
    }
}

/// Threads of every quarter of the priorities, and at its edges.
#[test]
fn the_best_of_256_priorities_runs() {
    const PRIORITIES: [u64; 8] = [2, 63, 64, 127, 128, 191, 192, 254];
    let mut s = Service::new(8);
    let root = s.world.root;
    s.world.rest();
    for (client, priority) in s.clients.iter().zip(PRIORITIES).rev() {
        let ask = tcb(client.cap, method::Tcb::SetPriority, &[priority, 255]);
        s.world.succeed(root, &ask.cap(slot::TCB.into(), 0, 0));
    }
    s.world.wait(s.server.tcb, &Ask::recv(ENDPOINT, REPLY));
    s.world.rest();
    for client in &s.clients {
        assert_eq!(s.world.current(), client.tcb);
        // Sleeps for ever; the next best follows.
        s.world.enter(&Ask::recv(0, 0).deadline(u64::MAX));
        s.world.check();
    }
    assert_eq!(s.world.current(), root);
}

#[test]
fn eight_registers_are_read_and_seven_written_at_once() {
    let mut s = Service::new(1);
    let (root, cap) = (s.world.root, s.clients[0].cap);
    s.world.succeed(root, &tcb(cap, method::Tcb::Suspend, &[]));
    let write = |first: u64, count: u64| {
        let words = [first | count << 8, 11, 12, 13, 14, 15, 16, 17];
        tcb(cap, method::Tcb::WriteRegisters, &words)
    };
    let read = |first, count| tcb(cap, method::Tcb::ReadRegisters, &[first, count]);
    s.world.succeed(root, &write(19, 7));
    let got = s.world.succeed(root, &read(19, 8));
    assert_eq!(got.words(), [11, 12, 13, 14, 15, 16, 17, 0]);
    s.world.succeed(root, &write(28, 7));
    for ask in [
        write(19, 8),
        write(29, 7),
        write(0, 0),
        read(0, 9),
        read(28, 8),
        read(0, 0),
    ] {
        assert_eq!(s.world.refuse(root, &ask), Status::InvalidArgument);
    }
    // Of the program status only the flags; x7 of the message is no argument.
    let got = s.world.succeed(root, &read(27, 8));
    assert_eq!(got.words(), [0, 11, 12, 13, 14, 15, 0, 17]);
}

#[test]
fn floating_point_is_allowed_and_taken_away() {
    let mut s = Service::new(1);
    let (root, client) = (s.world.root, s.clients[0]);
    let set = |flags| tcb(client.cap, method::Tcb::SetFlags, &[flags]);
    let info = tcb(client.cap, method::Tcb::Info, &[]);
    let saved = gritos_kernel_core::object::flag::FP_SAVED;
    let header = |s: &Service| {
        let object = s.world.kernel.store.get(client.tcb.raw());
        object.and_then(|o| o.header()).unwrap().clone()
    };
    assert_eq!(s.world.refuse(root, &set(1)), Status::InvalidState);
    s.world
        .succeed(root, &tcb(client.cap, method::Tcb::Suspend, &[]));
    for flags in [2, 3, 1 << 32, u64::MAX] {
        assert_eq!(s.world.refuse(root, &set(flags)), Status::InvalidArgument);
    }
    for flags in [1, 1, 0, 0, 1, 0] {
        // As the entry code leaves it where the thread has used them.
        let object = s.world.kernel.store.get(client.tcb.raw());
        object.and_then(|o| o.header()).unwrap().set(saved);
        s.world.succeed(root, &set(flags));
        let got = s.world.succeed(root, &info);
        assert_eq!(got.words()[0], 100 << 8 | 100 << 16 | flags << 24);
        assert!(!header(&s).has(saved), "what they held before is gone");
    }
}

#[test]
fn budgets_and_periods_have_limits() {
    let mut s = Service::new(1);
    let (root, context) = (s.world.root, s.clients[0].context);
    let configure = |budget: u64, period: u64| {
        let control = slot::SCHED_CONTROL.into();
        Ask::invoke(control, method::SchedControl::Configure as u64)
            .words(&[budget, period])
            .cap(context, 0, 0)
    };
    // The counter of this machine ticks every nanosecond.
    let longest = 1 << 50;
    for (budget, period) in [
        (99, 1000),
        (0, 0),
        (0, 1000),
        (1001, 1000),
        (1000, longest + 1),
        (longest + 1, longest + 1),
        (100, u64::MAX),
        (u64::MAX, u64::MAX),
        (u64::MAX, 1000),
    ] {
        let status = s.world.refuse(root, &configure(budget, period));
        assert_eq!(status, Status::InvalidArgument, "{budget} {period}");
    }
    let info = Ask::invoke(context, method::SchedulingContext::Info as u64);
    for (budget, period) in [
        (100, 100),
        (100, 1000),
        (1000, 1000),
        (100, longest),
        (longest, longest),
    ] {
        s.world.succeed(root, &configure(budget, period));
        let got = s.world.succeed(root, &info);
        assert_eq!(got.words()[..4], [budget, period, budget, 0]);
    }
}

#[test]
fn retype_fills_the_last_slots_and_lets_interrupts_in() {
    let mut w = World::new(64);
    let root = w.root;
    let (e, u, m) = (
        ObjectType::Endpoint as u64,
        ObjectType::Untyped as u64,
        ObjectType::MemoryObject as u64,
    );
    w.succeed(root, &retype(UNTYPED, [e, 0, 2, 62, 0, 0]));
    w.succeed(root, &retype(UNTYPED, [e, 0, 1, 61, 0, 0]));
    w.succeed(root, &retype(UNTYPED, [e, 0, 3, 58, 0, 0]));
    assert!((58..64).all(|index| !w.root_cap(index).is_empty()));
    // What is only divided is not zeroed, nor are registers of devices.
    w.focus(root);
    for ask in [
        retype(UNTYPED, [u, 1 << 20, 1, 40, 0, 0]),
        retype(DEVICE, [u, 1 << 16, 1, 41, 0, 0]),
        retype(DEVICE, [m, 1 << 16, 1, 42, 0, 2]),
    ] {
        w.kernel.machine.preempt_after.set(Some(0));
        assert_eq!(w.enter(&ask), Progress::Returned);
        assert_eq!(w.got(root).status(), Status::Ok);
        w.check();
    }
    // What lies in device memory is device memory, also of two generations.
    let of_part = [m, 4096, 1, 43, 0, 2];
    w.succeed(root, &retype(41, of_part));
    assert_eq!(
        w.refuse(root, &retype(41, [m, 4096, 1, 44, 0, 0])),
        Status::DeviceMemory
    );
    // Otherwise a page at most is zeroed between two points at which interrupts come in.
    w.succeed(root, &retype(40, [e, 0, 1, 44, 0, 0]));
    let ask = retype(40, [ObjectType::CNode as u64, 300, 1, 45, 0, 0]);
    for done in [4096, 8192, 12288, 16384] {
        w.kernel.machine.preempt_after.set(Some(0));
        assert_eq!(w.enter(&ask), Progress::Again);
        assert_eq!(u64::from(w.root_cap(40).offset.get()) * 64, done);
        w.check();
    }
    w.succeed(root, &ask);
}
