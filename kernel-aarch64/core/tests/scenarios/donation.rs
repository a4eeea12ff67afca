//! Passive servers run on what their callers lend.

use crate::common::*;

#[test]
fn a_passive_server_runs_on_its_callers_context() {
    let mut s = Service::passive(1);
    let client = s.clients[0].tcb;
    let own = s.world.kernel.context_of(client);
    s.call(0, call(&[1]));
    assert_eq!(s.world.kernel.context_of(s.server.tcb), own);
    assert_eq!(s.world.kernel.context_of(client), None);
    let answer = Ask::reply_recv(ENDPOINT, REPLY).words(&[2]);
    s.world.wait(s.server.tcb, &answer);
    assert_eq!(s.world.woken(client).words()[0], 2);
    assert_eq!(s.world.kernel.context_of(client), own);
}

#[test]
fn a_passive_server_stops_running_when_it_has_replied() {
    let mut s = Service::passive(1);
    s.call(0, call(&[]));
    let progress = s.world.act(s.server.tcb, &Ask::reply(REPLY));
    assert_eq!(progress, Progress::Returned);
    assert_ne!(s.world.kernel.cpu.current, Some(s.server.tcb));
    assert_eq!(s.world.kernel.context_of(s.server.tcb), None);
    assert_eq!(s.world.woken(s.clients[0].tcb).status(), Status::Ok);
}

#[test]
fn one_way_messages_to_a_passive_receiver_are_refused() {
    let mut s = Service::passive(1);
    let status = s.world.refuse(s.clients[0].tcb, &Ask::send(ENDPOINT));
    assert_eq!(status, Status::PassiveReceiver);
}

#[test]
fn a_passive_thread_may_only_wait_for_callers() {
    let mut s = Service::passive(1);
    let n = s.world.make(ObjectType::Notification, 0, 1);
    s.world.give(n, s.server.cnode, 5, Rights::AS_HELD, 0);
    let bind = Ask::invoke(s.server.cap, method::Tcb::BindNotification as u64).cap(n, 0, 0);
    let root = s.world.root;
    assert_eq!(s.world.refuse(root, &bind), Status::InvalidState);
    s.call(0, call(&[]));
    for ask in [
        Ask::recv(ENDPOINT, 0),
        Ask::recv(5, 0),
        Ask::reply_recv(5, REPLY),
        Ask::reply_recv(ENDPOINT, REPLY).deadline(100),
    ] {
        let status = s.world.refuse(s.server.tcb, &ask);
        assert_eq!(status, Status::InvalidState, "{ask:?}");
    }
}

/// Two passive servers in a row: the second is called by the first.
struct Chain {
    s: Service,
    second: Thread,
}

const NEXT: u32 = 6;

impl Chain {
    fn new() -> Self {
        let mut s = Service::passive(1);
        let world = &mut s.world;
        let endpoint = world.make(ObjectType::Endpoint, 0, 1);
        let reply = world.make(ObjectType::Reply, 0, 1);
        let second = world.spawn(SLOTS);
        world.give(endpoint, second.cnode, ENDPOINT, Rights::RECV, 0);
        world.give(reply, second.cnode, REPLY, Rights::AS_HELD, 0);
        world.give(endpoint, s.server.cnode, NEXT, Rights::SEND, 0);
        world.wait(second.tcb, &Ask::recv(ENDPOINT, REPLY));
        let unbind = Ask::invoke(second.cap, method::Tcb::UnbindContext as u64);
        world.succeed(world.root, &unbind);
        s.call(0, call(&[]));
        Self { s, second }
    }
}

#[test]
fn a_context_is_lent_on_and_comes_back_the_same_way() {
    let Chain { mut s, second } = Chain::new();
    let (client, server) = (s.clients[0].tcb, s.server.tcb);
    let own = s.world.kernel.context_of(server);
    s.world.wait(server, &Ask::call(NEXT).words(&[1]));
    assert_eq!(s.world.kernel.context_of(second.tcb), own);
    s.world
        .wait(second.tcb, &Ask::reply_recv(ENDPOINT, REPLY).words(&[2]));
    assert_eq!(s.world.woken(server).words()[0], 2);
    assert_eq!(s.world.kernel.context_of(server), own);
    s.world
        .wait(server, &Ask::reply_recv(ENDPOINT, REPLY).words(&[3]));
    assert_eq!(s.world.woken(client).words()[0], 3);
    assert_eq!(s.world.kernel.context_of(client), own);
}

#[test]
fn the_middle_of_a_chain_can_be_destroyed() {
    let Chain { mut s, second } = Chain::new();
    let (client, server) = (s.clients[0].tcb, s.server);
    let own = s.world.kernel.context_of(server.tcb);
    s.world.wait(server.tcb, &Ask::call(NEXT));
    s.world.delete(slot::CNODE.into(), server.cap);
    assert_eq!(s.world.kernel.context_of(second.tcb), own);
    let spent = Ask::reply_recv(ENDPOINT, REPLY);
    assert_eq!(s.world.refuse(second.tcb, &spent), Status::ReplySpent);
    s.world.wait(second.tcb, &Ask::recv(ENDPOINT, REPLY));
    assert_eq!(s.world.kernel.context_of(client), own);
}

