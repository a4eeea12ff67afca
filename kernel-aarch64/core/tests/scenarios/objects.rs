//! Methods of every object: on the wrong type, without the right, unknown.

use crate::common::*;

/// One capability of each type, and its number of methods.
fn zoo(w: &mut World) -> Vec<(ObjectType, u32, usize)> {
    use method as m;
    let irq = w.free_slots(1);
    let get = Ask::invoke(slot::IRQ_CONTROL.into(), m::IrqControl::Get as u64)
        .words(&[40, irq.into(), 0])
        .cap(slot::CNODE.into(), 0, 0);
    let root = w.root;
    w.succeed(root, &get);
    vec![
        (
            ObjectType::Untyped,
            slot::UNTYPED_FIRST.into(),
            m::Untyped::ALL.len(),
        ),
        (
            ObjectType::CNode,
            w.make(ObjectType::CNode, 4, 1),
            m::CNode::ALL.len(),
        ),
        (
            ObjectType::Tcb,
            w.make(ObjectType::Tcb, 0, 1),
            m::Tcb::ALL.len(),
        ),
        (
            ObjectType::Notification,
            w.make(ObjectType::Notification, 0, 1),
            m::Notification::ALL.len(),
        ),
        (ObjectType::Reply, w.make(ObjectType::Reply, 0, 1), 0),
        (
            ObjectType::SchedulingContext,
            w.make(ObjectType::SchedulingContext, 0, 1),
            m::SchedulingContext::ALL.len(),
        ),
        (
            ObjectType::AddressSpace,
            w.make(ObjectType::AddressSpace, 0, 1),
            m::AddressSpace::ALL.len(),
        ),
        (
            ObjectType::MemoryObject,
            w.make(ObjectType::MemoryObject, 4096, 1),
            m::MemoryObject::ALL.len(),
        ),
        (ObjectType::IrqHandler, irq, m::IrqHandler::ALL.len()),
        (
            ObjectType::SchedControl,
            slot::SCHED_CONTROL.into(),
            m::SchedControl::ALL.len(),
        ),
        (
            ObjectType::IrqControl,
            slot::IRQ_CONTROL.into(),
            m::IrqControl::ALL.len(),
        ),
        (
            ObjectType::Platform,
            slot::PLATFORM.into(),
            m::Platform::ALL.len(),
        ),
        (
            ObjectType::AsidControl,
            slot::ASID_CONTROL.into(),
            m::AsidControl::ALL.len(),
        ),
    ]
}

#[test]
fn unknown_methods_are_refused_by_every_object() {
    let mut w = World::new(64);
    let root = w.root;
    for (object, cap, methods) in zoo(&mut w) {
        for tag in [methods as u64, 99, u64::MAX, 1 << 32] {
            let status = w.refuse(root, &Ask::invoke(cap, tag));
            assert_eq!(status, Status::UnknownMethod, "{object:?} {tag}");
        }
    }
}

#[test]
fn without_rights_no_method_does_anything() {
    let mut w = World::new(64);
    let root = w.root;
    for (object, cap, methods) in zoo(&mut w) {
        if object == ObjectType::Untyped {
            continue;
        }
        // GRANT is a right that no method asks for.
        let bare = w.free_slots(1);
        w.give(cap, slot::CNODE.into(), bare, Rights::GRANT, 0);
        for tag in 0..methods as u64 {
            let info =
                object == ObjectType::MemoryObject && tag == method::MemoryObject::Info as u64;
            if info {
                continue;
            }
            let status = w.refuse(root, &Ask::invoke(bare, tag));
            assert_eq!(status, Status::MissingRight, "{object:?} {tag}");
        }
    }
}

