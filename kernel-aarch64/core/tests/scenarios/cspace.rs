//! Capabilities in slots: copy, mint, move, delete, revoke, inspect.

use crate::common::*;

fn cnode(method: method::CNode, index: u32) -> Ask {
    Ask::invoke(1, method as u64).words(&[index.into()])
}

/// A thread with an endpoint in slot 2.
fn holder() -> (World, Thread) {
    let mut w = World::new(64);
    let endpoint = w.make(ObjectType::Endpoint, 0, 1);
    let thread = w.spawn(SLOTS);
    w.give(endpoint, thread.cnode, 2, Rights::AS_HELD, 0);
    (w, thread)
}

use method::CNode as C;

#[test]
fn copies_are_never_wider_than_their_source() {
    let (mut w, t) = holder();
    let held = Rights::SEND | Rights::GRANT | Rights::server(2);
    w.succeed(t.tcb, &cnode(C::Copy, 3).cap(2, held.bits(), 0));
    for bit in 0..32 {
        let ask = cnode(C::Copy, 4).cap(3, 1 << bit, 0);
        if held.bits() & 1 << bit == 0 {
            assert_eq!(w.refuse(t.tcb, &ask), Status::RightsNotHeld, "{bit}");
        } else {
            w.succeed(t.tcb, &ask);
            assert_eq!(w.cap_of(t.tcb, 4).rights.get(), 1 << bit);
            w.succeed(t.tcb, &cnode(C::Delete, 4));
        }
    }
    w.succeed(t.tcb, &cnode(C::Copy, 4).cap(3, 0, 0));
    assert_eq!(w.cap_of(t.tcb, 4).rights.get(), held.bits());
}

#[test]
fn a_badge_is_set_once() {
    let (mut w, t) = holder();
    let badge = 0x8000_0001;
    w.succeed(t.tcb, &cnode(C::Mint, 3).cap(2, 0, badge));
    for (ask, status) in [
        (cnode(C::Mint, 4).cap(3, 0, 5), Status::BadgeAlreadySet),
        (cnode(C::Mint, 4).cap(3, 0, badge), Status::BadgeAlreadySet),
        (cnode(C::Mint, 4).cap(1, 0, 5), Status::NotBadgeable),
        (cnode(C::Copy, 4).cap(2, 0, 5), Status::InvalidArgument),
        (cnode(C::Move, 4).cap(2, 0, 5), Status::InvalidArgument),
        (cnode(C::Move, 4).cap(2, 1, 0), Status::InvalidArgument),
        (cnode(C::Copy, 3).cap(2, 0, 0), Status::SlotOccupied),
        (cnode(C::Copy, 4).cap(5, 0, 0), Status::EmptySlot),
        (cnode(C::Copy, SLOTS).cap(2, 0, 0), Status::InvalidAddress),
        (cnode(C::Copy, 4).cap(SLOTS, 0, 0), Status::InvalidAddress),
        (
            cnode(C::Copy, 4).cap(2 << 16 | 1, 0, 0),
            Status::InvalidAddress,
        ),
        (cnode(C::Delete, SLOTS), Status::InvalidAddress),
        (cnode(C::Inspect, u32::MAX), Status::InvalidAddress),
    ] {
        assert_eq!(w.refuse(t.tcb, &ask), status, "{ask:?}");
    }
    w.succeed(t.tcb, &cnode(C::Copy, 4).cap(3, 0, 0));
    assert_eq!(w.cap_of(t.tcb, 4).badge.get(), badge);
}

#[test]
fn changing_slots_of_another_cnode_needs_write() {
    let (mut w, t) = holder();
    let other = w.make(ObjectType::CNode, 4, 1);
    w.give(other, t.cnode, 5, Rights::READ, 0);
    w.give(other, t.cnode, 6, Rights::AS_HELD, 0);
    let at = |cnode: u32, index: u32| cnode << 16 | index;
    let copy = |cap| Ask::invoke(cap, C::Copy as u64).words(&[1]).cap(2, 0, 0);
    assert_eq!(w.refuse(t.tcb, &copy(5)), Status::MissingRight);
    w.succeed(t.tcb, &copy(6));
    let take = |cap| cnode(C::Move, 7).cap(at(cap, 1), 0, 0);
    assert_eq!(w.refuse(t.tcb, &take(5)), Status::MissingRight);
    // Reading through it is another matter.
    w.succeed(t.tcb, &cnode(C::Copy, 8).cap(at(5, 1), 0, 0));
    w.succeed(t.tcb, &take(6));
    assert!(w.cap_of(t.tcb, at(5, 1)).is_empty());
}