#[test]
fn a_deadline_in_the_middle_of_a_chain_waits_for_the_context() {
    let Chain { mut s, second } = Chain::new();
    let server = s.server.tcb;
    s.world.wait(server, &Ask::call(NEXT).deadline(1_000));
    s.world.sleep_until(2_000);
    // It is awake and has no means to run until the second server lets go.
    assert_eq!(s.world.woken(server).status(), Status::TimedOut);
    assert_eq!(s.world.kernel.context_of(server), None);
    s.world.wait(second.tcb, &Ask::recv(ENDPOINT, REPLY));
    s.world.focus(server);
    s.world.wait(server, &Ask::reply_recv(ENDPOINT, REPLY));
    assert_eq!(s.world.woken(s.clients[0].tcb).status(), Status::Ok);
}

#[test]
fn a_deadline_spends_the_reply_and_not_the_loan() {
    let mut s = Service::passive(2);
    let (client, server) = (s.clients[0].tcb, s.server.tcb);
    let own = s.world.kernel.context_of(client);
    s.call(0, call(&[]).deadline(1_000));
    s.world.sleep_until(1_500);
    assert_eq!(s.world.woken(client).status(), Status::TimedOut);
    assert_eq!(s.world.kernel.context_of(server), own);
    let spent = Ask::reply_recv(ENDPOINT, REPLY);
    assert_eq!(s.world.refuse(server, &spent), Status::ReplySpent);
    s.world.wait(server, &Ask::recv(ENDPOINT, REPLY));
    assert_eq!(s.world.kernel.context_of(client), own);
    s.call(1, call(&[5]));
    assert_eq!(s.world.woken(server).words()[0], 5);
}

#[test]
fn a_passive_server_answers_the_next_call_after_its_donor_dies() {
    for kill in [true, false] {
        let mut s = Service::passive(2);
        let server = s.server.tcb;
        s.call(0, call(&[]));
        let donor = s.clients[0];
        if kill {
            let kill = Ask::invoke(donor.cap, method::Tcb::Kill as u64);
            s.world.succeed(s.world.root, &kill);
        } else {
            s.world.delete(slot::CNODE.into(), donor.cap);
        }
        // It goes on with what it was lent.
        let spent = Ask::reply_recv(ENDPOINT, REPLY);
        assert_eq!(s.world.refuse(server, &spent), Status::ReplySpent);
        s.world.wait(server, &Ask::recv(ENDPOINT, REPLY));
        s.call(1, call(&[6]));
        assert_eq!(s.world.woken(server).words()[0], 6);
        s.world
            .wait(server, &Ask::reply_recv(ENDPOINT, REPLY).words(&[7]));
        assert_eq!(s.world.woken(s.clients[1].tcb).words()[0], 7);
        // The context of the dead can be used again.
        let bind = Ask::invoke(s.server.cap, method::Tcb::BindContext as u64);
        if !kill {
            s.world
                .succeed(s.world.root, &bind.cap(donor.context, 0, 0));
        }
    }
}

#[test]
fn the_owner_of_a_lent_context_can_be_unbound() {
    let mut s = Service::passive(1);
    let (client, server) = (s.clients[0], s.server);
    s.call(0, call(&[]));
    let unbind = Ask::invoke(client.cap, method::Tcb::UnbindContext as u64);
    s.world.succeed(s.world.root, &unbind);
    // The server has no fault handler: it stops.
    assert_eq!(s.world.state(server.tcb), ThreadState::Inactive);
    assert_eq!(s.world.state(client.tcb), ThreadState::BlockedIpcRecv);
}

#[test]
fn a_destroyed_context_makes_the_borrower_fault() {
    let mut s = Service::passive(1);
    let handler = s.world.make(ObjectType::Endpoint, 0, 1);
    let server = s.server;
    // A fault endpoint is set while the thread is stopped.
    let suspend = Ask::invoke(server.cap, method::Tcb::Suspend as u64);
    let configure = Ask::invoke(server.cap, method::Tcb::Configure as u64)
        .cap(0, 0, 0)
        .cap(0, 0, 0)
        .cap(handler, 0, 9);
    let resume = Ask::invoke(server.cap, method::Tcb::Resume as u64);
    for ask in [suspend, configure, resume] {
        s.world.succeed(s.world.root, &ask);
    }
    s.start_passive_again();
    s.call(0, call(&[]));
    s.world.delete(slot::CNODE.into(), s.clients[0].context);
    assert_eq!(s.world.state(server.tcb), ThreadState::BlockedIpcSend);
    let reply = s.world.make(ObjectType::Reply, 0, 1);
    let root = s.world.root;
    let got = s.world.succeed(root, &Ask::recv(handler, reply));
    assert_eq!((got.kind(), got.tag(), got.badge()), (Kind::Fault, 7, 9));
}

#[test]
fn a_context_that_was_lent_on_can_be_taken_from_its_owner() {
    let Chain { mut s, second } = Chain::new();
    let (client, server) = (s.clients[0], s.server.tcb);
    s.world.wait(server, &Ask::call(NEXT));
    let unbind = Ask::invoke(client.cap, method::Tcb::UnbindContext as u64);
    s.world.succeed(s.world.root, &unbind);
    for thread in [client.tcb, server, second.tcb] {
        assert_eq!(s.world.kernel.context_of(thread), None);
    }
}
