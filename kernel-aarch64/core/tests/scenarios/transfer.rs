//! Capabilities in messages: whole or not at all.

use crate::common::*;

/// Slot of the client's capability to a notification.
const GIFT: u32 = 5;

/// A service whose client 0 holds a notification, with these rights, to give.
fn service(gift: Rights) -> (Service, u32) {
    let mut s = Service::new(1);
    let n = s.world.make(ObjectType::Notification, 0, 1);
    s.world.give(n, s.clients[0].cnode, GIFT, gift, 0);
    (s, n)
}

const NOTIFICATION: ObjectType = ObjectType::Notification;

#[test]
fn a_capability_arrives_in_the_window() {
    let (mut s, _) = service(Rights::AS_HELD);
    s.listen();
    s.call(0, call(&[]).cap(GIFT, 0, 0x77));
    let got = s.world.woken(s.server.tcb);
    let (how, badge, rights) = got.cap(0);
    let arrival = Arrival::InSlot {
        object: NOTIFICATION,
        position: 0,
    };
    assert_eq!(how, arrival);
    assert_eq!((badge, rights), (0x77, Rights::KERNEL.bits()));
    assert_eq!(got.outcome().cap_count(), 1);
    assert_eq!(s.world.cap_of(s.server.tcb, WINDOW).badge.get(), 0x77);
}

#[test]
fn every_error_leaves_both_sides_as_they_were() {
    let (mut s, n) = service(Rights::SEND | Rights::GRANT);
    let client = s.clients[0];
    s.world.give(n, client.cnode, 6, Rights::SEND, 0);
    s.world
        .give(n, client.cnode, 7, Rights::SEND | Rights::GRANT, 9);
    s.world.give(s.endpoint, client.cnode, 4, Rights::SEND, 0);
    s.listen();
    let send = Rights::SEND.bits();
    let one = |cap| call(&[]).cap(cap, 0, 0);
    for (ask, status, slot) in [
        (one(99), Status::InvalidAddress, 0),
        (one(WINDOW), Status::EmptySlot, 0),
        (one(6), Status::NoGrant, 0),
        (Ask::call(4).cap(GIFT, 0, 0), Status::EndpointNoGrant, 0),
        (
            call(&[]).cap(GIFT, send | Rights::RECV.bits(), 0),
            Status::RightsNotHeld,
            0,
        ),
        (call(&[]).cap(7, 0, 8), Status::BadgeAlreadySet, 0),
        (call(&[]).cap(1, 0, 8), Status::NotBadgeable, 0),
        (one(GIFT).cap(6, 0, 0), Status::NoGrant, 1),
        (
            one(GIFT).cap(7, 0, 0).cap(GIFT, 0, 3).cap(99, 0, 0),
            Status::InvalidAddress,
            3,
        ),
        (call(&[]).moved(GIFT).cap(GIFT, 0, 0), Status::EmptySlot, 1),
    ] {
        assert_eq!(s.world.refuse(client.tcb, &ask), status, "{ask:?}");
        let got = s.world.got(client.tcb);
        assert_eq!(got.outcome().fault_slot(), slot, "{ask:?}");
    }
}

#[test]
fn the_window_must_be_there_and_free() {
    for (window, slots) in [(0, 0), (WINDOW, 1), (ENDPOINT, 2), (15, 2), (7 << 16, 2)] {
        let (mut s, _) = service(Rights::AS_HELD);
        let recv = Ask::recv(ENDPOINT, REPLY).window(window, slots);
        s.world.wait(s.server.tcb, &recv);
        let two = call(&[]).cap(GIFT, 0, 0).cap(GIFT, 0, 0);
        let client = s.clients[0].tcb;
        assert_eq!(s.world.refuse(client, &two), Status::ReceiverWindow);
        let state = s.world.state(s.server.tcb);
        assert_eq!(state, ThreadState::BlockedIpcRecv);
    }
}

#[test]
fn what_names_the_same_endpoint_unwraps() {
    let (mut s, n) = service(Rights::AS_HELD);
    let client = s.clients[0];
    let server_right = Rights::server(3);
    // Neither GRANT nor a window is needed.
    s.world
        .give(s.endpoint, client.cnode, 6, Rights::SEND | server_right, 44);
    s.world.give(s.endpoint, client.cnode, 4, Rights::SEND, 0);
    let before = s.world.cap_of(s.server.tcb, WINDOW).clone();
    s.world.wait(s.server.tcb, &Ask::recv(ENDPOINT, REPLY));
    let ask = Ask::call(4).cap(6, server_right.bits(), 0);
    s.world.wait(client.tcb, &ask);
    let got = s.world.woken(s.server.tcb);
    assert_eq!(got.cap(0), (Arrival::Unwrapped, 44, server_right.bits()));
    assert_eq!(*s.world.cap_of(s.server.tcb, WINDOW), before);
    // Another endpoint does not unwrap.
    s.world.succeed(s.server.tcb, &Ask::reply(REPLY));
    let other = s.world.make(ObjectType::Endpoint, 0, 1);
    s.world.give(other, client.cnode, 7, Rights::AS_HELD, 0);
    s.listen();
    let ask = call(&[]).cap(7, 0, 0).cap(6, 0, 0).cap(GIFT, 0, 0);
    s.world.wait(client.tcb, &ask);
    let got = s.world.woken(s.server.tcb);
    let (first, ..) = got.cap(0);
    let in_slot = |object, position| Arrival::InSlot { object, position };
    assert_eq!(first, in_slot(ObjectType::Endpoint, 0));
    assert_eq!(got.cap(1).0, Arrival::Unwrapped);
    assert_eq!(got.cap(2).0, in_slot(NOTIFICATION, 1));
    // A reply never unwraps: what names the endpoint is an ordinary gift.
    let answer = Ask::reply(REPLY).cap(ENDPOINT, 0, 0);
    let status = s.world.refuse(s.server.tcb, &answer);
    assert_eq!(status, Status::ReceiverWindow);
    let _ = n;
}