/// Arguments of the right form, each with a capability of the wrong type.
#[test]
fn arguments_of_the_wrong_type_are_refused() {
    use method as m;
    let mut w = World::new(64);
    let root = w.root;
    let zoo = zoo(&mut w);
    let of = |object| {
        let found = zoo.iter().find(|(o, ..)| *o == object);
        found.map_or(0, |(_, cap, _)| *cap)
    };
    let tcb = of(ObjectType::Tcb);
    let expects = [
        (
            of(ObjectType::Untyped),
            m::Untyped::Retype as u64,
            ObjectType::CNode,
        ),
        (tcb, m::Tcb::Configure as u64, ObjectType::CNode),
        (tcb, m::Tcb::SetPriority as u64, ObjectType::Tcb),
        (
            tcb,
            m::Tcb::BindContext as u64,
            ObjectType::SchedulingContext,
        ),
        (
            tcb,
            m::Tcb::BindNotification as u64,
            ObjectType::Notification,
        ),
        (
            of(ObjectType::SchedControl),
            m::SchedControl::Configure as u64,
            ObjectType::SchedulingContext,
        ),
        (
            of(ObjectType::AddressSpace),
            m::AddressSpace::Donate as u64,
            ObjectType::Untyped,
        ),
        (
            of(ObjectType::MemoryObject),
            m::MemoryObject::Map as u64,
            ObjectType::AddressSpace,
        ),
        (
            of(ObjectType::IrqHandler),
            m::IrqHandler::Bind as u64,
            ObjectType::Notification,
        ),
        (
            of(ObjectType::AsidControl),
            m::AsidControl::Assign as u64,
            ObjectType::AddressSpace,
        ),
    ];
    for (cap, tag, wanted) in expects {
        let e = ObjectType::Endpoint as u64;
        let ask = Ask::invoke(cap, tag).words(&[e, 0, 1, 60, 0, 0]);
        for (object, argument, _) in &zoo {
            if *object != wanted {
                let status = w.refuse(root, &ask.cap(*argument, 0, 0));
                assert_eq!(status, Status::WrongType, "{cap} {tag} {object:?}");
            }
        }
        let empty = w.refuse(root, &ask.cap(62, 0, 0));
        assert_eq!(empty, Status::EmptySlot);
        let outside = w.refuse(root, &ask.cap(64, 0, 0));
        assert_eq!(outside, Status::InvalidAddress);
    }
}

#[test]
fn system_calls_need_the_right_type() {
    let mut w = World::new(64);
    let root = w.root;
    for (object, cap, _) in zoo(&mut w) {
        if object == ObjectType::Notification {
            continue;
        }
        for ask in [Ask::recv(cap, 0), Ask::poll(cap, 0), Ask::send(cap)] {
            let status = w.refuse(root, &ask);
            assert_eq!(status, Status::WrongType, "{object:?}");
        }
        if object != ObjectType::Reply {
            let status = w.refuse(root, &Ask::reply(cap));
            assert_eq!(status, Status::WrongType, "{object:?}");
        }
    }
    let empty = w.free_slots(1);
    for ask in [
        Ask::call(empty),
        Ask::send(empty),
        Ask::recv(empty, 0),
        Ask::poll(empty, 0),
        Ask::reply(empty),
    ] {
        assert_eq!(w.refuse(root, &ask), Status::EmptySlot);
    }
}

#[test]
fn notifications_gather_bits_and_wake_one_waiter() {
    let mut s = Service::new(2);
    let n = s.world.make(ObjectType::Notification, 0, 1);
    let clients = s.clients.clone();
    for client in &clients {
        s.world.give(n, client.cnode, 5, Rights::RECV, 0);
    }
    let root = s.world.root;
    let (a, b) = (clients[0].tcb, clients[1].tcb);
    let badged = s.world.free_slots(1);
    s.world.give(n, slot::CNODE.into(), badged, Rights::SEND, 4);
    s.world.succeed(root, &Ask::send(n).words(&[1 << 40]));
    s.world.succeed(root, &Ask::send(badged).words(&[1]));
    let got = s.world.succeed(a, &Ask::recv(5, 0));
    assert_eq!(
        (got.kind(), got.words()[0]),
        (Kind::Notification, 1 << 40 | 4)
    );
    assert_eq!(s.world.refuse(a, &Ask::poll(5, 0)), Status::WouldBlock);
    s.world.wait(a, &Ask::recv(5, 0));
    s.world.wait(b, &Ask::recv(5, 0));
    s.world.succeed(root, &Ask::invoke(badged, 0));
    assert_eq!(s.world.woken(a).words(), [4, 0, 0, 0, 0, 0, 0, 0]);
    let state = s.world.state(b);
    assert_eq!(state, ThreadState::BlockedNotification);
    // Neither right does the other's work.
    assert_eq!(s.world.refuse(a, &Ask::send(5)), Status::MissingRight);
    let status = s.world.refuse(root, &Ask::poll(badged, 0));
    assert_eq!(status, Status::MissingRight);
}

