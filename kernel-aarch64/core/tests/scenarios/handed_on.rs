//! What goes from one capability to another, and what does not.

use gritos_kernel_core::store::Store;

use crate::common::*;
use crate::tables::*;

fn tcb(cap: u32, method: method::Tcb, words: &[u64]) -> Ask {
    Ask::invoke(cap, method as u64).words(words)
}

#[test]
fn the_dma_right_is_never_gained() {
    let mut w = World::new(64);
    let root = w.root;
    let (part, to) = (w.free_slots(1), w.free_slots(3));
    let without = (Rights::KERNEL - Rights::DMA).bits();
    // The mask of the destination says what the first capabilities may do.
    let split = [ObjectType::Untyped as u64, 1 << 16, 1, part.into(), 0, 0];
    let masked = |words: [u64; 6], from: u32, mask: u32| {
        Ask::invoke(from, method::Untyped::Retype as u64)
            .words(&words)
            .cap(ROOT, mask, 0)
    };
    w.succeed(root, &masked(split, UNTYPED, without));
    // What the Untyped does not have it cannot give.
    let page = [ObjectType::MemoryObject as u64, 4096, 1, to.into(), 0, 0];
    for mask in [Rights::KERNEL.bits(), Rights::DMA.bits(), 1 << 16] {
        let status = w.refuse(root, &masked(page, part, mask));
        assert_eq!(status, Status::RightsNotHeld, "{mask:#x}");
    }
    for (i, (object, size)) in [
        (ObjectType::MemoryObject, 4096),
        (ObjectType::Untyped, 4096),
        (ObjectType::Endpoint, 0),
    ]
    .into_iter()
    .enumerate()
    {
        let at = to + i as u32;
        w.succeed(
            root,
            &retype(part, [object as u64, size, 1, at.into(), 0, 0]),
        );
        let server = if object == ObjectType::Endpoint {
            0xffff_0000
        } else {
            0
        };
        assert_eq!(w.root_cap(at).rights.get(), without | server);
    }
    let ask = Ask::invoke(to, method::MemoryObject::PhysicalAddress as u64);
    assert_eq!(w.refuse(root, &ask), Status::MissingRight);
}

#[test]
fn registers_of_capabilities_that_are_not_declared_are_none() {
    let mut w = World::new(64);
    let root = w.root;
    let (from, to) = (w.make(ObjectType::Endpoint, 0, 1), w.free_slots(1));
    let declared = |mut ask: Ask, count| {
        ask.x[10] = gritos_abi::Control(ask.x[10]).with_caps(count, 0).0;
        ask
    };
    for method in [
        method::CNode::Copy,
        method::CNode::Mint,
        method::CNode::Move,
    ] {
        let ask = Ask::invoke(ROOT, method as u64).words(&[to.into()]);
        let ask = declared(ask.cap(from, 0, 0), 0);
        assert_eq!(w.refuse(root, &ask), Status::InvalidArgument);
    }
    // Of three arguments of Configure as many as are declared.
    let (space, thread) = (w.make(ObjectType::AddressSpace, 0, 1), w.spawn(8));
    w.succeed(root, &assign(space));
    w.succeed(root, &tcb(thread.cap, method::Tcb::Suspend, &[]));
    let ask = tcb(thread.cap, method::Tcb::Configure, &[]);
    let ask = ask.cap(0, 0, 0).cap(space, 0, 0).cap(from, 0, 0);
    let filled =
        |w: &World| [1, 2].map(|i| !w.kernel.store.slot(thread.tcb.slot(i).unwrap()).is_empty());
    for (count, expected) in [(0, [false; 2]), (1, [false; 2]), (2, [true, false])] {
        w.succeed(root, &declared(ask, count));
        assert_eq!(filled(&w), expected, "{count}");
    }
    assert_eq!(w.refuse(root, &declared(ask, 3)), Status::SlotOccupied);
}

#[test]
fn a_window_ends_with_the_last_index() {
    let mut s = Service::new(1);
    let (root, client, server) = (s.world.root, s.clients[0], s.server);
    let caps = |n: u32| (0..n).fold(call(&[]), |ask, i| ask.cap(5 + i, 0, 0));
    let notification = s.world.make(ObjectType::Notification, 0, 1);
    for index in 5..7 {
        s.world
            .give(notification, client.cnode, index, Rights::AS_HELD, 0);
    }
    // The last two of 65,536 slots; slot 0 is empty.
    let wide = s.world.make(ObjectType::CNode, 0x1_0000, 1);
    s.world.give(wide, server.cnode, 7, Rights::AS_HELD, 0);
    let at = |index: u32| 7 << 16 | index;
    for (first, sent, status) in [
        (0xffff, 1, Status::Ok),
        (0xffff, 2, Status::ReceiverWindow),
        (0xfffe, 2, Status::Ok),
    ] {
        let receive = Ask::recv(ENDPOINT, REPLY).window(at(first), 2);
        s.world.wait(server.tcb, &receive);
        if status == Status::Ok {
            s.call(0, caps(sent));
            for index in first..first + sent {
                let cap = s.world.cap_of(server.tcb, at(index));
                assert_eq!(
                    cap.object.get(),
                    s.world.root_cap(notification).object.get()
                );
                s.world.delete(wide, index);
            }
            s.world.succeed(server.tcb, &Ask::reply(REPLY));
        } else {
            let got = s.world.ask(client.tcb, &caps(sent));
            assert_eq!(got.status(), status);
            for ask in [
                Ask::invoke(server.cap, method::Tcb::Suspend as u64),
                Ask::invoke(server.cap, method::Tcb::Resume as u64),
            ] {
                s.world.succeed(root, &ask);
            }
        }
        assert!(s.world.cap_of(server.tcb, at(0)).is_empty());
    }
}
