//! Calls, receives and replies on endpoints.

use crate::common::*;

#[test]
fn a_call_reaches_a_waiting_receiver_and_its_reply_comes_back() {
    let mut s = Service::new(1);
    s.listen();
    s.call(0, call(&[1, 2, 3]));
    let got = s.world.woken(s.server.tcb);
    assert_eq!((got.status(), got.kind()), (Status::Ok, Kind::Call));
    assert_eq!((got.tag(), got.badge()), (7, 1));
    assert_eq!(got.rights(), CLIENT.bits());
    assert_eq!(got.words(), [1, 2, 3, 0, 0, 0, 0, 0]);
    assert_eq!(got.outcome().word_count(), 3);
    let client = s.clients[0].tcb;
    assert_eq!(s.world.state(client), ThreadState::BlockedIpcRecv);
    let answer = Ask::reply(REPLY).tag(9).words(&[4, 5]);
    s.world.succeed(s.server.tcb, &answer);
    let got = s.world.woken(client);
    assert_eq!(
        (got.status(), got.kind(), got.tag()),
        (Status::Ok, Kind::Reply, 9)
    );
    assert_eq!(got.words(), [4, 5, 0, 0, 0, 0, 0, 0]);
}

#[test]
fn callers_queue_in_order_when_nobody_receives() {
    let mut s = Service::new(3);
    for i in [2, 0, 1] {
        s.call(i, call(&[i as u64]));
        let state = s.world.state(s.clients[i].tcb);
        assert_eq!(state, ThreadState::BlockedIpcSend);
    }
    for i in [2, 0, 1] {
        let got = s.world.succeed(s.server.tcb, &Ask::recv(ENDPOINT, REPLY));
        assert_eq!((got.words()[0], got.badge()), (i as u64, i as u32 + 1));
        s.world.succeed(s.server.tcb, &Ask::reply(REPLY));
        assert_eq!(s.world.woken(s.clients[i].tcb).status(), Status::Ok);
    }
}

#[test]
fn receivers_are_served_in_order() {
    let mut s = Service::new(2);
    let second = s.world.spawn(SLOTS);
    let reply = s.world.make(ObjectType::Reply, 0, 1);
    s.world
        .give(s.endpoint, second.cnode, ENDPOINT, Rights::RECV, 0);
    s.world.give(reply, second.cnode, REPLY, Rights::AS_HELD, 0);
    s.listen();
    s.world.wait(second.tcb, &Ask::recv(ENDPOINT, REPLY));
    s.call(1, call(&[11]));
    s.call(0, call(&[10]));
    assert_eq!(s.world.woken(s.server.tcb).words()[0], 11);
    assert_eq!(s.world.woken(second.tcb).words()[0], 10);
}

#[test]
fn a_reply_answers_once() {
    let mut s = Service::new(1);
    s.listen();
    s.call(0, call(&[]));
    s.world.succeed(s.server.tcb, &Ask::reply(REPLY));
    let status = s.world.refuse(s.server.tcb, &Ask::reply(REPLY));
    assert_eq!(status, Status::ReplySpent);
    let status = s
        .world
        .refuse(s.server.tcb, &Ask::reply_recv(ENDPOINT, REPLY));
    assert_eq!(status, Status::ReplySpent);
}

#[test]
fn callers_are_kept_and_answered_out_of_order() {
    let mut s = Service::new(3);
    let replies = s.world.make(ObjectType::Reply, 0, 3);
    for i in 0..3 {
        s.world
            .give(replies + i, s.server.cnode, 4 + i, Rights::AS_HELD, 0);
        s.call(i as usize, call(&[]));
        s.world.succeed(s.server.tcb, &Ask::recv(ENDPOINT, 4 + i));
    }
    for i in [1, 2, 0] {
        let answer = Ask::reply(4 + i).words(&[i.into()]);
        s.world.succeed(s.server.tcb, &answer);
        let got = s.world.woken(s.clients[i as usize].tcb);
        assert_eq!(got.words()[0], i.into());
    }
}