#[test]
fn a_bound_notification_wakes_its_thread_in_any_receive() {
    let mut s = Service::new(1);
    let n = s.world.make(ObjectType::Notification, 0, 1);
    let root = s.world.root;
    let server = s.server;
    let bind = Ask::invoke(server.cap, method::Tcb::BindNotification as u64).cap(n, 0, 0);
    s.world.succeed(root, &bind);
    assert_eq!(s.world.refuse(root, &bind), Status::AlreadyBound);
    s.listen();
    s.world.succeed(root, &Ask::send(n).words(&[8]));
    let got = s.world.woken(server.tcb);
    assert_eq!((got.kind(), got.words()[0]), (Kind::Notification, 8));
    // The Reply is free: the next receive arms it again.
    s.world.succeed(root, &Ask::send(n).words(&[16]));
    let got = s.world.succeed(server.tcb, &Ask::recv(ENDPOINT, REPLY));
    assert_eq!(got.words()[0], 16);
    s.listen();
    let unbind = Ask::invoke(server.cap, method::Tcb::UnbindNotification as u64);
    s.world.succeed(root, &unbind);
    assert_eq!(s.world.refuse(root, &unbind), Status::NotBound);
    // Bits that are there when it is bound reach a thread that waits already.
    s.world.succeed(root, &Ask::send(n).words(&[32]));
    s.world.succeed(root, &bind);
    assert_eq!(s.world.woken(server.tcb).words()[0], 32);
}

#[test]
fn a_server_with_a_bound_notification_answers_and_takes_its_bits() {
    let mut s = Service::new(1);
    let (n, irq) = (
        s.world.make(ObjectType::Notification, 0, 1),
        s.world.free_slots(1),
    );
    let (root, server, client) = (s.world.root, s.server, s.clients[0].tcb);
    let bind = Ask::invoke(server.cap, method::Tcb::BindNotification as u64).cap(n, 0, 0);
    s.world.succeed(root, &bind);
    let get = Ask::invoke(slot::IRQ_CONTROL.into(), 0)
        .words(&[40, irq.into(), 1])
        .cap(slot::CNODE.into(), 0, 0);
    s.world.succeed(root, &get);
    let badged = s.world.free_slots(1);
    s.world.give(n, slot::CNODE.into(), badged, Rights::SEND, 2);
    let bind = Ask::invoke(irq, method::IrqHandler::Bind as u64)
        .words(&[1])
        .cap(badged, 0, 0);
    s.world.succeed(root, &bind);
    s.listen();
    let next = Ask::reply_recv(ENDPOINT, REPLY);
    for round in 0..3 {
        // Nothing is signalled: it answers and waits.
        s.call(0, call(&[round]));
        s.world.wait(server.tcb, &next.words(&[round + 1]));
        assert_eq!(s.world.woken(client).words()[0], round + 1);
        // Bits that came while it served arrive instead of the next message.
        s.call(0, call(&[]));
        s.world.succeed(root, &Ask::send(n).words(&[8]));
        let got = s.world.succeed(server.tcb, &next);
        assert_eq!((got.kind(), got.words()[0]), (Kind::Notification, 8));
        assert_eq!(s.world.woken(client).kind(), Kind::Reply);
        // So does an interrupt, which is let through again by the wait that follows.
        s.listen();
        s.call(0, call(&[]));
        s.world.kernel.interrupt(40);
        s.world.kernel.reschedule();
        let got = s.world.succeed(server.tcb, &next);
        assert_eq!((got.kind(), got.words()[0]), (Kind::Notification, 2));
        assert_eq!(s.world.kernel.machine.unmasked, []);
        s.listen();
        assert_eq!(s.world.kernel.machine.unmasked, [40]);
        // One that came before it was asked to answer, and whose bits others took.
        s.call(0, call(&[]));
        s.world.kernel.interrupt(40);
        s.world.kernel.reschedule();
        s.world.succeed(root, &Ask::poll(n, 0));
        s.world.wait(server.tcb, &next);
        assert_eq!(s.world.kernel.machine.unmasked, [40]);
    }
}

