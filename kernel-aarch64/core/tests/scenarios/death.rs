//! Threads that are killed and objects that are deleted while others wait.

use gritos_kernel_core::object::Tag;
use gritos_kernel_core::store::Store;

use crate::common::*;

/// Everything a client can be in the middle of.
fn in_every_wait(mut then: impl FnMut(&mut Service, ThreadState)) {
    let mut sending = Service::new(1);
    sending.call(0, call(&[]));
    then(&mut sending, ThreadState::BlockedIpcSend);

    let mut awaiting = Service::new(1);
    awaiting.listen();
    awaiting.call(0, call(&[]));
    then(&mut awaiting, ThreadState::BlockedIpcRecv);

    let mut lending = Service::passive(1);
    lending.call(0, call(&[]));
    then(&mut lending, ThreadState::BlockedIpcRecv);

    for (armed, deadline) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut receiving = Service::new(1);
        let client = receiving.clients[0];
        let world = &mut receiving.world;
        world.give(receiving.endpoint, client.cnode, 4, Rights::RECV, 0);
        world.give(receiving.reply, client.cnode, REPLY, Rights::AS_HELD, 0);
        let ask = Ask::recv(4, if armed { REPLY } else { 0 });
        let ask = if deadline { ask.deadline(9_000) } else { ask };
        world.wait(client.tcb, &ask);
        then(&mut receiving, ThreadState::BlockedIpcRecv);
    }

    let mut waiting = Service::new(1);
    let n = waiting.world.make(ObjectType::Notification, 0, 1);
    let client = waiting.clients[0];
    waiting.world.give(n, client.cnode, 4, Rights::AS_HELD, 0);
    waiting.world.wait(client.tcb, &Ask::recv(4, 0));
    then(&mut waiting, ThreadState::BlockedNotification);

    let mut sleeping = Service::new(1);
    let client = sleeping.clients[0].tcb;
    sleeping
        .world
        .wait(client, &Ask::recv(0, 0).deadline(5_000));
    then(&mut sleeping, ThreadState::BlockedSleep);
}

#[test]
fn a_thread_in_any_wait_can_be_suspended_and_resumed() {
    in_every_wait(|s, state| {
        let client = s.clients[0];
        let root = s.world.root;
        assert_eq!(s.world.state(client.tcb), state);
        let suspend = Ask::invoke(client.cap, method::Tcb::Suspend as u64);
        s.world.succeed(root, &suspend);
        assert_eq!(s.world.state(client.tcb), ThreadState::Inactive);
        let resume = Ask::invoke(client.cap, method::Tcb::Resume as u64);
        s.world.succeed(root, &resume);
        assert_eq!(s.world.woken(client.tcb).status(), Status::Aborted);
    });
}

#[test]
fn a_thread_in_any_wait_can_be_killed() {
    in_every_wait(|s, _| {
        let client = s.clients[0];
        let root = s.world.root;
        let kill = Ask::invoke(client.cap, method::Tcb::Kill as u64);
        s.world.succeed(root, &kill);
        assert_eq!(s.world.state(client.tcb), ThreadState::Terminated);
        let resume = Ask::invoke(client.cap, method::Tcb::Resume as u64);
        assert_eq!(s.world.refuse(root, &resume), Status::InvalidState);
    });
}

#[test]
fn a_thread_in_any_wait_can_be_destroyed() {
    in_every_wait(|s, _| {
        let client = s.clients[0];
        s.world.delete(slot::CNODE.into(), client.cap);
        let gone = s.world.kernel.store.get(client.tcb.raw());
        let word = gone.and_then(|o| o.header()).map(|h| h.word.get());
        assert_eq!(word, Some(0));
    });
}

#[test]
fn everything_a_thread_waits_on_can_be_deleted() {
    in_every_wait(|s, state| {
        let client = s.clients[0].tcb;
        let root = slot::CNODE.into();
        let (endpoint, reply) = (s.endpoint, s.reply);
        let notification = s.world.free_slots(0) - 1;
        for cap in [endpoint, reply, notification] {
            s.world.revoke(root, cap);
            s.world.delete(root, cap);
        }
        let status = match state {
            ThreadState::BlockedSleep => return,
            _ => s.world.woken(client).status(),
        };
        let expected = [Status::Deleted, Status::ServerDied];
        assert!(expected.contains(&status), "{status:?} in {state:?}");
    });
}

#[test]
fn a_dead_client_leaves_its_reply_spent() {
    let mut s = Service::new(1);
    s.listen();
    s.call(0, call(&[]));
    s.world.delete(slot::CNODE.into(), s.clients[0].cap);
    let status = s.world.refuse(s.server.tcb, &Ask::reply(REPLY));
    assert_eq!(status, Status::ReplySpent);
    s.listen();
}

#[test]
fn callers_of_a_destroyed_server_are_told() {
    let mut s = Service::new(2);
    let root = slot::CNODE.into();
    s.listen();
    s.call(0, call(&[]));
    s.call(1, call(&[]));
    // The server holds the only capability to its Reply.
    s.world.succeed(
        s.world.root,
        &Ask::invoke(root, method::CNode::Delete as u64).words(&[s.reply.into()]),
    );
    s.world.delete(s.server.cnode, 1);
    s.world.delete(root, s.server.cap);
    s.world.delete(root, s.server.cnode);
    let told = s.world.woken(s.clients[0].tcb);
    assert_eq!(told.status(), Status::ServerDied);
    // The other waits for the next instance.
    let state = s.world.state(s.clients[1].tcb);
    assert_eq!(state, ThreadState::BlockedIpcSend);
}