#[test]
fn a_reply_that_owes_an_answer_or_is_armed_cannot_be_armed() {
    let mut s = Service::new(1);
    s.call(0, call(&[]));
    let again = Ask::recv(ENDPOINT, REPLY);
    s.world.succeed(s.server.tcb, &again);
    let status = s.world.refuse(s.server.tcb, &again);
    assert_eq!(status, Status::ReplyInUse);
    s.world.succeed(s.server.tcb, &Ask::reply(REPLY));

    let other = s.world.spawn(SLOTS);
    s.world
        .give(s.endpoint, other.cnode, ENDPOINT, Rights::RECV, 0);
    s.world
        .give(s.reply, other.cnode, REPLY, Rights::AS_HELD, 0);
    s.listen();
    let status = s.world.refuse(other.tcb, &again);
    assert_eq!(status, Status::ReplyInUse);
}

#[test]
fn reply_recv_answers_and_takes_the_next_call() {
    let mut s = Service::new(2);
    s.call(0, call(&[10]));
    s.call(1, call(&[11]));
    s.world.succeed(s.server.tcb, &Ask::recv(ENDPOINT, REPLY));
    let next = Ask::reply_recv(ENDPOINT, REPLY).words(&[20]);
    let got = s.world.succeed(s.server.tcb, &next);
    assert_eq!((got.badge(), got.words()[0]), (2, 11));
    assert_eq!(s.world.woken(s.clients[0].tcb).words()[0], 20);
    s.world.wait(s.server.tcb, &next);
    assert_eq!(s.world.woken(s.clients[1].tcb).words()[0], 20);
    s.call(0, call(&[12]));
    assert_eq!(s.world.woken(s.server.tcb).words()[0], 12);
}

#[test]
fn reply_recv_that_cannot_receive_does_not_answer() {
    let mut s = Service::new(1);
    s.listen();
    s.call(0, call(&[]));
    for (target, status) in [
        (WINDOW, Status::EmptySlot),
        (REPLY, Status::WrongType),
        (99, Status::InvalidAddress),
    ] {
        let ask = Ask::reply_recv(target, REPLY);
        assert_eq!(s.world.refuse(s.server.tcb, &ask), status);
    }
}

#[test]
fn a_receiver_without_a_reply_gets_no_calls() {
    let mut s = Service::new(1);
    s.world.wait(s.server.tcb, &Ask::recv(ENDPOINT, 0));
    s.call(0, call(&[]));
    assert_eq!(s.world.state(s.server.tcb), ThreadState::BlockedIpcRecv);
    let root = s.world.root;
    let ask = Ask::send(s.endpoint).words(&[5]);
    s.world.succeed(root, &ask);
    let got = s.world.woken(s.server.tcb);
    assert_eq!((got.kind(), got.words()[0]), (Kind::OneWay, 5));
    let status = s.world.refuse(s.server.tcb, &Ask::poll(ENDPOINT, 0));
    assert_eq!(status, Status::WouldBlock);
}

#[test]
fn a_one_way_message_is_delivered_now_or_not_at_all() {
    let mut s = Service::new(1);
    let client = s.clients[0].tcb;
    let ask = Ask::send(ENDPOINT).tag(3).words(&[1]);
    assert_eq!(s.world.refuse(client, &ask), Status::WouldBlock);
    s.listen();
    s.world.succeed(client, &ask);
    let got = s.world.woken(s.server.tcb);
    assert_eq!((got.kind(), got.tag(), got.badge()), (Kind::OneWay, 3, 1));
    // The Reply is free again.
    s.listen();
    assert_eq!(s.world.state(client), ThreadState::Running);
}

#[test]
fn poll_takes_what_is_there_and_never_waits() {
    let mut s = Service::new(1);
    let poll = Ask::poll(ENDPOINT, REPLY);
    assert_eq!(s.world.refuse(s.server.tcb, &poll), Status::WouldBlock);
    s.call(0, call(&[4]));
    let got = s.world.succeed(s.server.tcb, &poll);
    assert_eq!(got.words()[0], 4);
}

