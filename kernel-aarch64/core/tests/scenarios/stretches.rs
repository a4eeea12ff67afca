//! How much is done between two points at which an interrupt may come in does not depend on how much there is: by the
//! number of objects that the kernel looks up.

use crate::common::*;
use crate::tables::ROOT;

/// Slot of the next server's endpoint.
const NEXT: u32 = 6;

/// The most that a system call of the root looks up in one entry; it must come to an end.
fn longest(w: &mut World, ask: &Ask) -> u64 {
    let (mut most, mut first) = (0, true);
    w.focus(w.root);
    loop {
        let before = w.kernel.store.lookups.count();
        let progress = if first {
            w.kernel.prepare(ask);
            w.kernel.run_general(ask.number);
            w.kernel.progress(w.root)
        } else {
            w.resume_call(ask.number)
        };
        first = false;
        most = most.max(w.kernel.store.lookups.count() - before);
        w.check();
        if progress != Progress::Again {
            assert_eq!(w.got(w.root).status(), Status::Ok, "{ask:?}");
            return most;
        }
    }
}

/// As many passive servers, each of which has called the next and no longer waits for the answer: all could run if their
/// context came back. The thread whose context the last one has.
fn chain(w: &mut World, length: u32) -> Thread {
    let endpoints = w.make(ObjectType::Endpoint, 0, length);
    let replies = w.make(ObjectType::Reply, 0, length);
    let mut servers = Vec::new();
    for i in 0..length {
        let server = w.spawn(SLOTS);
        w.give(endpoints + i, server.cnode, ENDPOINT, Rights::RECV, 0);
        w.give(replies + i, server.cnode, REPLY, Rights::AS_HELD, 0);
        if i + 1 < length {
            w.give(endpoints + i + 1, server.cnode, NEXT, Rights::SEND, 0);
        }
        w.wait(server.tcb, &Ask::recv(ENDPOINT, REPLY));
        let unbind = Ask::invoke(server.cap, method::Tcb::UnbindContext as u64);
        w.succeed(w.root, &unbind);
        servers.push(server);
    }
    let client = w.spawn(SLOTS);
    w.give(endpoints, client.cnode, ENDPOINT, Rights::SEND, 0);
    w.wait(client.tcb, &Ask::call(ENDPOINT));
    let soon = w.kernel.machine.now + 1000;
    for server in servers.iter().rev().skip(1).rev() {
        w.wait(server.tcb, &Ask::call(NEXT).deadline(soon));
    }
    w.sleep_until(soon + 1);
    for server in &servers {
        let state = w.state(server.tcb);
        assert!(matches!(state, ThreadState::Ready | ThreadState::Running));
    }
    client
}

#[test]
fn a_context_is_taken_from_a_chain_one_fault_at_a_time() {
    let unbind = |length| {
        let mut w = World::new(512);
        let client = chain(&mut w, length);
        let ask = Ask::invoke(client.cap, method::Tcb::UnbindContext as u64);
        longest(&mut w, &ask)
    };
    let destroy = |length| {
        let mut w = World::new(512);
        let client = chain(&mut w, length);
        let ask = Ask::invoke(ROOT, method::CNode::Delete as u64);
        longest(&mut w, &ask.words(&[client.context.into()]))
    };
    let (short, long) = (unbind(4), unbind(30));
    assert!(long <= short + 8, "{short}, {long}");
    let (short, long) = (destroy(4), destroy(30));
    assert!(long <= short + 8, "{short}, {long}");
}

#[test]
fn a_notification_has_at_most_32_lines() {
    let mut w = World::new(128);
    let (root, caps) = (w.root, w.free_slots(34));
    let n = w.make(ObjectType::Notification, 0, 2);
    let bind = |i: u32, to: u32| {
        Ask::invoke(caps + i, method::IrqHandler::Bind as u64)
            .words(&[1])
            .cap(to, 0, 0)
    };
    for i in 0..34 {
        let get = Ask::invoke(slot::IRQ_CONTROL.into(), 0);
        let get = get.words(&[u64::from(32 + i), (caps + i).into(), 0]);
        w.succeed(root, &get.cap(ROOT, 0, 0));
    }
    for i in 0..32 {
        w.succeed(root, &bind(i, n));
    }
    assert_eq!(w.refuse(root, &bind(32, n)), Status::InvalidState);
    w.succeed(root, &bind(32, n + 1));
    // One less makes room for one, wherever it was.
    for i in [0, 31, 17] {
        let unbind = Ask::invoke(caps + i, method::IrqHandler::Unbind as u64);
        w.succeed(root, &unbind);
        w.succeed(root, &bind(i, n));
        assert_eq!(w.refuse(root, &bind(33, n)), Status::InvalidState);
    }
    // All of them are let through by one wait.
    for i in 0..32 {
        w.kernel.interrupt(32 + i);
    }
    w.kernel.reschedule();
    w.check();
    w.succeed(root, &Ask::recv(n, 0));
    assert_eq!(w.kernel.machine.unmasked, [64]);
    let soon = w.kernel.machine.now + 1;
    w.wait(root, &Ask::recv(n, 0).deadline(soon));
    assert_eq!(w.kernel.machine.unmasked.len(), 33);
}