#[test]
fn a_call_in_service_survives_the_endpoint() {
    let mut s = Service::new(1);
    s.listen();
    s.call(0, call(&[]));
    let root = slot::CNODE.into();
    s.world.revoke(root, s.endpoint);
    s.world.delete(root, s.endpoint);
    s.world
        .succeed(s.server.tcb, &Ask::reply(REPLY).words(&[3]));
    assert_eq!(s.world.woken(s.clients[0].tcb).words()[0], 3);
}

#[test]
fn revoking_a_servers_capability_leaves_clients_queued() {
    let mut s = Service::new(2);
    // The server's capability was derived from the root's: take that alone.
    s.call(0, call(&[1]));
    s.world.delete(s.server.cnode, ENDPOINT);
    assert_eq!(
        s.world.refuse(s.server.tcb, &Ask::recv(ENDPOINT, REPLY)),
        Status::EmptySlot
    );
    s.world
        .give(s.endpoint, s.server.cnode, ENDPOINT, Rights::RECV, 0);
    let got = s.world.succeed(s.server.tcb, &Ask::recv(ENDPOINT, REPLY));
    assert_eq!(got.words()[0], 1);
}

#[test]
fn threads_can_end_themselves() {
    for method in [method::Tcb::Suspend, method::Tcb::Kill] {
        let mut s = Service::new(1);
        let client = s.clients[0];
        s.world
            .give(client.cap, client.cnode, 5, Rights::AS_HELD, 0);
        let progress = s.world.act(client.tcb, &Ask::invoke(5, method as u64));
        assert_eq!(progress, Progress::Stopped);
    }
    let mut s = Service::new(1);
    let client = s.clients[0];
    s.world
        .give(client.cnode, client.cnode, 5, Rights::AS_HELD, 0);
    s.world
        .give(slot::CNODE.into(), client.cnode, 6, Rights::AS_HELD, 0);
    let delete = Ask::invoke(6, method::CNode::Delete as u64).words(&[client.cap.into()]);
    assert_eq!(s.world.act(client.tcb, &delete), Progress::Stopped);
}

/// A server and what it borrows die together: it sends a fault when what it borrowed is gone, and none if it has ended
/// before that was told, as a delete does that does not give way in between.
#[test]
fn a_thread_that_ended_sends_no_fault() {
    let mut ended = 0;
    for steps in 0..12 {
        let mut s = Service::passive(1);
        let (root, client, server) = (s.world.root, s.clients[0], s.server);
        let w = &mut s.world;
        let (handler, reply) = (
            w.make(ObjectType::Endpoint, 0, 1),
            w.make(ObjectType::Reply, 0, 1),
        );
        let watcher = w.spawn(SLOTS);
        w.give(handler, watcher.cnode, ENDPOINT, Rights::RECV, 0);
        w.give(reply, watcher.cnode, REPLY, Rights::AS_HELD, 0);
        w.wait(watcher.tcb, &Ask::recv(ENDPOINT, REPLY));
        let suspend = Ask::invoke(server.cap, method::Tcb::Suspend as u64);
        let configure = Ask::invoke(server.cap, method::Tcb::Configure as u64)
            .cap(0, 0, 0)
            .cap(0, 0, 0)
            .cap(handler, 0, 9);
        let resume = Ask::invoke(server.cap, method::Tcb::Resume as u64);
        for ask in [suspend, configure, resume] {
            w.succeed(root, &ask);
        }
        s.start_passive_again();
        s.call(0, call(&[]));
        let w = &mut s.world;
        // What dies hangs from one capability. What lost its last one latest is dismantled first: the context.
        let cnode = w.make(ObjectType::CNode, 4, 1);
        for (cap, index) in [(server.cap, 0), (client.context, 1)] {
            let moved = Ask::invoke(cnode, method::CNode::Move as u64).words(&[index]);
            w.succeed(root, &moved.cap(cap, 0, 0));
        }
        let delete = Ask::invoke(slot::CNODE.into(), method::CNode::Delete as u64);
        let delete = delete.words(&[cnode.into()]);
        w.focus(root);
        w.kernel.prepare(&delete);
        w.kernel.system_call(delete.number);
        // It gives way as soon as the context is lost.
        assert_ne!(w.state(server.tcb), ThreadState::Terminated);
        for _ in 0..steps {
            w.kernel.step();
        }
        let alive = w.kernel.store.header(server.tcb.into()).is(Tag::Tcb);
        let end = !alive || w.state(server.tcb) == ThreadState::Terminated;
        w.kernel.reschedule();
        w.check();
        let told = w.state(watcher.tcb) != ThreadState::BlockedIpcRecv;
        assert_eq!(told, !end, "after {steps} steps");
        ended += u32::from(end);
    }
    assert!(ended > 2);
}
