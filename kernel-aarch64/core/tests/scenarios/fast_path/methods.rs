//! Methods that do not change who is ready, and capabilities that arrive in a slot.

use super::*;

/// Slots of the client's CNode.
const SENT: u32 = 5;
const OTHER: u32 = 6;
const BARE: u32 = 7;
const EMPTY: u32 = 9;

/// A client with capabilities to send: a notification, another endpoint, and a notification that it may not hand on.
fn sending() -> Service {
    let mut s = Service::new(1);
    let client = s.clients[0];
    let n = s.world.make(ObjectType::Notification, 0, 1);
    let e = s.world.make(ObjectType::Endpoint, 0, 1);
    s.world.give(n, client.cnode, SENT, Rights::AS_HELD, 3);
    s.world.give(e, client.cnode, OTHER, Rights::AS_HELD, 0);
    s.world.give(n, client.cnode, BARE, Rights::SEND, 0);
    s.world.give(s.endpoint, client.cnode, 4, Rights::SEND, 0);
    s.listen();
    s.world.focus(client.tcb);
    s
}

#[test]
fn a_capability_arrives_in_a_slot() {
    for sent in [SENT, OTHER] {
        let mut s = sending();
        let ask = call(&[1, 2]).cap(sent, 0, 0);
        fast(&mut s.world, &ask);
        let got = s.world.got(s.server.tcb);
        let object = s.world.cap_of(s.clients[0].tcb, sent).object_type();
        let (arrival, badge, _) = got.cap(0);
        assert_eq!(
            arrival,
            Arrival::InSlot {
                object,
                position: 0
            }
        );
        assert_eq!(badge, if sent == SENT { 3 } else { 0 });
        assert_eq!(got.outcome().cap_count(), 1);
        let arrived = s.world.cap_of(s.server.tcb, WINDOW);
        assert_eq!(arrived.object_type(), object);
    }
}

#[test]
fn what_may_not_or_cannot_arrive_takes_the_long_way() {
    let s = sending();
    for (ask, status) in [
        (call(&[]).cap(BARE, 0, 0), Status::NoGrant),
        (Ask::call(4).cap(SENT, 0, 0), Status::EndpointNoGrant),
        (call(&[]).cap(EMPTY, 0, 0), Status::EmptySlot),
        (call(&[]).cap(SENT, 0, 8), Status::BadgeAlreadySet),
    ] {
        let mut s = s.clone();
        let caller = s.world.current();
        slow(&mut s.world, &ask);
        assert_eq!(s.world.got(caller).status(), status, "{ask:x?}");
    }
    for ask in [
        call(&[]).cap(SENT, 0, 0).cap(SENT, 0, 0),
        call(&[]).cap(SENT, 0, 0).deadline(100),
        call(&[]).moved(SENT),
        call(&[]).cap(OTHER, 0, 8),
    ] {
        let mut s = s.clone();
        assert_eq!(slow(&mut s.world, &ask), Progress::Blocked);
        // Nor does the part that is for such calls take it, whoever asks.
        let mut kernel = sending().world.kernel;
        kernel.prepare(&ask);
        assert_eq!(kernel.fast_invoke(), None, "{ask:x?}");
    }
    // Nothing is sent, whatever lies in the registers.
    let mut kernel = sending().world.kernel;
    let mut ask = call(&[]);
    ask.x[11] = SENT.into();
    kernel.prepare(&ask);
    assert_eq!(kernel.fast_invoke(), None);
}

#[test]
fn the_server_needs_a_window_with_room() {
    for full in [false, true] {
        let mut s = Service::new(1);
        let n = s.world.make(ObjectType::Notification, 0, 1);
        let (client, server) = (s.clients[0], s.server);
        s.world.give(n, client.cnode, SENT, Rights::AS_HELD, 0);
        let mut recv = Ask::recv(ENDPOINT, REPLY);
        if full {
            s.world.give(n, server.cnode, WINDOW, Rights::AS_HELD, 0);
            recv = recv.window(WINDOW, 1);
        }
        s.world.wait(server.tcb, &recv);
        s.world.focus(client.tcb);
        let ask = call(&[]).cap(SENT, 0, 0);
        refused(&mut s.world, &ask, Status::ReceiverWindow);
    }
}