#[test]
fn interrupts_signal_and_wait_for_their_acknowledgement() {
    let mut w = World::new(64);
    let root = w.root;
    let (n, cap) = (w.make(ObjectType::Notification, 0, 1), w.free_slots(3));
    let get = |irq: u64, to: u32, edge: u64| {
        Ask::invoke(slot::IRQ_CONTROL.into(), 0)
            .words(&[irq, to.into(), edge])
            .cap(slot::CNODE.into(), 0, 0)
    };
    w.succeed(root, &get(40, cap, 1));
    for (ask, status) in [
        (get(40, cap + 1, 0), Status::IrqUnavailable),
        (get(320, cap + 1, 0), Status::IrqUnavailable),
        (get(1 << 32, cap + 1, 0), Status::IrqUnavailable),
        (get(41, cap + 1, 2), Status::InvalidArgument),
        (get(41, cap, 0), Status::SlotOccupied),
        (get(41, 64, 0), Status::InvalidAddress),
    ] {
        assert_eq!(w.refuse(root, &ask), status, "{ask:?}");
    }
    let ack = Ask::invoke(cap, method::IrqHandler::Ack as u64);
    assert_eq!(w.refuse(root, &ack), Status::NotBound);
    let badged = cap + 2;
    w.give(n, slot::CNODE.into(), badged, Rights::SEND, 2);
    let bind = |automatic| {
        Ask::invoke(cap, method::IrqHandler::Bind as u64)
            .words(&[automatic])
            .cap(badged, 0, 0)
    };
    assert_eq!(w.refuse(root, &bind(2)), Status::InvalidArgument);
    for automatic in [0, 1] {
        w.succeed(root, &bind(automatic));
        assert_eq!(w.refuse(root, &bind(automatic)), Status::AlreadyBound);
        assert_eq!(w.kernel.machine.unmasked, [40]);
        w.kernel.interrupt(40);
        w.kernel.reschedule();
        w.check();
        assert_eq!(w.kernel.machine.unmasked, []);
        let got = w.succeed(root, &Ask::recv(n, 0));
        assert_eq!(got.words()[0], 2);
        if automatic == 1 {
            w.wait(root, &Ask::recv(n, 0).deadline(w.kernel.machine.now + 1));
            let now = w.kernel.machine.now;
            w.sleep_until(now + 1);
        } else {
            w.succeed(root, &ack);
        }
        assert_eq!(w.kernel.machine.unmasked, [40]);
        let unbind = Ask::invoke(cap, method::IrqHandler::Unbind as u64);
        w.succeed(root, &unbind);
        assert_eq!(w.kernel.machine.unmasked, []);
    }
    w.succeed(root, &bind(0));
    w.delete(slot::CNODE.into(), n);
    w.delete(slot::CNODE.into(), badged);
    assert_eq!(w.kernel.machine.unmasked, []);
    w.delete(slot::CNODE.into(), cap);
    w.succeed(root, &get(40, cap, 0));
}
