//! Calls that are preempted between their halves, and what may happen before
//! they go on.

use gritos_abi::fault::{FaultKind, FaultReply};

use crate::common::*;

/// A server that has answered client 0 in a `ReplyRecv` and was preempted before
/// it received from client 1, whose message carries a capability: that waits
/// for a revocation that the root began.
fn preempted(mut s: Service) -> Service {
    let (root, server) = (s.world.root, s.server.tcb);
    let n = s.world.make(ObjectType::Notification, 0, 1);
    let copies = s.world.free_slots(4);
    for i in 0..4 {
        s.world
            .give(n, slot::CNODE.into(), copies + i, Rights::AS_HELD, 0);
    }
    let gift = s.world.make(ObjectType::Notification, 0, 1);
    s.world
        .give(gift, s.clients[1].cnode, 5, Rights::AS_HELD, 0);
    if s.server.context != 0 {
        s.listen();
    }
    s.call(0, call(&[]));
    s.call(1, call(&[11]).cap(5, 0, 0));
    s.world.focus(root);
    s.world.kernel.machine.preempt_after.set(Some(0));
    let revoke = Ask::invoke(slot::CNODE.into(), method::CNode::Revoke as u64);
    let progress = s.world.enter(&revoke.words(&[n.into()]));
    assert_eq!(progress, Progress::Again);
    s.world.focus(server);
    s.world.kernel.machine.preempt_after.set(Some(0));
    let progress = s.world.enter(&next());
    assert_eq!(progress, Progress::Again);
    s.world.check();
    s
}

fn next() -> Ask {
    Ask::reply_recv(ENDPOINT, REPLY)
        .words(&[20])
        .window(WINDOW, 1)
}

#[test]
fn a_preempted_reply_recv_answers_once_and_receives() {
    for passive in [false, true] {
        let s = if passive {
            Service::passive(2)
        } else {
            Service::new(2)
        };
        let mut s = preempted(s);
        let server = s.server.tcb;
        let got = s.world.succeed(server, &next());
        assert_eq!(got.words()[0], 11);
        assert_eq!(s.world.woken(s.clients[0].tcb).words()[0], 20);
        s.world.wait(server, &next());
        assert_eq!(s.world.woken(s.clients[1].tcb).words()[0], 20);
    }
}

#[test]
fn a_reply_that_somebody_armed_meanwhile_is_in_use() {
    let mut s = preempted(Service::new(2));
    let other = s.world.spawn(SLOTS);
    let endpoint = s.world.make(ObjectType::Endpoint, 0, 1);
    s.world
        .give(endpoint, other.cnode, ENDPOINT, Rights::RECV, 0);
    s.world
        .give(s.reply, other.cnode, REPLY, Rights::AS_HELD, 0);
    s.world.wait(other.tcb, &Ask::recv(ENDPOINT, REPLY));
    let got = s.world.ask(s.server.tcb, &next());
    assert_eq!(got.status(), Status::ReplyInUse);
}

#[test]
fn after_a_refused_second_half_the_next_reply_recv_answers() {
    let mut s = preempted(Service::new(2));
    let server = s.server;
    s.world.delete(server.cnode, ENDPOINT);
    let got = s.world.ask(server.tcb, &next());
    assert_eq!(got.status(), Status::EmptySlot);
    let rights = Rights::RECV | Rights::GRANT;
    s.world.give(s.endpoint, server.cnode, ENDPOINT, rights, 0);
    let recv = Ask::recv(ENDPOINT, REPLY).window(WINDOW, 1);
    assert_eq!(s.world.succeed(server.tcb, &recv).words()[0], 11);
    s.world.wait(server.tcb, &next());
    assert_eq!(s.world.woken(s.clients[1].tcb).words()[0], 20);
}

/// Who is told the faults of the server.
fn handler_of(s: &mut Service) -> Thread {
    let world = &mut s.world;
    let endpoint = world.make(ObjectType::Endpoint, 0, 1);
    let reply = world.make(ObjectType::Reply, 0, 1);
    let handler = world.spawn(SLOTS);
    world.give(endpoint, handler.cnode, ENDPOINT, Rights::RECV, 0);
    world.give(reply, handler.cnode, REPLY, Rights::AS_HELD, 0);
    for ask in [
        Ask::invoke(s.server.cap, method::Tcb::Suspend as u64),
        Ask::invoke(s.server.cap, method::Tcb::Configure as u64)
            .cap(0, 0, 0)
            .cap(0, 0, 0)
            .cap(endpoint, 0, 0),
        Ask::invoke(s.server.cap, method::Tcb::Resume as u64),
    ] {
        world.succeed(world.root, &ask);
    }
    handler
}

#[test]
fn a_fault_between_the_halves_keeps_the_second_if_it_is_tried_again() {
    for (reply, goes_on) in [(FaultReply::Retry, true), (FaultReply::Skip, false)] {
        let mut s = Service::new(2);
        let handler = handler_of(&mut s);
        let mut s = preempted(s);
        let server = s.server.tcb;
        assert_eq!(s.world.current(), server);
        s.world.kernel.fault(FaultKind::InstructionAbort, 0, 0);
        s.world.kernel.reschedule();
        s.world.check();
        let got = s.world.succeed(handler.tcb, &Ask::recv(ENDPOINT, REPLY));
        assert_eq!(got.kind(), Kind::Fault);
        let answer = Ask::reply(REPLY).tag(reply as u64);
        s.world.succeed(handler.tcb, &answer);
        let got = s.world.ask(server, &next());
        if goes_on {
            assert_eq!((got.status(), got.words()[0]), (Status::Ok, 11));
        } else {
            // A call of its own: nobody waits for this answer any more.
            assert_eq!(got.status(), Status::ReplySpent);
        }
    }
}