#[test]
fn revoke_takes_what_was_derived_and_nothing_else() {
    let (mut w, t) = holder();
    for (to, from) in [(3, 2), (4, 3), (5, 4), (6, 3), (7, 2)] {
        w.succeed(t.tcb, &cnode(C::Copy, to).cap(from, 0, 0));
    }
    // 5 was derived from 4, which goes first: then it comes from 3.
    w.succeed(t.tcb, &cnode(C::Delete, 4));
    w.succeed(t.tcb, &cnode(C::Revoke, 3));
    let there = |w: &World, i| !w.cap_of(t.tcb, i).is_empty();
    let left: Vec<_> = (2..8).filter(|i| there(&w, *i)).collect();
    assert_eq!(left, [2, 3, 7]);
}

#[test]
fn revoke_wins_against_a_thread_that_keeps_copying() {
    let (mut w, t) = holder();
    let root = w.root;
    for i in 3..8 {
        w.succeed(t.tcb, &cnode(C::Copy, i).cap(i - 1, 0, 0));
    }
    let endpoint = World::FIRST_FREE;
    let revoke = Ask::invoke(slot::CNODE.into(), C::Revoke as u64).words(&[endpoint.into()]);
    w.focus(root);
    w.kernel.machine.preempt_after.set(Some(0));
    assert_eq!(w.enter(&revoke), Progress::Again);
    // Its copy waits for the revocation to end, and then has no source.
    let copy = cnode(C::Copy, 9).cap(7, 0, 0);
    let got = w.ask(t.tcb, &copy);
    assert_eq!(got.status(), Status::EmptySlot);
    w.succeed(root, &revoke);
    for i in 2..10 {
        assert!(w.cap_of(t.tcb, i).is_empty());
    }
    assert!(!w.root_cap(endpoint).is_empty());
}

#[test]
fn deleting_a_cnode_deletes_what_is_in_it() {
    let (mut w, t) = holder();
    let root = slot::CNODE.into();
    let outer = w.make(ObjectType::CNode, 4, 1);
    let inner = w.make(ObjectType::CNode, 4, 1);
    let endpoint = w.make(ObjectType::Endpoint, 0, 1);
    for (from, to) in [(endpoint, inner), (inner, outer)] {
        w.give(from, to, 2, Rights::AS_HELD, 0);
        w.delete(root, from);
    }
    let handle = |w: &World, cap| w.root_cap(cap).object.get();
    let table = handle(&w, outer);
    w.delete(root, outer);
    let header = |w: &World, h| {
        let object = w.kernel.store.get(h);
        object.and_then(|o| o.header()).map(|h| h.word.get())
    };
    assert_eq!(header(&w, table), Some(0));
    let objects = w.kernel.store.objects();
    let alive = objects.filter(|(_, o)| o.header().is_some_and(|h| h.word.get() != 0));
    // Root: CNode, TCB, context; the thread: the same, and one endpoint.
    assert_eq!(alive.count(), 7);
    let _ = t;
}

#[test]
fn inspect_tells_type_rights_and_badge() {
    let (mut w, t) = holder();
    w.succeed(t.tcb, &cnode(C::Mint, 3).cap(2, Rights::SEND.bits(), 9));
    let got = w.succeed(t.tcb, &cnode(C::Inspect, 3));
    let endpoint = ObjectType::Endpoint as u64;
    assert_eq!(got.words()[0], endpoint);
    assert_eq!(got.words()[1], u64::from(Rights::SEND.bits()) | 9 << 32);
    let got = w.succeed(t.tcb, &cnode(C::Inspect, 2));
    assert_eq!(got.words()[0], endpoint | 1 << 9);
    let got = w.succeed(t.tcb, &cnode(C::Inspect, 1));
    assert_eq!(got.words()[2], SLOTS.into());
    let got = w.succeed(t.tcb, &cnode(C::Inspect, 5));
    assert_eq!(got.words()[..3], [0, 0, 0]);
}