#[test]
fn each_right_is_needed() {
    let mut s = Service::new(1);
    let (client, server) = (s.clients[0], s.server);
    let all = Rights::KERNEL | Rights::SERVER;
    s.world
        .give(s.endpoint, client.cnode, 4, all - Rights::SEND, 0);
    s.world
        .give(s.endpoint, server.cnode, 4, all - Rights::RECV, 0);
    s.world
        .give(s.reply, server.cnode, 5, Rights::KERNEL - Rights::RECV, 0);
    let missing = Status::MissingRight;
    assert_eq!(s.world.refuse(client.tcb, &Ask::call(4)), missing);
    assert_eq!(s.world.refuse(client.tcb, &Ask::send(4)), missing);
    for ask in [
        Ask::recv(4, REPLY),
        Ask::poll(4, REPLY),
        Ask::recv(ENDPOINT, 5),
        Ask::reply(5),
        Ask::reply_recv(ENDPOINT, 5),
        Ask::reply_recv(4, 5),
    ] {
        assert_eq!(s.world.refuse(server.tcb, &ask), missing, "{ask:?}");
    }
}

#[test]
fn bad_control_words_and_numbers_are_refused() {
    let mut s = Service::new(1);
    let client = s.clients[0].tcb;
    for bad in [9, 5 << 4, 1 << 15, 1 << 31] {
        for mut ask in [
            Ask::call(ENDPOINT),
            Ask::send(ENDPOINT),
            Ask::recv(ENDPOINT, 0),
            Ask::poll(ENDPOINT, 0),
            Ask::reply(REPLY),
            Ask::reply_recv(ENDPOINT, REPLY),
        ] {
            ask.x[10] = bad;
            let status = s.world.refuse(client, &ask);
            assert_eq!(status, Status::InvalidArgument);
        }
    }
    for number in [8, 9, 0x7fff, 0xffff] {
        let ask = Ask {
            number,
            x: [u64::MAX; 18],
        };
        assert_eq!(s.world.refuse(client, &ask), Status::InvalidSyscall);
    }
}

#[test]
fn address_0_is_null_to_a_receive_whatever_lies_in_slot_0() {
    let mut s = Service::new(1);
    let (client, server) = (s.clients[0], s.server);
    let n = s.world.make(ObjectType::Notification, 0, 1);
    s.world.give(n, client.cnode, 0, Rights::AS_HELD, 0);
    let invalid = Status::InvalidAddress;
    assert_eq!(s.world.refuse(client.tcb, &Ask::recv(0, 0)), invalid);

    // No endpoint: the answer stays owed.
    s.world
        .give(s.endpoint, server.cnode, 0, Rights::AS_HELD, 0);
    s.listen();
    s.call(0, call(&[]));
    let answer = Ask::reply_recv(0, REPLY);
    assert_eq!(s.world.refuse(server.tcb, &answer), invalid);

    // No Reply: it answers through slot 0, but receives without one.
    s.world.delete(server.cnode, 0);
    s.world.give(s.reply, server.cnode, 0, Rights::AS_HELD, 0);
    let answer = Ask::reply_recv(ENDPOINT, 0).words(&[5]);
    s.world.wait(server.tcb, &answer);
    assert_eq!(s.world.woken(client.tcb).words()[0], 5);
    s.call(0, call(&[]));
    let waits = s.world.state(client.tcb);
    assert_eq!(waits, ThreadState::BlockedIpcSend);
}

#[test]
fn a_one_way_message_tells_badge_and_rights_of_the_sender() {
    let mut s = Service::new(1);
    let client = s.clients[0];
    let rights = Rights::SEND | Rights::server(2);
    let wider = s.world.free_slots(1);
    s.world
        .give(s.endpoint, slot::CNODE.into(), wider, Rights::AS_HELD, 0);
    s.world.give(wider, client.cnode, 5, rights, 0x8000_0009);
    for reply in [0, REPLY] {
        s.world.wait(s.server.tcb, &Ask::recv(ENDPOINT, reply));
        s.world
            .succeed(client.tcb, &Ask::send(5).tag(3).words(&[1, 2]));
        let got = s.world.woken(s.server.tcb);
        assert_eq!((got.kind(), got.tag()), (Kind::OneWay, 3));
        assert_eq!((got.badge(), got.rights()), (0x8000_0009, rights.bits()));
    }
}
