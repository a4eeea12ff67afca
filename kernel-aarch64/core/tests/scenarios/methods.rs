//! Rights, arguments and results of single methods.

use gritos_abi::Address;

use crate::common::*;

/// A capability to an object with other rights than all.
fn narrowed(w: &mut World, cap: u32, rights: Rights) -> u32 {
    let to = w.free_slots(1);
    w.give(cap, slot::CNODE.into(), to, rights, 0);
    to
}

#[test]
fn looking_at_slots_needs_read_and_changing_them_write() {
    let mut w = World::new(64);
    let root = w.root;
    let cnode = w.make(ObjectType::CNode, 4, 1);
    let (read, write) = (
        narrowed(&mut w, cnode, Rights::READ),
        narrowed(&mut w, cnode, Rights::WRITE),
    );
    use method::CNode as C;
    let on = |cap, method: C| Ask::invoke(cap, method as u64).words(&[1]);
    let notification = w.make(ObjectType::Notification, 0, 1);
    for (ask, status) in [
        (on(read, C::Inspect), Status::Ok),
        (on(write, C::Inspect), Status::MissingRight),
        (
            on(read, C::Copy).cap(notification, 0, 0),
            Status::MissingRight,
        ),
        (on(write, C::Copy).cap(notification, 0, 0), Status::Ok),
        (on(read, C::Delete), Status::MissingRight),
        (on(read, C::Revoke), Status::MissingRight),
        (on(write, C::Revoke), Status::Ok),
        (on(write, C::Delete), Status::Ok),
    ] {
        assert_eq!(w.ask(root, &ask).status(), status, "{ask:x?}");
    }
}

#[test]
fn looking_at_an_address_space_needs_read_and_changing_it_manage() {
    let mut w = World::new(64);
    let root = w.root;
    let space = w.make(ObjectType::AddressSpace, 0, 1);
    let tables = w.make(ObjectType::Untyped, 16 << 12, 1);
    let (read, manage) = (
        narrowed(&mut w, space, Rights::READ),
        narrowed(&mut w, space, Rights::MANAGE),
    );
    use method::AddressSpace as A;
    let on = |cap, method: A| Ask::invoke(cap, method as u64);
    for (ask, status) in [
        (on(read, A::Info), Status::Ok),
        (on(manage, A::Info), Status::MissingRight),
        (on(read, A::Donate).cap(tables, 0, 0), Status::MissingRight),
        (on(manage, A::Donate).cap(tables, 0, 0), Status::Ok),
    ] {
        assert_eq!(w.ask(root, &ask).status(), status, "{ask:x?}");
    }
}

#[test]
fn inspect_tells_sizes_and_what_became_of_a_capability() {
    let mut w = World::new(64);
    let root = w.root;
    let (space, tables, memory) = (
        w.make(ObjectType::AddressSpace, 0, 1),
        w.make(ObjectType::Untyped, 16 << 12, 1),
        w.make(ObjectType::MemoryObject, 3 << 12, 1),
    );
    let cnode = w.make(ObjectType::CNode, 5, 1);
    let notification = w.make(ObjectType::Notification, 0, 1);
    let badged = w.free_slots(1);
    let own = u32::from(slot::CNODE);
    w.give(notification, own, badged, Rights::SEND, 0x8000_0001);
    let inspect = |w: &mut World, index: u32| -> [u64; 3] {
        let ask = Ask::invoke(own, method::CNode::Inspect as u64).words(&[index.into()]);
        let got = w.succeed(root, &ask);
        assert_eq!(got.outcome().word_count(), 3);
        [got.words()[0], got.words()[1], got.words()[2]]
    };
    let (mapped, has_children, device) = (1 << 8, 1 << 9, 1 << 10);
    let kernel = u64::from(Rights::KERNEL.bits());
    let untyped = u32::from(slot::UNTYPED_FIRST);
    for (index, flags, rights, size) in [
        (memory, 0, kernel, 3 << 12),
        (tables, 0, kernel, 16 << 12),
        (untyped, has_children, kernel, 16 << 20),
        (untyped + 1, device, kernel, 1 << 20),
        (cnode, 0, kernel, 5),
        (space, 0, kernel, 0),
        (notification, has_children, kernel, 0),
        (
            badged,
            0,
            u64::from(Rights::SEND.bits()) | 0x8000_0001 << 32,
            0,
        ),
    ] {
        let object = w.root_cap(index).object_type() as u64;
        let rights = if index == badged {
            rights
        } else {
            w.root_cap(index).rights.get().into()
        };
        let got = inspect(&mut w, index);
        assert_eq!(got, [object | flags, rights, size], "slot {index}");
    }
    let asid = Ask::invoke(
        slot::ASID_CONTROL.into(),
        method::AsidControl::Assign as u64,
    );
    w.succeed(root, &asid.cap(space, 0, 0));
    let donate = Ask::invoke(space, method::AddressSpace::Donate as u64);
    w.succeed(root, &donate.cap(tables, 0, 0));
    let map = Ask::invoke(memory, method::MemoryObject::Map as u64);
    w.succeed(root, &map.words(&[0x10_0000, 0, 0, 1]).cap(space, 0, 0));
    let [flags, ..] = inspect(&mut w, memory);
    assert_eq!(flags, ObjectType::MemoryObject as u64 | mapped);
    assert_eq!(inspect(&mut w, 63), [0; 3]);
}