/// The root with an address space and memory to map there.
fn mapping() -> (World, Ask) {
    let mut w = World::new(64);
    let space = w.make(ObjectType::AddressSpace, 0, 1);
    let tables = w.make(ObjectType::Untyped, 16 << 12, 1);
    let memory = w.make(ObjectType::MemoryObject, 4096, 1);
    let root = w.root;
    let asid = Ask::invoke(
        slot::ASID_CONTROL.into(),
        method::AsidControl::Assign as u64,
    );
    w.succeed(root, &asid.cap(space, 0, 0));
    let donate = Ask::invoke(space, method::AddressSpace::Donate as u64);
    w.succeed(root, &donate.cap(tables, 0, 0));
    let map = Ask::invoke(memory, method::MemoryObject::Map as u64);
    (w, map.words(&[0x10_0000, 0, 0, 1]).cap(space, 0, 0))
}

fn retype(w: &mut World) -> Ask {
    let to = w.free_slots(1);
    Ask::invoke(slot::UNTYPED_FIRST.into(), method::Untyped::Retype as u64)
        .words(&[ObjectType::Endpoint as u64, 0, 1, to.into(), 0, 0])
        .cap(slot::CNODE.into(), 0, 0)
}

#[test]
fn memory_is_mapped_and_made_into_objects() {
    let (mut w, map) = mapping();
    fast(&mut w, &map);
    assert_eq!(w.got(w.root).status(), Status::Ok);
    let retype = retype(&mut w);
    fast(&mut w, &retype);
    assert_eq!(w.got(w.root).status(), Status::Ok);
    // Refusals are the same.
    fast(&mut w, &retype);
    assert_eq!(w.got(w.root).status(), Status::SlotOccupied);
    // Other objects take the long way.
    let clock = Ask::invoke(slot::PLATFORM.into(), method::Platform::Clock as u64);
    slow(&mut w, &clock);
}

#[test]
fn methods_with_a_deadline_take_the_long_way() {
    let (mut w, map) = mapping();
    let retype = retype(&mut w);
    for ask in [map.deadline(1000), retype.deadline(1000)] {
        slow(&mut w, &ask);
    }
}

#[test]
fn an_untyped_needs_the_right_to_manage_and_no_other() {
    for (rights, is_fast) in [
        (Rights::MANAGE, true),
        (Rights::READ, false),
        (Rights::KERNEL.difference(Rights::MANAGE), false),
    ] {
        let mut w = World::new(64);
        let retype = retype(&mut w);
        // No call takes rights from an Untyped.
        let untyped = w.root_cap(slot::UNTYPED_FIRST.into());
        untyped.rights.set(rights.bits());
        assert_eq!(applies(&w, &retype), is_fast, "{rights:?}");
        w.enter(&retype);
        let status = w.got(w.root).status();
        assert_eq!(status == Status::MissingRight, !is_fast);
    }
}

#[test]
fn looking_at_an_untyped_needs_the_right_to_read() {
    for (rights, status) in [
        (Rights::READ, Status::Ok),
        (Rights::MANAGE | Rights::DMA, Status::MissingRight),
    ] {
        let mut w = World::new(64);
        let info = method::Untyped::Info as u64;
        let info = Ask::invoke(slot::UNTYPED_FIRST.into(), info);
        let untyped = w.root_cap(slot::UNTYPED_FIRST.into());
        untyped.rights.set(rights.bits());
        // A capability that nobody asked for does not help.
        for info in [info, info.cap(slot::CNODE.into(), 0, 0)] {
            slow(&mut w, &info);
            assert_eq!(w.got(w.root).status(), status, "{rights:?}");
        }
    }
}

/// Something is deleted and not gone yet.
fn with_a_pending_deletion(w: &mut World) {
    let cnode = w.make(ObjectType::CNode, 256, 1);
    w.kernel.machine.preempt_after.set(Some(1));
    let delete = Ask::invoke(slot::CNODE.into(), method::CNode::Delete as u64);
    assert_eq!(w.enter(&delete.words(&[cnode.into()])), Progress::Again);
    assert!(w.kernel.dying.is_some());
    w.kernel.machine.preempt_after.set(None);
}

#[test]
fn nothing_is_fast_while_a_deletion_is_pending() {
    let (mut w, map) = mapping();
    let retype = retype(&mut w);
    with_a_pending_deletion(&mut w);
    for ask in [map, retype] {
        assert!(!applies(&w, &ask));
        let mut kernel = w.kernel.clone();
        kernel.prepare(&ask);
        assert_eq!(kernel.fast_invoke(), None);
    }
    let mut s = sending();
    s.world.focus(s.world.root);
    with_a_pending_deletion(&mut s.world);
    s.world.focus(s.clients[0].tcb);
    for ask in [
        call(&[]).cap(SENT, 0, 0),
        call(&[]).cap(ENDPOINT, 0, 0),
        call(&[]).deadline(10),
    ] {
        assert!(!applies(&s.world, &ask), "{ask:x?}");
    }
    fast(&mut s.world, &call(&[]));
}