#[test]
fn a_moved_capability_leaves_its_sender_with_its_children() {
    let (mut s, _) = service(Rights::AS_HELD);
    let client = s.clients[0];
    let copy = Ask::invoke(1, method::CNode::Copy as u64).words(&[6]);
    s.world.succeed(client.tcb, &copy.cap(GIFT, 0, 0));
    s.listen();
    s.call(0, call(&[]).moved(GIFT));
    assert!(s.world.cap_of(client.tcb, GIFT).is_empty());
    let revoke = Ask::invoke(1, method::CNode::Revoke as u64).words(&[WINDOW.into()]);
    s.world.succeed(s.server.tcb, &revoke);
    assert!(s.world.cap_of(client.tcb, 6).is_empty());
    assert!(!s.world.cap_of(s.server.tcb, WINDOW).is_empty());
}

#[test]
fn sources_and_window_are_those_of_the_delivery() {
    // The slot that a queued sender named is emptied, or filled, meanwhile.
    for filled in [false, true] {
        let (mut s, n) = service(Rights::AS_HELD);
        let client = s.clients[0];
        let named = if filled { 6 } else { GIFT };
        s.call(0, call(&[]).cap(named, 0, 0));
        if filled {
            s.world.give(n, client.cnode, 6, Rights::AS_HELD, 0);
        } else {
            s.world.delete(client.cnode, GIFT);
        }
        let recv = Ask::recv(ENDPOINT, REPLY).window(WINDOW, 1);
        if filled {
            let got = s.world.succeed(s.server.tcb, &recv);
            assert_eq!(got.outcome().cap_count(), 1);
        } else {
            // The sender alone is told.
            s.world.wait(s.server.tcb, &recv);
            assert_eq!(s.world.woken(client.tcb).status(), Status::EmptySlot);
        }
    }
}

#[test]
fn senders_that_fail_at_delivery_do_not_hold_up_the_next() {
    let mut s = Service::new(7);
    for i in 0..6 {
        s.call(i, call(&[]).cap(14, 0, 0));
    }
    s.call(6, call(&[6]));
    let got = s.world.succeed(s.server.tcb, &Ask::recv(ENDPOINT, REPLY));
    assert_eq!(got.words()[0], 6);
    for client in &s.clients[..6] {
        assert_eq!(s.world.woken(client.tcb).status(), Status::EmptySlot);
    }
}

#[test]
fn a_failing_reply_stays_armed() {
    let (mut s, n) = service(Rights::AS_HELD);
    s.world.give(n, s.server.cnode, GIFT, Rights::AS_HELD, 0);
    s.listen();
    s.call(0, call(&[]));
    for ask in [
        Ask::reply(REPLY).cap(GIFT, 0, 0),
        Ask::reply_recv(ENDPOINT, REPLY).cap(GIFT, 0, 0),
    ] {
        let status = s.world.refuse(s.server.tcb, &ask);
        assert_eq!(status, Status::ReceiverWindow);
    }
    s.world.succeed(s.server.tcb, &Ask::reply(REPLY));
    assert_eq!(s.world.woken(s.clients[0].tcb).status(), Status::Ok);
}

#[test]
fn a_reply_needs_the_grant_of_the_call() {
    let (mut s, n) = service(Rights::AS_HELD);
    let client = s.clients[0];
    s.world.give(n, s.server.cnode, GIFT, Rights::AS_HELD, 0);
    s.world.give(s.endpoint, client.cnode, 4, Rights::SEND, 0);
    s.listen();
    s.world.wait(client.tcb, &Ask::call(4).window(WINDOW, 1));
    let answer = Ask::reply(REPLY).cap(GIFT, 0, 0);
    let status = s.world.refuse(s.server.tcb, &answer);
    assert_eq!(status, Status::EndpointNoGrant);
    s.world.succeed(s.server.tcb, &Ask::reply(REPLY));
    s.listen();
    s.call(0, call(&[]).window(WINDOW, 1));
    s.world.succeed(s.server.tcb, &answer);
    assert!(s.world.cap_of(client.tcb, WINDOW).is(NOTIFICATION));
}

#[test]
fn one_way_messages_carry_capabilities_too() {
    let (mut s, _) = service(Rights::AS_HELD);
    s.listen();
    let ask = Ask::send(ENDPOINT).cap(GIFT, 0, 0);
    s.world.succeed(s.clients[0].tcb, &ask);
    assert!(s.world.cap_of(s.server.tcb, WINDOW).is(NOTIFICATION));
}

#[test]
fn untyped_moves_and_is_never_copied() {
    let mut s = Service::new(1);
    let untyped = s.world.make(ObjectType::Untyped, 4096, 1);
    let client = s.clients[0];
    let root = s.world.root;
    let place = Ask::invoke(client.cnode, method::CNode::Move as u64);
    s.world
        .succeed(root, &place.words(&[GIFT.into()]).cap(untyped, 0, 0));
    s.listen();
    let copy = call(&[]).cap(GIFT, 0, 0);
    assert_eq!(s.world.refuse(client.tcb, &copy), Status::NotCopyable);
    let narrowed = call(&[]).cap(GIFT, Rights::READ.bits(), 0);
    assert_eq!(s.world.refuse(client.tcb, &narrowed), Status::NotCopyable);
    s.call(0, call(&[]).moved(GIFT));
    assert!(s.world.cap_of(s.server.tcb, WINDOW).is(ObjectType::Untyped));
}