#[test]
fn arguments_can_lie_in_a_cnode_of_the_root_cnode() {
    let mut w = World::new(64);
    let root = w.root;
    let cnode = w.make(ObjectType::CNode, 8, 1);
    let own = u32::from(slot::CNODE);
    // At the same index of the root CNode lies something else.
    let index = 3;
    w.give(own, cnode, index, Rights::AS_HELD, 0);
    let nested = Address::nested(cnode as u16, index as u16).0;
    let to = w.free_slots(1);
    let retype = |cnode| {
        Ask::invoke(slot::UNTYPED_FIRST.into(), method::Untyped::Retype as u64)
            .words(&[ObjectType::Endpoint as u64, 0, 1, to.into(), 0, 0])
            .cap(cnode, 0, 0)
    };
    assert_ne!(w.root_cap(index).object_type(), ObjectType::CNode);
    w.succeed(root, &retype(nested));
    assert_eq!(w.root_cap(to).object_type(), ObjectType::Endpoint);
    for (address, status) in [
        (Address::nested(cnode as u16, 4).0, Status::EmptySlot),
        (Address::nested(cnode as u16, 8).0, Status::InvalidAddress),
        (Address::nested(to as u16, 0).0, Status::InvalidAddress),
    ] {
        assert_eq!(w.refuse(root, &retype(address)), status);
    }
    // A Reply, too.
    let mut s = Service::new(1);
    let inner = s.world.make(ObjectType::CNode, 4, 1);
    s.world.give(s.reply, inner, 1, Rights::AS_HELD, 0);
    s.world.give(inner, s.server.cnode, 5, Rights::AS_HELD, 0);
    let nested = Address::nested(5, 1).0;
    s.world.wait(s.server.tcb, &Ask::recv(ENDPOINT, nested));
    s.call(0, call(&[1]));
    s.world
        .wait(s.server.tcb, &Ask::reply_recv(ENDPOINT, nested).words(&[2]));
    assert_eq!(s.world.woken(s.clients[0].tcb).words()[0], 2);
}

#[test]
fn the_platform_does_what_it_is_asked() {
    use method::Platform as P;
    let mut w = World::new(64);
    let root = w.root;
    let on =
        |method: P, word: u64| Ask::invoke(slot::PLATFORM.into(), method as u64).words(&[word]);
    for (word, taken) in [(1, true), (1, true), (0, false), (0, false)] {
        w.succeed(root, &on(P::TakeConsole, word));
        assert_eq!(w.kernel.machine.console_taken, taken);
    }
    w.succeed(root, &on(P::TakeConsole, 1));
    for word in [2, u64::MAX, 1 << 32] {
        let status = w.refuse(root, &on(P::TakeConsole, word));
        assert_eq!(status, Status::InvalidArgument);
        assert!(w.kernel.machine.console_taken);
    }
    // What the firmware gave is given once.
    let got = w.succeed(root, &on(P::Entropy, 0));
    assert_eq!(
        (got.words()[..4].to_vec(), got.outcome().word_count()),
        (vec![1, 2, 3, 4], 4)
    );
    assert_eq!(
        w.ask(root, &on(P::Entropy, 0)).status(),
        Status::Unsupported
    );
    w.kernel.machine.now = 77;
    let got = w.succeed(root, &on(P::Clock, 0));
    assert_eq!(got.words()[..2], [77, 1_000_000_000]);
    assert_eq!(
        w.ask(root, &on(P::PowerOff, 5)).status(),
        Status::Unsupported
    );
    assert_eq!(w.kernel.machine.off, Some(5));
    assert_eq!(w.ask(root, &on(P::Reset, 0)).status(), Status::Unsupported);
    assert_eq!(w.kernel.machine.resets, 1);
    // Clock and log are for whoever may read.
    let read = narrowed(&mut w, slot::PLATFORM.into(), Rights::READ);
    for (method, status) in [
        (P::Clock, Status::Ok),
        (P::ReadLog, Status::Ok),
        (P::Entropy, Status::MissingRight),
        (P::TakeConsole, Status::MissingRight),
    ] {
        let ask = Ask::invoke(read, method as u64).words(&[0]);
        assert_eq!(w.ask(root, &ask).status(), status, "{method:?}");
    }
}
